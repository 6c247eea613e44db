import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/compat/index.js';
import { PubkeeperError } from '../../src/index.js';
import { compat, counting, deferred, Gateway, later, nowhere, serve, statuses } from './helpers.js';

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

  it('resolves when every registered brewer has its answer, and with wait: false before', async () => {
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

  it('keeps no promise of calls with wait: false that were refused', async () => {
    const client = compat(await serve(), { jwt: 'unknown' });
    client.on('error', () => undefined);
    const promises = (): number => queryObjects(Promise, { format: 'count' });
    const attempts = async (): Promise<void> => {
      // Not with `rejects`, which keeps the promise that it is given.
      for (let i = 0; i < 20; i++) await client.connect({ wait: false }).catch(() => undefined);
    };
    await attempts();
    const before = promises();
    await attempts();
    expect(client.status).toBe('dead');
    expect(promises() - before).toBeLessThan(20);
  });

  it('respects wait: false also in a listener of the status "connecting"', async () => {
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

  it.each([true, false])('rejects when disconnect() ends the attempt, also when another connect() follows (wait: %s)', async (wait) => {
    const { WebSocket, urls } = counting();
    const client = compat(await serve(), { WebSocket });
    const seen = statuses(client);
    const ended = client.connect({ wait });
    void client.disconnect();
    const other = client.connect({ wait });
    await expect(ended).rejects.toThrow(/^unable to connect$/);
    expect(await other).toBe(client);
    expect(seen).toEqual(['connecting', 'disconnected', 'connecting', 'connected']);
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
    // connect() may be called again.
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

  it('makes the client dead at once when the jwt is refused, without a retry', async () => {
    const server = await serve();
    const client = compat(server, { jwt: 'wrong' });
    client.on('error', () => undefined);
    await expect(client.connect()).rejects.toMatchObject({ message: 'unable to connect', cause: { code: 'UNAUTHORIZED' } });
    expect(client.status).toBe('dead');
  });

  it('rejects when disconnect() is called meanwhile, and the rejection need not be caught', async () => {
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

  it('in a listener is reported after the status that the listener heard, and makes connect({ wait: false }) reject', async () => {
    const server = await serve();
    const client = compat(server);
    const told: string[] = [];
    client.on('statuschange', ({ status }) => status === 'connected' && void client.disconnect());
    client.on('statuschange', ({ status }) => told.push(status));
    client.on('connected', () => told.push('(connected)')).on('closed', () => told.push('(closed)'));
    await expect(client.connect({ wait: false })).rejects.toThrow('unable to connect');
    expect(told).toEqual(['connecting', 'connected', '(connected)', 'disconnected', '(closed)']);
  });

  it('in a listener of "connected" causes no error event', async () => {
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
    const seen = statuses(client);
    await client.disconnect();
    expect([client.status, seen]).toEqual(['disconnected', []]);
  });
});

it('an error that nobody listens to is logged, and not thrown', async () => {
  const logged: unknown[] = [];
  const { error } = console;
  console.error = (...data: unknown[]) => void logged.push(...data);
  later(() => (console.error = error));
  const client = compat(await nowhere(), { maxRetries: 0 });
  await expect(client.connect()).rejects.toThrow('unable to connect');
  expect(logged).toEqual([expect.objectContaining({ code: 'CONNECT_FAILED' })]);
});
