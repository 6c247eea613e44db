import { PubkeeperError } from '../../core/index.js';
import { FRAME_HEADER } from '../../core/frame.js';

/**
 * Reads what the local brew sends (protocol, section 5): u32 length, then a brew frame, over and over. Fed with bytes as
 * they come; knows no socket. Reserves no memory for a frame before its bytes have arrived, whatever its length says.
 */
export class LengthPrefixed {
  readonly #limit: number;
  readonly #pass: (frame: Uint8Array) => void;
  #parts: Uint8Array[] = [];
  #size = 0;

  /** @param limit the longest frame, in bytes */
  constructor(limit: number, pass: (frame: Uint8Array) => void) {
    this.#limit = limit;
    this.#pass = pass;
  }

  /** @throws {PubkeeperError} `FRAME_INVALID` for an impossible length: the rest of the stream cannot be read */
  push(chunk: Uint8Array): void {
    this.#parts.push(chunk);
    this.#size += chunk.length;
    if (this.#size < 4 || (this.#parts.length > 1 && this.#size < 4 + this.#length(this.#head()))) return;
    const bytes = this.#parts.length > 1 ? join(this.#parts, this.#size) : this.#parts[0]!;
    let at = 0;
    while (bytes.length - at >= 4) {
      const end = at + 4 + this.#length(bytes.subarray(at, at + 4));
      if (end > bytes.length) break;
      this.#pass(bytes.subarray(at + 4, end));
      at = end;
    }
    this.#parts = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#size = bytes.length - at;
  }

  #head(): Uint8Array {
    const [first] = this.#parts;
    if (first!.length >= 4) return first!;
    // Rare: a length that was split between chunks.
    this.#parts = [join(this.#parts, this.#size)];
    return this.#parts[0]!;
  }

  #length(bytes: Uint8Array): number {
    const length = (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
    if (length >= FRAME_HEADER && length <= this.#limit) return length;
    throw new PubkeeperError(
      'FRAME_INVALID',
      `A local brewer announced a frame of ${length} bytes; ${FRAME_HEADER} to ${this.#limit} are accepted.`,
      { length, limit: this.#limit },
    );
  }
}

/** A frame as it is sent: its length, then its bytes, in one array. */
export function prefixed(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + frame.length);
  new DataView(bytes.buffer).setUint32(0, frame.length, true);
  bytes.set(frame, 4);
  return bytes;
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
