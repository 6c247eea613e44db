import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, frameIdentity, topicHash } from '../../src/core/frame.js';
import { fromHex } from '../../src/core/id.js';
import { RelayPacketType, encodeRelayPacket } from '../../src/core/relay.js';
import { Relay, hashKey } from '../../src/server/relay.js';
import type { RelayOptions } from '../../src/server/relay.js';
import { vectors } from '../vectors.js';

const { JOIN, LEAVE, PUBLISH } = RelayPacketType;
const ID = fromHex('0123456789abcdef0123456789abcdef');
const frame = (topic: string, text: string, id = ID): Uint8Array =>
  encodeFrame(frameIdentity(topicHash(topic), id), Buffer.from(text));
const packet = (type: RelayPacketType, topic: string, payload?: Uint8Array): Uint8Array =>
  encodeRelayPacket(type, topicHash(topic), payload);

/** A relay whose sends are kept as `connection text`, with a star for last values. */
class Bench {
  readonly sent: string[] = [];
  readonly faults: string[] = [];
  readonly joins: string[] = [];
  readonly relay: Relay<string>;

  constructor(options: Partial<RelayOptions<string>> = {}) {
    this.relay = new Relay<string>({
      send: (connection, bytes, retained) =>
        void this.sent.push(`${connection} ${Buffer.from(bytes).toString('utf8', 88)}${retained ? '*' : ''}`),
      dropped: (fault, connection) => void this.faults.push(`${connection} ${fault}`),
      joined: (key) => void this.joins.push(key),
      ...options,
    });
  }

  publish(connection: string, topic: string, text: string): void {
    this.relay.receive(connection, packet(PUBLISH, topic, frame(topic, text)));
  }

  take(): string[] {
    return this.sent.splice(0);
  }
}

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

  it('gives a JOIN the last frame at once, and after LEAVE nothing', () => {
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

  it('does not change a last value that is on its way when the next one comes', () => {
    const held: Uint8Array[] = [];
    const bench = new Bench({ send: (_connection, bytes) => void held.push(bytes) });
    bench.publish('1', 'a', 'old');
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'new');
    expect(held.map((bytes) => Buffer.from(bytes).toString('utf8', 88))).toEqual(['old', 'new']);
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

  it('drops and counts what is malformed', () => {
    const bench = new Bench();
    const lying = frame('a', 'x');
    lying[84] = 9;
    for (const bytes of [
      new Uint8Array(0),
      new Uint8Array(39),
      packet(JOIN, 'a').subarray(0, 39),
      Uint8Array.of(...packet(JOIN, 'a'), 1),
      packet(7 as RelayPacketType, 'a'),
    ]) {
      bench.relay.receive('1', bytes);
    }
    bench.relay.receive('1', packet(PUBLISH, 'a'));
    bench.relay.receive('1', packet(PUBLISH, 'a', lying));
    bench.relay.receive('1', packet(PUBLISH, 'a', frame('b', 'x')));
    expect(bench.faults).toEqual([...Array<string>(5).fill('1 relay-packet'), '1 relay-frame', '1 relay-frame', '1 relay-topic']);
    expect([bench.relay.topics, bench.relay.retained, bench.relay.published]).toEqual([0, 0, 0]);
  });

  it('survives any bytes', () => {
    const bench = new Bench();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => bench.relay.receive('1', bytes)),
      { numRuns: 1000 },
    );
    expect(bench.relay.retained).toBe(0);
  });

  it('takes the packets of the vectors', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'weather.denver.temperature'));
    for (const { hex } of vectors<{ hex: string }[]>('relay-packets')) bench.relay.receive('1', Buffer.from(hex, 'hex'));
    // Two of them publish; what they bear is random and no brew frame.
    expect(new Set(bench.faults)).toEqual(new Set(['1 relay-frame']));
  });

  it('bounds the last values by number: the one not used for the longest time goes first', () => {
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

  it('bounds the last values by bytes', () => {
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

  it('does what a model does', () => {
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
});
