import { queryObjects } from 'node:v8';
import { WebSocket } from 'ws';
import { describe, expect, it, vi } from 'vitest';
import { PubkeeperClient, WebSocketBrew, type Brewer, type Status } from '../../src/compat/index.js';
import { PubkeeperError } from '../../src/index.js';
import { settle } from '../helpers.js';
import { compat, deferred, Gateway, Inbox, JWT, later, native, relayOf, serve, status, text } from './helpers.js';

/** A URL where nothing listens. */
async function nowhere(): Promise<string> {
  const server = await serve();
  await server.close();
  return server.url;
}

/** A `ws` that counts how often it is dialled. */
function counting() {
  const urls: string[] = [];
  class Counting extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      urls.push(url);
    }
  }
  return { WebSocket: Counting, urls };
}

const statuses = (client: PubkeeperClient): Status[] => {
  const all: Status[] = [];
  client.on('statuschange', ({ target, status }) => {
    expect(target).toBe(client);
    expect(target.status).toBe(status);
    all.push(status);
  });
  return all;
};

describe('the constructor', () => {
  it.each([
    [{ server: '', jwt: JWT }],
    [{ server: 'ws://127.0.0.1:9', jwt: '' }],
    [JSON.parse('{"jwt":"x"}') as { server: string; jwt: string }],
    [JSON.parse('{"server":"ws://127.0.0.1:9"}') as { server: string; jwt: string }],
  ])('throws without a server or a jwt: %j', (options) => {
    expect(() => new PubkeeperClient({ ...options, brews: [new WebSocketBrew()] })).toThrow(/needs a server and a jwt/);
  });

  it('throws without any options', () => {
    const options: unknown[] = [];
    expect(() => Reflect.construct(PubkeeperClient, options) as unknown).toThrow(/needs a server and a jwt/);
  });

  it('has the names of the statuses as static members', () => {
    const { CONNECTING, CONNECTED, RECONNECTING, DISCONNECTED, DEAD } = PubkeeperClient;
    const names = ['connecting', 'connected', 'reconnecting', 'disconnected', 'dead'];
    expect([CONNECTING, CONNECTED, RECONNECTING, DISCONNECTED, DEAD]).toEqual(names);
  });

  it('does nothing by itself', async () => {
    const { WebSocket, urls } = counting();
    const client = compat('ws://127.0.0.1:9', { WebSocket });
    await settle();
    expect([client.status, urls]).toEqual([PubkeeperClient.DISCONNECTED, []]);
  });
});

describe('connect', () => {
  it('resolves to the client, and tells of each status on the way', async () => {
    const client = compat(await serve());
    const seen = statuses(client);
    const events: string[] = [];
    client.on('connected', () => events.push('connected')).on('closed', () => events.push('closed'));
    expect(await client.connect()).toBe(client);
    expect(client.status).toBe(PubkeeperClient.CONNECTED);
    expect(events).toEqual(['connected']);
    await client.disconnect();
    expect(seen).toEqual(['connecting', 'connected', 'disconnected']);
    expect(events).toEqual(['connected', 'closed']);
  });

  it('resolves once every registered brewer has been answered, and with wait: false before', async () => {
    const server = await serve();
    const answers = deferred<boolean>();
    // 22 is PATRON_NOTIFY, the answer to a brewer.
    const gateway = await Gateway.open(server.url, { pass: (message) => (message[0] === 22 ? answers.promise : true) });
    const client = compat(server, { server: gateway.url });
    client.addBrewer('wait.x');
    let isReady = false;
    const ready = client.connect().then((same) => {
      isReady = true;
      return same;
    });
    expect(await client.connect({ wait: false })).toBe(client);
    expect(client.status).toBe('connected');
    expect(await client.connect({ wait: false })).toBe(client);
    expect(isReady).toBe(false);
    answers.resolve(true);
    expect(await ready).toBe(client);
  });

  it('keeps nothing of those who waited for the connection only, and were refused', async () => {
    const client = compat(await serve(), { jwt: 'unknown' });
    client.on('error', () => undefined);
    const promises = (): number => queryObjects(Promise, { format: 'count' });
    const attempts = async (): Promise<void> => {
      // Not by `rejects`, which remembers what it was given.
      for (let i = 0; i < 20; i++) await client.connect({ wait: false }).catch(() => undefined);
    };
    await attempts();
    const before = promises();
    await attempts();
    expect(client.status).toBe('dead');
    expect(promises() - before).toBeLessThan(20);
  });

  it('heeds wait: false also in a listener that is told of connecting', async () => {
    const server = await serve();
    const answers = deferred<boolean>();
    const gateway = await Gateway.open(server.url, { pass: (message) => (message[0] === 22 ? answers.promise : true) });
    const client = compat(server, { server: gateway.url });
    client.addBrewer('wait.x');
    const eager = new Promise<PubkeeperClient>((resolve) => {
      client.once('statuschange', () => resolve(client.connect({ wait: false })));
    });
    let isReady = false;
    const ready = client.connect().then(() => (isReady = true));
    expect(await eager).toBe(client);
    expect([client.status, isReady]).toEqual(['connected', false]);
    answers.resolve(true);
    await ready;
  });

  it('resolves again while it is connected, and dials no second time', async () => {
    const { WebSocket, urls } = counting();
    const client = compat(await serve(), { WebSocket });
    await Promise.all([client.connect(), client.connect()]);
    expect(await client.connect()).toBe(client);
    expect(await client.connect({ wait: false })).toBe(client);
    expect(urls).toHaveLength(1);
  });

  it.each([true, false])('rejects with "unable to connect" after a clean close (wait: %s)', async (wait) => {
    const gateway = await Gateway.open('ws://127.0.0.1:9', { closeAtOnce: 1000 });
    const client = compat(gateway.url);
    const seen = statuses(client);
    const failure = client.connect({ wait });
    await expect(failure).rejects.toThrow(/^unable to connect$/);
    await expect(failure).rejects.toBeInstanceOf(PubkeeperError);
    expect(seen).toEqual(['connecting', 'disconnected']);
    expect(gateway.offered).toHaveLength(1);
  });

  it.each([true, false])('rejects an attempt that disconnect() ended, whatever follows it (wait: %s)', async (wait) => {
    const { WebSocket, urls } = counting();
    const client = compat(await serve(), { WebSocket });
    const ended = client.connect({ wait });
    void client.disconnect();
    const other = client.connect({ wait });
    await expect(ended).rejects.toThrow(/^unable to connect$/);
    expect(await other).toBe(client);
    expect(client.status).toBe('connected');
    expect(urls).toHaveLength(1);
  });

  it.each([0, 1, 3])('rejects with "unable to connect" after the last of %i retries, and is dead', async (maxRetries) => {
    const { WebSocket, urls } = counting();
    const client = compat(await nowhere(), { maxRetries, WebSocket });
    const errors: PubkeeperError[] = [];
    client.on('error', (error) => errors.push(error));
    const seen = statuses(client);
    const failure = client.connect();
    await expect(failure).rejects.toThrow(/^unable to connect$/);
    await expect(failure).rejects.toMatchObject({ cause: { code: 'CONNECT_FAILED' } });
    expect(seen).toEqual(['connecting', 'dead']);
    expect(client.status).toBe(PubkeeperClient.DEAD);
    expect(urls).toHaveLength(maxRetries + 1);
    expect(errors).toHaveLength(maxRetries + 1);
    // And it can be tried once more.
    await expect(client.connect()).rejects.toThrow(/^unable to connect$/);
    expect(urls).toHaveLength(2 * (maxRetries + 1));
  });

  it('goes on trying until the server is there', async () => {
    const url = await nowhere();
    const client = compat(url);
    const failed = new Promise((resolve) => client.once('error', resolve));
    client.on('error', () => undefined);
    const connected = client.connect();
    await failed;
    await serve({ port: Number(new URL(url).port) });
    expect(await connected).toBe(client);
  });

  it('is dead at once when its jwt is refused: no retry would help', async () => {
    const server = await serve();
    const client = compat(server, { jwt: 'wrong' });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toMatchObject({ message: 'unable to connect', cause: { code: 'UNAUTHORIZED' } });
    expect(client.status).toBe('dead');
  });

  it('rejects when disconnect() is called meanwhile; none of it needs to be caught', async () => {
    const client = compat(await nowhere());
    client.on('error', () => undefined);
    void client.connect({ wait: false });
    void client.connect();
    const failure = client.connect();
    const closed = client.disconnect();
    await expect(failure).rejects.toThrow(/^unable to connect$/);
    await closed;
    expect(client.status).toBe('disconnected');
  });

  it('may follow disconnect() at once, however often', async () => {
    const client = compat(await serve());
    for (let i = 0; i < 20; i++) {
      await client.connect();
      void client.disconnect();
      expect(client.status).toBe('disconnected');
    }
    expect(await client.connect()).toBe(client);
  });
});

describe('disconnect', () => {
  it.each([
    [undefined, 1000],
    [1000, 1000],
    [3000, 3000],
    [4999, 4999],
  ])('(%s) closes with %i', async (code, expected) => {
    const server = await serve();
    const gateway = await Gateway.open(server.url);
    const client = compat(server, { server: gateway.url });
    await client.connect();
    await client.disconnect(code);
    expect(await gateway.closeCodes.next()).toBe(expected);
    expect(client.status).toBe('disconnected');
  });

  it.each([1001, 1006, 2999, 5000, NaN, 3000.5, '4000' as unknown as number])('throws for %s, which no browser may send, and stays connected', async (code) => {
    const client = compat(await serve());
    await client.connect();
    expect(() => void client.disconnect(code)).toThrow(/close code/);
    expect(client.status).toBe('connected');
  });

  it('in a listener is told after what it follows, and ends what waits for the connection only', async () => {
    const server = await serve();
    const client = compat(server);
    const told: string[] = [];
    client.on('statuschange', ({ status }) => status === 'connected' && void client.disconnect());
    client.on('statuschange', ({ status }) => told.push(status));
    client.on('connected', () => told.push('(connected)')).on('closed', () => told.push('(closed)'));
    await expect(client.connect({ wait: false })).rejects.toThrow('unable to connect');
    expect(told).toEqual(['connecting', 'connected', '(connected)', 'disconnected', '(closed)']);
  });

  it('in a listener of the status is no error', async () => {
    const server = await serve();
    const client = compat(server);
    client.addPatron('a.b');
    const errors: unknown[] = [];
    client.on('error', (error) => errors.push(error));
    client.on('connected', () => void client.disconnect());
    await expect(client.connect()).rejects.toThrow('unable to connect');
    expect([client.status, errors]).toEqual(['disconnected', []]);
  });

  it('does nothing to a client that never connected', async () => {
    const client = compat('ws://127.0.0.1:9');
    await client.disconnect();
    expect(client.status).toBe('disconnected');
  });
});

describe('a close by the server', () => {
  it('with 1000 means disconnected', async () => {
    const server = await serve();
    const gateway = await Gateway.open(server.url);
    const client = compat(server, { server: gateway.url });
    const seen = statuses(client);
    await client.connect();
    gateway.cut(1000);
    await status(client, 'disconnected');
    expect(seen).toEqual(['connecting', 'connected', 'disconnected']);
    await client.connect();
    expect(gateway.offered).toHaveLength(2);
  });

  it.each([1001, 1011, 4000])('with %i means reconnecting, and connected again', async (code) => {
    const server = await serve();
    const gateway = await Gateway.open(server.url);
    const client = compat(server, { server: gateway.url });
    client.on('error', () => undefined);
    const seen = statuses(client);
    await client.connect();
    gateway.cut(code);
    await status(client, 'reconnecting');
    await expect(client.connect()).resolves.toBe(client);
    expect(seen).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
  });

  it.each([
    [undefined, 'reconnecting'],
    [0, 'dead'],
  ])('before all registrations are answered is no different: maxRetries %s, %s', async (maxRetries, expected) => {
    const server = await serve();
    const registered = deferred();
    // 22 is PATRON_NOTIFY, the answer to a brewer.
    const gateway = await Gateway.open(server.url, { pass: (message) => (message[0] === 22 ? (registered.resolve(), false) : true) });
    const closed = deferred();
    class Closing extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols);
        this.once('close', () => closed.resolve());
      }
    }
    // Its next try comes so late that it is not what tells of the loss.
    const client = compat(server, { server: gateway.url, WebSocket: Closing, maxTimeout: 600_000, maxRetries });
    vi.spyOn(Math, 'random').mockReturnValue(1);
    later(() => vi.restoreAllMocks());
    client.on('error', () => undefined);
    client.addBrewer('cut.x');
    const seen = statuses(client);
    void client.connect();
    await registered.promise;
    expect(client.status).toBe('connected');
    gateway.cut(1001);
    await closed.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['connecting', 'connected', expected]);
  });

  it('with 1000 is not followed by another try while what was brewed last has not left', async () => {
    const server = await serve();
    const gone = await serve();
    await gone.close();
    const gateway = await Gateway.open(server.url);
    const relay = new WebSocketBrew({ brewerConfig: relayOf(gone), maxTimeout: 40 });
    relay.on('error', () => undefined);
    const client = compat(server, { server: gateway.url, brews: [relay] });
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    const torn = deferred();
    const matched = deferred<Brewer>();
    client.addBrewer('peace.x', { waitForBrews: false }, (brewer) => {
      matched.resolve(brewer);
      return () => torn.resolve();
    });
    const reader = native(server);
    reader.on('error', () => undefined);
    reader.addPatron('peace.x');
    await Promise.all([reader.connect(), client.connect()]);
    await (await matched.promise).brewText('late');
    vi.spyOn(Math, 'random').mockReturnValue(0);
    later(() => vi.restoreAllMocks());
    gateway.cut(1000);
    await status(client, 'disconnected');
    await torn.promise;
    expect(errors).toContain('BREW_FAILED');
    expect(gateway.offered).toHaveLength(1);
    await client.connect();
    expect(gateway.offered).toHaveLength(2);
  });

  it('by the real server going away means reconnecting, and everything works when it is back', async () => {
    const first = await serve();
    const client = compat(first);
    client.on('error', () => undefined);
    const received = deferred<string>();
    client.addPatron('back.*', (patron) => patron.on('message', (data) => received.resolve(text(data))));
    await client.connect();
    await first.close();
    await status(client, 'reconnecting');
    const second = await serve({ port: first.port });
    await status(client, 'connected');
    const writer = native(second);
    const brewer = writer.addBrewer('back.x', { cipher: 'aes-cbc' });
    const matched = new Promise((resolve) => brewer.on('matched', resolve));
    await writer.connect();
    await matched;
    await brewer.brewText('here again');
    expect(await received.promise).toBe('here again');
  });

  it('is followed by maxRetries retries, and then it is dead', async () => {
    const server = await serve();
    const { WebSocket, urls } = counting();
    const client = compat(server, { WebSocket, maxRetries: 2 });
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    const seen = statuses(client);
    const closed: Status[] = [];
    client.on('closed', () => closed.push(client.status));
    await client.connect();
    await server.close();
    await status(client, 'dead');
    expect(seen).toEqual(['connecting', 'connected', 'reconnecting', 'dead']);
    expect(closed).toEqual(['reconnecting', 'dead']);
    expect(urls).toHaveLength(1 + 2);
    expect(errors).toEqual(['CONNECTION_LOST', 'CONNECT_FAILED']);
  });

  it('makes a client dead that may not try again at all; the next connect() begins anew', async () => {
    const server = await serve();
    const client = compat(server, { maxRetries: 0 });
    const errors: string[] = [];
    client.on('error', ({ code }) => errors.push(code));
    const seen = statuses(client);
    const closed = new Promise((resolve) => client.once('closed', resolve));
    await client.connect();
    await server.close();
    await closed;
    expect(seen).toEqual(['connecting', 'connected', 'dead']);
    await expect(client.connect()).rejects.toThrow('unable to connect');
    expect(errors).toEqual(['CONNECTION_LOST', 'CONNECT_FAILED']);
    await serve({ port: server.port });
    await expect(client.connect()).resolves.toBe(client);
    expect(client.status).toBe('connected');
  });

  it('is reconnecting also when matched pairs are given up, after 30 s', async () => {
    const server = await serve();
    const control: WebSocket[] = [];
    let isCut = false;
    class Cut extends WebSocket {
      constructor(url: string, protocols: string | string[] = []) {
        const isControl = protocols.includes('pubkeeper-1.1');
        super(isControl && isCut ? 'ws://127.0.0.1:9' : url, protocols);
        if (isControl) control.push(this);
      }
    }
    const client = compat(server, { WebSocket: Cut, maxTimeout: 10_000 });
    client.on('error', () => undefined);
    const events = new Inbox<string>();
    client.addPatron('pairs.*', () => {
      events.put('matched');
      return () => events.put('torn down');
    });
    client.addBrewer('pairs.x');
    await client.connect();
    expect(await events.next()).toBe('matched');
    const seen = statuses(client);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => vi.useRealTimers());
    isCut = true;
    control[0]?.terminate();
    await status(client, 'reconnecting');
    await vi.advanceTimersByTimeAsync(29_000);
    expect(events.all).toEqual(['matched']);
    await vi.advanceTimersByTimeAsync(2000);
    expect(events.all).toEqual(['matched', 'torn down']);
    expect(seen).toEqual(['reconnecting']);
    isCut = false;
    while (events.all.length < 3) {
      await vi.advanceTimersByTimeAsync(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(seen).toEqual(['reconnecting', 'connected']);
    expect(events.all).toEqual(['matched', 'torn down', 'matched']);
  });
});

describe('the other options', () => {
  it.each([
    [undefined, ['pubkeeper-1.1', 'pubkeeper-1.0']],
    ['pubkeeper-1.0', ['pubkeeper-1.0']],
    [['pubkeeper-1.0'], ['pubkeeper-1.0']],
    [['pubkeeper-1.1'], ['pubkeeper-1.1']],
    [['pubkeeper-1.0', 'pubkeeper-1.1'], ['pubkeeper-1.0', 'pubkeeper-1.1']],
  ])('protocols: %j offers %j', async (protocols, offered) => {
    const server = await serve();
    const gateway = await Gateway.open(server.url);
    const client = compat(server, { server: gateway.url, protocols });
    client.addPatron('some.topic');
    await client.connect();
    expect(gateway.offered).toEqual([offered]);
  });

  it('WebSocket is what the control connection and the relay connections are made of', async () => {
    const server = await serve();
    const { WebSocket, urls } = counting();
    const client = compat(server, { WebSocket });
    const matched = deferred();
    client.addBrewer('sockets.x', () => matched.resolve());
    client.addPatron('sockets.x');
    await client.connect();
    await matched.promise;
    expect(urls).toEqual([server.url, `ws://127.0.0.1:${server.port}`]);
  });

  it('WebSocket without addEventListener is refused with that word, where no compiler has done it', async () => {
    class Minimal {
      readonly readyState = 0;
      close(): void {}
    }
    const client = compat('ws://127.0.0.1:9', { WebSocket: Minimal as never });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toMatchObject({ cause: { code: 'CONNECT_BLOCKED', cause: { code: 'OPTION_INVALID' } } });
    expect(client.status).toBe('dead');
  });

  it('jwt may be a function, called for each connection', async () => {
    let calls = 0;
    const client = compat(await serve(), { jwt: () => (calls++, Promise.resolve(JWT)) });
    for (const connection of [1, 2]) {
      expect(await client.connect()).toBe(client);
      expect(calls).toBe(connection);
      await client.disconnect();
    }
  });

  it('maxTimeout bounds the waits, which are random so that clients do not come back together', async () => {
    const waits: number[] = [];
    const url = await nowhere();
    const times: number[] = [];
    class Timed extends WebSocket {
      constructor(target: string, protocols?: string | string[]) {
        super(target, protocols);
        times.push(performance.now());
      }
    }
    const client = compat(url, { WebSocket: Timed, maxTimeout: 30, maxRetries: 12 });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toThrow('unable to connect');
    for (let i = 1; i < times.length; i++) waits.push(times[i]! - times[i - 1]!);
    expect(new Set(waits.map((ms) => Math.round(ms))).size).toBeGreaterThan(3);
    // With the default of 10 s, twelve waits would take over a minute.
    expect(times.at(-1)! - times[0]!).toBeLessThan(5000);
  });

  it('two WebSocketBrews of one name are refused', () => {
    expect(() => compat('ws://127.0.0.1:9', { brews: [new WebSocketBrew(), new WebSocketBrew()] })).toThrow(/Two brews/);
  });

  it('one WebSocketBrew may serve two clients', async () => {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const clients = [compat(server, { brews: [brew] }), compat(server, { brews: [brew] })];
    const texts = new Inbox<string>();
    for (const [index, client] of clients.entries()) {
      client.addPatron(`serves.${1 - index}`, (patron) => patron.on('message', (data) => texts.put(text(data))));
      client.addBrewer(`serves.${index}`, { waitForBrews: 10_000 }, (brewer) => void brewer.brewText(`of ${index}`));
    }
    await Promise.all(clients.map((client) => client.connect()));
    expect([await texts.next(), await texts.next()].sort()).toEqual(['of 0', 'of 1']);
    // The one that leaves takes nothing of the other's along.
    await clients[0]!.disconnect();
    const alone = deferred<string>();
    clients[1]!.addPatron('serves.1', (patron) => patron.on('message', (data) => alone.resolve(text(data))));
    expect(await alone.promise).toBe('of 1');
  });
});

it('logs an error that nobody listens to, and throws nothing', async () => {
  const logged: unknown[] = [];
  const { error } = console;
  console.error = (...data: unknown[]) => void logged.push(...data);
  later(() => (console.error = error));
  const client = compat(await nowhere(), { maxRetries: 0 });
  await expect(client.connect()).rejects.toThrow('unable to connect');
  expect(logged).toEqual([expect.objectContaining({ code: 'CONNECT_FAILED' })]);
});
