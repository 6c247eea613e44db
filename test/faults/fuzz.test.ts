import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { decodeFrame } from '../../src/core/frame.js';
import { decodePacket } from '../../src/core/packet.js';
import { PubkeeperError } from '../../src/core/errors.js';
import { decodeRelayPacket, readRecords, readRelayPacket } from '../../src/core/relay.js';
import { Tickets } from '../../src/server/tickets.js';
import { PubkeeperClient } from '../../src/index.js';
import { rawFrame, sha256 } from '../helpers.js';
import { later, start, until } from '../server/harness.js';
import { RawControl, RawRelay, dial, encodeControl, encodeRelay } from '../server/raw-client.js';
import { heap, MiB, mutator, report, scale, total } from './kit.js';

const brewer = '00112233445566778899aabbccddeeff';
const patron = 'ffeeddccbbaa99887766554433221100';
const frame = rawFrame('t', brewer, 'payload');
const control = [
  encodeControl(1, { token: 't' }), encodeControl(2, { authenticated: true, heartbeat: 15_000 }),
  encodeControl(10, { topic: 't', brewer_id: brewer, brewer_config: { cipher: { mode: 2, key: '00'.repeat(16) } }, brews: [{ name: 'websocket', hostname: 'h', port: 1, secure: false }] }),
  encodeControl(11, { topic: 't', brewer_id: brewer }),
  encodeControl(12, { patron_id: patron, brewers: [{ topic: 't', brewer_id: brewer, brewer_config: {}, brew: { name: 'websocket' } }] }),
  encodeControl(13, { topic: 't', patron_id: patron, brewer_id: brewer }),
  encodeControl(20, { topic: 'a.*.**', patron_id: patron, brews: [{ name: 'websocket' }] }), encodeControl(21, { topic: 'a.*.**', patron_id: patron }),
  encodeControl(22, { brewer_id: brewer, patrons: [{ topic: 't', patron_id: patron, brew: { name: 'websocket' } }] }),
  encodeControl(40, { brews: ['websocket'], bridge_mode: false }), encodeControl(99, { message: 'm' }), encodeControl(60, {}),
];
const records = (type: number): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(type, 0);
  head.writeUInt32LE(frame.length, 4);
  return Buffer.concat([head, frame]);
};
const relayPackets = [encodeRelay(0, 't'), encodeRelay(1, 't'), encodeRelay(2, 't', frame), encodeRelay(4, 't', Buffer.alloc(88)), Buffer.concat([encodeRelay(0, 'u'), encodeRelay(2, 't', frame)])];

describe('mutated bytes', () => {
  const parsers: [string, readonly Uint8Array[], (bytes: Uint8Array) => unknown][] = [
    ['control packets', control, decodePacket],
    ['brew frames', [frame], decodeFrame],
    ['relay packets', relayPackets, decodeRelayPacket],
    ['relay messages', relayPackets, (bytes) => { for (let at = 0; at < bytes.length; ) [, at] = readRelayPacket(bytes, at); }],
    ['relay records', [records(2), records(5), Buffer.concat([records(2), records(5)])], (bytes) => readRecords(bytes, (one) => { if (one.length > bytes.length) throw new Error('longer than what came'); })],
    ['tickets', [new Tickets([Buffer.alloc(32)]).issue({ operation: 'join', topicHash: sha256('t') }, 2e9)], (bytes) => new Tickets([Buffer.alloc(32)]).check(bytes, { operation: 'join', topicHash: sha256('t') }, 1e9)],
  ];

  it.each(parsers)('%s: are parsed or refused with a PubkeeperError, throw nothing else, and leave no memory behind', async (name, seeds, parse) => {
    const count = scale(20_000, 1_000_000);
    const next = mutator(seeds, 11);
    for (let i = 0; i < 2_000; i++) attempt(parse, next());
    const before = await heap();
    let refused = 0;
    for (let i = 0; i < count; i++) if (!attempt(parse, next())) refused++;
    const grown = (await heap()) - before;
    report(`fuzz, ${name}`, { count, refused, grown });
    expect(grown).toBeLessThan(5 * MiB);
    // The mutations have an effect, and are not all nonsense.
    if (name !== 'relay records' && name !== 'tickets') expect(refused / count).toSatisfy((part: number) => part > 0.05 && part < 1);
  });

  function attempt(parse: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
    try {
      parse(bytes);
      return true;
    } catch (error) {
      if (!(error instanceof PubkeeperError)) throw error;
      return false;
    }
  }
});

const UNBOUND = { packetsPerSecond: 1e9, packetBurst: 1e9, relayMessagesPerSecond: 1e9, relayBytesPerSecond: 1e12, registrations: 1e6 };

describe('mutated messages on real sockets', () => {
  it('to the control server: each one that is refused is counted and reported, and the connection stays', async () => {
    const count = scale(3_000, 100_000);
    const faults: unknown[] = [];
    const server = await start({ limits: UNBOUND, logger: { warn: () => undefined, error: (...data) => faults.push(data) } });
    const client = await RawControl.open(server.url);
    await client.authenticate(server.token!);
    // The answers of the server are only counted, and not kept.
    let told = 0;
    client.socket.removeAllListeners('message');
    client.socket.on('message', (data: Buffer) => void (data.readUInt16LE(0) === 99 && told++));
    const next = mutator(control, 5);
    const send = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        client.socket.send(next());
        if (i % 500 === 499) await client.settled();
      }
      await client.settled();
    };
    await send(0, count / 10);
    const before = await heap();
    await send(count / 10, count);
    const { drops, controlConnections, clients } = server.stats();
    const grown = (await heap()) - before;
    report('fuzz, live, control server', { count, drops, told, grown });
    expect(faults).toEqual([]);
    expect({ controlConnections, clients }).toEqual({ controlConnections: 1, clients: 1 });
    expect(drops['control-packet']).toBeGreaterThan(count / 20);
    // Each refusal was reported by an ERROR packet; unknown types are only counted.
    expect(told).toBeGreaterThanOrEqual(total(drops) - (drops['control-unknown'] ?? 0));
    expect(grown).toBeLessThan(5 * MiB);
  });

  it.each([['pubkeeper-1.0.0'], ['pubkeeper-relay-2']])('to the relay (%s): each one is accepted or counted, and the connection stays', async (protocol) => {
    const count = scale(5_000, 100_000);
    const server = await start({ limits: UNBOUND });
    const relay = new RawRelay(await dial(server.relayUrl, [protocol]));
    relay.socket.removeAllListeners('message');
    const next = mutator(relayPackets, 9);
    let expected = 0;
    const before = await heap();
    for (let i = 0; i < count; i++) {
      const bytes = next();
      expected += refusals(bytes, protocol !== 'pubkeeper-1.0.0');
      relay.socket.send(bytes);
      if (i % 500 === 499) await relay.settled();
    }
    await relay.settled();
    const { drops, relayConnections } = server.stats();
    const grown = (await heap()) - before;
    report(`fuzz, live, relay ${protocol}`, { count, drops, expected, grown });
    expect(relayConnections).toBe(1);
    expect(total(drops)).toBe(expected);
    // Thousands of topics stay joined and retained, as the messages asked for.
    expect(grown).toBeLessThan(20 * MiB);
  });

  it('to the client, on control and on the relay: nothing is thrown, and a valid message is delivered afterwards', async () => {
    const count = scale(3_000, 100_000);
    const http = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, handleProtocols: (offered) => [...offered][0] ?? false });
    await once(http, 'listening');
    later(async () => {
      for (const socket of http.clients) socket.terminate();
      await new Promise<void>((done) => void http.close(() => done()));
    });
    const { port } = http.address() as AddressInfo;
    const sockets: { control?: WebSocket; relay?: WebSocket } = {};
    const details = { name: 'websocket', hostname: '127.0.0.1', port, secure: false };
    const notify = encodeControl(12, { patron_id: patron, brewers: [{ topic: 't', brewer_id: brewer, brewer_config: {}, brew: details }] });
    let registered: (() => void) | undefined;
    http.on('connection', (socket) => {
      if (socket.protocol === 'pubkeeper-relay-2') return void (sockets.relay = socket);
      sockets.control = socket;
      socket.on('message', (data: Buffer) => {
        const type = data.readUInt16LE(0);
        if (type === 1) socket.send(encodeControl(2, { authenticated: true }));
        if (type === 20) socket.send(notify);
        if (type === 20) registered?.();
      });
    });
    const heard: string[] = [];
    const client = new PubkeeperClient({ server: `ws://127.0.0.1:${port}/ws`, token: 't' });
    later(() => client.disconnect());
    const errors: unknown[] = [];
    client.on('error', (error) => errors.push(error.code));
    const reading = client.addPatron('t', (_, message) => heard.push(message.text()), { patronId: patron });
    await new Promise<void>((resolve, reject) => {
      registered = resolve;
      client.connect().catch(reject);
    });
    await until(() => sockets.relay?.readyState === WebSocket.OPEN);
    const pinged = async (socket: WebSocket): Promise<void> => {
      // The client may have closed a link that it no longer needs after a mutated packet.
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.ping();
      // Remove the other listener, too.
      const over = new AbortController();
      const { signal } = over;
      const events = ['pong', 'close'].map((event) => once(socket, event, { signal }));
      await Promise.race(events);
      over.abort();
      await Promise.allSettled(events);
    };
    // Without AUTHENTICATED, which might refuse the token: that would rightly end the client.
    const controlNext = mutator(control.filter((packet) => packet.readUInt16LE(0) !== 2), 21);
    const relayNext = mutator([records(2), records(5), Buffer.concat([records(2), records(2)])], 22);
    const before = await heap();
    for (let i = 0; i < count; i++) {
      const packet = controlNext();
      if (packet[0] !== 2) sockets.control!.send(packet);
      if (sockets.relay!.readyState === WebSocket.OPEN) sockets.relay!.send(relayNext());
      if (i % 500 === 499) await Promise.all([pinged(sockets.control!), pinged(sockets.relay!)]);
    }
    await Promise.all([pinged(sockets.control!), pinged(sockets.relay!)]);
    sockets.control!.send(encodeControl(13, { topic: 't', patron_id: patron, brewer_id: brewer }));
    sockets.control!.send(notify);
    await pinged(sockets.control!);
    // Mutated packets may have changed the details of the brewer: the client is matched again, and joins at the given relay.
    await until(() => reading.isMatched);
    const dropped = { ...reading.dropped };
    const errorCount = errors.length;
    errors.length = heard.length = 0;
    const grown = (await heap()) - before;
    report('fuzz, live, our client', { count, errors: errorCount, dropped, grown, state: client.state });
    expect(client.state).toBe('connected');
    expect(errorCount).toBeGreaterThan(0);
    expect(grown).toBeLessThan(5 * MiB);
    await until(() => sockets.relay?.readyState === WebSocket.OPEN);
    sockets.relay!.send(Buffer.concat([records(2)]));
    await until(() => heard.includes('payload'));
  });
});

/** How many parts of a message the relay must count as refused, according to the protocol. */
function refusals(bytes: Uint8Array, many: boolean): number {
  const view = Buffer.from(bytes);
  let refused = 0;
  let at = 0;
  do {
    if (view.length - at < 40) return refused + 1;
    const [type, length] = [view.readUInt16LE(at), view.readUInt32LE(at + 36)];
    if (![0, 1, 2, 4].includes(type) || length > view.length - at - 40) return refused + 1;
    const payload = view.subarray(at + 40, at + 40 + length);
    if (!many && at + 40 + length !== view.length) return 1;
    const isFrame = payload.length >= 88 && payload[0] === 1 && payload.readUInt32LE(84) === payload.length - 88;
    if (type === 2 && !(isFrame && payload.subarray(2, 34).equals(view.subarray(at + 4, at + 36)))) refused++;
    at += 40 + length;
  } while (many && at < view.length);
  return refused;
}
