import type { Awaitable } from './ciphers/engine.js';

interface Slot {
  readonly size: number;
  readonly count: number;
  /** Passes the result on, or tells that there is none; missing until it has settled. */
  pass?: () => void;
}

/**
 * Puts results in the order in which they were asked for, whatever mix of at-once and later ones they are. A result
 * that is there at once, with nothing before it, is passed on in the same call, without a promise.
 */
export class OrderedQueue<T> {
  readonly #pass: (value: T) => void;
  readonly #fail: (count: number) => void;
  #waiting: Slot[] = [];
  /** Sum of the sizes of what waits, as given to `push`; who pushes adds what is to be pushed yet. */
  size = 0;

  constructor(pass: (value: T) => void, fail: (count: number) => void) {
    this.#pass = pass;
    this.#fail = fail;
  }

  /** How many results wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * @param map makes what is passed on out of the result, without a promise of its own
   * @param count how many there are in this result: what `clear` and `fail` tell
   */
  push<R>(result: Awaitable<R>, size: number, map: (result: R) => T, count = 1): void {
    const later = result instanceof Promise;
    if (!later && !this.#waiting.length) {
      this.#pass(map(result));
      return;
    }
    const slot: Slot = { size, count };
    this.#waiting.push(slot);
    this.size += size;
    const passing = (value: R) => () => this.#pass(map(value));
    const settle = (pass: () => void): void => {
      slot.pass = pass;
      this.#drain();
    };
    if (!later) slot.pass = passing(result);
    else result.then((value) => settle(passing(value)), () => settle(() => this.#fail(count)));
  }

  /** Forgets what waits; returns how many that were. */
  clear(): number {
    const count = this.#waiting.reduce((sum, slot) => sum + slot.count, 0);
    this.#waiting = [];
    this.size = 0;
    return count;
  }

  #drain(): void {
    const waiting = this.#waiting;
    // Whatever is passed on may push or clear: `#waiting` is looked at anew each time, and shortened before.
    while (this.#waiting === waiting && waiting[0]?.pass) {
      const slot = waiting.shift()!;
      this.size -= slot.size;
      slot.pass!();
    }
  }
}
