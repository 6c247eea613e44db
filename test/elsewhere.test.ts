import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { PubkeeperClient, WebSocketBrew } from '../src/index.js';
import { createServer } from '../src/server/index.js';

// On another machine, 127.0.0.1 is that machine itself: only connections to the server's name get through.
const NAME = 'plant.example';

/** The WebSocket of a client on another machine, and a list of its dials. */
function elsewhere() {
  const dialled: string[] = [];
  class Elsewhere extends WebSocket {
    constructor(url: string, protocols?: string[]) {
      const { hostname, host } = new URL(url);
      dialled.push(host);
      // Nobody listens there, as on another machine.
      super(hostname === NAME ? url.replace(NAME, '127.0.0.1') : 'ws://127.0.0.1:1', protocols, { headers: { Host: host } });
    }
  }
  return { dialled, Elsewhere };
}

it.each([
  ['secured', 'ws://127.0.0.1', 'the one port'],
  ['secured', 'ws://localhost', 'the one port'],
  ['open', 'ws://127.0.0.1', 'the one port'],
  ['secured', 'ws://127.0.0.1', 'a relay port of its own'],
] as const)('%s: a remote client reads a brewer that has connected by %s, an address that is another machine there, over %s', async (profile, by, port) => {
  const split = port !== 'the one port';
  const server = await createServer({ port: 0, profile, tokens: { all: [{ topic: '**', read: true, write: true }] }, ...(split && { relayPort: 0 }) });
  onTestFinished(() => server.close());
  const { dialled, Elsewhere } = elsewhere();
  const brews = [split ? new WebSocketBrew({ hostname: '127.0.0.1', port: Number(new URL(server.relayUrl).port) }) : new WebSocketBrew()];
  const near = new PubkeeperClient({ server: `${by}:${server.port}/ws`, token: 'all', brews });
  const far = new PubkeeperClient({ server: `ws://${NAME}:${server.port}/ws`, token: 'all', WebSocket: Elsewhere as never });
  for (const client of [near, far]) onTestFinished(() => client.disconnect());
  const brewer = near.addBrewer('a.b');
  const got = new Promise<string>((resolve) => void far.addPatron('a.*', (_data, message) => resolve(message.text())));
  const matched = new Promise((resolve) => brewer.on('matched', resolve));
  await Promise.all([near.connect(), far.connect()]);
  await matched;
  await brewer.brewText('from here');
  expect(await got).toBe('from here');
  expect(new Set(dialled)).toEqual(new Set([`${NAME}:${server.port}`]));
});

it('a brewer’s relay on its own machine that is not of this server is announced as the brewer has named it', async () => {
  const [server, other] = await Promise.all([createServer({ port: 0, tokens: { all: [{ topic: '**', read: true, write: true }] } }), createServer({ port: 0, profile: 'open' })]);
  onTestFinished(async () => void (await Promise.all([server.close(), other.close()])));
  const { dialled, Elsewhere } = elsewhere();
  const near = new PubkeeperClient({ server: server.url, token: 'all', brews: [new WebSocketBrew({ hostname: '127.0.0.1', port: other.port })] });
  const far = new PubkeeperClient({ server: `ws://${NAME}:${server.port}/ws`, token: 'all', WebSocket: Elsewhere as never, logger: { error: () => undefined } as never });
  for (const client of [near, far]) onTestFinished(() => client.disconnect());
  near.addBrewer('a.b');
  const failed = new Promise<{ code: string }>((resolve) => far.on('error', resolve));
  far.addPatron('a.*', () => undefined);
  await Promise.all([near.connect(), far.connect()]);
  expect((await failed).code).toBe('CONNECT_FAILED');
  expect(dialled).toContain(`127.0.0.1:${other.port}`);
});
