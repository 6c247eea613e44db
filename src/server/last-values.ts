/** A frame that is kept. `bytes` is a buffer of its own, which is longer than the frame if a longer frame came before. */
interface Retained {
  bytes: Uint8Array<ArrayBuffer>;
  length: number;
  stamp: number;
}

/** The last frame of each topic, up to a number of frames and of bytes: the least recently used one goes first. */
export class LastValues {
  readonly #most: number;
  readonly #mostBytes: number;
  // A map keeps the order in which keys were set, and a key that is used is set again: so the first key is the least recently used.
  readonly #values = new Map<string, Retained>();
  #newest = '';
  #bytes = 0;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  get size(): number {
    return this.#values.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The frame of a key, as a view that is valid until the next `set`. */
  get(key: string): Uint8Array | undefined {
    const last = this.#values.get(key);
    if (!last) return undefined;
    this.#touch(key, last);
    return last.bytes.subarray(0, last.length);
  }

  /** When the frame of a key was published. */
  stamp(key: string): number | undefined {
    return this.#values.get(key)?.stamp;
  }

  /**
   * Keeps a frame, unless one that was published later is kept already; returns false in that case.
   * @param stamp when it was published, by whatever clock; an equal stamp counts as later
   */
  set(key: string, frame: Uint8Array, stamp = 0): boolean {
    let last = this.#values.get(key);
    if (last && stamp < last.stamp) return false;
    if (frame.length > this.#mostBytes) {
      this.#forget(key);
      return true;
    }
    if (!last) this.#values.set(key, (last = { bytes: new Uint8Array(0), length: 0, stamp }));
    last.stamp = stamp;
    // Copied, because the frame may be a small view of a large receive buffer, which would be kept whole. The buffer is
    // used again for the next frame, unless that wastes more than half of it.
    if (last.bytes.length < frame.length || last.bytes.length > 2 * frame.length) {
      this.#bytes += frame.length - last.bytes.length;
      last.bytes = new Uint8Array(frame.length);
    }
    last.bytes.set(frame);
    last.length = frame.length;
    this.#touch(key, last);
    while (this.#values.size > this.#most || this.#bytes > this.#mostBytes) {
      this.#forget(this.#values.keys().next().value!);
    }
    return true;
  }

  #touch(key: string, last: Retained): void {
    if (key === this.#newest) return;
    this.#newest = key;
    this.#values.delete(key);
    this.#values.set(key, last);
  }

  #forget(key: string): void {
    const last = this.#values.get(key);
    if (!last) return;
    this.#bytes -= last.bytes.length;
    this.#values.delete(key);
  }
}
