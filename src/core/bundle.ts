import type { Brew } from './brew.js';

/** The size limit of a bundle, in bytes; a longer message travels alone. */
const FULL = 64 * 1024;

/** Collects messages for one sealed frame, each preceded by its length as a u32 (design, "Sealed mode"). */
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

  /** Whether `message` still fits, into the bundle and through these brews. An empty bundle takes a message of any length. */
  hasRoomFor({ length }: Uint8Array, brews: readonly Pick<Brew, 'maxBundle'>[]): boolean {
    const next = this.length + 4 + length;
    return !this.count || (next <= FULL && !brews.some(({ maxBundle }) => next > maxBundle!)); // nothing is more than undefined
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

  /** Empties the bundle and returns its plaintext, or the bare message if there is only one: a view that is valid until the next `add`. */
  take(): Uint8Array {
    const plaintext = this.#bytes.subarray(this.count > 1 ? 0 : 4, this.length);
    this.length = this.count = 0;
    // Do not keep a large buffer because of a single long message.
    if (this.#bytes.length > FULL) this.#reserve(256);
    return plaintext;
  }

  #reserve(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }
}
