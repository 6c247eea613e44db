import { describe, expect, it } from 'vitest';
import type { Packet } from '../../../src/core/packet.js';
import { PacketType } from '../../../src/core/packet.js';
import { rightsOf } from '../../../src/server/auth.js';
import { Directory, type RemotePeer } from '../../../src/server/cluster/directory.js';
import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { Replica } from '../../../src/server/cluster/replica.js';
import type { Outgoing } from '../../../src/server/match.js';
import { Matchmaker } from '../../../src/server/matchmaker.js';
import { id } from '../../helpers.js';

// How a server handles the death of another: registry, directory and matchmaker, without sockets and clocks.

class Client {}
const BREWS = [{ name: 'websocket' }];
const brewerRegister = (n: number, topic: string): Packet => ({ type: PacketType.BREWER_REGISTER, payload: { topic, brewer_id: id(n), brewer_config: {}, brews: BREWS } });
const patronRegister = (n: number, topic: string): Packet => ({ type: PacketType.PATRON_REGISTER, payload: { topic, patron_id: id(n), brews: BREWS } });
const patronRecord = (n: number, topic: string): RegistryRecord => ({ kind: 'patron', id: id(n), topic, brews: BREWS, reads: ['**'], down: [], at: n });
const brewerRecord = (n: number, topic: string): RegistryRecord => ({ kind: 'brewer', id: id(n), topic, brews: BREWS, config: {}, down: [], at: n });

function server() {
  const alive = new Set<string>();
  const matchmaker: Matchmaker<Client | RemotePeer> = new Matchmaker({
    matched: (match) => directory.changed(match),
    unmatched: (match) => directory.changed(match),
  });
  const told: Outgoing<Client | RemotePeer>[] = [];
  const nothing = (): void => undefined;
  const pass = (items: readonly Outgoing<Client | RemotePeer>[]): void => void told.push(...items.filter(({ client }) => client === near));
  const clock = { next: () => 1 } as never;
  const isThere = (name: string): boolean => alive.has(name);
  const directory = new Directory<Client>({ matchmaker, clock, pass, isOwn: () => false, share: () => true, claim: nothing, unshare: () => true, opaque: nothing, tell: nothing, tooLong: nothing, later: nothing, isThere });
  const replica = new Replica('me', directory);
  const near = new Client();
  matchmaker.add(near, rightsOf([{ topic: '**', read: true, write: true }]));
  return {
    told,
    matchmaker,
    replica,
    register: (packet: Packet): void => pass(matchmaker.receive(near, packet)),
    put: (name: string, record: RegistryRecord): void => replica.apply({ server: name, kind: record.kind, id: record.id }, record),
    setAlive(name: string, isAlive: boolean): void {
      if (isAlive) alive.add(name);
      else alive.delete(name);
      replica.setAlive(name, isAlive);
    },
  };
}

describe('a server that has died with many registrations', () => {
  it('has its pairs ended first, and then its other registrations removed in steps', () => {
    const { told, matchmaker, replica, register, put, setAlive } = server();
    setAlive('other', true);
    for (let n = 0; n < 2000; n++) put('other', patronRecord(n, `a.x${n}`));
    replica.work();
    for (const n of [700, 1300, 1999]) register(brewerRegister(10_000 + n, `a.x${n}`));
    expect(matchmaker.matches).toBe(3);
    told.length = 0;
    setAlive('other', false);
    expect(replica.work(3)).toBe(true);
    expect(told.map(({ packet }) => [packet.type, (packet.payload as { patron_id: string }).patron_id])).toEqual(
      [700, 1300, 1999].map((n) => [PacketType.PATRON_REMOVED, id(n)]),
    );
    expect([matchmaker.matches, replica.size]).toEqual([0, 0]);
    const left = (): number => Array.from({ length: 2000 }, (_, n) => matchmaker.patron(id(n))).filter(Boolean).length;
    expect(left()).toBe(1997);
    expect(replica.work(1000)).toBe(true);
    // One of the three registrations that are removed already is skipped.
    expect(left()).toBe(998);
    while (replica.work(500));
    expect([left(), matchmaker.clients]).toEqual([0, 1]);
  });

  it('matches nobody with registrations that are not removed yet, and matches again when it is back', () => {
    const { matchmaker, replica, register, put, setAlive } = server();
    setAlive('other', true);
    put('other', patronRecord(1, 'a.*'));
    put('other', brewerRecord(2, 'b.x'));
    replica.work();
    setAlive('other', false);
    register(brewerRegister(3, 'a.x'));
    register(patronRegister(4, 'b.*'));
    expect(matchmaker.matches).toBe(0);
    setAlive('other', true);
    replica.work();
    expect(matchmaker.pair(id(3), id(1))).toBeDefined();
    expect(matchmaker.pair(id(2), id(4))).toBeDefined();
    // When it dies again before that is done, no registration of it is left.
    setAlive('other', false);
    setAlive('other', true);
    setAlive('other', false);
    replica.work();
    expect([matchmaker.matches, replica.size, matchmaker.brewer(id(2)), matchmaker.patron(id(1))]).toEqual([0, 0, undefined, undefined]);
  });

  it('does not end the pairs of registrations that have moved to another server, whose death then ends them first', () => {
    const { told, matchmaker, replica, register, put, setAlive } = server();
    setAlive('first', true);
    setAlive('second', true);
    put('first', patronRecord(1, 'a.*'));
    // These have no pairs, so at the death of their server they come after the one that has.
    for (const n of [11, 12, 13]) put('second', patronRecord(n, 'b.*'));
    replica.work();
    register(brewerRegister(3, 'a.x'));
    put('second', { ...patronRecord(1, 'a.*'), at: 5 });
    replica.work();
    told.length = 0;
    setAlive('first', false);
    replica.work();
    expect([matchmaker.matches, replica.size, told]).toEqual([1, 4, []]);
    setAlive('second', false);
    replica.work(1);
    expect([matchmaker.matches, replica.size, told.length]).toEqual([0, 0, 1]);
  });
});
