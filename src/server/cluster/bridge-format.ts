// What relays tell each other over NATS. Little-endian, as everything here.
//
// Frames: u8 kind (0: whole frames, 1: a part of one), 3 zero, 12 characters the sender's server id, f64 the stamp of the
// last frame; then for each frame u32 length and the frame; or u32 the frame's length, u32 where the part begins, the part.
// Interest: 12 characters the sender's id, u32 the number of the question or 0; then for each topic the 32 bytes of its
// hash, and u32: how many connections have joined it, and in bit 31 whether its last value is asked for. Without a topic: the sender has
// been away, and wants to be told about all topics again.

/** The length of a server's id, in characters. */
export const SERVER_ID = 12;
/** The length of a topic's hash, in bytes. */
export const HASH = 32;
const HEADER = 4 + SERVER_ID + 8;
const PART_HEADER = HEADER + 8;
const WHOLE = 0;
const PART = 1;

/** The messages that carry `frames`, none longer than `most` bytes. */
export function encodeFrames(server: string, stamp: number, frames: readonly Uint8Array[], most: number): Buffer[] {
  const messages: Buffer[] = [];
  let waiting: Uint8Array[] = [];
  let size = HEADER;
  const flush = (): void => {
    if (!waiting.length) return;
    const bytes = header(WHOLE, server, stamp, size);
    let at = HEADER;
    for (const frame of waiting) {
      bytes.writeUInt32LE(frame.length, at);
      bytes.set(frame, at + 4);
      at += 4 + frame.length;
    }
    messages.push(bytes);
    waiting = [];
    size = HEADER;
  };
  for (const frame of frames) {
    const length = 4 + frame.length;
    if (size + length > most) flush();
    if (HEADER + length > most) {
      messages.push(...parts(server, stamp, frame, most));
    } else {
      waiting.push(frame);
      size += length;
    }
  }
  flush();
  return messages;
}

function* parts(server: string, stamp: number, frame: Uint8Array, most: number): Generator<Buffer> {
  const step = most - PART_HEADER;
  for (let at = 0; at < frame.length; at += step) {
    const part = frame.subarray(at, at + step);
    const bytes = header(PART, server, stamp, PART_HEADER + part.length);
    bytes.writeUInt32LE(frame.length, HEADER);
    bytes.writeUInt32LE(at, HEADER + 4);
    bytes.set(part, PART_HEADER);
    yield bytes;
  }
}

function header(kind: number, server: string, stamp: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32LE(kind, 0);
  bytes.write(server, 4, SERVER_ID, 'latin1');
  bytes.writeDoubleLE(stamp, 4 + SERVER_ID);
  return bytes;
}

/** The frames of a message, the server that sent them, and the stamp of the last one. */
export interface ReadFrames {
  readonly server: string;
  readonly stamp: number;
  readonly frames: readonly Uint8Array[];
}

/** Reads frames, and puts those together that come in parts. The parts of one frame come one after the other. */
export class FrameReader {
  readonly #most: number;
  readonly #open = new Map<string, { readonly bytes: Uint8Array; at: number }>();

  /** @param most how long a frame may be, in bytes */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Reads a message that came for `topic`; undefined when it holds a part, and the frame is not complete yet.
   * @throws {RangeError} when it is malformed
   */
  read(topic: string, message: Uint8Array): ReadFrames | undefined {
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
    const kind = bytes.readUInt32LE(0);
    const server = bytes.toString('latin1', 4, 4 + SERVER_ID);
    const stamp = bytes.readDoubleLE(4 + SERVER_ID);
    if (kind === WHOLE) return { server, stamp, frames: [...whole(bytes)] };
    if (kind !== PART) throw new RangeError('an unknown kind of message');
    const frame = this.#part(server + topic, bytes);
    return frame && { server, stamp, frames: [frame] };
  }

  #part(key: string, bytes: Buffer): Uint8Array | undefined {
    const length = bytes.readUInt32LE(HEADER);
    const at = bytes.readUInt32LE(HEADER + 4);
    const part = bytes.subarray(PART_HEADER);
    let open = this.#open.get(key);
    if (length > this.#most) throw new RangeError('a frame is too long');
    // A first part replaces a frame that was begun before and is not complete: that one has lost a part on its way.
    if (at === 0) {
      // Frames that are never completed must not pile up.
      if (this.#open.size >= MOST_OPEN && !open) this.#open.delete(this.#open.keys().next().value!);
      this.#open.set(key, (open = { bytes: new Uint8Array(length), at: 0 }));
    }
    if (!open || open.at !== at || open.bytes.length !== length || at + part.length > length) {
      this.#open.delete(key);
      throw new RangeError('a part of a frame is missing');
    }
    open.bytes.set(part, at);
    open.at += part.length;
    if (open.at < length) return undefined;
    this.#open.delete(key);
    return open.bytes;
  }
}

/** How many incomplete frames are kept. */
const MOST_OPEN = 64;

function* whole(bytes: Buffer): Generator<Uint8Array> {
  for (let at = HEADER; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) throw new RangeError('a frame is longer than its message');
    yield bytes.subarray(at + 4, end);
    at = end;
  }
}

/** How many connections of a relay have joined a topic. */
export interface Interest {
  readonly hash: Uint8Array;
  readonly count: number;
  /** Whether the topic's last value is asked for. */
  readonly asks: boolean;
}

const INTEREST_HEADER = SERVER_ID + 4;
const INTEREST = HASH + 4;
const ASKS = 0x8000_0000;
/** How many topics one message may be about: 1,024 (36 KiB), or fewer where NATS takes shorter messages only. */
export const interestsWithin = (most: number): number => Math.max(1, Math.min(1024, Math.floor((most - INTEREST_HEADER) / INTEREST)));

/** A message about topics for other relays; `question`: the number of the question that it asks or answers, else 0. */
export function encodeInterest(server: string, question: number, topics: readonly Interest[]): Buffer {
  const bytes = Buffer.alloc(INTEREST_HEADER + topics.length * INTEREST);
  bytes.write(server, 0, SERVER_ID, 'latin1');
  bytes.writeUInt32LE(question, SERVER_ID);
  topics.forEach(({ hash, count, asks }, index) => {
    const at = INTEREST_HEADER + index * INTEREST;
    bytes.set(hash, at);
    bytes.writeUInt32LE(Math.min(count, ASKS - 1) + (asks ? ASKS : 0), at + HASH);
  });
  return bytes;
}

/** @throws {RangeError} when it is malformed */
export function decodeInterest(message: Uint8Array): { readonly server: string; readonly question: number; readonly topics: Interest[] } {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const server = bytes.toString('latin1', 0, SERVER_ID);
  const question = bytes.readUInt32LE(SERVER_ID);
  const topics: Interest[] = [];
  for (let at = INTEREST_HEADER; at < bytes.length; at += INTEREST) {
    const word = bytes.readUInt32LE(at + HASH);
    topics.push({ hash: bytes.subarray(at, at + HASH), count: word % ASKS, asks: word >= ASKS });
  }
  return { server, question, topics };
}
