import WebSocket from 'ws';
import { afterEach, beforeEach } from 'vitest';
import { PubkeeperClient } from '../../src/core/client.js';
import type { ClientOptions } from '../../src/core/client-options.js';
import type { WebSocketConstructor } from '../../src/core/connection.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { StrictServer } from '../strict-server.js';
import { PairBrew } from './scripted-control.js';

// A client and a strict server on real sockets, which both end after the test.

/** The server of the current test. */
export let server: StrictServer;
const clean: (() => Promise<unknown>)[] = [];
beforeEach(async () => void (server = await new StrictServer().listen()));
afterEach(async () => {
  for (const run of clean.splice(0)) await run();
  await server.close();
});

/** A client of that server; its error events are in `errors`. */
export function kit(options: Partial<ClientOptions> = {}) {
  const errors: PubkeeperError[] = [];
  const client = new PubkeeperClient({
    server: server.url,
    token: 'secret',
    brews: [new PairBrew()],
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnect: { delayMs: 10, maxDelayMs: 20 },
    ...options,
  });
  clean.push(() => client.disconnect());
  client.on('error', (error) => errors.push(error));
  return { client, errors };
}
