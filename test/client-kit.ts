import WebSocket from 'ws';
import { afterEach } from 'vitest';
import { PubkeeperClient, type ClientOptions } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';

export { inbox, inState as state, matched, once } from './awaited.js';

// Servers and clients on real sockets, which end after the test.

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

/** Calls `run` after the test. */
export const later = (run: () => Promise<unknown>): void => void clean.push(run);

export const QUICK = { delayMs: 20, maxDelayMs: 50 };

export async function serve(port = 0, tls?: { cert: Buffer; key: Buffer }): Promise<PubkeeperServer> {
  const server = await createServer({ port, tls, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  later(() => server.close());
  return server;
}

export function client(server: ClientOptions['server'], options: Partial<ClientOptions> = {}): PubkeeperClient {
  const made = new PubkeeperClient({ server, token: 'secret', reconnect: QUICK, ...options });
  later(() => made.disconnect());
  return made;
}

/** A `ws` that records its sockets, so that a test can cut them. */
export function cuttable(): { WebSocket: new (url: string, protocols?: string | string[]) => WebSocket; cut: (protocol: string) => number; sockets: WebSocket[] } {
  const sockets: WebSocket[] = [];
  class Cuttable extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const cut = (protocol: string) => {
    const open = sockets.filter((socket) => socket.readyState === WebSocket.OPEN && socket.protocol.startsWith(protocol));
    for (const socket of open) socket.terminate();
    return open.length;
  };
  return { WebSocket: Cuttable, cut, sockets };
}
