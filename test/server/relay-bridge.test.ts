// A relay that is joined to others: what it takes from them, what it says to them, and who waits for a last value.
import { expect, it } from 'vitest';
import { encodeFrame, frameIdentity, topicHash } from '../../src/core/frame.js';
import { RelayPacketType, encodeRelayPacket } from '../../src/core/relay.js';
import { Relay, hashKey } from '../../src/server/relay.js';
import type { RelayMember, RelayOptions } from '../../src/server/relay.js';
import { id, unhex } from '../helpers.js';

const { JOIN, LEAVE, PUBLISH } = RelayPacketType;
const HASH = topicHash('a');
const KEY = hashKey(HASH);
const frame = (text: string): Uint8Array => encodeFrame(frameIdentity(HASH, unhex(id(1))), Buffer.from(text));
const NO_FRAME = new Uint8Array(88);

/** A relay of which all that comes out is a line in `log`: what is written, with a star for a last value; what goes to others; who has joined. */
function bench(options: Partial<RelayOptions<RelayMember>> = {}) {
  const log: string[] = [];
  const names = new Map<RelayMember, string>();
  const setting = { waits: false, wants: true, now: 10 };
  const far: RelayMember = { version: 2, take: (_key, frames, stamp) => log.push(`far ${frames.map((one) => Buffer.from(one.subarray(88)).toString()).join()} at ${stamp}`) > 0 };
  const relay = new Relay<RelayMember>({
    // A record of protocol 2 in a WebSocket message; 5: a last value.
    write: (member, bytes) => log.push(`${names.get(member)} ${bytes.toString('utf8', 2 + 8 + 88)}${bytes[2] === 5 ? '*' : ''}`) > 0,
    cork: () => undefined,
    dropped: (fault) => void log.push(fault),
    bridge: {
      member: far,
      stamp: () => setting.now,
      wants: () => setting.wants,
      changed: (_key, count) => (log.push(`${count}`), setting.waits),
    },
    ...options,
  });
  const take = (): string[] => (relay.flush(), log.splice(0));
  const member = (name: string) => {
    const connection: RelayMember = { version: 2 };
    names.set(connection, name);
    const send = (type: RelayPacketType, payload?: Uint8Array): void => relay.receive(connection, encodeRelayPacket(type, HASH, payload));
    return { join: () => send(JOIN), leave: () => send(LEAVE), publish: (text: string) => send(PUBLISH, frame(text)), gone: () => relay.gone(connection) };
  };
  return { relay, setting, take, member };
}

it('others are told how many have joined, themselves never counted', () => {
  const { relay, take, member } = bench();
  const [one, two] = [member('1'), member('2')];
  one.join();
  two.join();
  one.publish('x');
  expect(take()).toEqual(['1', '2', '2 x', 'far x at 10']);
  expect(relay.joined(KEY)).toBe(2);
  one.leave();
  relay.unbridge(KEY);
  two.gone();
  expect([take(), relay.topics]).toEqual([['1', '0'], 0]);
});

it('what is no frame is taken from nobody, for a last value neither', () => {
  const { relay, take, member } = bench();
  member('1').join();
  take();
  relay.inject(KEY, NO_FRAME, 1);
  relay.refresh(KEY, NO_FRAME, 2);
  expect([take(), relay.retained]).toEqual([['cluster-frame', 'cluster-frame'], 0]);
});

it('a last value of another relay goes to all who have joined where it is newer, once, as what has just been published; not back', () => {
  const { relay, setting, take, member } = bench();
  member('1').join();
  member('2').publish('x');
  expect(take()).toEqual(['1', '1 x', 'far x at 10']);
  for (const stamp of [9, 10]) relay.refresh(KEY, frame('old'), stamp);
  expect(take()).toEqual([]);
  relay.refresh(KEY, frame('new'), 11);
  relay.refresh(KEY, frame('new'), 11);
  expect(take()).toEqual(['1 new']);
  const last = relay.last(KEY)!;
  expect([Buffer.from(last.frame.subarray(88)).toString(), last.stamp]).toEqual(['new', 11]);
  setting.now = 12;
  member('3').join();
  expect(take()).toEqual(['2', '3 new*']);
});

it('one that is the first of its topic is taken, whatever its time', () => {
  const { relay, take, member } = bench();
  member('1').join();
  take();
  relay.refresh(KEY, frame('first'), 0);
  expect(take()).toEqual(['1 first']);
});

it('who joins waits for the newest last value, or for the word that there is none, and gets it once', () => {
  const { relay, setting, take, member } = bench();
  relay.refresh(KEY, frame('known'), 5);
  setting.waits = true;
  const [one, two] = [member('1'), member('2')];
  one.join();
  expect(take()).toEqual(['1']);
  relay.refresh(KEY, frame('newer'), 6);
  expect(take()).toEqual([]);
  relay.welcome(KEY);
  relay.welcome(KEY);
  expect(take()).toEqual(['1 newer*']);
  two.join();
  two.leave();
  relay.welcome(KEY);
  expect(take()).toEqual(['2', '1']);
});

it('who waits for a last value of which there is none gets what comes later', () => {
  const { relay, setting, take, member } = bench();
  setting.waits = true;
  member('1').join();
  relay.welcome(KEY);
  expect(take()).toEqual(['1']);
  relay.refresh(KEY, frame('later'), 1);
  expect(take()).toEqual(['1 later']);
});

it('who got something newer meanwhile waits no more', () => {
  const { relay, setting, take, member } = bench();
  setting.waits = true;
  member('1').join();
  relay.inject(KEY, frame('live'), 3);
  expect(take()).toEqual(['1', '1 live']);
  relay.welcome(KEY);
  expect(take()).toEqual([]);
  relay.refresh(KEY, frame('newer'), 4);
  expect(take()).toEqual(['1 newer']);
});
