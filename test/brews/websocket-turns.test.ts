import { describe, expect, it, vi } from 'vitest';
import { WebSocketBrew } from '../../src/brews/websocket.js';
import type { BrewHost } from '../../src/core/brew.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { RelayPacketType } from '../../src/core/relay.js';
import { fakeTime, pass } from '../core/fake-time.js';
import { id, rawFrame, rejected } from '../helpers.js';
import { Network, type PairSocket } from '../socket-pair.js';

// Pairs of the WebSocket brew that end and begin while its relay is away. Relays are sockets of this process.

fakeTime();
const TOPIC = 'a.b';
const RELAY_2 = 'pubkeeper-relay-2';

function kit() {
  const network = new Network();
  const errors: PubkeeperError[] = [];
  const dropped: string[] = [];
  const host = {
    server: 'ws://one/ws',
    losses: 0,
    WebSocket: network.WebSocket,
    reconnect: { delayMs: 1000, maxDelayMs: 1000, stableMs: 5000, graceMs: 30_000, maxRetries: Infinity },
    logger: undefined,
    report: (error: PubkeeperError) => void errors.push(error),
    dropped: (reason: string) => void dropped.push(reason),
  } satisfies BrewHost;
  const brew = new WebSocketBrew();
  brew.attach(host);
  const start = (patron = 2, details: object = {}) => brew.startBrewer({ topic: TOPIC, brewerId: id(1), patronId: id(patron), details: { name: 'websocket', ...details } });
  const read = (brewer = 1, hostname = 'one', details: object = {}, patron = 9) => {
    const texts: string[] = [];
    const receive = (data: Uint8Array, retained?: boolean): void => void texts.push(Buffer.from(data.subarray(88)).toString() + (retained ? ' retained' : ''));
    const pair = { topic: TOPIC, brewerId: id(brewer), patronId: id(patron), details: { name: 'websocket', hostname, port: 80, ...details }, receive };
    return { texts, stop: brew.startPatron(pair) };
  };
  const say = (text: string) => brew.brew(id(1), rawFrame(TOPIC, id(1), text));
  return { network, errors, dropped, host, brew, start, read, say };
}

/** The packets that a relay got, by type and payload. */
function packets(socket: PairSocket): { type: number; payload: Buffer }[] {
  const all: { type: number; payload: Buffer }[] = [];
  for (const message of socket.sent) {
    const data = Buffer.from(message);
    for (let at = 0; at < data.length; ) {
      const end = at + 40 + data.readUInt32LE(at + 36);
      all.push({ type: data.readUInt16LE(at), payload: data.subarray(at + 40, end) });
      at = end;
    }
  }
  return all;
}

/** What was published to a relay. */
const published = (socket: PairSocket): string[] => packets(socket).flatMap(({ type, payload }) => (type === 2 ? payload.subarray(88).toString() : []));

/** What a relay sends: one frame as a record of relay protocol 2. */
function record(brewer: number, text: string, retained = false): Uint8Array {
  const frame = rawFrame(TOPIC, id(brewer), text);
  const head = Buffer.alloc(8);
  head.writeUInt16LE(retained ? 5 : 2, 0);
  head.writeUInt32LE(frame.length, 4);
  return Buffer.concat([head, frame]);
}

describe('a brewer whose pair ends and begins again at once', () => {
  it('what it brews then follows what it holds', async () => {
    const { network, host, start, say } = kit();
    const stop = start();
    network.last.open(RELAY_2);
    host.losses = 1;
    network.last.end();
    await pass(600);
    network.last.open(RELAY_2);
    void say('1');
    void say('2');
    stop();
    start();
    void say('3');
    await pass(0);
    expect(published(network.last)).toEqual(['1', '2', '3']);
  });

  it.each([1, 2])('elsewhere: what it holds goes along, before what it brews then (%d patrons)', async (patrons) => {
    const { network, host, brew, start, read, say } = kit();
    const stops = Array.from({ length: patrons }, (_, i) => start(i));
    read(5); // keeps the connection
    const first = network.last;
    first.open(RELAY_2);
    first.end();
    const held = say('held') as Promise<void>;
    Object.assign(host, { server: 'ws://two/ws', losses: 1 });
    stops.forEach((stop, i) => (stop(), start(i)));
    const next = say('next') as Promise<void>;
    await pass(600);
    for (const socket of network.sockets) if (!socket.readyState) socket.open(RELAY_2);
    await Promise.all([held, next]);
    await brew.close();
    const texts = (host: string): string[] => published(network.sockets.filter((socket) => socket.url.includes(host)).at(-1)!);
    expect([texts('one'), texts('two')]).toEqual([[], ['held', 'next']]);
  });

  it('one that has no pair any more brews nothing', async () => {
    const { network, start, say } = kit();
    const stop = start();
    network.last.open(RELAY_2);
    stop();
    expect(say('x')).toBeUndefined();
    await pass(0);
    expect(published(network.last)).toEqual([]);
  });
});

it('what a brewer that has gone brewed before there was a connection leaves with its ticket, without which the relay refuses it; and that once', async () => {
  const { network, start, read, say } = kit();
  read(5); // keeps the connection
  const stop = start(2, { ticket: 'abcd' });
  const held = say('held') as Promise<void>;
  stop();
  await pass(0);
  network.last.open(RELAY_2);
  await held;
  await pass(0);
  expect(packets(network.last).map(({ type, payload }) => (type === 4 ? payload.toString('hex') : type))).toEqual(['abcd', 0, 2]);
  network.last.end();
  await pass(600);
  network.last.open(RELAY_2);
  await pass(0);
  expect(packets(network.last).map(({ type }) => type)).toEqual([0]);
});

it.each(['another pair', 'a known pair'])('what waits until the server tells of %s leaves behind the ticket that comes with it, without which the relay refuses it', async (which) => {
  const { network, host, brew, start, say } = kit();
  start(2, { ticket: 'ab' });
  network.last.open(RELAY_2);
  host.losses = 1;
  network.last.end();
  await pass(600);
  network.last.open(RELAY_2);
  void say('held');
  if (which === 'another pair') start(3, { ticket: 'cd' });
  else brew.renew({ topic: TOPIC, brewerId: id(1), details: { name: 'websocket', ticket: 'cd' } }, true);
  await pass(0);
  expect(packets(network.last).map(({ type, payload }) => (type === 4 ? payload.toString('hex') : type))).toEqual(['ab', 'cd', 2]);
});

it('tickets are shown to each connection to the relay, and fresh ones at once', async () => {
  const { network, brew, start, read } = kit();
  start(2, { ticket: 'ab' });
  read(5, 'one', { ticket: 'cd' });
  const shown = (): string[] => packets(network.last).map(({ type, payload }) => `${type} ${payload.toString('hex')}`);
  for (let connection = 1; connection <= 3; connection++) {
    network.last.open(RELAY_2);
    await pass(0);
    expect(shown()).toEqual(['4 ab', '0 cd']);
    network.last.end();
    await pass(1000);
  }
  network.last.open(RELAY_2);
  brew.renew({ topic: TOPIC, brewerId: id(5), details: { name: 'websocket', hostname: 'one', port: 80, ticket: 'ef' } }, false);
  await pass(0);
  expect(shown()).toEqual(['4 ab', '0 cd', '0 ef']);
});

it('a brewer that has gone, and of which nothing waits for the connection, leaves no ticket behind', async () => {
  const { network, start, read } = kit();
  read(5); // keeps the connection
  start(2, { ticket: 'abcd' })();
  await pass(0);
  network.last.open(RELAY_2);
  await pass(0);
  expect(packets(network.last).map(({ type }) => type)).toEqual([0]);
});

it('a relay that was reached while the client tried another server is watched as soon as its own server tells of a pair', async () => {
  const { network, host, errors, read } = kit();
  Object.assign(host, { heartbeatMs: 200, server: 'ws://two/ws' });
  const first = read();
  network.last.open(RELAY_2);
  await pass(5000);
  expect([first.texts, errors, network.sockets.length]).toEqual([[], [], 1]);
  host.server = 'ws://one/ws';
  read(2);
  read(3);
  await pass(0);
  expect(packets(network.last).filter(({ type }) => type === 60)).toHaveLength(1);
  await pass(1000);
  expect(errors.map(({ message }) => message)).toEqual([expect.stringMatching(/^ws:\/\/one:80 did not answer within/)]);
});

it('brew() rejects where the callback of a patron of the same client has closed the brew', async () => {
  const { network, brew, start, say } = kit();
  start();
  network.last.open(RELAY_2);
  network.last.end();
  const receive = (): void => void brew.close();
  brew.startPatron({ topic: TOPIC, brewerId: id(1), patronId: id(3), details: { name: 'websocket', hostname: 'one', port: 80 }, receive });
  await rejected((async () => say('x'))(), 'BREW_FAILED');
});

it('a connection that has come to its end does not take its successor along', async () => {
  const { network, errors, brew, read } = kit();
  read().stop();
  network.last.open('mqtt');
  await pass(0);
  expect(errors.map(({ code }) => code)).toEqual(['SUBPROTOCOL_REFUSED']);
  read();
  network.last.open(RELAY_2);
  await pass(6000);
  expect(network.last.readyState).toBe(1);
  await brew.close();
  await pass(0);
  expect(network.sockets.map(({ readyState }) => readyState)).not.toContain(1);
});

describe('frames of a brewer that this client is not told of yet', () => {
  const joined = () => {
    const made = kit();
    made.read(1);
    made.network.last.open(RELAY_2);
    return made;
  };

  it('are given to its patrons when it is, each once, and are no loss', async () => {
    const { network, dropped, read } = joined();
    network.last.deliver(record(2, 'hello'));
    network.last.deliver(record(2, 'world'));
    const { texts } = read(2);
    network.last.deliver(record(2, 'live'));
    const other = read(2, 'one', {}, 8);
    await pass(2000);
    expect([texts, other.texts, dropped]).toEqual([['hello', 'world', 'live'], ['hello retained', 'world retained', 'live retained'], []]);
  });

  it('are none of those that it has published itself', async () => {
    const { network, dropped, start, read, say } = kit();
    start();
    network.last.open(RELAY_2);
    void say('x');
    expect(read().texts).toEqual([]);
    await pass(2000);
    expect(dropped).toEqual([]);
  });

  it('are not given twice where the relay repeats the last one to who joins by a ticket', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    const { texts } = read(2, 'one', { ticket: 'ab' });
    network.last.deliver(record(2, 'hello', true));
    network.last.deliver(record(2, 'hello'));
    expect(texts).toEqual(['hello', 'hello']);
  });

  it('are given to who leaves and comes back as what they are then: last values, each once', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    read(2).stop();
    const { texts } = read(2, 'one', { ticket: 'ab' });
    network.last.deliver(record(2, 'hello', true));
    expect(texts).toEqual(['hello retained']);
  });

  it.each([true, false])('are given once where the relay repeats the last one, since a topic was left and joined anew (retained at first: %s)', (retained) => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello', retained));
    network.last.deliver(record(2, 'hello', true));
    network.last.deliver(record(2, 'hello'));
    expect(read(2).texts).toEqual([retained ? 'hello retained' : 'hello', 'hello']);
  });

  it('are not given to who leaves and comes back when it has had what is newer', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    const { stop } = read(2);
    network.last.deliver(record(2, 'newer'));
    stop();
    expect(read(2).texts).toEqual([]);
  });

  it('that the relay had kept are last values, for as long as somebody reads that brewer', async () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'kept', true));
    expect([read(2).texts, read(2, 'one', {}, 8).texts]).toEqual([['kept retained'], ['kept retained']]);
    await pass(1000);
    expect(read(2).texts).toEqual(['kept retained']);
  });

  it('are dropped after a second, and those of others stay away', async () => {
    const { network, dropped, read } = joined();
    network.last.deliver(record(2, 'hello'));
    expect(read(3).texts).toEqual([]);
    await pass(999);
    expect(dropped).toEqual([]);
    await pass(1);
    expect([dropped, read(2).texts]).toEqual([['unknown-brewer'], []]);
    expect(vi.getTimerCount()).toBe(1); // that of a stable connection
  });

  it('are dropped with their connection, and leave no timer behind', async () => {
    const { network, dropped, brew } = joined();
    network.last.deliver(record(2, 'hello'));
    await brew.close();
    expect([dropped, vi.getTimerCount()]).toEqual([['unknown-brewer'], 0]);
  });

  it('are bounded in number and size: the oldest goes first', () => {
    const { network, dropped, read } = joined();
    for (let i = 0; i < 100; i++) network.last.deliver(record(2, String(i)));
    const { texts } = read(2);
    expect([texts.length, texts.at(-1), dropped.length]).toEqual([63, '99', 37]);
    for (let i = 0; i < 5; i++) network.last.deliver(record(3, String(i).repeat(1024 * 1024)));
    expect(read(3).texts.map((text) => text[0])).toEqual(['2', '3', '4']);
  });
});

describe('a link', () => {
  it('dials at once when a brewer has come whose relay that is', async () => {
    const { network, read } = kit();
    read();
    network.last.open(RELAY_2);
    network.last.end();
    expect(network.sockets.length).toBe(1);
    read(3);
    expect(network.sockets.length).toBe(2);
  });

  it('holds what is brewed while its relay is closing the connection, where a socket would drop it without a word', async () => {
    const { network, start, say } = kit();
    start();
    network.last.open(RELAY_2);
    network.last.readyState = 2;
    const held = say('held') as Promise<void>;
    network.last.end(1001);
    await pass(1000);
    network.last.open(RELAY_2);
    await held;
    await pass(0);
    expect(published(network.last)).toEqual(['held']);
  });

  it('puts what is brewed in one tick together, up to 64 KiB', async () => {
    const { network, start, say } = kit();
    start();
    network.last.open(RELAY_2);
    const texts = [30_000, 30_000, 30_000, 100, 70_000, 1].map((length, index) => String(index).repeat(length));
    for (const text of texts) void say(text);
    await pass(0);
    expect(published(network.last)).toEqual(texts);
    // Two headers each: of the packet and of the frame.
    expect(network.last.sent.map(({ length }) => length).filter((length) => length > 1000)).toEqual([60_256, 30_100 + 256, 70_128]);
  });

  it('takes one frame however long, where nothing waits; more than 16 MiB may not wait', async () => {
    const { network, start, say } = kit();
    start();
    network.last.open(RELAY_2);
    await pass(0);
    const sent = network.last.sent.length;
    void say('x'.repeat(17 * 1024 * 1024));
    await pass(0);
    expect(network.last.sent.slice(sent).map(({ length }) => length)).toEqual([17 * 1024 * 1024 + 128]);
    network.last.bufferedAmount = 1;
    expect(() => say('x'.repeat(16 * 1024 * 1024))).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }) as Error);
  });

  it('holds no more than 16 MiB while it is not connected, and has room again when that has left', async () => {
    const { network, start, say } = kit();
    start();
    const half = 'x'.repeat(9 * 1024 * 1024);
    const held = say(half);
    expect(() => say(half)).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }) as Error);
    network.last.open(RELAY_2);
    await held;
    await pass(0);
    network.last.end();
    await pass(1000);
    void say(half);
    network.last.open(RELAY_2);
    await pass(0);
    expect(published(network.last)).toEqual([half]);
  });

  it('lets nobody wait for a full socket that has ended, and leaves no timer behind', async () => {
    const { network, brew, start, say } = kit();
    start();
    network.last.open(RELAY_2);
    network.last.bufferedAmount = 8 * 1024 * 1024;
    const waiting = say('x');
    expect(waiting).toBeInstanceOf(Promise);
    const closed = brew.close();
    await pass(0);
    await Promise.all([waiting, closed]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is closed when no brewer has used it for a while', async () => {
    const { network, start } = kit();
    start()();
    network.last.open(RELAY_2);
    await pass(4000);
    start()();
    await pass(4999);
    expect(network.last.closedBy).toBeUndefined();
    await pass(1);
    expect([network.last.closedBy, network.sockets.length]).toEqual([1000, 1]);
  });

  it('is kept for as long as anybody uses it', async () => {
    const { network, read } = kit();
    read();
    read(2).stop();
    network.last.open(RELAY_2);
    read(3).stop();
    await pass(60_000);
    expect([network.last.closedBy, network.sockets.length]).toEqual([undefined, 1]);
  });

  it('is over when its relay has agreed: close() of the brew waits for that', async () => {
    const { network, brew, read } = kit();
    network.answersClose = false;
    read();
    network.last.open(RELAY_2);
    let closed = false;
    const closing = brew.close().then(() => (closed = true));
    await pass(500);
    expect([closed, network.last.closedBy]).toEqual([false, 1000]);
    network.last.end(1000);
    await closing;
  });

  it('goes on giving a brewer to the others when one of its patrons has left', () => {
    const { network, read } = kit();
    const [first, second] = [read(), read(1, 'one', {}, 8)];
    network.last.open(RELAY_2);
    first.stop();
    network.last.deliver(record(1, 'x'));
    expect([first.texts, second.texts]).toEqual([[], ['x']]);
  });

  it('counts what is no packet of the relay, and goes on', () => {
    const { network, dropped, read } = kit();
    const { texts } = read();
    network.last.open(RELAY_2);
    const lying = record(1, 'x');
    lying[4]!++;
    for (const message of [Uint8Array.of(1), lying, record(1, 'good')]) network.last.deliver(message);
    expect([dropped, texts]).toEqual([['malformed', 'malformed'], ['good']]);
  });

  it('joins a topic once more where another pair comes with a ticket: a relay that was started anew may have refused the one before', async () => {
    const { network, read } = kit();
    read(2, 'one', { ticket: 'aa' });
    network.last.open(RELAY_2);
    read(3);
    read(4, 'one', { ticket: 'bb' });
    await pass(0);
    const joins = packets(network.last).filter(({ type }) => type === 0);
    expect(joins.map(({ payload }) => payload.toString('hex'))).toEqual(['aa', 'bb']);
  });

  it('does not join again what nobody reads any more', async () => {
    const { network, read } = kit();
    const [first, second] = [read(2), read(3)];
    network.last.open(RELAY_2);
    first.stop();
    second.stop();
    await pass(0);
    network.last.end();
    await pass(1000);
    network.last.open(RELAY_2);
    await pass(0);
    expect([network.sockets.length, network.last.sent]).toEqual([2, []]);
  });

  it.each([['one', RELAY_2, 1], ['another', RELAY_2, 0], ['one', 'pubkeeper-1.0.0', 0]])('to the relay at %s that speaks %s is asked for signs of life %i times: that of the control server is', async (hostname, protocol, asked) => {
    const { network, host, read } = kit();
    Object.assign(host, { heartbeatMs: 10_000 });
    read(1, hostname);
    network.last.open(protocol);
    await pass(0);
    expect(network.last.sent.filter((data) => data[0] === RelayPacketType.PING).length).toBe(asked);
  });
});

it('a relay that is dialled again is asked for signs of life also where a patron has come meanwhile', async () => {
  const { network, host, read } = kit();
  Object.assign(host, { heartbeatMs: 10_000 });
  read();
  network.last.open(RELAY_2);
  network.last.end();
  read(3);
  network.last.open(RELAY_2);
  await pass(0);
  expect(packets(network.last).map(({ type }) => type)).toContain(RelayPacketType.PING);
});

describe('a brewer that was of this client and is of another one now, over a relay that does not say what it kept', () => {
  const own = () => {
    const made = kit();
    const one = made.read();
    const other = made.read();
    const stop = made.start();
    made.network.last.open('pubkeeper-1.0.0');
    void made.say('here');
    const deliver = (text: string): void => made.network.last.deliver(rawFrame(TOPIC, id(1), text));
    return { ...made, one, other, stop, deliver };
  };

  it('is heard by patrons that begin anew one after the other', async () => {
    const { one, other, stop, read, deliver } = own();
    stop();
    one.stop();
    const again = read();
    other.stop();
    await pass(0);
    deliver('there');
    expect([one.texts, other.texts, again.texts]).toEqual([['here'], ['here'], ['here retained', 'there']]);
  });

  it('what the relay kept of it does not overtake what it brews here', async () => {
    const { one, stop, start, say, deliver } = own();
    stop();
    start();
    deliver('before');
    void say('again');
    deliver('before');
    expect(one.texts).toEqual(['here', 'again']);
  });
});
