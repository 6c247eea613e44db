import type { Awaitable } from './ciphers/engine.js';

interface Slot {
  /** Passes the result on; missing until it is there. */
  run?: () => void;
  readonly size: number;
  readonly count: number;
}

/**
 * Puts results in the order in which they were asked for, whatever mix of at-once and later ones they are. A result
 * that is there at once, with nothing before it, is passed on in the same call, without a promise.
 */
export class OrderedQueue {
  #waiting: Slot[] = [];
  /** Sum of the sizes of what waits, as given to `push`; whoever pushes adds, until then, the size of what it is going to push. */
  size = 0;

  /** How many results wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * @param pass takes the result in its turn
   * @param fail is told in its turn that there is none
   * @param count how many there are in this result: what `clear` tells
   */
  push<T>(result: Awaitable<T>, size: number, pass: (result: T) => void, fail: (cause: unknown) => void, count = 1): void {
    const later = (result as Partial<Promise<T>> | undefined)?.then;
    if (!later && !this.#waiting.length) return pass(result as T);
    const slot: Slot = { size, count };
    this.#waiting.push(slot);
    this.size += size;
    const settle = (run: () => void): void => {
      slot.run = run;
      this.#drain();
    };
    if (later) {
      (result as Promise<T>).then(
        (value) => settle(() => pass(value)),
        (cause: unknown) => settle(() => fail(cause)),
      );
    } else slot.run = () => pass(result as T);
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
    while (this.#waiting === waiting && waiting[0]?.run) {
      const { size, run } = waiting.shift()!;
      this.size -= size;
      run!();
    }
  }
}
