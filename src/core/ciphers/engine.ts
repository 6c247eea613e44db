/** A value, or a promise of it: synchronous engines do not make their callers wait. */
export type Awaitable<T> = T | Promise<T>;

/** AES-CBC with PKCS#7 padding under one key. A payload is the IV of 16 bytes and the ciphertext, end to end. */
export interface CbcKey {
  /** Encrypts `plaintext` with a fresh random IV; returns a payload. */
  seal(plaintext: Uint8Array): Awaitable<Uint8Array>;
  /** Decrypts `payload`: the IV and one or more whole blocks. Throws or rejects when the padding is wrong. */
  open(payload: Uint8Array): Awaitable<Uint8Array>;
  /**
   * Decrypts payloads that arrived together; present if that is cheaper than one by one. Returns undefined in the place of a payload that
   * cannot be decrypted. A frame's payload is what follows its first `skip` bytes.
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
 * views of larger buffers. They are not changed, and not read any more once the call has returned (with `openAll`: once its
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

/** A new buffer with room for one block (the IV), followed by `plaintext` and its PKCS#7 padding. */
export function pad(iv: Uint8Array, plaintext: Uint8Array): Uint8Array<ArrayBuffer> {
  const end = BLOCK + plaintext.length;
  const padding = BLOCK - (plaintext.length % BLOCK);
  const bytes = new Uint8Array(end + padding).fill(padding, end);
  bytes.set(iv);
  bytes.set(plaintext, BLOCK);
  return bytes;
}

/**
 * The plaintext of the decrypted blocks from `start` to `end`, without their PKCS#7 padding.
 * @throws {RangeError} when the padding is wrong
 */
export function unpad(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  const count = bytes[end - 1]!; // undefined if there is no byte
  const stop = end - count;
  let wrong = !count || stop < start || count > BLOCK ? 1 : 0;
  for (let i = stop; !wrong && i < end; i++) wrong |= bytes[i]! ^ count;
  if (wrong) throw new RangeError('bad padding');
  return bytes.subarray(start, stop);
}

/** The size limit, in bytes, of payloads that are decrypted by one call. */
const BURST = 128 * 1024;

/** Splits `frames` into groups of up to `BURST` bytes, in order: one call each. */
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

/** As large as the largest burst so far. Kept, because mapping and clearing new memory takes half of a burst's time. */
let scratch = new Uint8Array(0);

/**
 * The payloads of `frames` (what follows their first `skip` bytes) laid end to end; valid until the next call. Views are the most expensive
 * part in browsers, so none is made per frame: whole frames are copied from the last to the first, and each header is overwritten by
 * the frame before it.
 */
export function payloadsOf(frames: readonly Uint8Array[], skip: number): Uint8Array<ArrayBuffer> {
  let at = sizeOf(frames);
  const end = at;
  if (scratch.length < end) scratch = new Uint8Array(end);
  for (let i = frames.length; i--; ) scratch.set(frames[i]!, (at -= frames[i]!.length - skip) - skip);
  return scratch.subarray(at, end);
}

/**
 * The plaintexts of payloads that were decrypted as one: end to end (IV₁ C₁ IV₂ C₂ …) they form one CBC ciphertext under
 * the first IV. The blocks that the inner IVs decrypt to are skipped. Each padding is checked here, except that of the last
 * payload if the engine has removed it already.
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

/** A `DataView` of the same bytes. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Applies `map` to bytes, at once if they are available. A promise is not recognised by its class: in a sandbox with borrowed
 * WebCrypto, promises belong to another realm.
 */
export const mapped = <T>(bytes: Awaitable<Uint8Array>, map: (bytes: Uint8Array) => T): Awaitable<T> =>
  (bytes as Partial<Promise<Uint8Array>>).then?.(map) ?? map(bytes as Uint8Array);

/** The total length of all pieces. */
export const sizeOf = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** The pieces end to end, in a new buffer. */
export function join(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
