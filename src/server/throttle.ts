import type { WebSocket } from 'ws';
import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import type { Bucket } from './bucket.js';

/**
 * Reads a WebSocket no faster than its budgets allow. What comes too fast is not lost: it is read later, and waits in the
 * network buffers of who sends it.
 */
export class Throttle {
  readonly #socket: WebSocket;
  readonly #budgets: readonly Bucket[];
  readonly #mayRead: () => boolean;
  #timer: Timer | undefined;

  /** @param mayRead whether nobody else wants it paused */
  constructor(socket: WebSocket, budgets: readonly Bucket[], mayRead: () => boolean) {
    this.#socket = socket;
    this.#budgets = budgets;
    this.#mayRead = mayRead;
  }

  /** Whether nothing is read now. */
  get isResting(): boolean {
    return this.#timer !== undefined;
  }

  /** Takes what a message costs of each budget; true when this is the one that was too many. */
  take(...costs: readonly number[]): boolean {
    let wait = 0;
    costs.forEach((cost, index) => (wait = Math.max(wait, this.#budgets[index]!.take(cost))));
    if (!wait || this.isResting) return false;
    this.#socket.pause();
    this.#timer = after(wait, () => {
      this.#timer = undefined;
      if (this.#mayRead()) this.#socket.resume();
    });
    return true;
  }

  end(): void {
    cancel(this.#timer);
  }
}
