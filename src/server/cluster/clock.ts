/**
 * A clock that all servers of a network share, more or less: never behind what was heard of the others, and never the same
 * twice. So what happens after something was heard of has the later stamp, whatever the clocks of the machines say.
 */
export class SharedClock {
  readonly #now: () => number;
  readonly #phase: number;
  #last = 0;

  /**
   * @param now the machine's time, in milliseconds since 1970
   * @param phase a part of a millisecond, another one at each server: so that two hardly ever give the same stamp
   */
  constructor(now: () => number = Date.now, phase = 0) {
    this.#now = now;
    this.#phase = phase;
  }

  /** A stamp in milliseconds since 1970, later than every other one so far. */
  next(): number {
    return (this.#last = Math.max(this.#now() + this.#phase, this.#last + 0.001));
  }

  /** The last stamp that was given or heard of. */
  get last(): number {
    return this.#last;
  }

  /**
   * Takes note of another server's stamp, however far it is from the own clock: a machine may begin in 1970. One that is no
   * number, or so great that the next step would not show, is not believed.
   */
  heard(stamp: number): void {
    if (stamp > this.#last && stamp < MOST) this.#last = stamp;
  }
}

/** Up to here, in the year 2248, doubles tell steps of a microsecond apart. */
const MOST = 2 ** 43 - 1;
