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

/** A client of a server with its directory: what it shares, and how often it has asked which brews of a registration are down. */
function stage() {
  const shared = new Map<string, RegistryRecord>();
  const log: string[] = [];
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
  const directory = new Directory<Client>({ matchmaker, clock: new SharedClock(), pass: nothing, isOwn: () => false, share, claim: nothing, unshare: (kind, of) => void log.push(`unshare ${kind} ${of}`), opaque: nothing, tell: (_to, kind, of) => void log.push(`tell ${kind} ${of}`), tooLong: nothing, isThere: () => true });
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
  return { shared, register, brewer, state, directory, matchmaker, log, asked: () => asked };
}

it('tells other servers of a brew that is down at a client where that changes something, and of nothing else', () => {
  const { shared, register, state } = stage();
  for (const n of [1, 2, 3]) register(n);
  const before = [...shared.values()];
  state('down', { patron_id: id(2) });
  expect(shared.get(id(2))).toEqual({ ...before[1]!, down: [['websocket']] });
  // The same texts: those are not written again.
  for (const n of [0, 2]) expect(encodeRecord(shared.get(id(n + 1))!)).toBe(encodeRecord(before[n]!));
  // Who registers anew does so later.
  register(1);
  expect(shared.get(id(1))!.at).toBeGreaterThan(before[0]!.at);
});

it('looks at what a state is about, and at all registrations only where it changes all of them', () => {
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
  // Of a peer, or of everybody, it is about all of them; told again, about none.
  for (const [ids, text] of [[{ brewer_id: id(777) }, JSON.stringify([['websocket', id(777)]])], [{}, '[["websocket"]]']] as const) {
    expect(looksOf(() => state('down', ids))).toBe(100);
    expect(downs()).toEqual([text]);
    expect(looksOf(() => state('down', ids))).toBe(1);
    expect(looksOf(() => state('up', ids))).toBe(100);
    expect(downs()).toEqual(['[]']);
  }
});

it('takes back what another server has registered later, tells its client so, and says no more of it', () => {
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
