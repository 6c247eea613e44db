/** A value, or the promise of one: engines that need not wait do not make anybody wait. */
export type Awaitable<T> = T | Promise<T>;

/** AES-CBC with PKCS#7 padding under one key. A payload is the IV of 16 bytes and the ciphertext, end to end. */
export interface CbcKey {
  /** Encrypts `plaintext` with a fresh random IV; returns a payload. */
  seal(plaintext: Uint8Array): Awaitable<Uint8Array>;
  /** Decrypts `payload`: the IV and one or more whole blocks. Throws or rejects when the padding is wrong. */
  open(payload: Uint8Array): Awaitable<Uint8Array>;
  /**
   * Opens payloads that came together, where that is cheaper than one by one; undefined in the place of one that
   * cannot be opened. The payload of a frame is what follows its first `skip` bytes.
   */
  openAll?(frames: readonly Uint8Array[], skip: number): Awaitable<readonly (Uint8Array | undefined)[]>;
}

/** AES-GCM with a 16-byte tag behind the ciphertext, under one key. */
export interface GcmKey {
  /** Returns the ciphertext of `plaintext`, and the tag. `nonce`: 12 bytes, never twice under one key; `data` is authenticated as well. */
  seal(nonce: Uint8Array, data: Uint8Array, plaintext: Uint8Array): Awaitable<Uint8Array>;
  /** Decrypts. Throws or rejects when the tag is wrong. `data` is what was authenticated as well. */
  open(nonce: Uint8Array, data: Uint8Array, sealed: Uint8Array): Awaitable<Uint8Array>;
}

/**
 * What computes AES. Keys are 16, 24 or 32 bytes, and prepared once per brewer session. The inputs of a call may be
 * views into larger buffers; they are not changed, and no longer looked at once the call has returned (those of `openAll`: once its
 * promise has settled).
 */
export interface CryptoEngine {
  /** A name for people: nothing depends on it. */
  readonly name: string;
  /** AES-CBC under a key of 16, 24 or 32 bytes. */
  cbc(key: Uint8Array): CbcKey;
  /** AES-GCM under a key of 32 bytes. */
  gcm(key: Uint8Array): GcmKey;
}

/** The length of an AES block, in bytes. */
export const BLOCK = 16;

/** A block to begin with, `plaintext`, and its PKCS#7 padding, in memory of their own. */
export function pad(iv: Uint8Array, plaintext: Uint8Array): Uint8Array<ArrayBuffer> {
  const end = BLOCK + plaintext.length;
  const padding = BLOCK - (plaintext.length % BLOCK);
  const bytes = new Uint8Array(end + padding).fill(padding, end);
  bytes.set(iv);
  bytes.set(plaintext, BLOCK);
  return bytes;
}

/**
 * What is before the PKCS#7 padding of decrypted blocks, which are those from `start` to `end`.
 * @throws {RangeError} when there is no such padding
 */
export function unpad(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  const count = bytes[end - 1]!; // undefined where there is nothing
  const stop = end - count;
  let wrong = !count || stop < start || count > BLOCK ? 1 : 0;
  for (let i = stop; !wrong && i < end; i++) wrong |= bytes[i]! ^ count;
  if (wrong) throw new RangeError('bad padding');
  return bytes.subarray(start, stop);
}

/** Payloads are opened together up to this many bytes. */
const BURST = 128 * 1024;

/** `frames` in their order, in groups for one call each. */
export function bursts(frames: readonly Uint8Array[]): readonly Uint8Array[][] {
  const groups: Uint8Array[][] = [];
  let size = BURST;
  for (const frame of frames) {
    if (size + frame.length > BURST) {
      groups.push([]);
      size = 0;
    }
    groups[groups.length - 1]!.push(frame);
    size += frame.length;
  }
  return groups;
}

/** As large as a burst has been. Memory that is asked for anew comes in pages that are mapped and cleared first: half of a burst's time. */
let scratch = new Uint8Array(0);

/**
 * The payloads of `frames`, which follow their first `skip` bytes, end to end; good until the next call. Views are what costs most
 * in browsers, so there is none for each: whole frames are laid down from the last to the first, and each one's head is overwritten
 * by those before it.
 */
export function payloadsOf(frames: readonly Uint8Array[], skip: number): Uint8Array<ArrayBuffer> {
  let at = sizeOf(frames);
  const end = at;
  if (scratch.length < end) scratch = new Uint8Array(end);
  for (let i = frames.length; i--; ) scratch.set(frames[i]!, (at -= frames[i]!.length - skip) - skip);
  return scratch.subarray(at, end);
}

/**
 * The plaintexts of payloads that were opened as one: laid end to end (IV₁ C₁ IV₂ C₂ …) they are one CBC ciphertext
 * under the first IV. The blocks that the inner IVs decrypt to are skipped, and each padding is checked here; but not that of
 * the last payload where the engine has cut it off.
 */
export function divide(plain: Uint8Array, frames: readonly Uint8Array[], skip: number): (Uint8Array | undefined)[] {
  let at = 0;
  return frames.map(({ length }) => {
    const start = at;
    at += length - skip;
    try {
      return at - BLOCK > plain.length ? plain.subarray(start) : unpad(plain, start, at - BLOCK);
    } catch {
      return undefined;
    }
  });
}

/** The same bytes, to read numbers of. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * What `map` makes of bytes, at once where they are there. What is still to come is never told by its class: in a sandbox that has borrowed
 * its WebCrypto, promises are of another realm.
 */
export const mapped = <T>(bytes: Awaitable<Uint8Array>, map: (bytes: Uint8Array) => T): Awaitable<T> =>
  (bytes as Partial<Promise<Uint8Array>>).then?.(map) ?? map(bytes as Uint8Array);

/** How many bytes all have together. */
export const sizeOf = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** Pieces laid end to end, in memory of their own. */
export function join(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
