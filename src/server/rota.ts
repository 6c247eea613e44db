import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/** After this much work for one connection, in milliseconds, other connections have their turn. With 5 the relay handles a tenth less in total. */
const TURN_MS = 20;

/**
 * Lets connections that cause much work take turns. Node reads up to 2 MiB from a connection that sends without end before it reads the
 * next one: where every few bytes cause work, a few dozen such connections would keep all others waiting for a minute.
 */
export class Rota {
  /** The `resume` functions of the connections that wait, in order. */
  readonly #waiting = new Set<() => void>();

  /** Watches a WebSocket that has just been opened. `tcp`: the socket beneath it. */
  watch(socket: WebSocket, tcp: Socket): void {
    let began = 0;
    let spentMs = 0;
    // If the WebSocket is paused, whoever has paused it also resumes it.
    const resume = (): void => void (socket.isPaused || tcp.resume());
    // One listener before that of `ws` and one after it: in between, `ws` does all the work that a chunk asks for.
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

  /** Resumes one connection, so that everybody else is read before the next one. */
  #next(): void {
    const [resume] = this.#waiting;
    if (!resume) return;
    this.#waiting.delete(resume);
    resume();
    if (this.#waiting.size) setImmediate(() => this.#next());
  }
}
