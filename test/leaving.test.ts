import { afterEach, expect, it } from 'vitest';
import { MemoryBrew } from '../src/brews/memory.js';
import { type Brew, Brewer, Patron, PubkeeperClient } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { rejected } from './helpers.js';

// Patrons and brewers that leave their client by themselves: by a signal, or at the end of a block.

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

async function connected(): Promise<{ client: PubkeeperClient; server: PubkeeperServer; counts: () => object }> {
  const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  const client = new PubkeeperClient({ server: server.url, token: 'secret', brews: [new MemoryBrew()] });
  clean.push(() => client.disconnect());
  await client.connect();
  const counts = () => {
    const { patrons, brewers } = server.stats();
    return { patrons, brewers };
  };
  return { client, server, counts };
}

/** An AbortSignal that knows how many listen to it. */
function countedSignal(): { abort: () => void; signal: AbortSignal; listeners: () => number } {
  const aborter = new AbortController();
  const { signal } = aborter;
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => (count++, addEventListener.apply(signal, args));
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => (count--, removeEventListener.apply(signal, args));
  return { abort: () => aborter.abort(), signal, listeners: () => count };
}

it('removes a patron when its signal is aborted', async () => {
  const { client, counts } = await connected();
  const { abort, signal, listeners } = countedSignal();
  const patron = client.addPatron('leave.*', () => undefined, { signal });
  const kept = client.addPatron('leave.*', () => undefined);
  await expect.poll(counts).toEqual({ patrons: 2, brewers: 0 });
  abort();
  await expect.poll(counts).toEqual({ patrons: 1, brewers: 0 });
  expect(listeners()).toBe(0);
  abort();
  client.removePatron(patron); // it is gone already
  client.removePatron(kept);
  await expect.poll(counts).toEqual({ patrons: 0, brewers: 0 });
});

it('leaves nothing on the signal of a patron that was removed before', async () => {
  const { client } = await connected();
  const { abort, signal, listeners } = countedSignal();
  const patron = client.addPatron(new Patron('leave.*', () => undefined), undefined, { signal });
  expect(listeners()).toBe(1);
  client.removePatron(patron);
  expect(listeners()).toBe(0);
  // Another signal, another life: the first one has no say in it.
  client.addPatron(patron);
  abort();
  expect(() => client.addPatron(patron)).toThrow(expect.objectContaining({ code: 'REGISTERED_TWICE' }) as Error);
});

it('does not add a patron whose signal is aborted already', async () => {
  const { client, counts } = await connected();
  const patron = client.addPatron('leave.*', () => undefined, { signal: AbortSignal.abort() });
  client.addPatron('other.*', () => undefined);
  await expect.poll(counts).toEqual({ patrons: 1, brewers: 0 });
  expect(client.addPatron(patron)).toBe(patron); // it belongs to nobody yet
});

it('a loop over a patron that was removed, or whose signal was aborted before, ends at once; one over a patron that nobody has yet waits', async () => {
  const { client } = await connected();
  const read = async (patron: Patron): Promise<string[]> => {
    const texts: string[] = [];
    for await (const message of patron) texts.push(message.text());
    return texts;
  };
  expect(await read(client.addPatron('leave.*', undefined, { signal: AbortSignal.abort() }))).toEqual([]);
  const heard: string[] = [];
  const patron = new Patron('leave.*', (_data, message) => heard.push(message.text()));
  const early = read(patron);
  client.addPatron(patron);
  // What a client has is not taken from it by a signal that was given too late.
  client.addPatron(patron, undefined, { signal: AbortSignal.abort() });
  const brewer = client.addBrewer('leave.x');
  await expect.poll(() => brewer.isMatched && patron.isMatched).toBe(true);
  await brewer.brewText('first');
  await expect.poll(() => heard).toEqual(['first']);
  client.removePatron(patron);
  expect(await early).toEqual(['first']);
  expect(await read(patron)).toEqual([]);
  // Added again it has another life, which begins with the last value.
  client.addPatron(patron);
  const late = read(patron);
  await expect.poll(() => brewer.isMatched && patron.isMatched).toBe(true);
  await brewer.brewText('second');
  await expect.poll(() => heard).toEqual(['first', 'first', 'second']);
  await client.disconnect();
  expect(await late).toEqual(['first', 'second']);
});

it('removes patrons and brewers at the end of the block that uses them', async () => {
  const { client, counts } = await connected();
  {
    using patron = client.addPatron('leave.*', () => undefined);
    using brewer = client.addBrewer('leave.x');
    expect([patron.topic, brewer.topic]).toEqual(['leave.*', 'leave.x']);
    await expect.poll(() => [counts(), patron.isMatched, brewer.isMatched]).toEqual([{ patrons: 1, brewers: 1 }, true, true]);
  }
  await expect.poll(counts).toEqual({ patrons: 0, brewers: 0 });
});

it('does nothing at the end of a block for those that no client has', () => {
  using patron = new Patron('leave.*');
  using brewer = new Brewer('leave.x');
  expect([patron.isMatched, brewer.isMatched]).toEqual([false, false]);
});

it('disconnects a client at the end of its block', async () => {
  const { server } = await connected();
  let inner: PubkeeperClient;
  {
    await using client = new PubkeeperClient({ server: server.url, token: 'secret' });
    await client.connect();
    inner = client;
    expect(server.stats().clients).toBe(2);
  }
  expect(inner.state).toBe('disconnected');
  await expect.poll(() => server.stats().clients).toBe(1);
});

/** A client that has brewed what its brew has not accepted before `accept` is called. */
async function holding() {
  const { server } = await connected();
  const brew: Brew = new MemoryBrew();
  let accept!: () => void;
  const accepted = new Promise<void>((resolve) => (accept = resolve));
  brew.brew = () => accepted;
  const client = new PubkeeperClient({ server: server.url, token: 'secret', brews: [brew] });
  clean.push(() => client.disconnect());
  client.addPatron('leave.late', () => undefined);
  const brewer = client.addBrewer('leave.late');
  await client.connect();
  await expect.poll(() => brewer.isMatched).toBe(true);
  void brewer.brewText('not accepted yet');
  return { client, accept };
}

it('connects anew when connect() is called while disconnect() waits for what was brewed', async () => {
  const { client, accept } = await holding();
  const states: string[] = [];
  client.on('state', (state) => states.push(state));
  const left = client.disconnect();
  const back = client.connect();
  accept();
  await Promise.all([left, back]);
  expect(states).toEqual(['disconnected', 'connecting', 'connected']);
});

it('stays disconnected when disconnect() was called last', async () => {
  const { client, accept } = await holding();
  const left = client.disconnect();
  const back = client.connect();
  const again = client.disconnect();
  accept();
  await rejected(back, 'CONNECTION_CLOSED');
  await Promise.all([left, again]);
  expect(client.state).toBe('disconnected');
});

it('disconnects, and connects again, when a brew throws as it is closed', async () => {
  const { server } = await connected();
  const brew = new MemoryBrew();
  brew.close = () => {
    throw new Error('cannot close');
  };
  const client = new PubkeeperClient({ server: server.url, token: 'secret', brews: [brew] });
  const errors: string[] = [];
  client.on('error', ({ code }) => errors.push(code));
  await client.connect();
  await client.disconnect();
  expect(errors).toEqual(['BREW_FAILED']);
  await client.connect();
  await client.disconnect();
});

it('says nothing of the relay that a server ends while its clients disconnect', async () => {
  const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  const errors: unknown[] = [];
  const clients = await Promise.all(
    ['writing', 'reading'].map(async () => {
      const client = new PubkeeperClient({ server: server.url, token: 'secret' });
      clean.push(() => client.disconnect());
      client.on('error', (error) => errors.push(error));
      await client.connect();
      return client;
    }),
  );
  const heard: string[] = [];
  clients[1]!.addPatron('leave.both', (_, message) => heard.push(message.text()));
  const brewer = clients[0]!.addBrewer('leave.both');
  await expect.poll(() => brewer.isMatched).toBe(true);
  await brewer.brewText('heard');
  await expect.poll(() => heard).toEqual(['heard']);
  // As programs do that are stopped together.
  await Promise.all([...clients.map((client) => client.disconnect()), server.close()]);
  expect(errors).toEqual([]);
});

it('says nevertheless that the relay has refused what was brewed last', async () => {
  const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  const [writing, reading] = [new PubkeeperClient({ server: server.url, token: 'secret' }), new PubkeeperClient({ server: server.url, token: 'secret' })];
  for (const client of [writing, reading]) clean.push(() => client.disconnect());
  const errors: unknown[] = [];
  writing.on('error', ({ code, details }) => errors.push([code, details['code']]));
  reading.addPatron('leave.long', () => undefined);
  const brewer = writing.addBrewer('leave.long');
  await Promise.all([reading.connect(), writing.connect()]);
  await expect.poll(() => brewer.isMatched).toBe(true);
  // A part of it is on its way when the client disconnects, and the refusal comes when nobody uses the relay any more.
  await brewer.brew(new Uint8Array(3_000_000));
  await writing.disconnect();
  expect(errors).toEqual([['CONNECTION_LOST', 1009]]);
});
