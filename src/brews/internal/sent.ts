/** Less than the replay window, by which patrons recognise frames that they have. */
const MAX_FRAMES = 512;
const MAX_BYTES = 1024 * 1024;

/** The last frames that were sent, for a patron that is moved to another brew: it may have missed some of them. */
export class Sent {
  #frames: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  /** How many frames have been sent so far. */
  count = 0;

  add(frame: Uint8Array<ArrayBuffer>): void {
    this.count++;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    while (this.#frames.length > MAX_FRAMES || this.#bytes > MAX_BYTES) this.#bytes -= this.#frames.shift()!.length;
  }

  /** The frames sent after the first `count`, as far as they are kept, oldest first. */
  since(count: number): readonly Uint8Array<ArrayBuffer>[] {
    return this.#frames.slice(Math.max(0, this.#frames.length - this.count + count));
  }
}
