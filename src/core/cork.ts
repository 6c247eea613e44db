import { soon } from './host.js';

/** How many microtasks in a row must bring nothing new before the tick counts as over: a loop that awaits each step brings
 * something every few. */
const QUIET = 4;

/**
 * Gathers what is written in one tick, so that it can leave in one piece: `flush` is called once the tick brings nothing
 * more, and nothing is ever waited for.
 */
export class Cork {
  readonly #flush: () => void;
  #quiet = 0;
  #looking = false;

  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** Something was written. */
  touch(): void {
    this.#quiet = 0;
    if (this.#looking) return;
    this.#looking = true;
    this.#look();
  }

  #look(): void {
    soon(() => {
      if (this.#quiet++ < QUIET) return this.#look();
      this.#looking = false;
      this.#flush();
    });
  }
}
