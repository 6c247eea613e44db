import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer, type BrewerToken, type Patron, type PatronToken } from '../../src/compat/index.js';
import { compat, deferred, Inbox, native, relayOf, serve, text } from './helpers.js';

const ID = '0123456789abcdef0123456789abcdef';
const DASHED = '01234567-89AB-CDEF-0123-456789ABCDEF';

/** A pair of clients, connected to one server, and what tells when the brewer is matched. */
async function pair() {
  const server = await serve();
  const [reader, writer] = [compat(server), compat(server)];
  await Promise.all([reader.connect(), writer.connect()]);
  return { server, reader, writer };
}

describe('addPatron and addBrewer', () => {
  it('return tokens, by which they are removed; a second time does nothing', async () => {
    const { server, reader, writer } = await pair();
    const gone = new Inbox<string>();
    const both = new Inbox<string>();
    const patron = reader.addPatron('tokens.*', () => {
      both.put('patron');
      return () => gone.put('patron');
    });
    const brewer = writer.addBrewer('tokens.x', () => {
      both.put('brewer');
      return () => gone.put('brewer');
    });
    await both.next();
    await both.next();
    reader.removePatron(patron);
    expect(gone.all).toEqual(['patron']);
    expect(await gone.next()).toBe('patron');
    expect(await gone.next()).toBe('brewer');
    expect(server.stats()).toMatchObject({ patrons: 0, brewers: 1 });
    writer.removeBrewer(brewer);
    writer.removeBrewer(brewer);
    reader.removePatron(patron);
    await expect.poll(() => server.stats()).toMatchObject({ patrons: 0, brewers: 0 });
    expect(gone.all).toEqual(['patron', 'brewer']);
  });

  it('return tokens whose second use leaves another one alone that has the id by then, also one that a teardown has added', async () => {
    const { reader, writer } = await pair();
    const sizes = new Inbox<string>();
    const seen = (name: string) => (patron: Patron) => void sizes.put(`${name} ${patron.size}`);
    const first = reader.addPatron('twice.*', { id: ID }, (patron) => {
      seen('first')(patron);
      return () => void reader.addPatron('twice.*', { id: ID }, seen('second'));
    });
    writer.addBrewer('twice.x');
    expect(await sizes.next()).toBe('first 1');
    reader.removePatron(first);
    expect(await sizes.next()).toBe('second 1');
    reader.removePatron(first);
    await reader.disconnect();
    await reader.connect();
    expect(await sizes.next()).toBe('second 1');
  });

  it('throw for a token that was never registered: there, with that client, of that kind', async () => {
    const client = compat('ws://127.0.0.1:9');
    const other = compat('ws://127.0.0.1:9');
    const patron = client.addPatron('a.*');
    const brewer = client.addBrewer('a.b');
    const forged = { kind: 'patron', id: patron.id } as const;
    for (const token of [forged, brewer, undefined, null, 'x', 7, {}]) {
      expect(() => client.removePatron(token as PatronToken)).toThrow(/no token of a patron/);
    }
    expect(() => client.removeBrewer({ kind: 'brewer', id: brewer.id })).toThrow(/no token of a brewer/);
    expect(() => client.removeBrewer(patron as { kind: string } as BrewerToken)).toThrow(/no token of a brewer/);
    expect(() => other.removePatron(patron)).toThrow(/no token of a patron/);
    client.removePatron(patron);
    client.removeBrewer(brewer);
  });

  it('take a matched, or options, or both', async () => {
    const { reader, writer } = await pair();
    const seen = new Inbox<string>();
    reader.addPatron('forms.a', () => seen.put('patron 1'));
    reader.addPatron('forms.a', {}, () => seen.put('patron 2'));
    reader.addPatron('forms.a', null, () => seen.put('patron 3'));
    reader.addPatron('forms.a', { autoRemoveListeners: false });
    reader.addPatron('forms.a');
    writer.addBrewer('forms.a', () => seen.put('brewer 1'));
    writer.addBrewer('forms.a', { cipher: 'none' }, () => seen.put('brewer 2'));
    writer.addBrewer('forms.a', { waitForBrews: false });
    writer.addBrewer('forms.a');
    const five = await Promise.all([1, 2, 3, 4, 5].map(() => seen.next()));
    expect(five.sort()).toEqual(['brewer 1', 'brewer 2', 'patron 1', 'patron 2', 'patron 3']);
  });

  it('throw for a wildcard in a brewer’s topic, and for what is no topic', () => {
    const client = compat('ws://127.0.0.1:9');
    for (const topic of ['a.*', 'a.**', '**', 'a.*.b']) expect(() => client.addBrewer(topic)).toThrow(/wildcards are for patrons/);
    expect(() => client.addBrewer('')).toThrow(/is not a topic/);
    expect(() => client.addPatron('a..b')).toThrow(/is not a topic pattern/);
  });

  it('throw for an id that is no UUID or is taken, and for a cipher and a brew that are not known', () => {
    const client = compat('ws://127.0.0.1:9');
    client.addPatron('a.b', { id: ID, brews: ['websocket'] });
    expect(() => client.addPatron('a.b', { id: 'seven' })).toThrow(/must be a UUID/);
    expect(() => client.addPatron('a.c', { id: DASHED })).toThrow(/registered with this client already/);
    expect(() => client.addBrewer('a.b', { cipher: 99 })).toThrow(/cipher must be/);
    expect(() => client.addBrewer('a.b', { brews: ['carrier-pigeon'] })).toThrow(/no brew carrier-pigeon/);
  });
});

describe('matched', () => {
  it('runs at the first match, its teardown when the last one goes, and again at the next match', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    reader.addPatron('life.**', (patron) => {
      events.put(`matched ${patron.size}`);
      return () => events.put(`torn down ${patron.size}`);
    });
    const second = new Inbox<number>();
    reader.addPatron('life.**', { autoRemoveListeners: false }, (patron) => {
      patron.on('added', () => second.put(patron.size));
      patron.on('removed', () => second.put(patron.size));
    });
    const one = writer.addBrewer('life.a');
    expect(await events.next()).toBe('matched 1');
    expect(await second.next()).toBe(1);
    const two = writer.addBrewer('life.b');
    expect(await second.next()).toBe(2);
    writer.removeBrewer(one);
    expect(await second.next()).toBe(1);
    expect(events.all).toHaveLength(1);
    writer.removeBrewer(two);
    expect(await events.next()).toBe('torn down 0');
    writer.addBrewer('life.c');
    expect(await events.next()).toBe('matched 1');
  });

  it('has its teardown run at disconnect, and runs again after the next connect', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    writer.addBrewer('again.x', (brewer) => {
      events.put(`brewer ${brewer.isMatched}`);
      return () => events.put('brewer torn down');
    });
    reader.addPatron('again.x');
    expect(await events.next()).toBe('brewer true');
    await writer.disconnect();
    expect(await events.next()).toBe('brewer torn down');
    await writer.connect();
    expect(await events.next()).toBe('brewer true');
  });

  it('may remove its own patron; its teardown still runs, once', async () => {
    const { reader, writer } = await pair();
    const events = new Inbox<string>();
    const token = reader.addPatron('self.x', (patron) => {
      reader.removePatron(token);
      events.put(`removed ${patron.isMatched}`);
      return () => events.put('torn down');
    });
    writer.addBrewer('self.x');
    expect([await events.next(), await events.next()]).toEqual(['removed false', 'torn down']);
  });

  it('may fail, and so may its teardown: that is an error event', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<unknown>();
    reader.on('error', ({ cause }) => errors.put(cause));
    reader.addPatron('fails.x', () => {
      throw new Error('matched');
    });
    reader.addPatron('fails.x', () => Promise.reject(new Error('async matched')));
    const token = reader.addPatron('fails.x', () => () => {
      throw new Error('teardown');
    });
    const added = deferred();
    reader.addPatron('fails.x', (patron) => patron.on('added', () => added.resolve()));
    writer.addBrewer('fails.x');
    await added.promise;
    reader.removePatron(token);
    const messages = [await errors.next(), await errors.next(), await errors.next()].map((error) => (error as Error).message);
    expect(messages.sort()).toEqual(['async matched', 'matched', 'teardown']);
  });

  it('need not return a function', async () => {
    const { reader, writer } = await pair();
    const errors: unknown[] = [];
    reader.on('error', (error) => errors.push(error));
    const seen = deferred<Patron>();
    const token = reader.addPatron('plain.x', (patron) => {
      seen.resolve(patron);
      return patron.on('message', () => undefined);
    });
    writer.addBrewer('plain.x');
    const patron = await seen.promise;
    reader.removePatron(token);
    expect([patron.isMatched, errors]).toEqual([false, []]);
  });
});

describe('autoRemoveListeners', () => {
  it.each([
    [undefined, 0],
    [true, 0],
    [false, 1],
  ])('%s leaves %i listeners when the last match has gone', async (autoRemoveListeners, left) => {
    const { reader, writer } = await pair();
    const matched = deferred<Patron>();
    const removed = deferred();
    reader.addPatron('auto.x', { autoRemoveListeners }, (patron) => {
      patron.on('message', () => undefined);
      patron.once('removed', () => removed.resolve());
      matched.resolve(patron);
    });
    const token = writer.addBrewer('auto.x');
    const patron = await matched.promise;
    expect(patron.listenerCount('message')).toBe(1);
    writer.removeBrewer(token);
    await removed.promise;
    expect(patron.listenerCount('message')).toBe(left);
  });
});

describe('the patron', () => {
  it('has id, topic, brews, size and isMatched, and tells of matches and messages', async () => {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const reader = compat(server, { brews: [brew] });
    const writer = compat(server);
    const added = new Inbox<unknown>();
    const removed = new Inbox<unknown>();
    const messages = new Inbox<unknown>();
    const matched = deferred<Patron>();
    reader.addPatron('plant.*.temperature', { id: DASHED }, (patron) => {
      patron.on('added', added.put).on('removed', removed.put);
      patron.on('message', (data, info) => messages.put([data, info]));
      matched.resolve(patron);
    });
    const brewing = deferred<Brewer>();
    const token = writer.addBrewer('plant.7.temperature', (brewer) => brewing.resolve(brewer));
    await Promise.all([reader.connect(), writer.connect()]);
    const patron = await matched.promise;
    const brewer = await brewing.promise;
    expect(patron).toMatchObject({ id: ID, topic: 'plant.*.temperature', size: 1, isMatched: true });
    expect(patron.brews).toEqual([brew]);
    expect(await added.next()).toEqual({ topic: 'plant.7.temperature', id: brewer.id });
    await brewer.brew(Uint8Array.of(1, 2, 3));
    expect(await messages.next()).toEqual([
      Uint8Array.of(1, 2, 3),
      { topic: 'plant.7.temperature', from: brewer.id, createdBy: brewer.id },
    ]);
    writer.removeBrewer(token);
    expect(await removed.next()).toEqual({ id: brewer.id });
    expect(patron).toMatchObject({ size: 0, isMatched: false });
  });

  it('goes on when a message listener throws', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<unknown>();
    reader.on('error', ({ code }) => errors.put(code));
    const texts = new Inbox<string>();
    reader.addPatron('throws.x', (patron) => {
      patron.on('message', () => {
        throw new Error('no');
      });
      patron.on('message', (data) => texts.put(text(data)));
    });
    const brewing = deferred<Brewer>();
    writer.addBrewer('throws.x', (brewer) => brewing.resolve(brewer));
    const brewer = await brewing.promise;
    await brewer.brewText('one');
    await brewer.brewText('two');
    expect([await texts.next(), await texts.next()]).toEqual(['one', 'two']);
    expect([await errors.next(), await errors.next()]).toEqual(['CALLBACK_FAILED', 'CALLBACK_FAILED']);
  });
});

describe('the brewer', () => {
  it('has id, topic, brews, size and isMatched, and tells of matches', async () => {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const writer = compat(server, { brews: [brew] });
    const reader = compat(server);
    const added = new Inbox<unknown>();
    const removed = new Inbox<unknown>();
    const matched = deferred<Brewer>();
    writer.addBrewer('brewer.x', { id: ID }, (brewer) => {
      brewer.on('added', added.put).on('removed', removed.put);
      matched.resolve(brewer);
    });
    const token = reader.addPatron('brewer.*');
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    expect(brewer).toMatchObject({ id: ID, topic: 'brewer.x', size: 1, isMatched: true });
    expect(brewer.brews).toEqual([brew]);
    expect(await added.next()).toEqual({ topic: 'brewer.x', id: token.id });
    reader.removePatron(token);
    expect(await removed.next()).toEqual({ id: token.id });
    expect(brewer).toMatchObject({ size: 0, isMatched: false });
  });

  it('brews bytes, text and JSON with replacer and space; each a promise', async () => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('kinds.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('kinds.x', (brewer) => matched.resolve(brewer));
    const brewer = await matched.promise;
    const value = { a: 1, b: [2] };
    const sent = [
      brewer.brew(new TextEncoder().encode('bytes')),
      brewer.brew(new TextEncoder().encode('buffer').buffer),
      brewer.brewText('grüezi'),
      brewer.brewJSON(value),
      brewer.brewJSON(value, { space: 1 }),
      brewer.brewJSON(value, { replacer: ['a'] }),
      brewer.brewJSON(value, { replacer: (_key, inner) => (Array.isArray(inner) ? 'list' : inner), waitForBrews: 100 }),
    ];
    expect(await Promise.all(sent)).toEqual(sent.map(() => undefined));
    const got = await Promise.all(sent.map(() => texts.next()));
    expect(got).toEqual([
      'bytes',
      'buffer',
      'grüezi',
      '{"a":1,"b":[2]}',
      '{\n "a": 1,\n "b": [\n  2\n ]\n}',
      '{"a":1}',
      '{"a":1,"b":"list"}',
    ]);
  });

  it.each([2, 'none', 'aes-gcm'])('loses nothing of what matched, and a listener of added, brew at once (cipher %s)', async (cipher) => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('early.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
    writer.addBrewer('early.x', { cipher, waitForBrews: 10_000 }, (brewer) => {
      void brewer.brewText('in matched');
      brewer.on('added', () => void brewer.brewText('in added'));
    });
    expect([await texts.next(), await texts.next()]).toEqual(['in matched', 'in added']);
  });

  it('takes null for no options', async () => {
    const { reader, writer } = await pair();
    const texts = new Inbox<string>();
    reader.addPatron('null.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('null.x', { waitForBrews: 10_000 }, matched.resolve);
    const brewer = await matched.promise;
    await brewer.brew(new TextEncoder().encode('bytes'), null);
    await brewer.brewText('text', null);
    await brewer.brewJSON([1], null);
    expect([await texts.next(), await texts.next(), await texts.next()]).toEqual(['bytes', 'text', '[1]']);
    await expect(writer.connect(null)).resolves.toBe(writer);
  });

  it('resolves at once when nobody is matched, also before connect and after disconnect', async () => {
    const server = await serve();
    const writer = compat(server);
    const reader = compat(server);
    const matched = deferred<Brewer>();
    writer.addBrewer('nobody.x', { waitForBrews: 600_000 }, (brewer) => matched.resolve(brewer));
    const token = reader.addPatron('nobody.x');
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    const removed = new Promise((resolve) => brewer.once('removed', resolve));
    reader.removePatron(token);
    await removed;
    expect(await brewer.brewText('into the void')).toBeUndefined();
    // Whatever it is: there is nobody whom it could not be sent to.
    expect(await brewer.brewJSON(1n)).toBeUndefined();
    expect(await brewer.brew('no bytes' as unknown as Uint8Array)).toBeUndefined();
    await writer.disconnect();
    expect(await brewer.brew(Uint8Array.of(1))).toBeUndefined();
  });

  it('rejects what JSON cannot express', async () => {
    const { reader, writer } = await pair();
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const matched = deferred<Brewer>();
    writer.addBrewer('json.x', (brewer) => matched.resolve(brewer));
    reader.addPatron('json.x');
    const brewer = await matched.promise;
    await expect(brewer.brewJSON(1n)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    await expect(brewer.brewJSON(undefined)).rejects.toMatchObject({ code: 'DATA_INVALID' });
    // Nobody has to catch them.
    void brewer.brewJSON(1n);
    void brewer.brew(JSON.parse('7') as Uint8Array);
    for (let i = 0; i < 4; i++) expect(await errors.next()).toBe('DATA_INVALID');
  });
});

describe('waitForBrews', () => {
  /** A brewer whose control connection stands, and whose relay is reached only when `open` is called. */
  async function waiting(waitForBrews: boolean | number | undefined) {
    const server = await serve();
    // Until then its relay connections lead nowhere, and are tried again and again.
    let isOpen = false;
    class Gated extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(isOpen ? url : 'ws://127.0.0.1:9', protocols);
      }
    }
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server), WebSocket: Gated, maxTimeout: 20 });
    const errors = new Inbox<string>();
    brew.on('error', () => undefined);
    const writer = compat(server, { brews: [brew] });
    writer.on('error', ({ message }) => errors.put(message));
    const matched = deferred<Brewer>();
    writer.addBrewer('gated.x', { waitForBrews }, (brewer) => matched.resolve(brewer));
    const reader = native(server);
    const texts = new Inbox<string>();
    reader.addPatron('gated.x', (data) => texts.put(text(data)));
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    return { brewer, texts, errors, writer, open: () => (isOpen = true) };
  }

  it('rejects with "all brews are not ready" when the wait is over, and nothing leaves later', async () => {
    const { brewer, texts, errors, open } = await waiting(undefined);
    await expect(brewer.brewText('lost', { waitForBrews: 30 })).rejects.toThrow(/^all brews are not ready$/);
    expect(await errors.next()).toBe('all brews are not ready');
    open();
    await brewer.brewText('arrives', { waitForBrews: 60_000 });
    expect(await texts.next()).toBe('arrives');
    expect(texts.all).toEqual(['arrives']);
  });

  it('is 500 ms by default, and with true', async () => {
    const { brewer } = await waiting(undefined);
    const started = performance.now();
    const waits = [brewer.brewText('a'), brewer.brewText('b', { waitForBrews: true })].map(async (sent) => {
      await expect(sent).rejects.toThrow('all brews are not ready');
      return performance.now() - started;
    });
    for (const took of await Promise.all(waits)) {
      expect(took).toBeGreaterThan(450);
      expect(took).toBeLessThan(2500);
    }
  });

  it('keeps the order of what waits, and what it was given then', async () => {
    const { brewer, texts, open } = await waiting(60_000);
    const data = new TextEncoder().encode('first');
    const buffer = Buffer.from('of Node');
    const raw = new TextEncoder().encode('raw').buffer;
    const sent = [brewer.brew(data), brewer.brew(buffer), brewer.brew(raw), brewer.brewText('second')];
    for (const bytes of [data, buffer, new Uint8Array(raw)]) bytes.fill(0);
    open();
    await Promise.all(sent);
    await brewer.brewText('third');
    for (const expected of ['first', 'of Node', 'raw', 'second', 'third']) expect(await texts.next()).toBe(expected);
  });

  it('keeps the order also of what waits and what does not, and of what follows one whose wait is over', async () => {
    const { brewer, texts, open } = await waiting(60_000);
    const given = brewer.brewText('given up', { waitForBrews: 20 });
    const sent = [
      brewer.brewText('one', { waitForBrews: false }),
      brewer.brewText('two'),
      brewer.brewText('three', { waitForBrews: false }),
      brewer.brewText('four'),
    ];
    await Promise.all([sent[0], sent[2], expect(given).rejects.toThrow('all brews are not ready')]);
    open();
    await Promise.all(sent);
    await brewer.brewText('five');
    for (const expected of ['one', 'two', 'three', 'four', 'five']) expect(await texts.next()).toBe(expected);
  });

  it('false resolves at once, and the message leaves when it can', async () => {
    const { brewer, texts, open } = await waiting(false);
    expect(await brewer.brewText('patient')).toBeUndefined();
    open();
    expect(await texts.next()).toBe('patient');
  });

  it('ends when nobody is matched any more', async () => {
    const { brewer, writer } = await waiting(600_000);
    const sent = brewer.brewText('nobody left');
    await writer.disconnect();
    expect(await sent).toBeUndefined();
  });

  it('need not be caught', async () => {
    const { brewer, errors } = await waiting(10);
    void brewer.brewText('lost');
    expect(await errors.next()).toBe('all brews are not ready');
  });
});
