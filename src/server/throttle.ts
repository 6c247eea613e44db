import type { WebSocket } from 'ws';
import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import type { Bucket } from './bucket.js';

/**
 * Reads a WebSocket no faster than its budgets allow. What comes too fast is not lost: it is read later, and waits in the
 * sender's network buffers until then.
 */
export class Throttle {
  readonly #socket: WebSocket;
  readonly #budgets: readonly Bucket[];
  readonly #mayRead: () => boolean;
  #timer: Timer | undefined;

  /** @param mayRead whether nothing else wants the socket paused */
  constructor(socket: WebSocket, budgets: readonly Bucket[], mayRead: () => boolean) {
    this.#socket = socket;
    this.#budgets = budgets;
    this.#mayRead = mayRead;
  }

  /** Whether this throttle has paused the socket. */
  get isResting(): boolean {
    return this.#timer !== undefined;
  }

  /** Charges each budget, in order, what a message costs; true when this message has made the reading pause. */
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
