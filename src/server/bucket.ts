/**
 * A budget that refills at `rate` a second, up to `burst` (a token bucket). The clock is only read when what was saved is
 * used up, so that a connection far below its rate costs nothing.
 */
export class Bucket {
  readonly #rate: number;
  readonly #burst: number;
  readonly #now: () => number;
  #left: number;
  #filledAt: number;

  /** @param now a clock in milliseconds */
  constructor(rate: number, burst: number, now: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#burst = burst;
    this.#now = now;
    this.#left = burst;
    this.#filledAt = now();
  }

  /** Takes `cost`, into debt if it must be; returns the milliseconds until the debt is paid, 0 when there is none. */
  take(cost: number): number {
    this.#left -= cost;
    if (this.#left >= 0) return 0;
    const now = this.#now();
    // However much time has passed, at most `burst` is saved.
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#filledAt) * this.#rate) / 1000);
    this.#filledAt = now;
    return this.#left >= 0 ? 0 : Math.ceil((-this.#left * 1000) / this.#rate);
  }
}
