import { readFileSync } from 'node:fs';
import WebSocket from 'ws';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Patron, PubkeeperClient, WebSocketBrew, type Brew, type Brewer, type ClientOptions, type PubkeeperError } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { BroadcastChannelBrew } from '../src/brews/broadcast-channel.js';
import { LocalBrew } from '../src/brews/local.js';
import { MemoryBrew } from '../src/brews/memory.js';
import { MqttBrew } from '../src/brews/mqtt.js';
import { NatsBrew } from '../src/brews/nats.js';
import { certificate } from './brews/processes.js';
import { deferred } from './helpers.js';

// The whole way on real sockets: client, server and relay of this project, and what happens when parts of it die.

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

const QUICK = { delayMs: 20, maxDelayMs: 50 };

async function serve(port = 0, tls?: { cert: Buffer; key: Buffer }): Promise<PubkeeperServer> {
  const server = await createServer({ port, tls, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  clean.push(() => server.close());
  return server;
}

function client(server: ClientOptions['server'], options: Partial<ClientOptions> = {}): PubkeeperClient {
  const made = new PubkeeperClient({ server, token: 'secret', reconnect: QUICK, ...options });
  clean.push(() => made.disconnect());
  return made;
}

const once = <T>(subscribe: (listener: (event: T) => void) => () => void, wanted: (event: T) => boolean = () => true) =>
  new Promise<T>((resolve) => {
    const undo = subscribe((event) => {
      if (!wanted(event)) return;
      undo();
      resolve(event);
    });
  });
const state = (of: PubkeeperClient, wanted: string): Promise<unknown> =>
  of.state === wanted ? Promise.resolve() : once<string>((listener) => of.on('state', listener), (now) => now === wanted);
const matched = (brewer: Brewer): Promise<unknown> =>
  brewer.isMatched ? Promise.resolve() : once<unknown>((listener) => brewer.on('matched', listener));

/** Texts as they come, each to be awaited once. */
function inbox(): { callback: (data: Uint8Array) => void; next: () => Promise<string> } {
  const texts: string[] = [];
  const readers: ((text: string) => void)[] = [];
  return {
    callback: (data) => {
      const text = new TextDecoder().decode(data);
      const reader = readers.shift();
      if (reader) reader(text);
      else texts.push(text);
    },
    next: () => (texts.length ? Promise.resolve(texts.shift()!) : new Promise((resolve) => readers.push(resolve))),
  };
}

/** A `ws` that remembers its sockets, so that a test can cut them. */
function cuttable() {
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

describe.each(['aes-gcm', 'aes-cbc', 'none'] as const)('%s', (cipher) => {
  it('flows from a brewer to a patron with wildcards', async () => {
    const { url } = await serve();
    const reader = client(url);
    const writer = client(url);
    const box = inbox();
    const topics: string[] = [];
    const patron = reader.addPatron('demo.*.**', (data, message) => {
      topics.push(message.topic);
      box.callback(data);
    });
    const brewer = writer.addBrewer('demo.a.b.c', { cipher });
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('grüezi');
    await brewer.brewJSON({ __proto__: null, constructor: 1 });
    await brewer.brew(Uint8Array.of(0x68, 0x69));
    expect([await box.next(), await box.next(), await box.next()]).toEqual(['grüezi', '{"constructor":1}', 'hi']);
    expect(topics).toEqual(['demo.a.b.c', 'demo.a.b.c', 'demo.a.b.c']);
    expect(patron.brewers.get(brewer.brewerId)).toEqual({ topic: 'demo.a.b.c', brew: 'websocket' });
    expect(patron.dropped).toEqual({});
  });

  it('keeps the order of a burst that starts with the match, and loses nothing of it', async () => {
    const { url } = await serve();
    const reader = client(url);
    const writer = client(url);
    const numbers: number[] = [];
    let done!: () => void;
    const all = new Promise<void>((resolve) => (done = resolve));
    reader.addPatron('burst.**', (_, message) => {
      if (numbers.push(message.json() as number) === 2000) done();
    });
    const brewer = writer.addBrewer('burst.x', { cipher });
    brewer.on('matched', () => {
      for (let i = 0; i < 2000; i++) void brewer.brewJSON(i);
    });
    await reader.connect();
    await writer.connect();
    await all;
    expect(numbers).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  });
});

describe('when parts die', () => {
  it('comes back after the server was killed, and data goes on', async () => {
    const first = await serve();
    const reader = client(first.url);
    const writer = client(first.url);
    reader.on('error', () => undefined);
    writer.on('error', () => undefined);
    const box = inbox();
    reader.addPatron('life.*', box.callback);
    const brewer = writer.addBrewer('life.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('before');
    expect(await box.next()).toBe('before');

    const gone = Promise.all([state(reader, 'reconnecting'), state(writer, 'reconnecting')]);
    await first.close();
    await gone;
    await serve(first.port);
    await Promise.all([state(reader, 'connected'), state(writer, 'connected')]);
    await brewer.brewText('after');
    expect(await box.next()).toBe('after');
  });

  it('goes on when only the relay connection is cut, and repeats nothing', async () => {
    const { url } = await serve();
    const wire = cuttable();
    const reader = client(url, { WebSocket: wire.WebSocket });
    const writer = client(url);
    const errors: string[] = [];
    reader.on('error', ({ code }) => errors.push(code));
    const box = inbox();
    reader.addPatron('cut.*', box.callback);
    const brewer = writer.addBrewer('cut.x', { cipher: 'aes-cbc' });
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('one');
    expect(await box.next()).toBe('one');

    const told = once<PubkeeperError>((listener) => reader.on('error', listener));
    expect(wire.cut('pubkeeper-relay-2')).toBe(1);
    expect((await told).code).toBe('CONNECTION_LOST');
    await brewer.brewText('two'); // kept by the relay as the last value when nobody is there
    expect(await box.next()).toBe('two');
    expect(reader.state).toBe('connected');
    expect(errors).toEqual(['CONNECTION_LOST']);
  });

  it('lets data flow between matched pairs while the control server is gone, and does not touch them when it is back', async () => {
    const control = await serve();
    const relay = await serve();
    const at = { hostname: '127.0.0.1', port: relay.port };
    const reader = client(control.url);
    const writer = client(control.url, { brews: [new WebSocketBrew(at)] });
    reader.on('error', () => undefined);
    writer.on('error', () => undefined);
    const box = inbox();
    const patron = reader.addPatron('gone.*', box.callback);
    const changes: string[] = [];
    const brewer = writer.addBrewer('gone.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('0');
    expect(await box.next()).toBe('0');
    patron.on('added', () => changes.push('added'));
    patron.on('removed', () => changes.push('removed'));
    brewer.on('added', () => changes.push('added'));
    brewer.on('removed', () => changes.push('removed'));

    await control.close();
    await Promise.all([state(reader, 'reconnecting'), state(writer, 'reconnecting')]);
    for (let i = 1; i <= 100; i++) {
      await brewer.brewText(String(i));
      expect(await box.next()).toBe(String(i));
    }
    await serve(control.port);
    await Promise.all([state(reader, 'connected'), state(writer, 'connected')]);
    await brewer.brewText('end');
    expect(await box.next()).toBe('end');
    expect(changes).toEqual([]);
  });

  it('resets when the server stays away for longer than graceMs, and still comes back', async () => {
    const first = await serve();
    const reader = client(first.url, { reconnect: { ...QUICK, graceMs: 100 } });
    reader.on('error', () => undefined);
    const patron = reader.addPatron('grace.*', () => undefined);
    const writer = client(first.url);
    writer.on('error', () => undefined);
    const brewer = writer.addBrewer('grace.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    const states: string[] = [];
    reader.on('state', (now) => states.push(now));
    const released = once<unknown>((listener) => patron.on('removed', listener));
    await first.close();
    await released;
    await serve(first.port);
    await state(reader, 'connected');
    expect(states).toEqual(['reconnecting', 'disconnected', 'connecting', 'connected']);
  });
});

describe('a brewer that is taken back', () => {
  it.each<[string, () => Brew]>([
    ['WebSocketBrew', () => new WebSocketBrew()],
    ['LocalBrew', () => new LocalBrew()],
    ['BroadcastChannelBrew', () => new BroadcastChannelBrew()],
  ])('still sends what it has brewed before its patron had come, over a %s', async (_, brew) => {
    const { url } = await serve();
    for (const cipher of ['aes-gcm', 'aes-cbc', 'none'] as const) {
      const [writer, reader] = [client(url, { brews: [brew()] }), client(url, { brews: [brew()] })];
      const box = inbox();
      reader.addPatron(`${cipher}.*`, box.callback);
      await reader.connect();
      const brewer = writer.addBrewer(`${cipher}.words`, { cipher });
      brewer.on('matched', () => {
        void brewer.brewText('first');
        void brewer.brewText('last');
        writer.removeBrewer(brewer);
      });
      await writer.connect();
      expect([await box.next(), await box.next()]).toEqual(['first', 'last']);
    }
  });
});

describe('what connect() rejects with', () => {
  it('says that nobody is there', async () => {
    const server = await serve();
    await server.close();
    const lonely = client(server.url);
    await expect(lonely.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(lonely.state).toBe('disconnected');
  });

  it('says so when wss: leads to a server without TLS', async () => {
    const { url } = await serve();
    const hopeful = client(url.replace('ws:', 'wss:'));
    const message = `Cannot connect to ${url.replace('ws:', 'wss:')} (it does not speak TLS: try ws:// instead of wss://): check that a Pubkeeper server runs there.`;
    await expect(hopeful.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED', message });
  });

  it('says what to do where the server speaks TLS with a certificate of an own authority, and where ws: leads to it', async () => {
    const files = certificate();
    clean.push(() => Promise.resolve(files.remove()));
    const { url } = await serve(0, { cert: readFileSync(files.cert), key: readFileSync(files.key) });
    const cure = 'if it is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>';
    // From 24 on, Node adds what it knows itself to the name of the fault: it comes after ours.
    const message = `Cannot connect to ${url} (self-signed certificate: ${cure}): check that a Pubkeeper server runs there.`;
    const found = (await client(url).connect().catch((error: unknown) => error)) as PubkeeperError;
    expect({ code: found.code, message: found.message.replace(/; if the root CA [^;:]*--use-system-ca(?=\))/, '') }).toEqual({ code: 'CONNECT_FAILED', message });
    await expect(client(url.replace('wss:', 'ws:')).connect()).rejects.toThrow(/\(.*: if it speaks TLS, try wss:\/\/ instead of ws:\/\/\)/);
  });

  it('says that the token is refused, without showing it', async () => {
    const { url } = await serve();
    const refused = client(url, { token: 'wrong-token' });
    const error = await refused.connect().then(
      () => undefined,
      (cause: unknown) => cause as PubkeeperError,
    );
    expect(error?.code).toBe('UNAUTHORIZED');
    expect(JSON.stringify([error?.message, error?.details])).not.toContain('wrong-token');
    expect(refused.state).toBe('disconnected');
  });

  it('is aborted for the one whose signal it was; another one who waits goes on waiting', async () => {
    const patient = client((await serve()).url);
    const aborter = new AbortController();
    const first = patient.connect();
    const second = patient.connect({ signal: aborter.signal });
    aborter.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    await first;
    expect(patient.state).toBe('connected');
  });

  it('is not aborted by the signal of an attempt that has ended', async () => {
    const patient = client((await serve()).url);
    const aborter = new AbortController();
    const former = patient.connect({ signal: aborter.signal });
    void patient.disconnect();
    const present = patient.connect();
    aborter.abort();
    await expect(former).rejects.toMatchObject({ code: expect.stringMatching(/ABORTED|CONNECTION_CLOSED/) as string });
    await present;
    expect(patient.state).toBe('connected');
  });

  it.each([
    [{ brews: [WebSocketBrew] }, /new WebSocketBrew/],
    [{ brews: [{}] }, /must list brews/],
    [{ brews: [null] }, /must list brews/],
  ])('is not made with brews that are none: %j', (options, sentence) => {
    const made = (): unknown => new PubkeeperClient({ server: 'ws://127.0.0.1:9', token: 'x', ...options } as unknown as ClientOptions);
    expect(made).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(sentence) as string }) as Error);
  });

  it('refuses a signal that is none, and is as it was before', async () => {
    const plain = client((await serve()).url);
    const signal = {} as AbortSignal;
    await expect(plain.connect({ signal })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(plain.state).toBe('disconnected');
    const patron = new Patron('a');
    expect(() => plain.addPatron(patron, undefined, { signal })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    plain.addPatron(patron);
    await plain.connect();
  });

  it('takes null and undefined for what is not given', async () => {
    const plain = client((await serve()).url, { reconnect: { ...QUICK, graceMs: undefined } as unknown as ClientOptions['reconnect'] & object });
    await plain.connect(null);
    const patron = plain.addPatron('a', () => undefined, null);
    const brewer = plain.addBrewer('a', null);
    for (const nobody of [undefined, null]) {
      plain.removePatron(nobody as unknown as Patron);
      plain.removeBrewer(nobody as unknown as Brewer);
    }
    expect(() => patron.on('added', undefined as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    expect([patron.topic, brewer.topic, plain.state]).toEqual(['a', 'a', 'connected']);
    await expect(brewer.brewText(undefined as never)).rejects.toThrow('not undefined');
  });

  it('can be aborted, and tried again', async () => {
    const { url } = await serve();
    const aborter = new AbortController();
    const patient = client(url);
    const attempt = patient.connect({ signal: aborter.signal });
    aborter.abort();
    await expect(attempt).rejects.toMatchObject({ code: 'ABORTED' });
    expect(patient.state).toBe('disconnected');
    await expect(patient.connect({ signal: aborter.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await patient.connect();
    expect(patient.state).toBe('connected');
  });

  it('reports a brewer that may not write, and connects all the same', async () => {
    const server = await createServer({ port: 0, tokens: { reader: [{ topic: 'open.**', read: true }] } });
    clean.push(() => server.close());
    const reader = client(server.url, { token: 'reader' });
    const brewer = reader.addBrewer('open.x');
    const refused = once<PubkeeperError>((listener) => reader.on('error', listener));
    await reader.connect();
    expect(await refused).toMatchObject({ code: 'FORBIDDEN', details: { brewer_id: brewer.brewerId } });
  });
});

describe('options and registrations', () => {
  it.each([
    [{ server: 'http://127.0.0.1' }, 'OPTION_INVALID'],
    [{ server: 'nonsense' }, 'OPTION_INVALID'],
    [{ server: 'ws://127.0.0.1/ws#a' }, 'OPTION_INVALID'],
    [{ server: ['WS://127.0.0.1', 'wss://'] }, 'OPTION_INVALID'],
    [{ token: '' }, 'OPTION_INVALID'],
    [{ brews: [] }, 'OPTION_INVALID'],
    [{ reconnect: { delayMs: -1 } }, 'OPTION_INVALID'],
  ])('refuses %j', (options, code) => {
    expect(() => client('ws://127.0.0.1:9', options)).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('takes no name and no password in an address, and does not show them; an @ behind the host is none', () => {
    for (const [server, shown] of [['ws://me:secret@127.0.0.1/ws', '(use token)@127.0.0.1/ws'], ['me:secret@a', '(use token)@a'], ['ws://me:\nsecret@a', '(use token)@a'], [['ws://a', 'ws://:secret@a/@/b'], '(use token)@/b'], [[], ''], [undefined as never, 'undefined']] as const) {
      const message = `server must be a URL like ws://127.0.0.1:9898/ws or wss://..., not "${shown}".`;
      expect(() => client('', { server })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message }) as Error);
    }
    expect(() => client('', { server: ['ws://a/@b?c=d@e', 'wss://a?b@c'] })).not.toThrow();
  });

  it('takes a URL as well, as it was then', async () => {
    const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true }] } });
    clean.push(() => server.close());
    const url = new URL(server.url);
    const made = client(url);
    url.port = '1';
    await made.connect();
    expect(() => client(new URL('http://127.0.0.1/ws'))).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('not "http://127.0.0.1/ws"') as string }) as Error);
  });

  it.each<[string, Brew[]]>([
    ['websocket', [new WebSocketBrew(), new WebSocketBrew()]],
    ['mqtt', [new MqttBrew({ url: 'mqtt://127.0.0.1:1' }), new WebSocketBrew(), new MqttBrew({ url: 'mqtt://127.0.0.1:2' })]],
    ['nats', [new NatsBrew({ url: 'nats://127.0.0.1:1' }), new NatsBrew()]],
  ])('refuses two brews called %s, and takes them under names of their own', (name, brews) => {
    expect(() => client('ws://127.0.0.1:9', { brews })).toThrow(
      expect.objectContaining({ code: 'BREW_DUPLICATE', message: `Two brews are called "${name}": give one another name.`, details: { name } }) as Error,
    );
    if (name === 'mqtt') client('ws://127.0.0.1:9', { brews: [new MqttBrew(), new MqttBrew({ name: 'another' })] });
    if (name === 'nats') client('ws://127.0.0.1:9', { brews: [new NatsBrew({ name: 'another' }), new NatsBrew()] });
  });

  it('takes each brew, patron and brewer once', async () => {
    const { url } = await serve();
    const brew = new MemoryBrew();
    const first = client(url, { brews: [brew] });
    expect(() => client(url, { brews: [brew] })).toThrow(expect.objectContaining({ code: 'BREW_IN_USE' }) as Error);
    const patron = first.addPatron(new Patron('a.b', () => undefined));
    const refused = (where: string) => expect.objectContaining({ code: 'REGISTERED_TWICE', message: expect.stringContaining(`with ${where} client already`) as string }) as Error;
    expect(() => first.addPatron(patron)).toThrow(refused('this'));
    const other = client(url);
    expect(() => other.addPatron(patron)).toThrow(refused('another'));
    const brewer = first.addBrewer('a.b');
    expect(() => first.addBrewer(brewer)).toThrow(refused('this'));
    expect(() => other.addBrewer(brewer)).toThrow(refused('another'));
    first.removePatron(patron);
    expect(other.addPatron(patron)).toBe(patron);
  });

  it('waits for all brews to close, though one fails to', async () => {
    const { url } = await serve();
    const closing = deferred<undefined>();
    class Failing extends MemoryBrew {
      override get name(): string {
        return 'failing';
      }

      override close(): never {
        throw new Error('no');
      }
    }
    const slow: Brew = new MemoryBrew();
    slow.close = () => closing.promise;
    const both = client(url, { brews: [new Failing(), slow] });
    const errors: string[] = [];
    both.on('error', ({ code }) => errors.push(code));
    await both.connect();
    let isOver = false;
    const ending = both.disconnect().then(() => (isOver = true));
    await vi.waitFor(() => expect(errors).toEqual(['BREW_FAILED']));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    closing.resolve(undefined);
    await ending;
  });

  it('fetches a token for each connection', async () => {
    const { url } = await serve();
    const wire = cuttable();
    let calls = 0;
    const renewing = client(url, {
      WebSocket: wire.WebSocket,
      token: () => Promise.resolve(`${++calls ? 'secret' : ''}`),
    });
    renewing.on('error', () => undefined);
    await renewing.connect();
    const back = state(renewing, 'reconnecting').then(() => state(renewing, 'connected'));
    expect(wire.cut('pubkeeper-1.1')).toBe(1);
    await back;
    expect(calls).toBe(2);
  });

  it('leaves no socket behind when it disconnects, however often', async () => {
    const { url } = await serve();
    const wire = cuttable();
    const tireless = client(url, { WebSocket: wire.WebSocket });
    tireless.addPatron('loop.*', () => undefined);
    tireless.addBrewer('loop.x');
    for (let i = 0; i < 100; i++) {
      await tireless.connect();
      await tireless.disconnect();
    }
    expect(wire.sockets.filter((socket) => socket.readyState !== WebSocket.CLOSED)).toEqual([]);
    expect(tireless.state).toBe('disconnected');
  });
});

it('reads with for await until the client disconnects', async () => {
  const { url } = await serve();
  const both = client(url, { brews: [new MemoryBrew()] });
  const patron = both.addPatron('for.*');
  const brewer = both.addBrewer('for.await');
  const texts: string[] = [];
  const reading = (async () => {
    for await (const message of patron) {
      texts.push(message.text());
      if (texts.length === 2) void both.disconnect();
    }
  })();
  await both.connect();
  await matched(brewer);
  await brewer.brewText('a');
  await brewer.brewText('b');
  await reading;
  expect(texts).toEqual(['a', 'b']);
});

it('ends for await at disconnect() also where it never was connected', async () => {
  const idle = client('ws://127.0.0.1:9');
  const patron = idle.addPatron('for.*');
  const reading = patron[Symbol.asyncIterator]().next();
  await idle.disconnect();
  expect(await reading).toEqual({ value: undefined, done: true });
});
