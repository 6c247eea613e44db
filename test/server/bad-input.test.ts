// Bad input is refused with a reason and counted, and the server continues.
import fc from '../fast-check.js';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CloseCode } from '../../src/server/index.js';
import { connect, joinRelay, start, until } from './harness.js';
import { RawControl, dial, encodeControl, encodeFrame, encodeRelay, newId, refusal } from './raw-client.js';

const WEB = [{ name: 'websocket' }];

/** Control packets that are not valid. */
const MALFORMED: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['half a header', Buffer.alloc(5)],
  ['a truncated payload', encodeControl(20, { topic: 'a', patron_id: newId(), brews: [] }).subarray(0, -3)],
  ['more than it says', Buffer.concat([encodeControl(40, { brews: [], bridge_mode: false }), Buffer.from('x')])],
  ['a length that lies', Buffer.from([20, 0, 255, 255, 1, 255, 255, 0, 0x7b, 0x7d])],
  ['no JSON', Buffer.from([20, 0, 2, 0, 1, 0, 0, 0, 0x7b, 0x7b])],
  ['no UTF-8', Buffer.from([20, 0, 2, 0, 1, 0, 0, 0, 0xff, 0xfe])],
  ['a list', encodeControl(20, [])],
  ['null', encodeControl(10, null)],
  ['an id that is none', encodeControl(20, { topic: 'a', patron_id: '../x', brews: [] })],
  ['brews that are none', encodeControl(20, { topic: 'a', patron_id: newId(), brews: [1] })],
  ['a topic that is a number', encodeControl(10, { topic: 1, brewer_id: newId(), brewer_config: {}, brews: [] })],
  ['a packet of servers', encodeControl(12, { patron_id: newId(), brewers: [] })],
];

/** Those of them that are registrations with an id. They are answered like every registration. */
const BEARS_ID = new Set(['brews that are none', 'a topic that is a number']);

describe('before authentication', () => {
  it('answers a wrong token with AUTHENTICATED(false), then an ERROR with the reason, then a close', async () => {
    const server = await start();
    for (const token of ['wrong', '', '__proto__', server.token!.slice(1)]) {
      const client = await RawControl.open(server.url);
      client.send(1, { token });
      expect(await client.expect(2)).toEqual({ authenticated: false });
      const error = await client.expect(99);
      expect(error).toMatchObject({ code: 'UNAUTHORIZED' });
      if (token) expect(error['message']).not.toContain(token);
      expect((await client.closed).code).toBe(CloseCode.UNAUTHORIZED);
    }
    expect(server.stats().drops).toEqual({ unauthorized: 4 });
  });

  // A well-formed packet that may not be the first one is a different error than a malformed packet.
  const early = ['a packet of servers', 'a later packet', 'a PING'];
  it.each([...MALFORMED, ['a later packet', encodeControl(40, { brews: [], bridge_mode: false })] as const, ['a PING', encodeControl(60, {})] as const])(
    'closes on %s',
    async (what, bytes) => {
      const server = await start();
      const client = await RawControl.open(server.url);
      client.socket.send(bytes);
      expect(await client.expect(99)).toMatchObject({ code: early.includes(what) ? 'PROTOCOL_ERROR' : 'PACKET_INVALID' });
      expect((await client.closed).code).toBe(CloseCode.BAD_PACKET);
      expect(server.stats().drops).toEqual({ 'control-packet': 1 });
    },
  );

  it('closes on a packet that is longer than 64 KiB, and accepts any token up to that length', async () => {
    const longest = 'x'.repeat(0xffff - '{"token":""}'.length);
    const server = await start({ tokens: { [longest]: [], [`${longest}x`]: [] } });
    const client = await RawControl.open(server.url);
    client.send(1, { token: `${longest}x` });
    expect(await client.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect((await client.closed).code).toBe(CloseCode.BAD_PACKET);
    expect(server.stats().drops).toEqual({ 'before-auth': 1 });
    for (const version of ['1.0', '1.1'] as const) expect(await connect(server, { version, token: longest })).toBeDefined();
  });

  it('closes on a text message', async () => {
    const server = await start();
    const client = await RawControl.open(server.url);
    client.socket.send('hello');
    expect(await client.expect(99)).toMatchObject({ code: 'PACKET_INVALID' });
    expect((await client.closed).code).toBe(CloseCode.BAD_PACKET);
  });

  it('closes when no token comes in time', async () => {
    // The fake clock moves when the connection is open, however long that takes on a busy machine.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const server = await start({ authMs: 30 });
    const client = await RawControl.open(server.url);
    vi.advanceTimersByTime(29);
    const timely = await connect(server);
    vi.advanceTimersByTime(1);
    expect(await client.expect(99)).toMatchObject({ code: 'TIMEOUT' });
    expect((await client.closed).code).toBe(CloseCode.AUTH_TIMEOUT);
    vi.advanceTimersByTime(1_000);
    await timely.settled();
    expect(server.stats().drops).toEqual({ 'auth-timeout': 1 });
  });

  it('handles packets that were sent right after the token in order', async () => {
    const server = await start({ tokens: { authenticate: (token) => Promise.resolve(token === 'slow' ? { mayRead: () => true, mayWrite: () => true } : undefined) }, limits: { packetsBeforeAuth: 51 } });
    const client = await RawControl.open(server.url);
    client.send(1, { token: 'slow' });
    for (let i = 0; i < 50; i++) client.send(20, { topic: 'a', patron_id: String(i).padStart(32, '0'), brews: WEB });
    await client.expect(2);
    for (let i = 0; i < 50; i++) expect(await client.expect(12)).toEqual({ patron_id: String(i).padStart(32, '0'), brewers: [] });
  });

  it('closes the connection when the authenticator throws', async () => {
    const faults: unknown[] = [];
    const logger = { warn: () => undefined, error: (...data: unknown[]) => void faults.push(data) };
    const server = await start({ logger, tokens: { authenticate: (token) => (token ? Promise.reject(new Error('boom')) : fail()) } });
    for (const token of ['async', '']) {
      const client = await RawControl.open(server.url);
      client.send(1, { token });
      expect((await client.closed).code).toBe(CloseCode.SERVER_FAULT);
    }
    // The message has all that is needed, as pino prints nothing else.
    expect(faults).toEqual(Array(2).fill(['A control connection ended by a fault of the server: boom', new Error('boom')]));
  });
});

function fail(): never {
  throw new Error('boom');
}

describe('after authentication', () => {
  it('answers each malformed packet with an ERROR, and handles the next packet', async () => {
    const server = await start();
    const client = await connect(server);
    for (const [what, bytes] of MALFORMED) {
      client.socket.send(bytes);
      expect(BEARS_ID.has(what) ? await client.refused() : await client.expect(99), what).toMatchObject({ code: 'PACKET_INVALID' });
    }
    client.socket.send('text');
    expect(await client.expect(99)).toMatchObject({ code: 'PACKET_INVALID' });
    client.send(1, { token: server.token });
    expect(await client.expect(99)).toMatchObject({ code: 'PROTOCOL_ERROR' });
    // These are ignored: unknown types, bridging, states, errors.
    client.send(50, {});
    client.send(30, {});
    client.send(41, { brew: 'websocket', state: 'x' });
    client.send(99, { message: 'I do not like this' });
    const patron_id = newId();
    client.send(20, { topic: '**', patron_id, brews: WEB });
    expect(await client.expect(12)).toEqual({ patron_id, brewers: [] });
    expect(server.stats().drops).toEqual({ 'control-packet': MALFORMED.length, 'control-text': 1, 'control-unknown': 2 });
  });

  it.each([
    ['brews of names only', 20, { topic: 'a', brews: ['websocket'] }],
    ['no brews', 20, { topic: 'a' }],
    ['no topic', 20, { brews: WEB }],
    ['a brew without a name', 10, { topic: 'a', brewer_config: {}, brews: [{ hostname: 'x' }] }],
    ['a brewer_config that is a text', 10, { topic: 'a', brewer_config: 'x', brews: WEB }],
  ])('answers a registration with %s like every registration, in its turn, and leaves an earlier one of that id as it was', async (_, type, payload) => {
    const server = await start();
    const [client, other] = [await connect(server), await connect(server)];
    const [key, notify] = type === 10 ? (['brewer_id', 22] as const) : (['patron_id', 12] as const);
    const [id, before, after] = [newId(), newId(), newId()];
    // Dashed and in upper case on the way in; the answers bear ids as they are on the wire.
    const dashed = id.toUpperCase().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const good = (of: string) => client.send(type, { topic: 'q', [key]: of, brewer_config: {}, brews: [{ name: 'x' }] });
    good(before);
    client.send(type, { ...payload, [key]: dashed });
    good(after);
    expect(await client.expect(notify)).toMatchObject({ [key]: before });
    expect(await client.refused()).toMatchObject({ code: 'PACKET_INVALID', [key]: id });
    expect(await client.expect(notify)).toMatchObject({ [key]: after });
    good(id);
    expect(await client.expect(notify)).toMatchObject({ [key]: id });
    client.send(type, { ...payload, [key]: id });
    await client.refused();
    const [peer, told] = type === 10 ? ([{ patron_id: newId() }, 'brewers'] as const) : ([{ brewer_id: newId(), brewer_config: {} }, 'patrons'] as const);
    other.send(30 - type, { topic: 'q', brews: [{ name: 'x' }], ...peer });
    const matched = (await other.expect(type === 10 ? 12 : 22))[told] as Record<string, unknown>[];
    expect(matched.map((each) => each[key]).sort()).toEqual([before, id, after].sort());
    expect(server.stats().drops).toEqual({ 'control-packet': 2 });
  });

  it('refuses a brewer without the right to write, a pattern in place of a topic, and a malformed pattern', async () => {
    const server = await start({ tokens: { t: [{ topic: 'open.*', read: true, write: true }] } });
    const client = await connect(server, { token: 't' });
    const [brewer_id, patron_id] = [newId(), newId()];
    for (const [topic, code] of [
      ['closed.x', 'FORBIDDEN'],
      ['open.*', 'TOPIC_INVALID'],
      ['', 'TOPIC_INVALID'],
      ['open..x', 'TOPIC_INVALID'],
      ['__proto__', 'FORBIDDEN'],
    ]) {
      client.send(10, { topic, brewer_id, brewer_config: {}, brews: WEB });
      const error = await client.refused();
      expect(error).toMatchObject({ code, brewer_id });
      expect((error['message'] as string).length).toBeGreaterThan(20);
    }
    client.send(20, { topic: 'a.***', patron_id, brews: WEB });
    expect(await client.refused()).toMatchObject({ code: 'PATTERN_INVALID', patron_id });
    client.send(20, { topic: 'closed.*', patron_id, brews: WEB });
    expect(await client.expect(12)).toEqual({ patron_id, brewers: [] });
  });

  it('treats names of Object.prototype as any other name', async () => {
    const server = await start();
    const [b, p] = [await connect(server), await connect(server)];
    const [brewer_id, patron_id] = [newId(), newId()];
    const json = (text: string): unknown => JSON.parse(text);
    b.send(10, {
      topic: 'constructor.__proto__',
      brewer_id,
      brewer_config: json('{"__proto__": {"polluted": 1}, "constructor": 2}'),
      brews: [{ name: '__proto__', details: json('{"__proto__": 3}') }],
    });
    await b.expect(22);
    p.send(20, { topic: 'constructor.*', patron_id, brews: [{ name: '__proto__' }] });
    expect(await p.expect(12)).toMatchObject({ brewers: [{ topic: 'constructor.__proto__', brew: { name: '__proto__' } }] });
    expect(Object.keys(await b.expect(22))).toEqual(['brewer_id', 'patrons']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('closes on a message that is too long, with 1009 and a reason', async () => {
    const tooLong = { code: 1009, reason: 'A message is longer than this server accepts (maxMessageBytes): send it in parts.' };
    const server = await start({ maxMessageBytes: 2000 });
    const client = await connect(server);
    client.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'x'.repeat(3000) }] });
    expect(await client.closed).toMatchObject(tooLong);
    const relay = await joinRelay(server);
    relay.join('a');
    relay.publish('a', newId(), 'x'.repeat(2000));
    relay.publish('a', newId(), 'x'.repeat(3000));
    expect(await relay.closed).toMatchObject(tooLong);
    expect(server.stats()).toMatchObject({ published: 1, drops: { 'too-long': 2 } });
  });

  it('survives any bytes on control and relay connections', async () => {
    const server = await start();
    const client = await connect(server);
    const relay = await joinRelay(server);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Close to real packets: a correct header before any JSON.
      fc.tuple(fc.constantFrom(1, 2, 10, 11, 12, 20, 21, 22, 30, 40, 41, 60, 99), fc.json()).map(([type, json]) => encodeControl(type, JSON.parse(json))),
    );
    for (const message of fc.sample(bytes, 1500)) {
      client.socket.send(message);
      relay.socket.send(message);
    }
    await Promise.all([client.settled(), relay.settled()]);
    const other = await connect(server);
    await other.settled();
    expect(server.stats()).toMatchObject({ clients: 2, relayConnections: 1, retained: 0 });
  });
});

describe('the relay', () => {
  it('counts malformed messages, and handles the next one', async () => {
    const server = await start();
    const relay = await joinRelay(server);
    relay.socket.send('text');
    relay.socket.send(Buffer.alloc(10));
    relay.socket.send(encodeRelay(9, 'a'));
    relay.socket.send(encodeRelay(2, 'a', Buffer.from('no frame')));
    relay.socket.send(encodeRelay(2, 'a', encodeFrame('b', newId(), 'x')));
    relay.join('a');
    await relay.settled();
    expect(relay.inbox.waiting).toEqual([]);
    expect(server.stats()).toMatchObject({
      topics: 1,
      published: 0,
      drops: { 'relay-text': 1, 'relay-packet': 2, 'relay-frame': 1, 'relay-topic': 1 },
    });
  });

  it('cuts a reader that does not read, and delivers everything to another reader', async () => {
    const server = await start({ limits: { slowReader: 'cut' } });
    const [slow, healthy, publisher] = [await joinRelay(server), await joinRelay(server), await joinRelay(server)];
    for (const reader of [slow, healthy]) {
      reader.join('a');
      await reader.settled();
    }
    slow.socket.pause();
    const id = newId();
    const text = 'x'.repeat(1024 * 1024);
    let sent = 0;
    while (!server.stats().drops['slow-reader'] && sent < 200) {
      publisher.publish('a', id, text);
      sent++;
      expect((await healthy.text()).length).toBe(text.length);
    }
    expect(server.stats().drops).toMatchObject({ 'slow-reader': 1 });
    // The close frame may not arrive behind the data that waits; the connection ends within two seconds.
    await until(() => server.stats().relayConnections === 2);
    slow.socket.resume();
    expect([CloseCode.SLOW_READER, 1006]).toContain((await slow.closed).code);
  }, 30_000);
});

describe('handshakes', () => {
  it('are refused with a status and a reason', async () => {
    const server = await start();
    const base = server.url.slice(0, -3);
    const known = 'None of the subprotocols offered is known here; known are pubkeeper-1.1, pubkeeper-1.0, pubkeeper-relay-2, pubkeeper-1.0.0.\n';
    expect(await refusal(server.url, ['mqtt'])).toEqual({ status: 400, body: known });
    expect(await refusal(`${base}/nowhere`)).toMatchObject({ status: 404, body: expect.stringContaining('/brew') as string });
    const foreign = await refusal(server.url, ['pubkeeper-1.1'], { origin: 'https://evil.example' });
    expect(foreign).toMatchObject({ status: 403, body: expect.stringContaining('"https://evil.example" may not connect') as string });
    const file = await refusal(server.url, ['pubkeeper-1.1'], { origin: 'null' });
    expect(file).toMatchObject({ status: 403, body: expect.stringContaining('opened as a file') as string });
    const page = await dial(server.url, ['pubkeeper-1.1'], { origin: 'http://localhost:3000' });
    page.terminate();
    expect(server.stats().drops).toEqual({ handshake: 4 });
  });

  it.each([
    ['no key', 'GET', ['Sec-WebSocket-Version: 13'], 400, 'Missing or invalid Sec-WebSocket-Key header.'],
    ['another version', 'GET', ['Sec-WebSocket-Version: 12', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], 400, 'Missing or invalid Sec-WebSocket-Version header.'],
    ['another method', 'POST', ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], 405, 'Invalid HTTP method.'],
  ])('with %s are refused, counted and in the log', async (_, method, lines, status, sentence) => {
    const told: unknown[] = [];
    const server = await start({ logger: { warn: (line: unknown) => void told.push(line), error: (line: unknown) => void told.push(line) } });
    const tcp = connectTcp(server.port, '127.0.0.1').on('error', () => undefined);
    tcp.write([`${method} /ws HTTP/1.1`, 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', ...lines, '', ''].join('\r\n'));
    const answer = Buffer.concat((await tcp.toArray()) as Buffer[]).toString();
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\r\nSec-WebSocket-Version: 13, 8\r\n[^]*\r\n\r\n${sentence}\n$`));
    expect(/\r\nAllow: (.*)\r\n/.exec(answer)?.[1]).toBe(status === 405 ? 'GET' : undefined);
    expect(server.stats().drops).toEqual({ handshake: 1 });
    expect(told).toEqual([`A WebSocket from 127.0.0.1 was refused: ${sentence}`]);
  });

  it('may write the values of Connection and Upgrade in any case', async () => {
    const server = await start();
    const tcp = connectTcp(server.port, '127.0.0.1').on('error', () => undefined);
    tcp.write('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n');
    expect(String((await once(tcp, 'data'))[0])).toMatch(/^HTTP\/1\.1 101 /);
    tcp.destroy();
  });

  it('from clients that are gone when they are refused do no harm', async () => {
    const server = await start();
    const handshake = 'GET /none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    for (let i = 1; i <= 20; i++) {
      const rude = connectTcp(server.port, '127.0.0.1').on('error', () => undefined);
      await once(rude, 'connect');
      rude.write(handshake, () => rude.resetAndDestroy());
      await until(() => server.stats().drops['handshake'] === i);
    }
    await connect(server);
  });

  it('are refused or accepted by a custom rule for origins', async () => {
    const server = await start({ allowOrigin: (origin) => origin === 'https://good.example' });
    expect(await refusal(server.url, ['pubkeeper-1.1'], { origin: 'http://localhost' })).toMatchObject({ status: 403 });
    (await dial(server.url, ['pubkeeper-1.1'], { origin: 'https://good.example' })).terminate();
  });

  it('from raw sockets that send nonsense, hang up or want another upgrade do no harm', async () => {
    const server = await start();
    const handshake = [
      'GET /ws HTTP/1.1',
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ];
    const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
    const texts = [
      '\0\0\0nonsense\r\n\r\n',
      head('GET /ws HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: h2c'),
      head(...handshake.slice(0, 5)),
      head(...handshake.slice(0, 4)),
      head(...handshake, 'Sec-WebSocket-Protocol: pubkeeper-1.1, pubkeeper-1.1'),
      // A valid handshake, then frames that break the WebSocket protocol: reserved bits, no mask, a torn close.
      `${head(...handshake)}\xff\xff\xff\xff`,
      `${head(...handshake)}\x82\x01x`,
      `${head(...handshake)}\x88\x81\0\0\0\0x`,
    ];
    for (const text of texts) {
      const socket = connectTcp(server.port, '127.0.0.1');
      socket.on('error', () => undefined);
      const closed = once(socket, 'close');
      socket.resume();
      socket.write(Buffer.from(text, 'latin1'));
      await closed;
      // And a connection that is reset in the middle of it.
      const rude = connectTcp(server.port, '127.0.0.1');
      rude.on('error', () => undefined);
      await once(rude, 'connect');
      rude.write(Buffer.from(text, 'latin1').subarray(0, text.length / 2));
      rude.resetAndDestroy();
    }
    const client = await connect(server);
    await client.settled();
    expect(server.stats().clients).toBe(1);
    expect(server.stats().drops.websocket).toBe(3);
  });
});
