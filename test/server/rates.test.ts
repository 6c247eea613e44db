// How much a connection may send in a second: what exceeds it is read later, and nothing is lost.
import { once } from 'node:events';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Bucket } from '../../src/server/bucket.js';
import { connect, joinRelay, openSocket, start, until } from './harness.js';
import { RawRelay, newId } from './raw-client.js';

const WEB = [{ name: 'websocket' }];

it('rates are kept by a bucket that saves up to its burst', () => {
  let [now, looks] = [0, 0];
  const bucket = new Bucket(10, 5, () => (looks++, now));
  expect(Array.from({ length: 5 }, () => bucket.take(1))).toEqual([0, 0, 0, 0, 0]);
  // A client that stays below its rate costs nothing.
  expect(looks).toBe(1);
  expect(bucket.take(1)).toBe(100);
  now = 100;
  expect(bucket.take(1)).toBe(100);
  now = 100_000;
  expect(Array.from({ length: 5 }, () => bucket.take(1))).toEqual([0, 0, 0, 0, 0]);
  expect(bucket.take(20)).toBeGreaterThan(1000);
});

it('rates slow a client down that exceeds them, and lose nothing', async () => {
  // The clock stands still: else a machine that halts would give time enough for all packets.
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await start({ limits: { packetsPerSecond: 1_000, packetBurst: 10 } });
  const client = await connect(server);
  const ids = Array.from({ length: 40 }, newId);
  client.atOnce(() => ids.forEach((patron_id) => client.send(20, { topic: 'a', patron_id, brews: WEB })));
  const answered: unknown[] = [];
  let told = 0;
  while (answered.length < ids.length) {
    const { type, payload } = await client.next();
    if (type === 12) answered.push(payload['patron_id']);
    else {
      expect([type, payload['code']]).toEqual([99, 'LIMIT_EXCEEDED']);
      told++;
    }
  }
  expect(answered).toEqual(ids);
  expect(told).toBeGreaterThan(0);
  expect(server.stats().drops['packet-rate']).toBe(told);
});

it('rates limit messages and bytes on the relay', async () => {
  for (const limits of [{ relayMessagesPerSecond: 100 }, { relayBytesPerSecond: 2048 }]) {
    const server = await start({ limits });
    const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
    reader.join('a');
    await reader.settled();
    const [id, texts] = [newId(), Array.from({ length: 30 }, (_value, index) => `${index}`.padEnd(100))];
    writer.atOnce(() => {
      for (let i = 0; i < 200 && 'relayMessagesPerSecond' in limits; i++) writer.leave('b');
      for (const text of texts) writer.publish('a', id, text);
    });
    for (const text of texts) expect(await reader.text()).toBe(text);
    expect(server.stats().drops['relay-rate']).toBeGreaterThan(0);
  }
});

it('rates count text messages, which the relay drops', async () => {
  const server = await start({ limits: { relayMessagesPerSecond: 100 } });
  const writer = await joinRelay(server);
  for (let i = 0; i < 300; i++) writer.socket.send('x');
  await writer.settled();
  expect(server.stats().drops['relay-text']).toBe(300);
  expect(server.stats().drops['relay-rate']).toBeGreaterThan(0);
});

it('rates count pings and pongs as messages, also before authentication, and only the last of pings that come together is answered', async () => {
  // Masked with zeros, which changes nothing.
  const ping = (text: string): Buffer => Buffer.concat([Buffer.from([0x89, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
  const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
  for (const flood of [ping('ping'), pong]) {
    const server = await start({ limits: { packetsPerSecond: 200, packetBurst: 100, relayMessagesPerSecond: 100 } });
    for (const [url, reason] of [[server.url, 'packet-rate'], [server.relayUrl, 'relay-rate']] as const) {
      const tcp = await openSocket(url);
      tcp.write(Buffer.concat([...Array<Buffer>(300).fill(flood), ping('last')]));
      let answers = '';
      while (!answers.includes('last')) answers += ((await once(tcp, 'data')) as [Buffer])[0].toString('latin1');
      expect(server.stats().drops[reason]).toBe(1);
      expect(answers.split('ping').length - 1).toBeLessThan(300);
    }
  }
});

it('rates let other clients have their turns while one registers much that takes long', async () => {
  let asked = 0;
  // As long as a `**` takes with many thousand brewers.
  const mayRead = (): boolean => {
    asked++;
    for (const began = performance.now(); performance.now() - began < 20; );
    return true;
  };
  const server = await start({ tokens: { authenticate: (token) => ({ mayRead: token === 'greedy' ? mayRead : () => true, mayWrite: () => true }) } });
  const [greedy, other] = [await connect(server, { token: 'greedy' }), await connect(server, { token: 'other' })];
  other.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: WEB });
  await other.expect(22);
  const ids = Array.from({ length: 20 }, () => newId());
  for (const id of ids) greedy.send(20, { topic: 'a', patron_id: id, brews: WEB });
  await other.settled();
  expect(asked).toBeLessThan(ids.length);
  // The packets are handled later, but in order, as is the ping.
  await greedy.settled();
  expect(asked).toBe(ids.length);
  for (const id of ids) expect(await greedy.expect(12)).toMatchObject({ patron_id: id });
});

it('rates let other clients have their turns while strangers send without end', async () => {
  const server = await start();
  const other = await joinRelay(server);
  // Two bytes that are not a packet, masked with zeros.
  const most = 40_000;
  const flood = Buffer.alloc(8 * most, Buffer.from([0x82, 0x82, 0, 0, 0, 0, 1, 2]));
  const strangers = await Promise.all([0, 1].map(() => openSocket(server.relayUrl, 'pubkeeper-1.0.0')));
  // A fast machine would do all of it within the time of one turn, so the clock goes faster.
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => 1_000 * now());
  onTestFinished(() => clock.mockRestore());
  for (const tcp of strangers) tcp.write(flood);
  await other.settled();
  const total = most * strangers.length;
  expect(server.stats().drops['relay-packet']).toBeLessThan(total / 2);
  // The packets are handled later, but all of them.
  await until(() => server.stats().drops['relay-packet'] === total);
});

it('rates do not make a connection count as silent that is read later, however long that takes', async () => {
  const server = await start({ heartbeatMs: 100, limits: { packetsPerSecond: 20, packetBurst: 1, relayBytesPerSecond: 20_000 } });
  const [client, reader, writer] = [await connect(server), await joinRelay(server), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  for (const text of ['first', 'second']) writer.publish('a', newId(), text.padEnd(20_000));
  for (let i = 0; i < 20; i++) client.send(20, { topic: 'a', patron_id: newId(), brews: WEB });
  expect((await reader.text()).trim()).toBe('first');
  expect((await reader.text()).trim()).toBe('second');
  // The connections rest for about a second, four times as long as silence may last.
  await Promise.all([writer.settled(), client.settled()]);
  expect(writer.socket.readyState).toBe(writer.socket.OPEN);
  expect(server.stats()).toMatchObject({ clients: 1, relayConnections: 2 });
  expect(server.stats().drops).not.toHaveProperty('silent');
});

it('rates answer the PINGs of a relay connection that is read later, as a page would else take its relay for dead', async () => {
  const server = await start({ heartbeatMs: 100, limits: { relayBytesPerSecond: 20_000 } });
  const writer = await RawRelay.open(server.relayUrl, ['pubkeeper-relay-2']);
  const ping = Buffer.alloc(40);
  ping.writeUInt16LE(60, 0);
  writer.socket.send(ping);
  const sign = Buffer.from([60, 0, 0, 0, 0, 0, 0, 0]);
  expect(await writer.next()).toEqual(sign);
  // The connection rests for about a second.
  writer.publish('a', newId(), 'x'.repeat(40_000));
  await until(() => server.stats().drops['relay-rate'] === 1);
  const rested = writer.settled();
  for (let i = 0; i < 3; i++) expect(await Promise.race([writer.next(), rested])).toEqual(sign);
  await rested;
});
