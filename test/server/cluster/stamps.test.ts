import { describe, expect, it } from 'vitest';
import { encodeFrame, frameIdentity, topicHash } from '../../../src/core/frame.js';
import { RelayPacketType, encodeRelayPacket } from '../../../src/core/relay.js';
import { Relay, hashKey } from '../../../src/server/relay.js';
import type { RelayMember } from '../../../src/server/relay.js';
import { id, unhex } from '../../helpers.js';

// The times of publication that a relay gives other relays.

describe('frames for other relays', () => {
  it('have the time of their own publication, also when later frames came from another relay in the same tick', () => {
    const taken: [string[], number][] = [];
    const text = (frame: Uint8Array): string => Buffer.from(frame.subarray(88)).toString();
    let now = 1;
    const member: RelayMember = { version: 2, take: (_key, frames, stamp) => (taken.push([frames.map(text), stamp]), true) };
    const bridge = { member, stamp: () => now, wants: () => true, changed: () => false };
    const relay = new Relay<RelayMember>({ write: () => true, cork: () => undefined, bridge });
    const hash = topicHash('both');
    const frame = (n: number, what: string): Uint8Array => encodeFrame(frameIdentity(hash, unhex(id(n))), Buffer.from(what));
    relay.receive({ version: 2 }, encodeRelayPacket(RelayPacketType.PUBLISH, hash, frame(1, 'here')));
    // In the same tick.
    now = 2;
    relay.inject(hashKey(hash), frame(2, 'there'), 2);
    relay.flush();
    expect(taken).toEqual([[['here'], 1]]);
    const last = relay.last(hashKey(hash))!;
    expect([text(last.frame), last.stamp]).toEqual(['there', 2]);
  });
});
