import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { MemoryBrew } from '../../src/brews/memory.js';
import { PubkeeperClient, WebSocketBrew } from '../../src/compat/index.js';
import { WebSocketBrew as SdkBrew } from '../../src/index.js';
import { settle } from '../helpers.js';
import { compat, counting, deferred, Gateway, Inbox, JWT, nowhere, relayOf, serve, text } from './helpers.js';

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

  it('does not connect by itself', async () => {
    const { WebSocket, urls } = counting();
    const client = compat('ws://127.0.0.1:9', { WebSocket });
    await settle();
    expect([client.status, urls]).toEqual([PubkeeperClient.DISCONNECTED, []]);
  });
});

describe('the options', () => {
  it.each([
    [undefined, ['pubkeeper-1.1', 'pubkeeper-1.0']],
    ['pubkeeper-1.0', ['pubkeeper-1.0']],
    [['pubkeeper-1.0'], ['pubkeeper-1.0']],
    [['pubkeeper-1.1'], ['pubkeeper-1.1']],
    [['pubkeeper-1.0', 'pubkeeper-1.1'], ['pubkeeper-1.0', 'pubkeeper-1.1']],
    // A WebSocket would refuse a name that is given twice.
    [['pubkeeper-1.0', 'pubkeeper-1.0'], ['pubkeeper-1.0']],
  ])('protocols: %j offers %j', async (protocols, offered) => {
    const server = await serve();
    const gateway = await Gateway.open(server.url);
    const client = compat(server, { server: gateway.url, protocols });
    client.addPatron('some.topic');
    await client.connect();
    expect(gateway.offered).toEqual([offered]);
  });

  it.each([[''], ['1.1'], ['pubkeeper-1.1,pubkeeper-1.0'], [[]], [['pubkeeper-1.1', 'pubkeeper-2.0']], [5], [{}], [new Set(['pubkeeper-1.1'])]])(
    'protocols: %j is refused, as a server would refuse it later, or not at all',
    (protocols: unknown) => {
      expect(() => compat('ws://127.0.0.1:9', { protocols: protocols as string })).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID', message: 'protocols must be one or both of pubkeeper-1.1,pubkeeper-1.0.' }),
      );
    },
  );

  it.each([[null], ['websocket'], [[null]], [['websocket']], [[{}]], [[{ name: 5, connectBrewer: () => undefined }]], [[new WebSocketBrew({ name: null as never })]]])(
    'brews: %j is refused, since a brew needs a name',
    (brews: unknown) => {
      expect(() => compat('ws://127.0.0.1:9', { brews: brews as [] })).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('brews must list brews') as string }),
      );
    },
  );

  it.each([['WebSocketBrew', new SdkBrew()], ['MemoryBrew', new MemoryBrew()]])('a %s of the SDK’s own API is refused: it would be taken for a custom brew, and nothing ever be matched', (_name, brew) => {
    expect(() => compat('ws://127.0.0.1:9', { brews: [brew as never] })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: 'brews must be brews of pubkeeper/compat.' }),
    );
  });

  it.each([NaN, -1, '1000'])('maxRetries and maxTimeout of %j are refused, for a client and for a WebSocketBrew', (value) => {
    for (const name of ['maxRetries', 'maxTimeout']) {
      const retries = { [name]: value as number };
      const refusal = expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('maxRetries and maxTimeout must be numbers from 0 on, not') as string }) as Error;
      expect(() => compat('ws://127.0.0.1:9', retries)).toThrow(refusal);
      expect(() => compat('ws://127.0.0.1:9', { brews: [new WebSocketBrew(retries)] })).toThrow(refusal);
    }
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

  it('WebSocket without addEventListener makes connect() reject, with OPTION_INVALID as its cause', async () => {
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

  it('maxTimeout limits the waits, which are random so that clients do not come back together', async () => {
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
    // A client that disconnects does not affect the other.
    await clients[0]!.disconnect();
    const alone = deferred<string>();
    clients[1]!.addPatron('serves.1', (patron) => patron.on('message', (data) => alone.resolve(text(data))));
    expect(await alone.promise).toBe('of 1');
  });
});
