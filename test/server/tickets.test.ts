import { randomBytes } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RelayPacketType } from '../../src/core/relay.js';
import { Permits } from '../../src/server/permits.js';
import { hashKey, Relay, type RelayMember } from '../../src/server/relay.js';
import { Tickets } from '../../src/server/tickets.js';
import { encodeFrame, encodeRelay, sha256 } from './raw-client.js';

const [JOIN_HASH, OTHER_HASH] = [sha256('a'), sha256('b')];
const [ID, OTHER_ID] = [randomBytes(16), randomBytes(16)];
const JOIN = { operation: 'join', topicHash: JOIN_HASH } as const;
const PUBLISH = { operation: 'publish', topicHash: JOIN_HASH, brewerId: ID } as const;

describe('Tickets', () => {
  it('grant exactly what they were issued for, until they expire', () => {
    const tickets = new Tickets();
    const [join, publish] = [tickets.issue(JOIN, 1000), tickets.issue(PUBLISH, 1000)];
    expect(tickets.check(join, JOIN, 999)).toBe(1000);
    expect(tickets.check(publish, PUBLISH, 999)).toBe(1000);
    expect(tickets.check(join, JOIN, 1000)).toBeUndefined();
    expect(tickets.check(join, { ...JOIN, topicHash: OTHER_HASH }, 0)).toBeUndefined();
    expect(tickets.check(join, PUBLISH, 0)).toBeUndefined();
    expect(tickets.check(publish, JOIN, 0)).toBeUndefined();
    expect(tickets.check(publish, { ...PUBLISH, brewerId: OTHER_ID }, 0)).toBeUndefined();
    expect(tickets.check(Buffer.alloc(0), JOIN, 0)).toBeUndefined();
    // A ticket to join has zeros in place of the brewer's id, and an id may be all zeros too.
    const zero = { ...PUBLISH, brewerId: Buffer.alloc(16) };
    expect(tickets.check(join, zero, 0)).toBeUndefined();
    expect(tickets.check(tickets.issue(zero, 1000), JOIN, 0)).toBeUndefined();
  });

  it('expire in time also when the clock is set back, unless other servers have the keys', () => {
    const clock = { wall: 5_000_000, steady: 1_000 };
    const now = { wall: () => clock.wall, steady: () => clock.steady };
    const pass = (ms: number): void => void ((clock.wall += ms), (clock.steady += ms));
    const [own, shared] = [new Tickets(undefined, now), new Tickets([randomBytes(32)], now)];
    const held = (tickets: Tickets) => {
      const ticket = tickets.issue(JOIN, tickets.now() + 600);
      const [permits, late] = [new Permits<string>(tickets, 10), new Permits<string>(tickets, 10)];
      return { permits, may: () => permits.join('c', JOIN_HASH, ticket), mayLate: () => late.join('d', JOIN_HASH, ticket) };
    };
    const [mine, ours] = [held(own), held(shared)];
    pass(300_000);
    clock.wall -= 4_000_000;
    pass(299_000);
    expect([mine.may(), ours.may()]).toEqual([true, true]);
    pass(1_000);
    expect([mine.mayLate(), ours.mayLate(), own.now(), shared.now()]).toEqual([false, true, 5600, 1600]);
    // Set forward, it is followed.
    clock.wall = 9_000_000;
    expect([own.now(), shared.now()]).toEqual([9000, 9000]);
    clock.wall = 6_000_000;
    expect(own.now()).toBe(9000);
    own.replace([randomBytes(32)]);
    expect(own.now()).toBe(6000);
  });

  it('are refused with any one bit changed', () => {
    const tickets = new Tickets();
    const ticket = tickets.issue(PUBLISH, 1000);
    for (let bit = 0; bit < ticket.length * 8; bit++) {
      const changed = Buffer.from(ticket);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(tickets.check(changed, PUBLISH, 0)).toBeUndefined();
    }
  });

  it('are accepted by every relay with the key, as long as it is one of its two keys', () => {
    const [old, fresh] = [randomBytes(32), randomBytes(32)];
    const [control, relay] = [new Tickets([old]), new Tickets([fresh, old])];
    const ticket = control.issue(JOIN, 1000);
    expect(relay.check(ticket, JOIN, 0)).toBe(1000);
    relay.replace([fresh]);
    expect(relay.check(ticket, JOIN, 0)).toBeUndefined();
    for (const keys of [[], [randomBytes(31)], [old, fresh, old]]) expect(() => new Tickets(keys)).toThrow('one or two');
  });

  describe('in a test that runs in jsdom, whose Uint8Array is not that of Node,', () => {
    afterEach(() => void vi.unstubAllGlobals());

    it('are issued and checked', () => {
      vi.stubGlobal('Uint8Array', runInNewContext('Uint8Array'));
      const key = randomBytes(32);
      expect(key instanceof Uint8Array).toBe(false);
      expect(new Tickets([key]).check(new Tickets([key]).issue(JOIN, 1000), JOIN, 0)).toBe(1000);
      expect(new Tickets().check(new Tickets().issue(JOIN, 1000), JOIN, 0)).toBeUndefined();
    });
  });
});

/** Permits for two grants, a clock, `grant` to let 'c' publish as the brewers 1 to 3, and `may`: which of them it may publish for. */
function granted() {
  const clock = { now: 0 };
  const tickets = new Tickets();
  const permits = new Permits<string>(tickets, 2, () => clock.now);
  const id = (n: number): Buffer => Buffer.alloc(16, n);
  const grant = (n: number, expires: number): boolean =>
    permits.grant('c', JOIN_HASH, tickets.issue({ operation: 'publish', topicHash: JOIN_HASH, brewerId: id(n) }, expires));
  const may = (): boolean[] => [1, 2, 3].map((n) => permits.publish('c', encodeFrame('a', id(n).toString('hex'), 'x')));
  return { clock, tickets, permits, grant, may };
}

describe('Permits', () => {
  it('end a join when its ticket expires, unless it was left before or renewed by a later ticket', () => {
    let now = 0;
    const tickets = new Tickets();
    const permits = new Permits<RelayMember>(tickets, 10, () => now);
    const relay = new Relay<RelayMember>({ permits, write: () => true, cork: () => undefined });
    const member: RelayMember = { version: 2 };
    const join = (topic: string, expires: number): void => {
      const topicHash = sha256(topic);
      relay.receive(member, encodeRelay(RelayPacketType.JOIN, topic, tickets.issue({ operation: 'join', topicHash }, expires)));
    };
    for (const topic of ['left', 'over', 'renewed']) join(topic, 100);
    join('renewed', 200);
    relay.receive(member, encodeRelay(RelayPacketType.LEAVE, 'left'));
    expect(relay.topics).toBe(2);
    now = 100;
    const ended: string[] = [];
    permits.expire((_, key) => void ended.push(key));
    expect(ended).toEqual([hashKey(sha256('over'))]);
    relay.expire();
    expect(relay.topics).toBe(1);
    now = 200;
    relay.expire();
    expect(relay.topics).toBe(0);
    permits.expire((_, key) => void ended.push(key));
    expect(ended.length).toBe(1);
  });

  it('hold for the granted time when the clock is set forward or back meanwhile', () => {
    let [now, steady] = [1_000_000, 50];
    const tickets = new Tickets();
    const permits = new Permits<string>(tickets, 10, () => now, () => steady);
    const frame = encodeFrame('a', ID.toString('hex'), 'x');
    const ended = (): number => {
      let count = 0;
      permits.expire(() => count++);
      return count;
    };
    expect(permits.join('c', JOIN_HASH, tickets.issue(JOIN, now + 600))).toBe(true);
    expect(permits.grant('c', JOIN_HASH, tickets.issue(PUBLISH, now + 600))).toBe(true);
    for (const jump of [86_400, -2 * 86_400]) {
      now += jump;
      steady += 299;
      expect([ended(), permits.publish('c', frame)]).toEqual([0, true]);
    }
    steady += 2;
    expect([permits.publish('c', frame), ended()]).toEqual([false, 1]);
  });

  it('keep the most recently renewed grants to publish, and each until it expires', () => {
    const { clock, permits, grant, may } = granted();
    expect([grant(1, 100), grant(2, 100), grant(1, 200), may()]).toEqual([true, true, true, [true, true, false]]);
    expect([grant(3, 300), may()]).toEqual([true, [true, false, true]]);
    clock.now = 200;
    expect(may()).toEqual([false, false, true]);
    permits.gone('c');
    expect(may()).toEqual([false, false, false]);
  });

  it('do not count expired grants, and forget all of a connection that has gone', () => {
    const { clock, tickets, permits, grant, may } = granted();
    permits.join('c', JOIN_HASH, tickets.issue(JOIN, 100));
    expect([grant(1, 300), grant(2, 100)]).toEqual([true, true]);
    clock.now = 100;
    permits.expire(() => undefined);
    expect([grant(3, 300), may()]).toEqual([true, [true, false, true]]);
    permits.gone('c');
    permits.expire(() => expect.unreachable());
  });

  it('end with their connection, and a second ticket for a joined topic does not send the last value again', () => {
    const tickets = new Tickets();
    const permits = new Permits<RelayMember>(tickets, 10, () => 0);
    const [log, reader, writer]: [string[], RelayMember, RelayMember] = [[], { version: 2 }, { version: 2 }];
    const relay = new Relay<RelayMember>({
      permits,
      write: () => log.push('frame') > 0,
      cork: () => undefined,
      dropped: (fault) => void log.push(fault),
      ungranted: (_connection, lack) => void log.push(lack),
      joined: () => void log.push('joined'),
    });
    const send = (from: RelayMember, type: RelayPacketType, payload: Uint8Array): string[] => {
      relay.receive(from, encodeRelay(type, 'a', payload));
      relay.flush();
      return log.splice(0);
    };
    const frame = encodeFrame('a', ID.toString('hex'), 'x');
    expect(send(writer, RelayPacketType.GRANT, tickets.issue(PUBLISH, 100))).toEqual([]);
    expect(send(writer, RelayPacketType.PUBLISH, frame)).toEqual([]);
    expect(send(reader, RelayPacketType.JOIN, tickets.issue(JOIN, 100))).toEqual(['frame', 'joined']);
    expect(send(reader, RelayPacketType.JOIN, tickets.issue(JOIN, 200))).toEqual([]);
    expect(send(writer, RelayPacketType.PUBLISH, frame)).toEqual(['frame']);
    relay.gone(writer);
    expect(send(writer, RelayPacketType.PUBLISH, frame)).toEqual(['ungranted']);
    expect(send(writer, RelayPacketType.GRANT, tickets.issue(JOIN, 100))).toEqual(['invalid']);
    expect(send(writer, RelayPacketType.JOIN, new Uint8Array())).toEqual(['none']);
  });
});
