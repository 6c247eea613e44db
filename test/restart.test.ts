import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type CipherName, PubkeeperClient, type PubkeeperError } from '../src/index.js';
import { later, start, until } from './server/harness.js';

// A server with its relay restarts, and the brewer is back before the patron. The server knows neither its tickets nor its patrons
// then, so that its messages must wait for them.

const TOKEN = 'restart-secret';
const QUICK = { delayMs: 5, maxDelayMs: 20 };
const NOWHERE = 'ws://127.0.0.1:1';

/** A client whose sockets reach the server only while `way.isOpen`. */
function join(server: string | string[], reconnect: Partial<Record<'delayMs' | 'maxDelayMs' | 'graceMs', number>> = QUICK) {
  const way = { isOpen: true };
  class Gated extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(way.isOpen ? url : NOWHERE, protocols);
    }
  }
  const errors: PubkeeperError[] = [];
  const client = new PubkeeperClient({ server, token: TOKEN, WebSocket: Gated as never, reconnect });
  client.on('error', (error) => errors.push(error));
  later(() => client.disconnect());
  return { client, way, errors };
}

async function pair(profile: 'open' | 'secured', cipher: CipherName, reconnect: Parameters<typeof join>[1] = QUICK) {
  const options = { profile, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] } };
  const first = await start(options);
  const writing = join(first.url, reconnect);
  const reading = join(first.url);
  const heard: string[] = [];
  const gaps: number[] = [];
  const patron = reading.client.addPatron('r.*', (_, message) => heard.push(message.text()));
  patron.on('gap', ({ missing }) => gaps.push(missing));
  const brewer = writing.client.addBrewer('r.x', { cipher });
  // In this order, so that the server closes the brewer's connection first, before its pair could end.
  await writing.client.connect();
  await reading.client.connect();
  await until(() => brewer.isMatched);
  await brewer.brewText('before');
  await until(() => heard.length === 1);

  /** Restarts the server on the same port; returns when the brewer is back, and the patron is not. */
  const restart = async () => {
    reading.way.isOpen = false;
    await first.close();
    await until(() => writing.client.state === 'reconnecting' && reading.client.state === 'reconnecting');
    const second = await start({ ...options, port: first.port });
    await until(() => writing.client.state === 'connected' && second.stats().relayConnections === 1);
    return second;
  };
  return { writing, reading, brewer, heard, gaps, restart };
}

describe.each(['open', 'secured'] as const)('after a restart of the server, %s', (profile) => {
  it.each(['aes-gcm', 'aes-cbc', 'none'] as const)('messages that are brewed before the patron is back arrive when it is, in order: %s', async (cipher) => {
    const { reading, brewer, heard, gaps, restart } = await pair(profile, cipher);
    const second = await restart();
    let accepted = 0;
    expect(brewer.isMatched).toBe(true);
    const brewed = Array.from({ length: 20 }, (_, i) => brewer.brewText(`after ${i}`).then(() => accepted++));
    await new Promise((resolve) => setImmediate(resolve));
    reading.way.isOpen = true;
    await until(() => reading.client.state === 'connected');
    await Promise.all(brewed);
    expect(accepted).toBe(20);
    await until(() => heard.length === 21);
    expect(heard).toEqual(['before', ...Array.from({ length: 20 }, (_, i) => `after ${i}`)]);
    expect(gaps).toEqual([]);
    expect(second.stats().drops['no-ticket'] ?? 0).toBeLessThanOrEqual(2); // JOIN and GRANT with the former tickets
  });

  it('messages for a patron that does not come back are accepted when graceMs is over', async () => {
    const { brewer, writing, restart } = await pair(profile, 'aes-gcm', { ...QUICK, graceMs: 300 });
    await restart();
    expect(brewer.isMatched).toBe(true);
    const [one, two] = [brewer.brewText('one'), brewer.brewText('two')];
    const unmatched = new Promise((resolve) => brewer.on('unmatched', resolve));
    await Promise.all([one, two, unmatched]);
    expect(writing.errors.map(({ code }) => code)).not.toContain('BREW_FAILED');
  });

  it('patrons of a topic that were refused with old tickets join with new ones when their brewer comes back with another key', async () => {
    const options = { profile, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] } };
    const first = await start(options);
    const [writing, reading] = [join(first.url), join(first.url)];
    const heard: string[] = [];
    for (const pattern of ['r.*', '**']) reading.client.addPatron(pattern, (_, message) => heard.push(`${pattern} ${message.text()}`));
    const brewer = writing.client.addBrewer('r.x');
    await Promise.all([writing.client.connect(), reading.client.connect()]);
    await until(() => brewer.isMatched);
    await brewer.brewText('before');
    await until(() => heard.length === 2);

    await first.close();
    await writing.client.disconnect();
    await until(() => reading.client.state === 'reconnecting');
    const second = await start({ ...options, port: first.port });
    // The relay connection is back too, and has joined with the old ticket.
    await until(() => reading.client.state === 'connected' && second.stats().relayConnections === 1);
    if (profile === 'secured') await until(() => second.stats().drops['no-ticket'] === 1);
    await writing.client.connect();
    await until(() => brewer.isMatched);
    await brewer.brewText('after');
    await until(() => heard.length === 4);
    expect(heard.slice(2).sort()).toEqual(['** after', 'r.* after']);
  });
});

describe.each(['open', 'secured'] as const)('a server that is gone for good, and another one that takes over its clients, %s', (profile) => {
  const options = { profile, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] } };

  async function outage(cipher: CipherName) {
    const servers = [await start(options), await start(options)];
    const urls = servers.map(({ url }) => url);
    const [writing, reading] = [join(urls), join(urls)];
    const heard: string[] = [];
    const gaps: number[] = [];
    const patron = reading.client.addPatron('r.*', (_, message) => heard.push(message.text()));
    patron.on('gap', ({ missing }) => gaps.push(missing));
    const brewer = writing.client.addBrewer('r.x', { cipher });
    await Promise.all([writing.client.connect(), reading.client.connect()]);
    await until(() => brewer.isMatched);
    await brewer.brewText('before');
    await until(() => heard.length === 1);
    writing.way.isOpen = reading.way.isOpen = false;
    await servers[0]!.close();
    await until(() => writing.client.state === 'reconnecting' && reading.client.state === 'reconnecting');
    const brewed = ['one', 'two', 'three'].map((text) => brewer.brewText(text));
    await new Promise((resolve) => setImmediate(resolve));
    writing.way.isOpen = true;
    await until(() => writing.client.state === 'connected');
    return { reading, brewer, brewed, heard, gaps };
  }

  it.each(['aes-gcm', 'aes-cbc', 'none'] as const)('messages that wait for the relay move to the other server with their pairs, before newer ones: %s', async (cipher) => {
    const { reading, brewer, brewed, heard, gaps } = await outage(cipher);
    brewed.push(brewer.brewText('four'));
    reading.way.isOpen = true;
    await Promise.all(brewed);
    await brewer.brewText('five');
    await until(() => heard.includes('five'));
    expect([heard, gaps]).toEqual([['before', 'one', 'two', 'three', 'four', 'five'], []]);
  });
});
