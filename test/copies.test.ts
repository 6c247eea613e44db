import { afterEach, expect, it } from 'vitest';
import type * as sdk from '../src/index.js';
import { Brewer, Patron, PubkeeperClient, PubkeeperError, type WebSocketConstructor } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { NodeWebSocket } from '../src/platform/node-socket.js';
import { thrown } from './helpers.js';

type Package = Pick<typeof sdk, 'Brewer' | 'Patron' | 'PubkeeperClient' | 'PubkeeperError'>;
/** A second copy of the package, as in a page that loads it by a script tag and also bundles it. */
const other = (await import(new URL('../dist/pubkeeper.esm.min.js', import.meta.url).href)) as Package;
const own: Package = { Brewer, Patron, PubkeeperClient, PubkeeperError };

const TOKEN = 'token-of-copies';
const clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

it.each([
  ['this copy', 'the other', own, other],
  ['the other copy', 'this one', other, own],
])('a client of %s accepts the patrons and brewers of %s', async (_, __, { PubkeeperClient: Client }, { Patron: AnyPatron, Brewer: AnyBrewer }) => {
  const server = await createServer({ port: 0, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  const client = new Client({ server: server.url, token: TOKEN, WebSocket: NodeWebSocket as WebSocketConstructor });
  clean.push(() => client.disconnect());
  const heard = new Promise<string>((resolve) => client.addPatron(new AnyPatron('copies.*', (_data, message) => resolve(message.text()))));
  const brewer = client.addBrewer(new AnyBrewer('copies.a'));
  const matched = new Promise((resolve) => brewer.on('matched', resolve));
  await client.connect();
  if (!brewer.isMatched) await matched;
  await brewer.brewText('across');
  expect(await heard).toBe('across');
});

it('a token function that throws UNAUTHORIZED of the other copy ends the client', async () => {
  const server = await createServer({ port: 0, tokens: { [TOKEN]: [] } });
  clean.push(() => server.close());
  const token = (): string => {
    throw new other.PubkeeperError('UNAUTHORIZED', 'Log in again.');
  };
  const client = new PubkeeperClient({ server: server.url, token, retryFirst: true });
  clean.push(() => client.disconnect());
  await expect(client.connect()).rejects.toMatchObject({ code: 'UNAUTHORIZED', message: 'Log in again.' });
  expect(client.state).toBe('disconnected');
});

it('addPatron() and addBrewer() report an argument that is neither a patron nor a brewer as a malformed topic', () => {
  const client = new PubkeeperClient({ server: 'ws://127.0.0.1:1/ws', token: TOKEN });
  for (const wrong of [undefined, null, {}, 7, new Brewer('a')]) expect(thrown(() => client.addPatron(wrong as never)).code).toBe('PATTERN_INVALID');
  for (const wrong of [undefined, null, {}, 7, new Patron('a')]) expect(thrown(() => client.addBrewer(wrong as never)).code).toBe('TOPIC_INVALID');
});

it('addPatron() refuses a callback for an existing patron, as it would never be called', () => {
  const client = new PubkeeperClient({ server: 'ws://127.0.0.1:1/ws', token: TOKEN });
  const patron = new Patron('a');
  // @ts-expect-error An existing patron has its own callback, or none.
  expect(thrown(() => client.addPatron(patron, () => undefined)).code).toBe('OPTION_INVALID');
  // The patron can still be added.
  expect(client.addPatron(patron)).toBe(patron);
});

it('addPatron() and addBrewer() ignore options of an existing patron or brewer, and such calls do not compile', () => {
  const client = new PubkeeperClient({ server: 'ws://127.0.0.1:1/ws', token: TOKEN });
  // @ts-expect-error Its minCipher was given to new Patron().
  expect(client.addPatron(new Patron('a'), undefined, { minCipher: 'aes-gcm' }).minCipher).toBe('aes-cbc');
  // @ts-expect-error Its cipher was given to new Brewer().
  expect(client.addBrewer(new Brewer('a'), { cipher: 'none' }).cipher).toBe('aes-gcm');
  const { signal } = new AbortController();
  client.addPatron(new Patron('a'), undefined, { signal });
  // An argument that may be either compiles as before.
  for (const either of ['a', new Patron('a')]) client.addPatron(either, undefined, { signal });
  for (const either of ['a', new Brewer('a')]) client.addBrewer(either, null);
});
