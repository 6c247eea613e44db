/** Within the replay window of patrons, which tell by it what they have. */
const MAX_FRAMES = 512;
const MAX_BYTES = 1024 * 1024;

/** The frames that left last, for a patron that is moved to another brew: it may have missed some of them. */
export class Sent {
  #frames: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  /** How many have left so far. */
  count = 0;

  add(frame: Uint8Array<ArrayBuffer>): void {
    this.count++;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    while (this.#frames.length > MAX_FRAMES || this.#bytes > MAX_BYTES) this.#bytes -= this.#frames.shift()!.length;
  }

  /** What is kept of those that left after the first so many. Oldest first. */
  since(count: number): readonly Uint8Array<ArrayBuffer>[] {
    return this.#frames.slice(Math.max(0, this.#frames.length - this.count + count));
  }
}
