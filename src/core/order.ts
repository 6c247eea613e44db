import type { Awaitable } from './ciphers/engine.js';

interface Slot {
  /** Passes the result on; missing until there is a result. */
  run?: () => void;
  readonly size: number;
  readonly count: number;
}

/**
 * Passes results on in the order in which they were pushed, whether they are available at once or later. A result that is
 * available at once, with nothing before it in the queue, is passed on within `push`, without a promise.
 */
export class OrderedQueue {
  #waiting: Slot[] = [];
  /** Sum of the `size`s of waiting results. Callers also add, for the time being, the size of what they are going to push. */
  size = 0;

  /** How many results wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * @param pass called with the result when its turn has come
   * @param fail called instead if the result is a promise that rejects
   * @param count how many messages the result stands for; `clear` returns their sum
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

  /** Forgets all waiting results; returns the sum of their `count`s. */
  clear(): number {
    const count = this.#waiting.reduce((sum, slot) => sum + slot.count, 0);
    this.#waiting = [];
    this.size = 0;
    return count;
  }

  #drain(): void {
    const waiting = this.#waiting;
    // `run` may push or clear: shorten the list before the call, and look at `#waiting` again after it.
    while (this.#waiting === waiting && waiting[0]?.run) {
      const { size, run } = waiting.shift()!;
      this.size -= size;
      run!();
    }
  }
}
