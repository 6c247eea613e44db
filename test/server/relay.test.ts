import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import { PubkeeperError } from '../../src/core/errors.js';
import { topicHash } from '../../src/core/frame.js';
import { RelayPacketType, decodeRelayPacket, encodeRelayPacket } from '../../src/core/relay.js';
import { hashKey } from '../../src/server/relay.js';
import { vectors } from '../vectors.js';
import { Bench, frame, packet } from './relay-bench.js';

// Who gets which frames, what the relay keeps, and how it treats malformed packets.

const { JOIN, LEAVE, PUBLISH, GRANT, PING } = RelayPacketType;

describe('Relay', () => {
  it('sends a frame to all who joined, except the connection that published it', () => {
    const bench = new Bench();
    for (const connection of ['1', '2', '3']) bench.relay.receive(connection, packet(JOIN, 'a'));
    bench.relay.receive('4', packet(JOIN, 'b'));
    bench.publish('1', 'a', 'x');
    expect(bench.take()).toEqual(['2 x', '3 x']);
    expect(bench.relay.joined(hashKey(topicHash('a')))).toBe(3);
    expect(bench.joins).toHaveLength(4);
  });

  it('sends the last value at once after a JOIN, and nothing after a LEAVE', () => {
    const bench = new Bench();
    bench.publish('1', 'a', 'long, then short');
    bench.publish('1', 'a', 'x');
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.relay.receive('2', packet(JOIN, 'a'));
    expect(bench.take()).toEqual(['2 x*', '2 x*']);
    bench.relay.receive('2', packet(LEAVE, 'a'));
    bench.relay.receive('2', packet(LEAVE, 'a'));
    bench.publish('1', 'a', 'y');
    expect(bench.take()).toEqual([]);
    expect(bench.relay.topics).toBe(0);
  });

  it('sends a last value unchanged when the next frame comes before it has left', () => {
    const bench = new Bench();
    bench.publish('1', 'a', 'old');
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'new');
    expect(bench.take()).toEqual(['2 old*', '2 new']);
  });

  it('forgets a connection that is gone', () => {
    const bench = new Bench();
    bench.relay.receive('1', packet(JOIN, 'a'));
    bench.relay.receive('1', packet(JOIN, 'b'));
    bench.relay.gone('1');
    bench.relay.gone('1');
    bench.publish('2', 'a', 'x');
    expect([bench.take(), bench.relay.topics]).toEqual([[], 0]);
  });

  it('drops and counts malformed packets and frames', () => {
    const bench = new Bench();
    const lying = frame('a', 'x');
    lying[84] = 9;
    for (const bytes of [
      new Uint8Array(0),
      new Uint8Array(39),
      packet(JOIN, 'a').subarray(0, 39),
      packet(7 as RelayPacketType, 'a'),
    ]) {
      bench.relay.receive('1', bytes);
    }
    // When a packet cannot be read, those before it in the message still count.
    bench.relay.receive('1', Uint8Array.of(...packet(LEAVE, 'a'), 1));
    bench.relay.receive('old', Uint8Array.of(...packet(JOIN, 'a'), ...packet(JOIN, 'a')));
    bench.relay.receive('1', packet(PUBLISH, 'a'));
    bench.relay.receive('1', packet(PUBLISH, 'a', lying));
    bench.relay.receive('1', packet(PUBLISH, 'a', frame('b', 'x')));
    expect(bench.faults).toEqual([...Array<string>(5).fill('1 relay-packet'), 'old relay-packet', '1 relay-frame', '1 relay-frame', '1 relay-topic']);
    expect([bench.relay.topics, bench.relay.retained, bench.relay.published]).toEqual([0, 0, 0]);
  });

  it('creates no Error for a malformed packet, as that takes ten times as long as reading it', () => {
    let made = 0;
    class Counted extends Error {
      constructor(...given: ConstructorParameters<ErrorConstructor>) {
        super(...given);
        made++;
      }
    }
    // The constructor of a PubkeeperError calls the one that it inherits from.
    Object.setPrototypeOf(PubkeeperError, Counted);
    try {
      const bench = new Bench();
      const malformed = [new Uint8Array(0), new Uint8Array(1), packet(JOIN, 'a').subarray(0, 39), packet(9 as RelayPacketType, 'a')];
      for (const bytes of malformed) bench.relay.receive('1', bytes);
      expect([bench.faults.length, made]).toEqual([malformed.length, 0]);
      for (const bytes of malformed) expect(() => decodeRelayPacket(bytes)).toThrow(PubkeeperError);
      expect(made).toBe(malformed.length);
    } finally {
      Object.setPrototypeOf(PubkeeperError, Error);
    }
  });

  it('throws nothing, whatever bytes it receives', () => {
    const bench = new Bench();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => bench.relay.receive('1', bytes)),
      { numRuns: 1000 },
    );
    expect(bench.relay.retained).toBe(0);
  });

  it('accepts the packets of the test vectors', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'weather.denver.temperature'));
    for (const { hex } of vectors<{ hex: string }[]>('relay-packets')) bench.relay.receive('1', Buffer.from(hex, 'hex'));
    // Two of them publish random bytes, which are no brew frame.
    expect(bench.faults).toEqual(['1 relay-frame', '1 relay-frame']);
  });

  it('keeps at most maxRetained last values, and drops the least recently used first', () => {
    const bench = new Bench({ maxRetained: 2 });
    bench.publish('1', 'a', 'a');
    bench.publish('1', 'b', 'b');
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'c', 'c');
    expect(bench.relay.retained).toBe(2);
    bench.take();
    for (const topic of ['a', 'b', 'c']) bench.relay.receive('3', packet(JOIN, topic));
    expect(bench.take()).toEqual(['3 a*', '3 c*']);
  });

  it('keeps at most maxRetainedBytes of last values', () => {
    const bench = new Bench({ maxRetainedBytes: 1000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(1200)), { maxLength: 50 }), (published) => {
        for (const [topic, length] of published) {
          bench.publish('1', `t${topic}`, 'x'.repeat(length));
          expect(bench.relay.retainedBytes).toBeLessThanOrEqual(1000);
          expect(bench.relay.retainedBytes).toBeGreaterThanOrEqual(88 * bench.relay.retained);
        }
      }),
    );
    bench.publish('1', 'big', 'x'.repeat(2000));
    bench.relay.receive('2', packet(JOIN, 'big'));
    expect(bench.take()).toEqual([]);
  });

  it('agrees with a simple model after any sequence of joins, leaves, frames and lost connections', () => {
    const step = fc.record({
      do: fc.constantFrom('join', 'leave', 'publish', 'gone'),
      connection: fc.constantFrom('1', '2', '3'),
      topic: fc.constantFrom('a', 'b'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench();
        const joined = new Set<string>();
        const last = new Map<string, string>();
        steps.forEach(({ do: what, connection, topic }, index) => {
          const expected: string[] = [];
          const text = String(index);
          if (what === 'join') {
            bench.relay.receive(connection, packet(JOIN, topic));
            joined.add(`${connection} ${topic}`);
            if (last.has(topic)) expected.push(`${connection} ${last.get(topic)}*`);
          } else if (what === 'leave') {
            bench.relay.receive(connection, packet(LEAVE, topic));
            joined.delete(`${connection} ${topic}`);
          } else if (what === 'gone') {
            bench.relay.gone(connection);
            for (const one of joined) if (one.startsWith(connection)) joined.delete(one);
          } else {
            bench.publish(connection, topic, text);
            last.set(topic, text);
            for (const other of ['1', '2', '3']) {
              if (other !== connection && joined.has(`${other} ${topic}`)) expected.push(`${other} ${text}`);
            }
          }
          expect(bench.take().sort()).toEqual(expected.sort());
          expect(bench.relay.topics).toBe(new Set([...joined].map((one) => one.slice(2))).size);
        });
      }),
    );
  });

  it('accepts a PING of protocol 2 only, and accepts tickets also when it does not ask for any', () => {
    const pinged: string[] = [];
    const bench = new Bench({ pinged: ({ name }) => void pinged.push(name) });
    for (const name of ['1', 'old']) {
      bench.relay.receive(name, encodeRelayPacket(PING, new Uint8Array(0)));
      bench.relay.receive(name, packet(GRANT, 'a', new Uint8Array(56)));
    }
    expect([pinged, bench.faults]).toEqual([['1'], ['old relay-packet']]);
  });
});
