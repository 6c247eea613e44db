import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** After so much work for one connection, in milliseconds, others have their turns. With 5 the relay takes a tenth less in all. */
const TURN_MS = 20;

/**
 * Lets connections that give much to do take turns. Node reads up to 2 MiB of one that sends without end before it looks at the
 * next: where each few bytes of them cost something, a few dozen such connections would keep all others waiting for a minute.
 */
export class Rota {
  /** What lets each of those that wait go on, in their order. */
  readonly #waiting = new Set<() => void>();

  /** Watches a WebSocket that has just been opened. `tcp`: the connection beneath. */
  watch(socket: WebSocket, tcp: Socket): void {
    let began = 0;
    let spentMs = 0;
    // Who wants the WebSocket paused lets it go on itself.
    const resume = (): void => void (socket.isPaused || tcp.resume());
    // Before and after `ws`, which does by then all that a chunk asks for.
    tcp.prependListener('data', () => void (began = performance.now()));
    tcp.on('data', () => {
      spentMs += performance.now() - began;
      if (spentMs < TURN_MS) return;
      spentMs = 0;
      tcp.pause();
      if (!this.#waiting.size) setImmediate(() => this.#next());
      this.#waiting.add(resume);
    });
  }

  /** One at a time: between two of them everybody else is read. */
  #next(): void {
    const [resume] = this.#waiting;
    if (!resume) return;
    this.#waiting.delete(resume);
    resume();
    if (this.#waiting.size) setImmediate(() => this.#next());
  }
}
