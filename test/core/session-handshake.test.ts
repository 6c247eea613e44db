import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bytes, id, rejected } from '../helpers.js';
import { strictEncode } from '../strict-server.js';
import { PairBrew } from './scripted-control.js';
import { kit, server } from './session-kit.js';

// A session from the token to the answers to all registrations, and what makes connect() reject before that.

vi.setConfig({ testTimeout: 20_000 });

describe('before authentication', () => {
  it('a packet other than the answer and an ERROR, or of an unknown type, is reported and has no effect', async () => {
    const brewer = { topic: 'a.b', brewer_id: id(2), brewer_config: {}, brew: { name: 'x' } };
    server.options.mute = true;
    server.options.answer = ({ type }) => (type === 20 ? [{ type: 12, payload: { patron_id: id(1), brewers: [brewer] } }] : undefined);
    const { client, errors } = kit();
    const patron = client.addPatron('a.**', () => undefined, { patronId: id(1) });
    const connected = client.connect();
    await server.until(() => server.ofType(1).length === 1);
    server.send({ type: 12, payload: { patron_id: id(1), brewers: [brewer] } });
    server.send({ type: 77, payload: {} });
    await vi.waitFor(() => expect(errors.map(({ code, details }) => [code, details['type']])).toEqual([['PROTOCOL_ERROR', 12], ['PROTOCOL_ERROR', 77]]));
    expect(patron.isMatched).toBe(false);
    server.send({ type: 2, payload: { authenticated: true } });
    await connected;
    expect(patron.isMatched).toBe(true);
  });
});

describe('a server of another kind that picks the first subprotocol', () => {
  /** A WebSocket server that answers each message as `answer` says. */
  async function foreign(answer: (socket: WebSocket, data: Buffer) => void): Promise<string> {
    const other = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    other.on('connection', (socket) => socket.on('message', (data: Buffer) => answer(socket, data)));
    return `ws://127.0.0.1:${(other.address() as AddressInfo).port}/ws`;
  }

  it.each<[string, (socket: WebSocket, data: Buffer) => void]>([
    ['sends back what it receives', (socket, data) => socket.send(data)],
    ['sends text', (socket) => socket.send('{"error":"no JSON"}')],
    ['sends bytes that are no packet', (socket) => socket.send(bytes('no packet'))],
    ['sends an answer of the wrong shape', (socket) => socket.send(strictEncode({ type: 2, payload: { authenticated: 'yes' } }))],
  ])('and %s makes connect() reject with CONNECT_FAILED at once', async (_, answer) => {
    const url = await foreign(answer);
    const { client, errors } = kit({ server: url, connectTimeoutMs: 1_000_000 });
    const error = await rejected(client.connect(), 'CONNECT_FAILED');
    expect(error.message).toMatch(/^Cannot connect to ws:.*: check that a Pubkeeper server runs there\.$/);
    expect([error.details, errors, client.state]).toEqual([{ url }, [], 'disconnected']);
  });

  it('is left for the next server of the list', async () => {
    const { client, errors } = kit({ server: [await foreign((socket, data) => socket.send(data)), server.url], connectTimeoutMs: 1_000_000 });
    await client.connect();
    expect(errors.map(({ code }) => code)).toEqual(['CONNECT_FAILED']);
  });
});

describe('a brew that cannot say what to register', () => {
  it('is reported as BREW_FAILED, and the other registrations are sent', async () => {
    const brew = new PairBrew();
    const { client, errors } = kit({ brews: [brew] });
    let calls = 0;
    brew.patronDetails = () => {
      if (!calls++) throw new Error('not ready');
      return { name: 'x' };
    };
    client.addPatron('a', () => undefined);
    client.addPatron('b', () => undefined);
    await client.connect();
    expect(server.ofType(20).map(({ topic }) => topic)).toEqual(['b']);
    expect(errors).toMatchObject([{ code: 'BREW_FAILED', message: 'a cannot be registered.' }]);
  });
});

describe('the handshake', () => {
  it.each(['pubkeeper-1.1', 'pubkeeper-1.0'])('follows %s: a strict server finds no fault', async (subprotocol) => {
    server.options.subprotocol = subprotocol;
    const { client, errors } = kit();
    const patron = client.addPatron('a.**', () => undefined, { patronId: id(1).toUpperCase() });
    client.addPatron('plant.line_2.*.µ', () => undefined);
    const brewers = [client.addBrewer('a.b'), client.addBrewer('a.c', { cipher: 'aes-cbc' }), client.addBrewer('größe', { crypto: false })];
    await client.connect();
    expect(server.packets.map(({ type }) => type)).toEqual([1, 40, 20, 20, 10, 10, 10]);
    expect(server.ofType(1)).toEqual([{ token: 'secret' }]);
    expect(server.ofType(40)).toEqual([{ brews: ['x'], bridge_mode: false }]);
    expect(server.ofType(20)[0]).toEqual({ topic: 'a.**', patron_id: id(1), brews: [{ name: 'x' }] });
    expect(server.ofType(10)).toEqual(
      brewers.map((brewer) => ({ topic: brewer.topic, brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brews: [{ name: 'x' }] })),
    );
    client.removePatron(patron);
    client.removePatron(patron);
    client.removeBrewer(brewers[0]!);
    client.addPatron(patron);
    await server.until(() => server.ofType(11).length === 1 && server.ofType(20).length === 3);
    expect(server.ofType(21)).toEqual([{ topic: 'a.**', patron_id: id(1) }]);
    expect(server.ofType(11)).toEqual([{ topic: 'a.b', brewer_id: brewers[0]!.brewerId }]);
    expect([server.faults, errors]).toEqual([[], []]);
  });

  it('sends nothing for patrons and brewers that are added and removed at once', async () => {
    const { client } = kit();
    await client.connect();
    client.removePatron(client.addPatron('a', () => undefined));
    client.removeBrewer(client.addBrewer('b'));
    const last = client.addPatron('last', () => undefined);
    await server.until(() => server.ofType(20).some(({ patron_id }) => patron_id === last.patronId));
    const fence = client.addBrewer('fence');
    await server.until(() => server.ofType(10).some(({ brewer_id }) => brewer_id === fence.brewerId));
    expect([server.ofType(20).length, server.ofType(10).length, server.faults]).toEqual([1, 1, []]);
  });

  it('waits for the answer to every registration', async () => {
    const held: (() => void)[] = [];
    server.options.answer = (packet, socket) => {
      if (packet.type !== 10) return undefined;
      held.push(() => socket.send(strictEncode({ type: 22, payload: { brewer_id: packet.payload['brewer_id'], patrons: [] } })));
      return [];
    };
    const { client, errors } = kit();
    client.addBrewer('a');
    client.addBrewer('b');
    const connecting = client.connect();
    await server.until(() => held.length === 2);
    held[0]!();
    server.send({ type: 99, payload: { message: 'comes behind the answer' } });
    await vi.waitFor(() => expect(errors.length).toBe(1));
    expect(client.state).toBe('connecting');
    held[1]!();
    await connecting;
    expect(client.state).toBe('connected');
  });

  it('rejects with UNAUTHORIZED for a wrong token, and is not tried again', async () => {
    const { client, errors } = kit({ token: 'wrong', retryFirst: true });
    const error = await rejected(client.connect(), 'UNAUTHORIZED');
    expect([error.message, errors]).toEqual([expect.stringContaining('Give a valid one'), []]);
    expect(error.message + JSON.stringify(error.details)).not.toContain('wrong');
    expect([client.state, server.connections]).toEqual(['disconnected', 1]);
  });

  it('rejects with the message of the ERROR that the server sent before it closed', async () => {
    server.options.answer = () => undefined;
    server.options.mute = true;
    const { client } = kit();
    const connecting = client.connect();
    await server.until(() => server.ofType(1).length === 1);
    server.send({ type: 99, payload: { message: 'expired yesterday', code: 'UNAUTHORIZED' } });
    for (const socket of server.sockets) socket.close();
    expect((await rejected(connecting)).message).toContain('expired yesterday');
  });

  it('rejects with that message also when the server then answers that the token is refused', async () => {
    server.options.mute = true;
    const connecting = kit().client.connect();
    await server.until(() => server.ofType(1).length === 1);
    server.send({ type: 99, payload: { message: 'expired yesterday' } });
    server.send({ type: 2, payload: { authenticated: false } });
    expect((await rejected(connecting, 'UNAUTHORIZED')).message).toMatch(/does not accept this token.*expired yesterday/);
  });

  it('is not tried again after an ERROR with UNAUTHORIZED, also while the client reconnects', async () => {
    const { client } = kit({ reconnect: { delayMs: 1, maxDelayMs: 1 } });
    await client.connect();
    server.options.mute = true;
    const over = new Promise<void>((resolve) => void client.on('state', (state) => state === 'disconnected' && resolve()));
    server.kill();
    await server.until(() => server.ofType(1).length === 2);
    server.send({ type: 99, payload: { message: 'revoked', code: 'UNAUTHORIZED' } });
    for (const socket of server.sockets) socket.close();
    await over;
    expect(server.connections).toBe(2);
  });

  it.each(['', 'pubkeeper-2.0', 'mqtt'])('rejects with SUBPROTOCOL_REFUSED for the subprotocol %j, and is not tried again', async (subprotocol) => {
    server.options.subprotocol = subprotocol;
    const { client } = kit({ retryFirst: true });
    await rejected(client.connect(), 'SUBPROTOCOL_REFUSED');
    expect([client.state, server.offers.length]).toEqual(['disconnected', 1]);
    expect(server.packets).toEqual([]);
  });

  it('rejects with TIMEOUT when the server does not answer the token or a registration, and names that registration', async () => {
    // The same limit holds for opening the socket, which takes long on a busy machine: so the clock advances only after that.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    server.options.mute = true;
    const unanswered = rejected(kit({ connectTimeoutMs: 100 }).client.connect(), 'TIMEOUT');
    await server.until(() => server.ofType(1).length === 1);
    vi.advanceTimersByTime(100);
    const { message } = await unanswered;
    expect(message).toBe(`${server.url} did not authenticate within 100 ms.`);
    server.options.mute = false;
    server.options.answer = ({ type }) => (type === 10 ? [] : undefined);
    const { client } = kit({ connectTimeoutMs: 150 });
    client.addBrewer('never.answered');
    for (let i = 0; i < 1000; i++) client.addBrewer(`never.answered.${i}`);
    client.addPatron('answered', () => undefined);
    const answered = new Promise((resolve) => client.on('error', resolve));
    const refusal = rejected(client.connect(), 'TIMEOUT');
    await server.until(() => server.ofType(20).length === 1);
    server.send({ type: 99, payload: { message: 'comes behind the answer' } });
    await answered;
    vi.advanceTimersByTime(150);
    const refused = await refusal;
    // The message names one of them, `details.topics` all.
    expect(refused.message).toBe('The server did not answer all registrations within 150 ms, such as that of never.answered.');
    expect(refused.details['topics']).toHaveLength(1001);
    expect(client.state).toBe('disconnected');
  });

  it('rejects with CONNECTION_LOST when the server closes before it has answered', async () => {
    server.options.mute = true;
    const { client } = kit();
    const connecting = client.connect();
    await server.until(() => server.ofType(1).length === 1);
    server.kill();
    await rejected(connecting, 'CONNECTION_LOST');
  });
});

describe('the token', () => {
  it.each([
    ['a text', 'secret'],
    ['a function', () => 'secret'],
    ['a promise', async () => Promise.resolve('secret')],
  ])('may be %s', async (_, token) => {
    await kit({ token }).client.connect();
    expect(server.ofType(1)).toEqual([{ token: 'secret' }]);
  });

  const bad: [string, () => unknown][] = [
    ['throws', () => { throw new Error('no token today'); }],
    ['is rejected', () => Promise.reject(new Error('no token today'))],
    ['gives undefined', () => undefined],
    ['gives a number', () => 7],
    ['gives an empty text', async () => Promise.resolve('')],
  ];
  it.each(bad)('from a function that %s makes connect() reject with TOKEN_FAILED', async (_, token) => {
    const { client } = kit({ token: token as () => string });
    await rejected(client.connect(), 'TOKEN_FAILED');
    expect(server.packets).toEqual([]);
    expect(client.state).toBe('disconnected');
  });

  it.each([['a text', 'x'.repeat(70_000)], ['a function', () => 'x'.repeat(70_000)]])('as %s makes connect() reject with PACKET_TOO_LONG when it is too long for protocol 1.0', async (_, token) => {
    server.options.subprotocol = 'pubkeeper-1.0';
    await rejected(kit({ token }).client.connect(), 'PACKET_TOO_LONG');
  });

  it('is not sent when it comes after the connection has ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let give!: (token: string) => void;
    let isAsked!: () => void;
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    const { client } = kit({ token: () => new Promise((resolve) => ((give = resolve), isAsked())), connectTimeoutMs: 50 });
    const refusal = rejected(client.connect(), 'TIMEOUT');
    await asked;
    vi.advanceTimersByTime(50);
    const { message } = await refusal;
    expect(message).toBe('The token function did not answer within 50 ms.'); // the message blames the function, not the server
    give('secret');
    await client.disconnect();
    expect(server.packets).toEqual([]);
  });

  it('is not sent on the next connection either when it comes after its own has ended', async () => {
    const gives: ((token: string) => void)[] = [];
    const { client } = kit({ token: () => new Promise((resolve) => gives.push(resolve)), reconnect: { delayMs: 1, maxDelayMs: 1 } });
    const connecting = client.connect();
    await vi.waitFor(() => expect(gives.length).toBe(1));
    gives[0]!('secret');
    await connecting;
    await server.until(() => server.ofType(40).length === 1);
    server.kill();
    await vi.waitFor(() => expect(gives.length).toBe(2));
    server.kill();
    await vi.waitFor(() => expect(gives.length).toBe(3));
    gives[1]!('of before');
    await Promise.resolve();
    gives[2]!('secret');
    await server.until(() => server.ofType(40).length === 2);
    expect(server.ofType(1)).toEqual([{ token: 'secret' }, { token: 'secret' }]);
  });

  it('of an earlier connection does not end the present one when its function fails that late', async () => {
    const fails: ((error: Error) => void)[] = [];
    const { client, errors } = kit({ token: () => (fails.length === 1 ? 'secret' : new Promise((_, reject) => fails.push(reject))), retryFirst: true, reconnect: { delayMs: 1, maxDelayMs: 1 } });
    const connecting = client.connect();
    await vi.waitFor(() => expect(fails.length).toBe(1));
    server.kill();
    await connecting;
    fails[0]!(new Error('too late'));
    await client.connect();
    client.addPatron('a');
    await server.until(() => server.ofType(20).length === 1);
    expect([client.state, server.ofType(1).length, errors.map(({ code }) => code)]).toEqual(['connected', 1, ['CONNECTION_LOST']]);
  });
});
