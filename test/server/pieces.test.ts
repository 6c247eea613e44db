// The small parts that use no sockets: packets for old connections, routes of handshakes, the heartbeat.
import { describe, expect, it } from 'vitest';
import { decodePacket } from '../../src/core/packet.js';
import type { BrewerInfo, Packet } from '../../src/core/packet.js';
import { CloseCode } from '../../src/server/close-codes.js';
import { Heartbeat } from '../../src/server/heartbeat.js';
import { OwnRelays } from '../../src/server/own-address.js';
import { isLoopback, mayConnect, readPath, readProtocols, routeMain, routeRelay } from '../../src/server/upgrade.js';
import type { UpgradeRequest } from '../../src/server/upgrade.js';
import { PING } from '../../src/core/packet.js';
import { encodeMessages, pong } from '../../src/server/wire.js';
import { strictEncode } from '../strict-server.js';
import { newId } from './raw-client.js';

it.each(['1.0', '1.1'] as const)('the answer to a PING is a packet of version %s', (version) => {
  expect(Buffer.from(pong(version))).toEqual(strictEncode({ type: PING, payload: {} }, version));
});

describe('encodeMessages', () => {
  const infos = (count: number, filling: number): BrewerInfo[] =>
    Array.from({ length: count }, () => ({
      topic: 'a.b',
      brewer_id: newId(),
      brewer_config: { note: 'µ'.repeat(filling) },
      brew: { name: 'websocket' },
    }));
  const patron_id = newId();
  const notify = (brewers: BrewerInfo[]): Packet => ({ type: 12, payload: { patron_id, brewers } });
  const decoded = (packet: Packet): ReturnType<typeof decodePacket>[] => encodeMessages(packet, '1.0').map((bytes) => decodePacket(bytes));

  it('sends one message when it fits', () => {
    const packet = notify(infos(3, 10));
    expect(encodeMessages(packet, '1.1').map((bytes) => decodePacket(bytes))).toEqual([packet]);
    expect(decoded(packet)).toEqual([packet]);
    expect(encodeMessages(notify(infos(1000, 100)), '1.1')).toHaveLength(1);
  });

  it.each([
    [1000, 10],
    [400, 100],
    [3, 16_000],
  ])('splits a BREWER_NOTIFY of %i brewers that is too long for version 1.0, in order', (count, filling) => {
    const list = infos(count, filling);
    const packets = decoded(notify(list));
    expect(packets.length).toBeGreaterThan(1);
    expect(packets.flatMap((packet) => (packet.type === 12 ? packet.payload.brewers : []))).toEqual(list);
  });

  it('splits a PATRON_NOTIFY too', () => {
    const patrons = Array.from({ length: 1000 }, () => ({ topic: 'a', patron_id: newId(), brew: { name: 'websocket' } }));
    const packets = decoded({ type: 22, payload: { brewer_id: patron_id, patrons } });
    expect(packets.length).toBeGreaterThan(1);
    expect(packets.flatMap((packet) => (packet.type === 22 ? packet.payload.patrons : []))).toEqual(patrons);
  });

  it('leaves out an element that never fits, reports that, and sends the rest', () => {
    const [huge] = infos(1, 40_000);
    const [small] = infos(1, 1);
    const [answer, error] = decoded(notify([huge!, small!]));
    expect(answer).toEqual(notify([small!]));
    expect(error).toMatchObject({ type: 99, payload: { code: 'PACKET_TOO_LONG', patron_id, brewer_id: huge!.brewer_id } });
    expect(decoded(notify([huge!]))[0]).toEqual(notify([]));
    const long = decoded({ type: 99, payload: { message: 'x'.repeat(70_000) } });
    expect(long).toMatchObject([{ type: 99, payload: { code: 'PACKET_TOO_LONG' } }]);
  });
});

describe('routes', () => {
  const request = (protocols: string[], path = '/', origin?: string, host = 'h:9898'): UpgradeRequest => ({ path, protocols, origin, host });

  it.each([
    [['pubkeeper-1.1', 'pubkeeper-1.0'], { kind: 'control', protocol: 'pubkeeper-1.1', version: '1.1' }],
    [['pubkeeper-1.0', 'pubkeeper-1.1'], { kind: 'control', protocol: 'pubkeeper-1.0', version: '1.0' }],
    [['other', 'pubkeeper-1.0.0'], { kind: 'relay', protocol: 'pubkeeper-1.0.0', version: 1 }],
    [['pubkeeper-relay-2', 'pubkeeper-1.0.0'], { kind: 'relay', protocol: 'pubkeeper-relay-2', version: 2 }],
    [['other'], { kind: 'refused', status: 400 }],
  ])('picks the first known protocol of %j', (protocols, route) => {
    expect(routeMain(request(protocols, '/anywhere'))).toMatchObject(route);
  });

  it('goes by the path without a subprotocol', () => {
    expect(routeMain(request([], '/ws'))).toEqual({ kind: 'control', protocol: '', version: '1.0' });
    expect(routeMain(request([], '/'))).toMatchObject({ kind: 'control' });
    expect(routeMain(request([], '/brew'))).toEqual({ kind: 'relay', protocol: '', version: 1 });
    expect(routeMain(request([], '/else'))).toMatchObject({ kind: 'refused', status: 404 });
  });

  it('treats everything on the relay’s own port as for the relay', () => {
    expect(routeRelay(request(['x', 'pubkeeper-1.0.0']))).toEqual({ kind: 'relay', protocol: 'pubkeeper-1.0.0', version: 1 });
    expect(routeRelay(request(['x', 'pubkeeper-relay-2']))).toEqual({ kind: 'relay', protocol: 'pubkeeper-relay-2', version: 2 });
    expect(routeRelay(request(['x']))).toEqual({ kind: 'relay', protocol: 'x', version: 1 });
    expect(routeRelay(request([]))).toEqual({ kind: 'relay', protocol: '', version: 1 });
    expect(routeRelay(request(['pubkeeper-1.1', 'pubkeeper-1.0']))).toEqual({ kind: 'relay', protocol: '', version: 1 });
    expect(routeRelay(request(['pubkeeper-1.0', 'pubkeeper-1.0.0']))).toEqual({ kind: 'relay', protocol: 'pubkeeper-1.0.0', version: 1 });
  });

  it('reads headers', () => {
    expect(readProtocols(' a, b ,,c')).toEqual(['a', 'b', 'c']);
    expect([readProtocols(undefined), readPath(undefined), readPath('/ws?x=1')]).toEqual([[], '/', '/ws']);
    expect(['http://h:1/ws?x=1', 'HTTPS://h', 'http://h?x', '//h/ws', '*'].map(readPath)).toEqual(['/ws', '/', '/', '//h/ws', '*']);
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', 'x.localhost']) expect(isLoopback(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '127.evil.com', 'localhost.evil.com', '10.0.0.1', '']) expect(isLoopback(host)).toBe(false);
  });

  it.each([
    [undefined, 'h:9898', true, true],
    // On loopback, a host name that is not this machine's was made to point here (DNS rebinding).
    ['http://h:9898', 'h:9898', false, true],
    ['http://H', 'h:80', false, true],
    ['https://h', 'h', false, true],
    ['https://h', 'h:443', false, true],
    ['http://localhost:9898', 'localhost:9898', true, true],
    ['http://[::1]:9898', '[::1]:9898', true, true],
    ['http://h:1', 'h:9898', false, false],
    ['http://localhost:3000', '127.0.0.1:9898', true, false],
    ['http://[::1]:3000', 'h:9898', true, false],
    ['https://evil.example', '127.0.0.1:9898', false, false],
    ['null', 'h:9898', false, false],
    ['file://', 'h:9898', false, false],
    ['nonsense', 'h:9898', false, false],
  ])('origin %s at host %s', (origin, host, onLoopback, elsewhere) => {
    expect(mayConnect(request([], '/', origin, host), true)).toBe(onLoopback);
    expect(mayConnect(request([], '/', origin, host), false)).toBe(elsewhere);
  });
});

describe('Heartbeat', () => {
  it('pings once per interval, and cuts after more than 2 and at most 2.5 intervals of silence', () => {
    const heartbeat = new Heartbeat();
    const log: string[] = [];
    const connection = (name: string) => ({
      received: 0,
      ping: () => void log.push(`ping ${name}`),
      cut: () => void log.push(`cut ${name}`),
    });
    const [dead, alive, left] = [connection('dead'), connection('alive'), connection('left')];
    for (const one of [dead, alive, left]) heartbeat.add(one);
    heartbeat.delete(left);
    for (let half = 1; half <= 8; half++) {
      alive.received++;
      heartbeat.beat();
      if (half === 4) expect(log).not.toContain('cut dead');
      if (half === 5) expect(log).toContain('cut dead');
    }
    expect(log.filter((line) => line === 'ping alive')).toHaveLength(4);
    expect(log.filter((line) => line.endsWith('left'))).toEqual([]);
    expect(log.filter((line) => line === 'cut dead')).toHaveLength(1);
  });

  it('does not count silence while a connection is not read from', () => {
    const heartbeat = new Heartbeat();
    let cuts = 0;
    const held = { received: 0, isPaused: true, ping: () => undefined, cut: () => void cuts++ };
    heartbeat.add(held);
    for (let half = 1; half <= 20; half++) heartbeat.beat();
    expect(cuts).toBe(0);
    // Earlier silence does not count either, as what came meanwhile is still to be read.
    held.isPaused = false;
    for (let half = 1; half <= 4; half++) heartbeat.beat();
    held.isPaused = true;
    heartbeat.beat();
    held.isPaused = false;
    for (let half = 1; half <= 4; half++) heartbeat.beat();
    expect(cuts).toBe(0);
    held.received++;
    for (let half = 1; half <= 5; half++) heartbeat.beat();
    expect(cuts).toBe(1);
  });
});

describe('CloseCode', () => {
  it('has codes that an application may use, each once', () => {
    const codes = Object.values(CloseCode);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect([1001, 1009].includes(code) || (code >= 4000 && code < 5000)).toBe(true);
  });
});

describe('the server’s own relay', () => {
  const relays = new OwnRelays(() => [9898, 8000], ['10.0.0.7', 'fe80::1']);
  const own = (hostname: string, port: unknown, authority: string, secure = false): boolean =>
    relays.has({ name: 'websocket', hostname, port, secure }, authority);

  it('is at the main port and at the relay’s own, by any name of this machine', () => {
    for (const port of [9898, 8000]) {
      for (const name of ['localhost', '127.0.0.1', '10.0.0.7', '[fe80::1]', 'FE80::1', 'hub.example']) expect(own(name, port, 'hub.example:9898')).toBe(true);
    }
    expect(own('hub.example', 443, 'hub.example', true)).toBe(true);
    expect(own('hub.example', '443', 'hub.example', true)).toBe(true);
    expect(own('localhost', '8000', 'hub.example:9898')).toBe(true);
    expect(own('hub.example', '', 'hub.example', true)).toBe(true);
    expect(own('[2001:db8::5]', 8000, '[2001:db8::5]:9898')).toBe(true);
  });

  it('is at no other address', () => {
    for (const name of ['other.example', 'hub.example.evil', 'hub', '10.0.0.8']) expect(own(name, 8000, 'hub.example:9898')).toBe(false);
    for (const port of [80, 8001, '80', '8001', '8000x', '', undefined, null]) expect(own('hub.example', port, 'hub.example:9898')).toBe(false);
    expect(relays.has({ name: 'mqtt', hostname: 'localhost', port: 9898 }, 'localhost:9898')).toBe(false);
  });

  it('is at the addresses of relayAddresses; each unknown address is reported once, and at most 100 are', () => {
    const told: string[] = [];
    const named = new OwnRelays(() => [9898, undefined], [], ['Relay.example:443', '[2001:DB8::5]:18000'], (address) => told.push(address));
    const has = (hostname: string, port: number): boolean => named.has({ name: 'websocket', hostname, port, secure: true }, 'hub.example');
    for (const [host, port] of [['relay.example', 443], ['RELAY.example', 443], ['2001:db8::5', 18000], ['[2001:db8::5]', 18000]] as const) expect(has(host, port)).toBe(true);
    expect(told).toEqual([]);
    expect(has('relay.example', 444)).toBe(false);
    expect(has('relay.example', 444)).toBe(false);
    expect(told).toEqual(['relay.example:444']);
    for (let port = 1; port < 1000; port++) has('evil.example', port);
    expect(told).toHaveLength(100);
  });
});
