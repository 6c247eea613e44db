import { WebSocket } from 'ws';
import { describe, expect, it, vi } from 'vitest';
import { WebSocketBrew, type Brewer, type Status } from '../../src/compat/index.js';
import { compat, counting, deferred, Gateway, Inbox, later, native, relayOf, serve, status, statuses, text } from './helpers.js';

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

  it.each([1001, 1011, 4000])('with %i means reconnecting, and then connected', async (code) => {
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
  ])('before all registrations are answered has the same effect: maxRetries %s, %s', async (maxRetries, expected) => {
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
    // The next attempt comes so late that the status cannot change because of it.
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

  it('with 1000 is not followed by another attempt, also when a brewed message has not been sent', async () => {
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

  it('by a server that goes away means reconnecting, and messages arrive when it is back', async () => {
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

  it('is followed by maxRetries retries, and then the client is dead', async () => {
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

  it('makes a client with maxRetries 0 dead, which the next connect() changes', async () => {
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

  it('leaves the client reconnecting when matched pairs are given up after 30 s', async () => {
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
