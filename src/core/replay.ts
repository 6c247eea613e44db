/** How many sequences back a sealed message may come late (design, "Sealed mode"). */
const WINDOW = 1024;

/**
 * Which sequences of one epoch were accepted: each at most once, and none that is 1,024 or more behind the highest.
 * Fixed size, whatever comes.
 */
export class ReplayWindow {
  readonly #seen = new Uint32Array(WINDOW / 32);
  #highest = -1;
  #first = -1;

  /** Whether `sequence` was accepted before, or is too old to tell. For a last value: also whether a newer sequence was accepted. */
  has(sequence: number, retained = false): boolean {
    return sequence <= this.#highest && (retained || this.#highest - sequence >= WINDOW || (this.#seen[word(sequence)]! & bit(sequence)) !== 0);
  }

  /**
   * Accepts `sequence`, which the window does not have. Returns how many sequences were jumped over: above 0 for a gap,
   * -1 when this one fills an earlier gap. What was brewed before the first message ever accepted is no gap, and fills none.
   */
  accept(sequence: number): number {
    const jump = sequence - this.#highest;
    if (jump > 0) {
      if (jump >= WINDOW) this.#seen.fill(0);
      else for (let i = this.#highest + 1; i < sequence; i++) this.#seen[word(i)]! &= ~bit(i);
      this.#highest = sequence;
      this.#seen[word(sequence)]! |= bit(sequence);
      if (this.#first >= 0) return jump - 1;
      this.#first = sequence;
      return 0;
    }
    this.#seen[word(sequence)]! |= bit(sequence);
    return sequence > this.#first ? -1 : 0;
  }
}

const word = (sequence: number): number => (sequence % WINDOW) >>> 5;
const bit = (sequence: number): number => 1 << sequence; // by the last five bits only
