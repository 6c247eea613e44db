import { describe, expect, it, vi } from 'vitest';
import { RelayPacketType } from '../../src/core/relay.js';
import { fakeTime, pass } from '../core/fake-time.js';
import { kit, packets, published, record, RELAY_2 } from './websocket-kit.js';

// The connection of a WebSocket brew to one relay: when it is made, what it holds and sends, when it ends. Relays are sockets of this process.

fakeTime();

it('a relay that was connected while the client tried another server is pinged as soon as its own server tells of a pair', async () => {
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

it('the idle timer of a connection that was refused does not close the next connection', async () => {
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

describe('a link', () => {
  it('dials again at once when a patron of a new brewer at that relay starts', async () => {
    const { network, read } = kit();
    read();
    network.last.open(RELAY_2);
    network.last.end();
    expect(network.sockets.length).toBe(1);
    read(3);
    expect(network.sockets.length).toBe(2);
  });

  it('holds messages while the relay is closing the connection, as the socket would drop them silently', async () => {
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

  it('sends the messages of one tick together, up to 64 KiB', async () => {
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

  it('accepts a frame of any length when nothing waits, and throws BUFFER_FULL when more than 16 MiB would wait', async () => {
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

  it('holds at most 16 MiB while it is not connected, and has room again when that is sent', async () => {
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

  it('ends the wait for a full socket when the brew is closed, and leaves no timer behind', async () => {
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

  it('is closed 5 s after a brewer has used it last', async () => {
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

  it('stays open while a patron uses it', async () => {
    const { network, read } = kit();
    read();
    read(2).stop();
    network.last.open(RELAY_2);
    read(3).stop();
    await pass(60_000);
    expect([network.last.closedBy, network.sockets.length]).toEqual([undefined, 1]);
  });

  it('is awaited by close() of the brew until the relay has answered the close', async () => {
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

  it('delivers the messages of a brewer to its other patrons when one has left', () => {
    const { network, read } = kit();
    const [first, second] = [read(), read(1, 'one', {}, 8)];
    network.last.open(RELAY_2);
    first.stop();
    network.last.deliver(record(1, 'x'));
    expect([first.texts, second.texts]).toEqual([[], ['x']]);
  });

  it('counts malformed packets from the relay, and delivers the next message', () => {
    const { network, dropped, read } = kit();
    const { texts } = read();
    network.last.open(RELAY_2);
    const lying = record(1, 'x');
    lying[4]!++;
    for (const message of [Uint8Array.of(1), lying, record(1, 'good')]) network.last.deliver(message);
    expect([dropped, texts]).toEqual([['malformed', 'malformed'], ['good']]);
  });

  it('joins a topic again when another pair comes with a ticket, as a restarted relay may have refused the earlier ticket', async () => {
    const { network, read } = kit();
    read(2, 'one', { ticket: 'aa' });
    network.last.open(RELAY_2);
    read(3);
    read(4, 'one', { ticket: 'bb' });
    await pass(0);
    const joins = packets(network.last).filter(({ type }) => type === 0);
    expect(joins.map(({ payload }) => payload.toString('hex'))).toEqual(['aa', 'bb']);
  });

  it('does not join a topic again that nobody reads any more', async () => {
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

  it.each([['one', RELAY_2, 1], ['another', RELAY_2, 0], ['one', 'pubkeeper-1.0.0', 0]])('to the relay at %s with the protocol %s sends %i pings: only the relay of the control server is pinged', async (hostname, protocol, asked) => {
    const { network, host, read } = kit();
    Object.assign(host, { heartbeatMs: 10_000 });
    read(1, hostname);
    network.last.open(protocol);
    await pass(0);
    expect(network.last.sent.filter((data) => data[0] === RelayPacketType.PING).length).toBe(asked);
  });
});

it('a relay that is dialled again is pinged also when a patron has started meanwhile', async () => {
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
