/**
 * A clock that all servers of a network share, more or less: never behind what was heard of the others, and never the same
 * twice. So what happens after something was heard of has the later stamp, whatever the clocks of the machines say.
 */
export class SharedClock {
  readonly #now: () => number;
  #last = 0;

  /** @param now the machine's time, in milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** A stamp in milliseconds since 1970, later than every other one so far. */
  next(): number {
    // A double tells microseconds apart until the year 2255.
    return (this.#last = Math.max(this.#now(), this.#last + 0.001));
  }

  /** The last stamp that was given or heard of. */
  get last(): number {
    return this.#last;
  }

  /** Takes note of another server's stamp. One that is no number, or years away, is not believed. */
  heard(stamp: number): void {
    if (stamp > this.#last && stamp < this.#now() + MOST_AHEAD) this.#last = stamp;
  }
}

/** A stamp further ahead than this, in milliseconds, is a fault: following it would never end. */
const MOST_AHEAD = 365 * 24 * 3600 * 1000;
