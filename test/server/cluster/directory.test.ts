import { expect, it } from 'vitest';
import type { Packet } from '../../../src/core/packet.js';
import { PacketType } from '../../../src/core/packet.js';
import { rightsOf } from '../../../src/server/auth.js';
import { SharedClock } from '../../../src/server/cluster/clock.js';
import { Directory, type RemotePeer } from '../../../src/server/cluster/directory.js';
import { encodeRecord, type RegistryRecord } from '../../../src/server/cluster/records.js';
import { Matchmaker } from '../../../src/server/matchmaker.js';
import { id } from '../../helpers.js';

class Client {}

/** A client of a server with its directory: the records that it shares, and how often it computes which brews of a registration are down. */
function stage() {
  const shared = new Map<string, RegistryRecord>();
  const log: string[] = [];
  const later: (() => void)[] = [];
  let asked = 0;
  class Counting extends Matchmaker<Client | RemotePeer> {
    override downOf(...of: Parameters<Matchmaker<Client | RemotePeer>['downOf']>): ReturnType<Matchmaker<Client | RemotePeer>['downOf']> {
      asked++;
      return super.downOf(...of);
    }
  }
  const matchmaker = new Counting();
  const nothing = (): void => undefined;
  const share = (record: RegistryRecord): boolean => !!shared.set(record.id, record);
  const directory = new Directory<Client>({ matchmaker, clock: new SharedClock(), pass: nothing, isOwn: () => false, share, claim: nothing, unshare: (kind, of) => void log.push(`unshare ${kind} ${of}`), opaque: nothing, tell: (_to, kind, of) => void log.push(`tell ${kind} ${of}`), tooLong: nothing, isThere: () => true, later: (run) => void later.push(run) });
  const client = new Client();
  matchmaker.add(client, rightsOf([{ topic: '**', read: true, write: true }]));
  const send = (packet: Packet): void => {
    directory.before(client, packet);
    matchmaker.receive(client, packet);
    directory.after(client, packet);
  };
  const register = (n: number): void => send({ type: PacketType.PATRON_REGISTER, payload: { topic: 'a.*', patron_id: id(n), brews: [{ name: 'websocket' }] } });
  const state = (state: 'up' | 'down', ids: object = {}): void => send({ type: PacketType.BREW_STATE, payload: { brew: 'websocket', state, ...ids } });
  const brewer = (n: number): void => send({ type: PacketType.BREWER_REGISTER, payload: { topic: 'a.b', brewer_id: id(n), brewer_config: {}, brews: [{ name: 'websocket' }] } });
  return { shared, register, brewer, state, directory, matchmaker, log, later, send, client, asked: () => asked };
}

it('a directory shares a brew that is down at a client only for registrations that this changes', () => {
  const { shared, register, state } = stage();
  for (const n of [1, 2, 3]) register(n);
  const before = [...shared.values()];
  state('down', { patron_id: id(2) });
  expect(shared.get(id(2))).toEqual({ ...before[1]!, down: [['websocket']] });
  // The same texts, which are not written again.
  for (const n of [0, 2]) expect(encodeRecord(shared.get(id(n + 1))!)).toBe(encodeRecord(before[n]!));
  // Registering again makes the record newer.
  register(1);
  expect(shared.get(id(1))!.at).toBeGreaterThan(before[0]!.at);
});

it('a directory checks only registrations that a BREW_STATE concerns, and all only if it changes all', () => {
  const { shared, register, state, asked } = stage();
  for (let n = 1; n <= 100; n++) register(n);
  const looksOf = (run: () => void): number => {
    const before = asked();
    run();
    return asked() - before;
  };
  const downs = (): string[] => [...new Set([...shared.values()].map(({ down }) => JSON.stringify(down)))];
  expect(looksOf(() => state('up'))).toBe(1);
  expect(looksOf(() => state('down', { patron_id: id(2) }))).toBe(1);
  expect(looksOf(() => state('down', { patron_id: id(3), brewer_id: id(777) }))).toBe(1);
  expect([shared.get(id(2))!.down, shared.get(id(3))!.down, shared.get(id(4))!.down]).toEqual([[['websocket']], [['websocket', id(777)]], []]);
  for (const n of [2, 3]) state('up', { patron_id: id(n), ...(n === 3 && { brewer_id: id(777) }) });
  expect(downs()).toEqual(['[]']);
  // A state for a peer, or for everybody, concerns all registrations; the same state again changes none.
  for (const [ids, text] of [[{ brewer_id: id(777) }, JSON.stringify([['websocket', id(777)]])], [{}, '[["websocket"]]']] as const) {
    expect(looksOf(() => state('down', ids))).toBe(100);
    expect(downs()).toEqual([text]);
    expect(looksOf(() => state('down', ids))).toBe(1);
    expect(looksOf(() => state('up', ids))).toBe(100);
    expect(downs()).toEqual(['[]']);
  }
});

it('a directory removes an id that another server has registered later, tells its client, and does not share it any more', () => {
  const { register, brewer, directory, matchmaker, log } = stage();
  register(1);
  brewer(2);
  directory.usurped('patron', id(1));
  expect([matchmaker.patron(id(1)), log.splice(0)]).toEqual([undefined, [`tell patron ${id(1)}`, `unshare patron ${id(1)}`]]);
  expect(matchmaker.brewer(id(2))).toBeDefined();
  directory.usurped('brewer', id(2));
  expect([matchmaker.brewer(id(2)), log.splice(0)]).toEqual([undefined, [`tell brewer ${id(2)}`, `unshare brewer ${id(2)}`]]);
  directory.usurped('brewer', id(2));
  expect(log).toEqual([]);
});

it('a directory shares a brew that is down in steps, only for registrations that have it, and not for those removed meanwhile', () => {
  const { shared, register, state, send, directory, client, later } = stage();
  send({ type: PacketType.PATRON_REGISTER, payload: { topic: 'a', patron_id: id(9_999), brews: [{ name: 'mqtt' }] } });
  for (let n = 1; n <= 2_500; n++) register(n);
  const told = (): number => [...shared.values()].filter(({ down }) => down.length).length;
  const turn = (): void => later.splice(0).forEach((run) => run());
  state('down');
  expect([told(), later.length]).toEqual([501, 1]);
  // The brew is up again before all records were shared, so that the other servers have the rest as it was.
  state('up');
  expect(later).toHaveLength(1);
  while (later.length) turn();
  expect([told(), shared.get(id(9_999))!.down]).toEqual([0, []]);
  state('down');
  shared.clear();
  send({ type: PacketType.PATRON_UNREGISTER, payload: { topic: 'a.*', patron_id: id(2_500) } });
  turn();
  expect(shared.size).toBeGreaterThan(0);
  while (later.length) turn();
  expect([shared.size, shared.has(id(2_500)), shared.has(id(9_999))]).toEqual([1_998, false, false]);
  state('up');
  shared.clear();
  directory.gone(client);
  while (later.length) turn();
  expect(shared.size).toBe(0);
});

it('a directory shares down states of registered brews only, and of at most 100 peers that are named alone', () => {
  const { shared, register, brewer, state, send, asked } = stage();
  for (let n = 1; n <= 2_000; n++) send({ type: PacketType.BREW_STATE, payload: { brew: `b${n}`, state: 'down' } });
  for (const n of [1, 2]) register(n);
  expect(shared.get(id(1))!.down).toEqual([]);
  const looks = asked();
  send({ type: PacketType.BREW_STATE, payload: { brew: 'another', state: 'down' } });
  expect(asked()).toBe(looks);
  // A brewer of this client is no peer, and a state with both ids concerns that pair only.
  brewer(3);
  state('down', { brewer_id: id(3) });
  for (let n = 1_001; n <= 1_150; n++) state('down', { patron_id: id(1), brewer_id: id(n) });
  for (let n = 2_001; n <= 2_150; n++) state('down', { brewer_id: id(n) });
  state('down');
  const peers = (from: number, to: number): [string, string][] => Array.from({ length: to - from + 1 }, (_, i) => ['websocket', id(from + i)]);
  expect(shared.get(id(1))!.down).toEqual([['websocket'], ...peers(1_001, 1_150), ...peers(2_001, 2_100)]);
  expect(shared.get(id(2))!.down).toEqual([['websocket'], ...peers(2_001, 2_100)]);
  expect(shared.get(id(3))!.down).toEqual([['websocket'], ...peers(2_001, 2_100)]);
  for (let n = 2_001; n <= 2_050; n++) state('up', { brewer_id: id(n) });
  state('up');
  expect(shared.get(id(3))!.down).toEqual([['websocket'], ...peers(2_051, 2_150)]);
  state('up', { brewer_id: id(3) });
  expect(shared.get(id(2))!.down).toEqual(peers(2_051, 2_150));
  expect(shared.get(id(3))!.down).toEqual(peers(2_051, 2_150));
});
