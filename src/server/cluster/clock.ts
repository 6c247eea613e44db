/**
 * A clock that the servers of a cluster roughly share: never behind a stamp that was heard from another server, and never the
 * same twice. So what happens after something was heard has the later stamp, whatever the clocks of the machines say.
 */
export class SharedClock {
  readonly #now: () => number;
  readonly #phase: number;
  #last = 0;

  /**
   * @param now the machine's time, in milliseconds since 1970
   * @param phase a part of a millisecond, different at each server, so that two servers hardly ever give the same stamp
   */
  constructor(now: () => number = Date.now, phase = 0) {
    this.#now = now;
    this.#phase = phase;
  }

  /** A stamp in milliseconds since 1970, later than every stamp that was given or heard so far. */
  next(): number {
    return (this.#last = Math.max(this.#now() + this.#phase, this.#last + 0.001));
  }

  /** The last stamp that was given or heard. */
  get last(): number {
    return this.#last;
  }

  /**
   * Takes another server's stamp into account, however far it is from this machine's clock, which may start in 1970. A stamp that
   * is not a number, or so large that the next step would not change it, is ignored.
   */
  heard(stamp: number): void {
    if (stamp > this.#last && stamp < MOST) this.#last = stamp;
  }
}

/** Up to this stamp, in the year 2248, doubles can tell steps of a microsecond apart. */
const MOST = 2 ** 43 - 1;
