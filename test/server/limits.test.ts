// Every limit on a real server, but those of rates (rates.test.ts): what exceeds it is refused with a reason where possible, and counted, and
// the rest is served.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { AddressBook } from '../../src/server/address-book.js';
import { CloseCode, createServer } from '../../src/server/index.js';
import type { PubkeeperServer } from '../../src/server/index.js';
import { LIMITS } from '../../src/server/limits.js';
import { connect, joinRelay, later, openSocket, start, until } from './harness.js';
import { RawControl, RawRelay, dial, encodeRelay, newId, refusal } from './raw-client.js';

const WEB = [{ name: 'websocket' }];

/** A relay connection that joins a topic and then never reads again, on a real TCP socket that is paused. */
async function stalledReader(server: PubkeeperServer, topic: string): Promise<Socket> {
  const tcp = await openSocket(server.relayUrl, 'pubkeeper-1.0.0');
  const before = server.stats().topics;
  const join = encodeRelay(0, topic);
  // Masked with zeros, which changes nothing.
  tcp.write(Buffer.concat([Buffer.from([0x82, 0x80 | join.length, 0, 0, 0, 0]), join]));
  await until(() => server.stats().topics > before);
  tcp.pause();
  return tcp;
}

describe('connections', () => {
  it('send at most one packet before the client is authenticated', async () => {
    let admit: ((rights: undefined) => void) | undefined;
    const server = await start({ tokens: { authenticate: () => new Promise((resolve) => (admit = resolve)) } });
    const client = await RawControl.open(server.url);
    client.send(1, { token: 'x' });
    client.send(40, { brews: [], bridge_mode: false });
    expect(await client.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect((await client.closed).code).toBe(CloseCode.BAD_PACKET);
    admit!(undefined);
    // When this is answered, the server has handled the consequences of the refusal.
    await fetch(`http://127.0.0.1:${server.port}/healthz`);
    expect(server.stats().drops).toEqual({ 'before-auth': 1 });
  });

  it('from one address are limited, and when one ends the next is accepted', async () => {
    const told: unknown[] = [];
    const server = await start({ limits: { connectionsPerAddress: 2 }, relayPort: 0, logger: { warn: (text: unknown) => void told.push(text), error: () => undefined } });
    const [first] = [await joinRelay(server), await connect(server)];
    expect(await refusal(server.url)).toMatchObject({ status: 429, body: expect.stringContaining('too many') as string });
    expect(await refusal(server.relayUrl)).toMatchObject({ status: 429 });
    const crowded = await fetch(`http://127.0.0.1:${server.port}/healthz`);
    expect(crowded.status).toBe(429);
    expect(crowded.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(crowded.headers.get('connection')).toBe('close');
    expect(server.stats().drops).toEqual({ connections: 3 });
    // Once: whoever opens connections without end must not fill the log.
    expect(told).toEqual([expect.stringMatching(/^There are more than 2 connections from .*127\.0\.0\.1: .*--connections-per-address/)]);
    await first.close();
    await until(() => server.stats().relayConnections === 0);
    // A refused connection counts until it is closed, which no event tells.
    await vi.waitFor(() => connect(server), { timeout: 30_000 });
  });

  it('beyond twice the limit are destroyed at once', async () => {
    const server = await start({ limits: { connectionsPerAddress: 1 } });
    const idle = [0, 1].map(() => connectTcp(server.port, '127.0.0.1'));
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    const third = connectTcp(server.port, '127.0.0.1').on('error', () => undefined);
    await once(third, 'close');
    expect(server.stats().drops).toEqual({ connections: 1 });
    for (const socket of idle) socket.destroy();
  });

  it('count IPv4 addresses in any notation, IPv6 by /64, and are not limited on loopback by default', () => {
    const book = new AddressBook(undefined);
    const leave = book.enter('::ffff:192.0.2.1');
    expect(book.count('192.0.2.1')).toBe(1);
    leave();
    expect(book.count('192.0.2.1')).toBe(0);
    book.enter('2001:db8:0:1::1');
    book.enter('2001:db8:0:1:ffff::9');
    expect([book.count('2001:db8::1:0:0:0:5'), book.count('2001:db8:0:2::1')]).toEqual([2, 0]);
    expect([book.limit('127.0.0.1'), book.limit('::1'), book.limit('192.0.2.1')]).toEqual([Infinity, Infinity, 256]);
    expect(new AddressBook(5).limit('127.0.0.1')).toBe(5);
  });

  it('are told of again when an address has had half as many as it may, and each address by itself', () => {
    const book = new AddressBook(2);
    const leave = [0, 1, 2].map(() => book.enter('192.0.2.1'));
    expect([book.isNews('192.0.2.1'), book.isNews('::ffff:192.0.2.1'), book.isNews('192.0.2.2')]).toEqual([true, false, true]);
    leave[0]!();
    expect(book.isNews('192.0.2.1')).toBe(false);
    leave[1]!();
    expect([book.isNews('192.0.2.1'), book.isNews('192.0.2.1')]).toEqual([true, false]);
  });

  it('from loopback are not limited by default, as behind a proxy all clients seem to come from there', async () => {
    const server = await start();
    const idle = Array.from({ length: 300 }, () => connectTcp(server.port, '127.0.0.1'));
    later(async () => idle.forEach((socket) => void socket.destroy()));
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    await connect(server);
    expect(server.stats().drops).toEqual({});
  });
});

describe('the relay', () => {
  it('lets a connection join no more topics than allowed', async () => {
    const told: unknown[] = [];
    const server = await start({ limits: { joinedTopics: 2 }, logger: { warn: (text: unknown) => void told.push(text), error: () => undefined } });
    const relay = await joinRelay(server);
    for (const topic of ['a', 'b', 'a', 'c', 'd']) relay.join(topic);
    await relay.settled();
    expect(server.stats()).toMatchObject({ topics: 2, drops: { 'joined-topics': 2 } });
    // Once, and in the log, as the relay's protocol has no packet for it.
    expect(told).toEqual([expect.stringMatching(/^A relay connection from .*127\.0\.0\.1 has joined 2 topics and gets no data of others: raise limits\.joinedTopics/)]);
    relay.leave('a');
    relay.join('c');
    await relay.settled();
    expect(server.stats()).toMatchObject({ topics: 2, drops: { 'joined-topics': 2 } });
    expect(told).toHaveLength(1);
  });

  it('keeps no more last values than allowed', async () => {
    const server = await start({ limits: { retainedValues: 3, retainedBytes: 1000 } });
    const writer = await joinRelay(server);
    for (let i = 0; i < 10; i++) writer.publish(`t.${i}`, newId(), 'x');
    await writer.settled();
    expect(server.stats()).toMatchObject({ retained: 3, retainedBytes: 3 * 89 });
    writer.publish('big', newId(), 'x'.repeat(900));
    await writer.settled();
    expect(server.stats()).toMatchObject({ retained: 1, retainedBytes: 988 });
  });

  const LIMIT = 1024 * 1024;
  const BODY = 'x'.repeat(32 * 1024);

  /** Publishes until the reader counts as slow, and then `more` frames; the neighbour has to get all of them. */
  async function flood(server: PubkeeperServer, more: number): Promise<{ most: number; sent: number }> {
    const [neighbour, writer] = [await joinRelay(server), await joinRelay(server)];
    neighbour.join('a');
    await neighbour.settled();
    const id = newId();
    let most = 0;
    let sent = 0;
    for (let left = more; left > 0; sent++) {
      if (server.stats().drops['slow-reader']) left--;
      writer.publish('a', id, `${sent} ${BODY}`);
      expect(Number.parseInt(await neighbour.text())).toBe(sent);
      most = Math.max(most, server.stats().bufferedBytes);
    }
    return { most, sent };
  }

  it('gives a slow reader the newest of each topic when it reads again, and holds at most bufferedBytes for it', async () => {
    const server = await start({ limits: { bufferedBytes: LIMIT } });
    const tcp = await stalledReader(server, 'a');
    const { most, sent } = await flood(server, 50);
    expect(most).toBeGreaterThan(LIMIT / 2);
    expect(most).toBeLessThanOrEqual(LIMIT);
    expect(server.stats().relayConnections).toBe(3);
    let tail = '';
    const newest = new Promise<void>((resolve) => {
      tcp.on('data', (part: Buffer) => {
        tail = (tail + part.toString('latin1')).slice(-40_000);
        if (tail.includes(`${sent - 1} xxx`)) resolve();
      });
    });
    tcp.resume();
    await newest;
    expect(tail).not.toContain(`${sent - 2} xxx`);
    expect(server.stats().drops['slow-reader-frame']).toBeGreaterThanOrEqual(50);
  });

  it('holds only the last answer to the pings of a connection that never reads, and does not close it', async () => {
    const server = await start();
    const tcp = await stalledReader(server, 'a');
    // More than the network buffers take, so that an answer has to wait.
    const writer = await joinRelay(server);
    for (const id = newId(); !server.stats().bufferedBytes; await writer.settled()) writer.publish('a', id, 'x'.repeat(16_384));
    const frame = (type: number, body: Buffer): Buffer => Buffer.concat([Buffer.from([0x80 | type, 0x80 | body.length, 0, 0, 0, 0]), body]);
    const pings = Buffer.concat(Array<Buffer>(1_000).fill(frame(9, Buffer.alloc(125))));
    for (let i = 0; i < 200; i++) tcp.write(pings);
    tcp.write(frame(9, Buffer.from('the last')));
    tcp.write(frame(2, encodeRelay(0, 'b')));
    await until(() => server.stats().topics === 2 || server.stats().relayConnections === 1);
    expect(server.stats().relayConnections).toBe(2);
    expect(server.stats().drops).toEqual({});
    expect(server.stats().bufferedBytes).toBeGreaterThan(0);
    expect(server.stats().bufferedBytes).toBeLessThan(64 * 1024);
    let tail = '';
    const answered = new Promise<void>((resolve) => {
      tcp.on('data', (part: Buffer) => {
        tail = (tail + part.toString('latin1')).slice(-200_000);
        if (tail.includes('the last')) resolve();
      });
    });
    tcp.resume();
    await answered;
  });

  it('cuts a slow reader when slowReader is "cut"', async () => {
    const server = await createServer({ port: 0, limits: { slowReader: 'cut', bufferedBytes: LIMIT } });
    later(() => server.close());
    const tcp = await stalledReader(server, 'a');
    const started = performance.now();
    const { most } = await flood(server, 1);
    expect(most).toBeLessThanOrEqual(LIMIT + 200);
    await until(() => server.stats().relayConnections === 2);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(server.stats().drops['slow-reader']).toBe(1);
    tcp.destroy();
  });

  it('tells a slow reader why it is cut', async () => {
    const server = await start({ limits: { slowReader: 'cut', bufferedBytes: 64 * 1024 } });
    const deaf = new RawRelay(await dial(server.relayUrl, ['pubkeeper-1.0.0']));
    deaf.join('a');
    await deaf.settled();
    deaf.socket.pause();
    const writer = await joinRelay(server);
    const id = newId();
    while (!server.stats().drops['slow-reader']) {
      for (let i = 0; i < 20; i++) writer.publish('a', id, BODY);
      await writer.settled();
    }
    deaf.socket.resume();
    expect(await deaf.closed).toEqual({ code: CloseCode.SLOW_READER, reason: 'Too much data is waiting to be read: read faster, or join fewer topics.' });
  });
});

it('16 MiB may wait for a control client, as no packet can be left out; with more it is cut, and told why', async () => {
  // The client has two seconds to read all that and the reason, which is too short on a machine that halts.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  later(async () => void vi.useRealTimers());
  const server = await start();
  const [brewing, deaf] = [await connect(server), await connect(server)];
  const brews = [{ name: 'b' }];
  brewing.send(10, { topic: 'a', brewer_id: newId(), brewer_config: { filling: 'x'.repeat(500_000) }, brews });
  await brewing.expect(22);
  deaf.socket.pause();
  // Each answer has half a megabyte.
  const register = (count: number): void => {
    for (let i = 0; i < count; i++) deaf.send(20, { topic: 'a', patron_id: newId(), brews });
  };
  register(24);
  await until(() => server.stats().patrons === 24);
  expect(server.stats().drops).toEqual({});
  register(76);
  await until(() => server.stats().drops['slow-reader'] === 1);
  deaf.socket.resume();
  expect(await deaf.closed).toEqual({ code: CloseCode.SLOW_READER, reason: 'Too much data is waiting to be read: read faster, or join fewer topics.' });
  await until(() => server.stats().clients === 1);
  expect(server.stats()).toMatchObject({ patrons: 0, drops: { 'slow-reader': 1 } });
});

it('limits of 0 keep no last values, and allow no `**`', async () => {
  const server = await start({ limits: { retainedValues: 0, retainedBytes: 0, doubleWildcards: 0 } });
  const [client, relay] = [await connect(server), await joinRelay(server)];
  relay.publish('a', newId(), 'x');
  await relay.settled();
  expect(server.stats()).toMatchObject({ published: 1, retained: 0, retainedBytes: 0 });
  const patron_id = newId();
  client.send(20, { topic: 'a.**', patron_id, brews: WEB });
  expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id });
  client.send(20, { topic: 'a.*', patron_id, brews: WEB });
  expect(await client.expect(12)).toEqual({ patron_id, brewers: [] });
});

it('the defaults are those of docs/operations.md', async () => {
  const docs = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const of = (name: keyof typeof LIMITS): string => LIMITS[name][0].toLocaleString('en');
  const mebibytes = (name: keyof typeof LIMITS): string => `${LIMITS[name][0] / 1024 ** 2} MiB`;
  for (const row of [
    `| time to authenticate, packets until then | 5 s (\`authMs\`), ${of('packetsBeforeAuth')} of`,
    `| connections per address | ${of('connectionsPerAddress')}; loopback: no limit.`,
    `| registrations, joined topics per connection | ${of('registrations')} each;`,
    `| registrations, joined topics per connection | ${of('joinedTopics')} each;`,
    `| pairs that a connection's registrations make | ${of('pairs')} `,
    `| bytes of a connection's registrations, brews of one | ${mebibytes('registeredBytes')} (\`registeredBytes\`), ${of('brewsPerRegistration')} `,
    `| a topic: characters, segments, \`**\` | ${of('topicLength')}, ${of('topicSegments')}, ${of('doubleWildcards')} |`,
    `| control packets, pings and pongs per second | ${of('packetsPerSecond')} and bursts of ${of('packetBurst')};`,
    `| relay messages, pings and pongs, bytes per second | ${of('relayMessagesPerSecond')}, ${mebibytes('relayBytesPerSecond')};`,
    `| last values: number, bytes | ${of('retainedValues')}, ${mebibytes('retainedBytes')} |`,
    `| bytes that wait for a reader of the relay | ${mebibytes('bufferedBytes')}, or one longer message;`,
  ]) expect(docs).toContain(`\n${row}`);
});

it('invalid limits are refused', async () => {
  for (const limits of [{ registrations: 0 }, { topicLength: 1.5 }, { bufferedBytes: -1 }, { registration: 3 } as object]) {
    await expect(createServer({ port: 0, limits })).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('limits.') as string });
  }
});
