import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer, type Patron } from '../../src/compat/index.js';
import { compat, counting, deferred, Inbox, native, next, relayOf, serve, text } from './helpers.js';

describe('the properties', () => {
  it('are name, brewerConfig, patronConfig and metrics()', () => {
    const brew = new WebSocketBrew();
    expect(brew).toMatchObject({ name: 'websocket', brewerConfig: null, patronConfig: null });
    expect(brew.metrics()).toEqual({ recv: 0, sent: 0 });
    const brewerConfig = { hostname: 'relay.example', port: 8000, secure: true };
    const patronConfig = { region: 'north' };
    const named = new WebSocketBrew({ name: 'websocket-2', brewerConfig, patronConfig });
    expect(named).toMatchObject({ name: 'websocket-2', brewerConfig, patronConfig });
  });

  it('are refused by the client if they are invalid', () => {
    const brew = new WebSocketBrew({ brewerConfig: { hostname: 'a/b', port: 1 } });
    expect(() => compat('ws://127.0.0.1:9', { brews: [brew] })).toThrow(/hostname and a port/);
    // As in a page whose settings are missing: this must not mean the server's own relay, which was not named.
    for (const half of [{}, { hostname: 'relay.example' }, { port: 8000 }, { hostname: undefined, port: undefined, secure: undefined }]) {
      const missing = new WebSocketBrew({ brewerConfig: half as { hostname: string; port: number } });
      expect(() => compat('ws://127.0.0.1:9', { brews: [missing] })).toThrow(/hostname and a port/);
    }
  });
});

describe('the registration', () => {
  /** The packets of one type that a client sends. */
  async function registrations(brew: WebSocketBrew, type: number): Promise<Inbox<Record<string, unknown>>> {
    const server = await serve();
    const seen = new Inbox<Record<string, unknown>>();
    class Seeing extends WebSocket {
      override send(data: Uint8Array): void {
        if (data[0] === type) seen.put(JSON.parse(text(data.subarray(8))) as Record<string, unknown>);
        super.send(data);
      }
    }
    const client = compat(server, { brews: [brew], WebSocket: Seeing });
    client.on('error', () => undefined);
    client.addPatron('reg.*');
    client.addBrewer('reg.x');
    await client.connect();
    return seen;
  }
  const brewerConfig = { hostname: '127.0.0.1', port: 8000, secure: false };

  it('of a brewer has name, hostname, port and secure, and the cipher AES-CBC, mode 2', async () => {
    const registered = await (await registrations(new WebSocketBrew({ brewerConfig }), 10)).next();
    expect(registered).toMatchObject({ topic: 'reg.x', brews: [{ name: 'websocket', ...brewerConfig }] });
    const { cipher } = registered['brewer_config'] as { cipher: { mode: number; key: string } };
    expect(cipher.mode).toBe(2);
    expect(cipher.key).toMatch(/^[\da-f]{32}$/);
  });

  it('of a brewer has a number as port, also when brewerConfig has a text, as location.port is', async () => {
    const brew = new WebSocketBrew({ brewerConfig: { ...brewerConfig, port: '8000' } });
    expect(await (await registrations(brew, 10)).next()).toMatchObject({ brews: [{ name: 'websocket', ...brewerConfig }] });
    for (const [secure, port] of [[false, 80], [true, 443]] as const) {
      const usual = new WebSocketBrew({ brewerConfig: { ...brewerConfig, port: '', secure } });
      expect(await (await registrations(usual, 10)).next()).toMatchObject({ brews: [{ ...brewerConfig, port, secure }] });
    }
    for (const port of ['x', '65536']) {
      const wrong = new WebSocketBrew({ brewerConfig: { ...brewerConfig, port } });
      expect(() => compat('ws://127.0.0.1:9', { brews: [wrong] })).toThrow(/hostname and a port/);
    }
  });

  it.each([
    [true, ['true', 1, true]],
    [false, ['', 0, null, undefined, false]],
  ])('of a brewer has %s for secure, also when brewerConfig has a truthy or falsy value', async (secure, ways) => {
    for (const way of ways) {
      const brew = new WebSocketBrew({ brewerConfig: { ...brewerConfig, secure: way as boolean } });
      expect(await (await registrations(brew, 10)).next()).toMatchObject({ brews: [{ ...brewerConfig, secure }] });
    }
  });

  it('of a patron has the name and the patronConfig', async () => {
    const brew = new WebSocketBrew({ name: 'other', patronConfig: { region: 'north' } });
    const registered = await (await registrations(brew, 20)).next();
    expect(registered).toMatchObject({ topic: 'reg.*', brews: [{ name: 'other', region: 'north' }] });
  });

  it('of a brewer lists no brew without a brewerConfig, so that the client only subscribes', async () => {
    const registered = await (await registrations(new WebSocketBrew(), 10)).next();
    expect(registered).toMatchObject({ topic: 'reg.x', brews: [] });
  });
});

it('a brew is not made of an address outside of brewerConfig, where the brew of the SDK has it', () => {
  const address = { hostname: '127.0.0.1', port: 8000 };
  expect(() => new WebSocketBrew(address as object)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('takes brewerConfig: {') as string }));
});

it('a brew may be made of null, which is no options', () => {
  expect(new WebSocketBrew(null).name).toBe('websocket');
});

it('a brew without a brewerConfig receives messages of others', async () => {
  const server = await serve();
  const reader = compat(server, { brews: [new WebSocketBrew()] });
  const writer = compat(server);
  const texts = new Inbox<string>();
  reader.addPatron('sub.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
  const matched = deferred<Brewer>();
  writer.addBrewer('sub.x', (brewer) => matched.resolve(brewer));
  await Promise.all([reader.connect(), writer.connect()]);
  await (await matched.promise).brewText('read only');
  expect(await texts.next()).toBe('read only');
});

it('a brew with another name is matched only with brews of that name', async () => {
  const server = await serve();
  const brew = () => new WebSocketBrew({ name: 'ws-2', brewerConfig: relayOf(server) });
  const [reader, writer] = [compat(server, { brews: [brew()] }), compat(server, { brews: [brew()] })];
  const stranger = compat(server);
  const texts = new Inbox<string>();
  stranger.addPatron('named.*', () => texts.put('a stranger was matched'));
  reader.addPatron('named.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
  const matched = deferred<Brewer>();
  writer.addBrewer('named.x', (brewer) => matched.resolve(brewer));
  await Promise.all([reader.connect(), writer.connect(), stranger.connect()]);
  await (await matched.promise).brewText('named');
  expect(await texts.next()).toBe('named');
});

it('metrics() counts the messages that were received and sent', async () => {
  const server = await serve();
  const brews = [0, 1].map(() => new WebSocketBrew({ brewerConfig: relayOf(server) }));
  const [reader, writer] = brews.map((brew) => compat(server, { brews: [brew] }));
  const texts = new Inbox<string>();
  reader?.addPatron('count.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
  const matched = deferred<Brewer>();
  writer?.addBrewer('count.x', (brewer) => matched.resolve(brewer));
  await Promise.all([reader?.connect(), writer?.connect()]);
  const brewer = await matched.promise;
  for (const word of ['a', 'b', 'c']) {
    await brewer.brewText(word);
    await texts.next();
  }
  expect(brews.map((brew) => brew.metrics())).toEqual([
    { recv: 3, sent: 0 },
    { recv: 0, sent: 3 },
  ]);
});

describe('the option loopback', () => {
  async function loop(loopback: boolean | undefined) {
    const server = await serve();
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server), loopback });
    const client = compat(server, { brews: [brew] });
    const own = new Inbox<string>();
    const patron = deferred<Patron>();
    client.addPatron('loop.*', (matched) => {
      matched.on('message', (data) => own.put(text(data)));
      patron.resolve(matched);
    });
    const matched = deferred<Brewer>();
    client.addBrewer('loop.x', (brewer) => matched.resolve(brewer));
    await client.connect();
    const brewer = await matched.promise;
    await patron.promise;
    return { server, client, brew, brewer, own };
  }

  it('false: a brewer that could not be added does not count as own, so that another client may use its id', async () => {
    const server = await serve();
    const id = 'ab'.repeat(16);
    const crypto = new Map<unknown, never>([[7, (() => undefined) as never]]); // no constructor
    const client = compat(server, { brews: [new WebSocketBrew({ brewerConfig: relayOf(server), loopback: false })], crypto });
    const texts = new Inbox<string>();
    client.addPatron('loop.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
    await client.connect();
    expect(() => client.addBrewer('loop.x', { id, cipher: 7 })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    const other = compat(server, { brews: [new WebSocketBrew({ brewerConfig: relayOf(server) })] });
    other.addBrewer('loop.x', { id }, (brewer) => void brewer.brewText('of another'));
    await other.connect();
    expect(await texts.next()).toBe('of another');
  });

  it.each([undefined, true])('%s: patrons of a client get the messages of its brewers', async (loopback) => {
    const { brewer, own } = await loop(loopback);
    await brewer.brewText('to myself');
    expect(await own.next()).toBe('to myself');
  });

  it('false: patrons of a client get no messages and last values of its brewers, but those of other clients, as others get theirs', async () => {
    const { server, client, brew, brewer, own } = await loop(false);
    const other = compat(server);
    const others = new Inbox<string>();
    other.addPatron('loop.x', (patron) => patron.on('message', (data) => others.put(text(data))));
    const foreign = deferred<Brewer>();
    other.addBrewer('loop.y', (matched) => foreign.resolve(matched));
    const added = next(brewer, 'added');
    await other.connect();
    await added;
    await brewer.brewText('to others');
    expect(await others.next()).toBe('to others');
    // The relay has a last value now, which it sends to a patron that joins again.
    const late = deferred();
    client.addPatron('*.x', (patron) => {
      patron.on('message', (data) => own.put(text(data)));
      late.resolve();
    });
    await late.promise;
    await (await foreign.promise).brewText('from another');
    expect(await own.next()).toBe('from another');
    expect(own.all).toEqual(['from another']);
    expect(brew.metrics().recv).toBe(1);
  });
});

describe('a brew whose relay cannot be reached', () => {
  async function unreachable(options: { maxRetries?: number; listen?: boolean }) {
    const server = await serve();
    const gone = await serve();
    await gone.close();
    const { WebSocket, urls: dialled } = counting();
    const { maxRetries = Infinity, listen = true } = options;
    const brew = new WebSocketBrew({ brewerConfig: relayOf(gone), maxRetries, maxTimeout: 20, WebSocket });
    const ofBrew = new Inbox<string>();
    const ofClient = new Inbox<string>();
    if (listen) brew.on('error', ({ code }) => ofBrew.put(code));
    const writer = compat(server, { brews: [brew] });
    writer.on('error', ({ code }) => ofClient.put(code));
    const matched = deferred<Brewer>();
    writer.addBrewer('relay.x', { waitForBrews: 60_000 }, (brewer) => matched.resolve(brewer));
    const reader = native(server);
    const texts = new Inbox<string>();
    reader.on('error', () => undefined);
    reader.addPatron('relay.x', (data) => texts.put(text(data)));
    await Promise.all([reader.connect(), writer.connect()]);
    return { brewer: await matched.promise, brew, ofBrew, ofClient, dialled, gone, texts };
  }

  it('emits an error, and its client does not', async () => {
    const { ofBrew, ofClient } = await unreachable({});
    expect(await ofBrew.next()).toBe('CONNECT_FAILED');
    expect(ofClient.all).toEqual([]);
  });

  it('has its error emitted by its client when the brew has no listener', async () => {
    const { ofClient } = await unreachable({ listen: false });
    expect(await ofClient.next()).toBe('CONNECT_FAILED');
  });

  it('gives up after maxRetries retries, with its own WebSocket class', async () => {
    const { ofBrew, dialled } = await unreachable({ maxRetries: 2 });
    // One error for the outage, and one for the end.
    expect([await ofBrew.next(), await ofBrew.next()]).toEqual(['CONNECT_FAILED', 'CONNECT_FAILED']);
    expect(dialled).toHaveLength(3);
  });

  it('retries for ever by default, and then sends what waits', async () => {
    const { brewer, dialled, gone, texts } = await unreachable({});
    const sent = brewer.brewText('late');
    while (dialled.length < 5) await new Promise((resolve) => setImmediate(resolve));
    await serve({ port: gone.port });
    await sent;
    expect(await texts.next()).toBe('late');
  });
});
