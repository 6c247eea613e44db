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

it('tells other servers of a brew that is down at a client where that changes something, and of nothing else', () => {
  const shared = new Map<string, RegistryRecord>();
  const matchmaker = new Matchmaker<Client | RemotePeer>();
  const nothing = (): void => undefined;
  const share = (record: RegistryRecord): boolean => !!shared.set(record.id, record);
  const directory = new Directory<Client>({ matchmaker, clock: new SharedClock(), pass: nothing, isOwn: () => false, share, claim: nothing, unshare: nothing, opaque: nothing, tell: nothing, tooLong: nothing, isThere: () => true });
  const client = new Client();
  matchmaker.add(client, rightsOf([{ topic: '**', read: true }]));
  const send = (packet: Packet): void => {
    directory.before(client, packet);
    matchmaker.receive(client, packet);
    directory.after(client, packet);
  };
  const register = (n: number): void => send({ type: PacketType.PATRON_REGISTER, payload: { topic: 'a.*', patron_id: id(n), brews: [{ name: 'websocket' }] } });
  for (const n of [1, 2, 3]) register(n);
  const before = [...shared.values()];
  send({ type: PacketType.BREW_STATE, payload: { brew: 'websocket', state: 'down', patron_id: id(2) } });
  expect(shared.get(id(2))).toEqual({ ...before[1]!, down: [['websocket']] });
  // The same texts: those are not written again.
  for (const n of [0, 2]) expect(encodeRecord(shared.get(id(n + 1))!)).toBe(encodeRecord(before[n]!));
  // Who registers anew does so later.
  register(1);
  expect(shared.get(id(1))!.at).toBeGreaterThan(before[0]!.at);
});
