import { IncomingMessage } from 'node:http';

/**
 * A request as Node's `http` makes it, with an end to it: what a connection has sent ahead comes in chunks of 64 KiB, and Node goes through all of
 * such a chunk, with an object or two for each request, also where the connection was cut at the first of them. A thousand connections that do so at
 * once took 30 s of the server's time and 3 GB. Behind an upgrade it reads no further: so what comes behind the cut is one.
 *
 * Whatever it is made of is handed on: Node gives the socket alone, Deno and Bun more, and Bun the socket as the last.
 */
export class LateRequest extends IncomingMessage {
  constructor(...given: ConstructorParameters<typeof IncomingMessage>) {
    super(...given);
    if (this.socket.destroyed) Object.defineProperty(this, 'upgrade', { get: () => true, set: () => undefined });
  }
}
