import { afterEach, expect, it } from 'vitest';
import { MemoryBrew } from '../src/brews/memory.js';
import { type Brew, Brewer, Patron, PubkeeperClient } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { rejected } from './helpers.js';

// Patrons and brewers that are removed by a signal, or at the end of a block.

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

/** An AbortSignal that counts its listeners. */
function countedSignal(): { abort: () => void; signal: AbortSignal; listeners: () => number } {
  const aborter = new AbortController();
  const { signal } = aborter;
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => (count++, addEventListener.apply(signal, args));
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => (count--, removeEventListener.apply(signal, args));
  return { abort: () => aborter.abort(), signal, listeners: () => count };
}

it('a patron is removed when its signal is aborted', async () => {
  const { client, counts } = await connected();
  const { abort, signal, listeners } = countedSignal();
  const patron = client.addPatron('leave.*', () => undefined, { signal });
  const kept = client.addPatron('leave.*', () => undefined);
  await expect.poll(counts).toEqual({ patrons: 2, brewers: 0 });
  abort();
  await expect.poll(counts).toEqual({ patrons: 1, brewers: 0 });
  expect(listeners()).toBe(0);
  abort();
  client.removePatron(patron); // the patron has been removed already
  client.removePatron(kept);
  await expect.poll(counts).toEqual({ patrons: 0, brewers: 0 });
});

it('a patron that was removed before leaves no listener on its signal', async () => {
  const { client } = await connected();
  const { abort, signal, listeners } = countedSignal();
  const patron = client.addPatron(new Patron('leave.*', () => undefined), undefined, { signal });
  expect(listeners()).toBe(1);
  client.removePatron(patron);
  expect(listeners()).toBe(0);
  // Added again without a signal, the patron is not removed by the former one.
  client.addPatron(patron);
  abort();
  expect(() => client.addPatron(patron)).toThrow(expect.objectContaining({ code: 'REGISTERED_TWICE' }) as Error);
});

it('a patron and a brewer may be added again by a listener that hears of the removal of their match', async () => {
  const { client, counts } = await connected();
  const heard: string[] = [];
  const patron = client.addPatron('leave.*', (_data, message) => heard.push(message.text()));
  const brewer = client.addBrewer('leave.x');
  await expect.poll(() => patron.isMatched && brewer.isMatched).toBe(true);
  const backAtOnce = (target: Patron | Brewer, add: () => unknown): void => {
    const undo = (target as Patron).on('removed', () => {
      undo();
      add();
    });
  };
  backAtOnce(patron, () => client.addPatron(patron));
  client.removePatron(patron);
  await expect.poll(() => patron.isMatched && brewer.isMatched).toBe(true);
  await brewer.brewText('to the patron that is back');
  await expect.poll(() => heard).toEqual(['to the patron that is back']);
  backAtOnce(brewer, () => client.addBrewer(brewer));
  client.removeBrewer(brewer);
  await expect.poll(() => patron.isMatched && brewer.isMatched).toBe(true);
  await brewer.brewText('from the brewer that is back');
  await expect.poll(() => heard).toEqual(['to the patron that is back', 'from the brewer that is back']);
  expect([counts(), patron.brewers.size, brewer.patrons.size]).toEqual([{ patrons: 1, brewers: 1 }, 1, 1]);
});

it('a patron whose signal is aborted already is not added', async () => {
  const { client, counts } = await connected();
  const patron = client.addPatron('leave.*', () => undefined, { signal: AbortSignal.abort() });
  client.addPatron('other.*', () => undefined);
  await expect.poll(counts).toEqual({ patrons: 1, brewers: 0 });
  expect(client.addPatron(patron)).toBe(patron); // no client has the patron yet
});

it('for await ends at once over a removed patron or one added with an aborted signal, and waits over one that no client has yet', async () => {
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
  // A patron that is added already is not removed by an aborted signal in a later call.
  client.addPatron(patron, undefined, { signal: AbortSignal.abort() });
  const brewer = client.addBrewer('leave.x');
  await expect.poll(() => brewer.isMatched && patron.isMatched).toBe(true);
  await brewer.brewText('first');
  await expect.poll(() => heard).toEqual(['first']);
  client.removePatron(patron);
  expect(await early).toEqual(['first']);
  expect(await read(patron)).toEqual([]);
  // When the patron is added again, a new loop begins with the last value.
  client.addPatron(patron);
  const late = read(patron);
  await expect.poll(() => brewer.isMatched && patron.isMatched).toBe(true);
  await brewer.brewText('second');
  await expect.poll(() => heard).toEqual(['first', 'first', 'second']);
  await client.disconnect();
  expect(await late).toEqual(['first', 'second']);
});

it('patrons and brewers are removed at the end of the block that uses them', async () => {
  const { client, counts } = await connected();
  {
    using patron = client.addPatron('leave.*', () => undefined);
    using brewer = client.addBrewer('leave.x');
    expect([patron.topic, brewer.topic]).toEqual(['leave.*', 'leave.x']);
    await expect.poll(() => [counts(), patron.isMatched, brewer.isMatched]).toEqual([{ patrons: 1, brewers: 1 }, true, true]);
  }
  await expect.poll(counts).toEqual({ patrons: 0, brewers: 0 });
});

it('patrons and brewers that no client has are left alone at the end of a block', () => {
  using patron = new Patron('leave.*');
  using brewer = new Brewer('leave.x');
  expect([patron.isMatched, brewer.isMatched]).toEqual([false, false]);
});

it('a client is disconnected at the end of its block', async () => {
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

/** A client with a message that its brew accepts only when `accept` is called. */
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

it('connect() connects again when it is called while disconnect() waits for a message to be accepted', async () => {
  const { client, accept } = await holding();
  const states: string[] = [];
  client.on('state', (state) => states.push(state));
  const left = client.disconnect();
  const back = client.connect();
  accept();
  await Promise.all([left, back]);
  expect(states).toEqual(['disconnected', 'connecting', 'connected']);
});

it('a client stays disconnected when disconnect() was called last', async () => {
  const { client, accept } = await holding();
  const left = client.disconnect();
  const back = client.connect();
  void client.connect(); // nobody waits for it, which is no unhandled rejection
  const again = client.disconnect();
  accept();
  await rejected(back, 'CONNECTION_CLOSED');
  await Promise.all([left, again]);
  expect(client.state).toBe('disconnected');
});

it('a client disconnects, and connects again, also when its brew throws in close()', async () => {
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

it('no error is reported when the server closes its relay while clients disconnect', async () => {
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
  // As when programs are stopped together.
  await Promise.all([...clients.map((client) => client.disconnect()), server.close()]);
  expect(errors).toEqual([]);
});

it('an error is reported when the relay refuses the last message while the client disconnects', async () => {
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
  // A part of the message is on its way when the client disconnects, and the refusal comes when nobody uses the relay any more.
  await brewer.brew(new Uint8Array(3_000_000));
  await writing.disconnect();
  expect(errors).toEqual([['CONNECTION_LOST', 1009]]);
});
