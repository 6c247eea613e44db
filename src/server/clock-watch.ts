/** The clock that can be set, and a steady one that nobody sets, both in milliseconds. */
export interface Clocks {
  wall(): number;
  steady(): number;
}

export const CLOCKS: Clocks = { wall: () => Date.now(), steady: () => performance.now() };

/** Notices that the clock was set forward, or that the machine slept: timers and the steady clock do not. */
export class ClockWatch {
  readonly #least: number;
  readonly #ahead: () => number;
  #before: number;

  /**
   * @param least by how much, in milliseconds, it must have been set
   */
  constructor(least: number, { wall, steady }: Clocks = CLOCKS) {
    this.#least = least;
    this.#ahead = () => wall() - steady();
    this.#before = this.#ahead();
  }

  /** Whether the clock was set forward since this was asked last. Many small steps count as one. */
  wasSetForward(): boolean {
    const ahead = this.#ahead();
    const isFar = ahead - this.#before >= this.#least;
    if (isFar || ahead < this.#before) this.#before = ahead;
    return isFar;
  }
}
