/** A bundle is closed at this many bytes. */
const FULL = 64 * 1024;

/** Messages on their way into one sealed frame: each with its length (u32) before it (design, "Sealed mode"). */
export class Bundle {
  #bytes!: Uint8Array<ArrayBuffer>;
  #view!: DataView;
  /** Bytes used. */
  length = 0;
  /** Messages held. */
  count = 0;

  constructor() {
    this.#reserve(256);
  }

  /** Whether `message` can be added. A single one always can. */
  hasRoomFor({ length }: Uint8Array): boolean {
    return !this.count || this.length + 4 + length <= FULL;
  }

  /** Adds a copy of `message`. */
  add(message: Uint8Array): void {
    const end = this.length + 4 + message.length;
    if (end > this.#bytes.length) {
      const held = this.#bytes.subarray(0, this.length);
      this.#reserve(Math.max(end, Math.min(FULL, 2 * this.#bytes.length)));
      this.#bytes.set(held);
    }
    this.#view.setUint32(this.length, message.length, true);
    this.#bytes.set(message, this.length + 4);
    this.length = end;
    this.count++;
  }

  /** The bundle's plaintext, or with a single message that message; a view, until the next `add`. Empties the bundle. */
  take(): Uint8Array {
    const plaintext = this.#bytes.subarray(this.count > 1 ? 0 : 4, this.length);
    this.length = this.count = 0;
    // One large message must not keep its memory for good.
    if (this.#bytes.length > FULL) this.#reserve(256);
    return plaintext;
  }

  #reserve(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }
}
