import { type ClientOptions, type Message, PubkeeperClient } from '../src/index.js';
import { createServer, type PubkeeperServer, type ServerOptions } from '../src/server/index.js';

export { inState, matched, once } from '../test/awaited.js';

// The other end for a page: a server and a client in Node.

export const TOKEN = 'e2e-secret';

/** A server that pages of any origin may connect to: the site that serves them is on a port of its own. */
export const serve = (options: ServerOptions = {}): Promise<PubkeeperServer> =>
  createServer({ port: 0, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] }, allowOrigin: () => true, ...options });

export function peer(server: string, options: Partial<ClientOptions> = {}): PubkeeperClient {
  const client = new PubkeeperClient({ server, token: TOKEN, reconnect: { delayMs: 20, maxDelayMs: 50 }, ...options });
  client.on('error', () => undefined); // the tests look at what arrives
  return client;
}

/** Collects messages; each call of `next` takes the oldest, or waits for the next one. */
export function inbox(): { callback: (data: Uint8Array, message: Message) => void; next: () => Promise<Message> } {
  const messages: Message[] = [];
  const readers: ((message: Message) => void)[] = [];
  return {
    callback: (_, message) => {
      const reader = readers.shift();
      if (reader) reader(message);
      else messages.push(message);
    },
    next: () => {
      const message = messages.shift();
      return message ? Promise.resolve(message) : new Promise((resolve) => readers.push(resolve));
    },
  };
}
