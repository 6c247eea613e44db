import WebSocket from 'ws';
import { describe, expect, it, vi } from 'vitest';
import { Patron, PubkeeperClient, WebSocketBrew, type Brew, type Brewer, type ClientOptions } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { MemoryBrew } from '../src/brews/memory.js';
import { MqttBrew } from '../src/brews/mqtt.js';
import { NatsBrew } from '../src/brews/nats.js';
import { deferred } from './helpers.js';
import { client, cuttable, later, QUICK, serve, state } from './client-kit.js';

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

  it('refuses a user name or a password in the address without showing it, and accepts an @ after the host', () => {
    for (const [server, shown] of [['ws://me:secret@127.0.0.1/ws', '(use token)@127.0.0.1/ws'], ['me:secret@a', '(use token)@a'], ['ws://me:\nsecret@a', '(use token)@a'], [['ws://a', 'ws://:secret@a/@/b'], '(use token)@/b'], [[], ''], [undefined as never, 'undefined']] as const) {
      const message = `server must be a URL like ws://127.0.0.1:9898/ws or wss://..., not "${shown}".`;
      expect(() => client('', { server })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message }) as Error);
    }
    expect(() => client('', { server: ['ws://a/@b?c=d@e', 'wss://a?b@c'] })).not.toThrow();
  });

  it('accepts a URL object as the server, and ignores later changes of it', async () => {
    const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true }] } });
    later(() => server.close());
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
  ])('refuses two brews called %s, and accepts them under different names', (name, brews) => {
    expect(() => client('ws://127.0.0.1:9', { brews })).toThrow(
      expect.objectContaining({ code: 'BREW_DUPLICATE', message: `Two brews are called "${name}": give one another name.`, details: { name } }) as Error,
    );
    if (name === 'mqtt') client('ws://127.0.0.1:9', { brews: [new MqttBrew(), new MqttBrew({ name: 'another' })] });
    if (name === 'nats') client('ws://127.0.0.1:9', { brews: [new NatsBrew({ name: 'another' }), new NatsBrew()] });
  });

  it('refuses a brew, a patron or a brewer that a client has already', async () => {
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

  it.each([
    [{ brews: [WebSocketBrew] }, /new WebSocketBrew/],
    [{ brews: [{}] }, /must list brews/],
    [{ brews: [null] }, /must list brews/],
  ])('refuses brews that are not brew objects: %j', (options, sentence) => {
    const made = (): unknown => new PubkeeperClient({ server: 'ws://127.0.0.1:9', token: 'x', ...options } as unknown as ClientOptions);
    expect(made).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(sentence) as string }) as Error);
  });

  it('refuses a signal that is not an AbortSignal, and the client still connects', async () => {
    const plain = client((await serve()).url);
    const signal = {} as AbortSignal;
    await expect(plain.connect({ signal })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(plain.state).toBe('disconnected');
    const patron = new Patron('a');
    expect(() => plain.addPatron(patron, undefined, { signal })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    plain.addPatron(patron);
    await plain.connect();
  });

  it('treats null and undefined as options that are not given', async () => {
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

  it('disconnect() waits until all brews are closed, also when closing one of them fails', async () => {
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

  it('calls the token function for each connection', async () => {
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

  it('leaves no socket open after connect() and disconnect(), 100 times', async () => {
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
