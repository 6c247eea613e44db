// A relay with a bridge to others: what it accepts from them, what it sends to them, and which members wait for a last value.
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

/** A relay whose output is logged in lines: frames to members, with a star for last values; frames to other relays; numbers of members. */
function bench(options: Partial<RelayOptions<RelayMember>> = {}) {
  const log: string[] = [];
  const names = new Map<RelayMember, string>();
  const setting = { waits: false, wants: true, now: 10 };
  const far: RelayMember = { version: 2, take: (_key, frames, stamp) => log.push(`far ${frames.map((one) => Buffer.from(one.subarray(88)).toString()).join()} at ${stamp}`) > 0 };
  const relay = new Relay<RelayMember>({
    // A record of protocol 2 in a WebSocket message; its type 5 is a last value.
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

it('a relay tells others how many members have joined a topic, without counting the bridge', () => {
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

it('a malformed frame from another relay is dropped, also as a last value', () => {
  const { relay, take, member } = bench();
  member('1').join();
  take();
  relay.inject(KEY, NO_FRAME, 1);
  relay.refresh(KEY, NO_FRAME, 2);
  expect([take(), relay.retained]).toEqual([['cluster-frame', 'cluster-frame'], 0]);
});

it('a newer last value of another relay is sent once to all members, as a live frame, and not back over the bridge', () => {
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

it('the first last value of a topic is accepted, whatever its time is', () => {
  const { relay, take, member } = bench();
  member('1').join();
  take();
  relay.refresh(KEY, frame('first'), 0);
  expect(take()).toEqual(['1 first']);
});

it('a joining member waits for the newest last value or the answer that there is none, and gets the value once', () => {
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

it('a member that waited for a last value that does not exist gets later ones', () => {
  const { relay, setting, take, member } = bench();
  setting.waits = true;
  member('1').join();
  relay.welcome(KEY);
  expect(take()).toEqual(['1']);
  relay.refresh(KEY, frame('later'), 1);
  expect(take()).toEqual(['1 later']);
});

it('a member that gets a newer frame meanwhile does not wait any more', () => {
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
