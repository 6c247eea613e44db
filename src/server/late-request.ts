import { IncomingMessage } from 'node:http';

/**
 * A request of Node's `http` that makes Node stop after the connection was cut. Requests that a connection has sent ahead come in chunks of 64 KiB, and
 * Node parses all of a chunk, with an object or two for each request, even if the connection was cut at the first of them. A thousand such connections
 * at once took 30 s of the server's time and 3 GB. After an upgrade Node parses no further: so a request after the cut claims to be an upgrade.
 *
 * All arguments of the constructor are passed on: Node gives only the socket, Deno and Bun give more, and Bun gives the socket last.
 */
export class LateRequest extends IncomingMessage {
  constructor(...given: ConstructorParameters<typeof IncomingMessage>) {
    super(...given);
    if (this.socket.destroyed) Object.defineProperty(this, 'upgrade', { get: () => true, set: () => undefined });
  }
}
