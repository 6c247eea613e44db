import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import { PubkeeperError } from '../../src/core/errors.js';
import { encodeFrame, frameIdentity, topicHash } from '../../src/core/frame.js';
import { RelayPacketType, decodeRelayPacket, encodeRelayPacket } from '../../src/core/relay.js';
import { Relay, hashKey } from '../../src/server/relay.js';
import type { RelayOptions } from '../../src/server/relay.js';
import { unhex } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';
import { vectors } from '../vectors.js';

const { JOIN, LEAVE, PUBLISH, GRANT, PING } = RelayPacketType;
const ID = unhex('0123456789abcdef0123456789abcdef');
const frame = (topic: string, text: string, id = ID): Uint8Array =>
  encodeFrame(frameIdentity(topicHash(topic), id), Buffer.from(text));
const packet = (type: RelayPacketType, topic: string, payload?: Uint8Array): Uint8Array =>
  encodeRelayPacket(type, topicHash(topic), payload);

interface Member {
  readonly name: string;
  readonly version: 1 | 2;
}

/** The messages in what a server writes to a socket, read by RFC 6455, section 5.2. */
function messages(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0x82); // FIN, binary
    const short = bytes[at + 1]!;
    expect(short).toBeLessThan(128); // not masked
    const [length, start] =
      short < 126 ? [short, at + 2] : short === 126 ? [bytes.readUInt16BE(at + 2), at + 4] : [Number(bytes.readBigUInt64BE(at + 2)), at + 10];
    found.push(bytes.subarray(start, start + length));
    expect(found.at(-1)!.length).toBe(length);
    at = start + length;
  }
  return found;
}

/** The records in a message of relay protocol 2, as text with a star for last values. */
function records(message: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < message.length; ) {
    const type = message.readUInt32LE(at);
    expect([2, 5]).toContain(type);
    const end = at + 8 + message.readUInt32LE(at + 4);
    found.push(message.toString('utf8', at + 8 + 88, end) + (type === 5 ? '*' : ''));
    at = end;
  }
  return found;
}

/** A relay whose writes are read as `connection text`, with a star for last values. Connections speak protocol 2, those
 * whose names begin with `old` 1.0. */
class Bench {
  readonly written: { readonly to: Member; readonly bytes: Buffer }[] = [];
  readonly faults: string[] = [];
  readonly joins: string[] = [];
  corks = 0;
  readonly #members = new Map<string, Member>();
  readonly #relay: Relay<Member>;
  readonly relay: Omit<Relay<Member>, 'receive' | 'gone' | 'drained' | 'expire' | 'inject' | 'refresh' | 'welcome' | 'last' | 'unbridge'> & { drained(name: string): void; receive(name: string, bytes: Uint8Array): void; gone(name: string): void };

  constructor(options: Partial<RelayOptions<Member>> = {}) {
    const relay = new Relay<Member>({
      write: (to, bytes) => this.written.push({ to, bytes }) > 0,
      cork: () => void this.corks++,
      dropped: (fault, member) => void this.faults.push(`${member?.name} ${fault}`),
      joined: (key) => void this.joins.push(key),
      ...options,
    });
    this.#relay = relay;
    this.relay = {
      receive: (name, bytes) => relay.receive(this.member(name), bytes),
      gone: (name) => relay.gone(this.member(name)),
      drained: (name) => relay.drained(this.member(name)),
      flush: () => relay.flush(),
      age: () => relay.age(),
      joined: (key) => relay.joined(key),
      get topics() {
        return relay.topics;
      },
      get retained() {
        return relay.retained;
      },
      get retainedBytes() {
        return relay.retainedBytes;
      },
      get published() {
        return relay.published;
      },
      get delivered() {
        return relay.delivered;
      },
    };
  }

  member(name: string): Member {
    let member = this.#members.get(name);
    if (!member) this.#members.set(name, (member = { name, version: name.startsWith('old') ? 1 : 2 }));
    return member;
  }

  publish(connection: string, topic: string, text: string): void {
    this.relay.receive(connection, packet(PUBLISH, topic, frame(topic, text)));
  }

  /** What was sent, at the end of the tick. */
  take(): string[] {
    this.#relay.flush();
    return this.written.splice(0).flatMap(({ to, bytes }) => {
      const texts = messages(bytes).flatMap((one) => (to.version === 2 ? records(one) : [one.toString('utf8', 88)]));
      return texts.map((text) => `${to.name} ${text}`);
    });
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

  it('drops and counts what is malformed', () => {
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
    // Where nothing can be told apart any more, what came before it in the message holds.
    bench.relay.receive('1', Uint8Array.of(...packet(LEAVE, 'a'), 1));
    bench.relay.receive('old', Uint8Array.of(...packet(JOIN, 'a'), ...packet(JOIN, 'a')));
    bench.relay.receive('1', packet(PUBLISH, 'a'));
    bench.relay.receive('1', packet(PUBLISH, 'a', lying));
    bench.relay.receive('1', packet(PUBLISH, 'a', frame('b', 'x')));
    expect(bench.faults).toEqual([...Array<string>(5).fill('1 relay-packet'), 'old relay-packet', '1 relay-frame', '1 relay-frame', '1 relay-topic']);
    expect([bench.relay.topics, bench.relay.retained, bench.relay.published]).toEqual([0, 0, 0]);
  });

  it('makes no error of what is malformed: that takes ten times as long as reading it', () => {
    let made = 0;
    class Counted extends Error {
      constructor(...given: ConstructorParameters<ErrorConstructor>) {
        super(...given);
        made++;
      }
    }
    // Each PubkeeperError is made by what it inherits from.
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
    expect(bench.faults).toEqual(['1 relay-frame', '1 relay-frame']);
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

  it('gathers what is published in a tick: one write for each connection, brought into form once for all', () => {
    const bench = new Bench();
    for (const name of ['1', '2', '3', 'old1', 'old2']) bench.relay.receive(name, packet(JOIN, 'a'));
    const batch = Buffer.concat(['x', 'y', 'z'].map((text) => packet(PUBLISH, 'a', frame('a', text))));
    bench.relay.receive('9', batch);
    expect([bench.corks, bench.written.length]).toEqual([1, 0]);
    bench.relay.flush();
    expect(bench.written.map(({ to }) => to.name)).toEqual(['1', '2', '3', 'old1', 'old2']);
    const [one, two, three, old1, old2] = bench.written.map(({ bytes }) => bytes);
    expect([two === one, three === one, old2 === old1, old1 === one]).toEqual([true, true, true, false]);
    expect(messages(one!).map(records)).toEqual([['x', 'y', 'z']]);
    expect(messages(old1!).map((message) => message.toString('utf8', 88))).toEqual(['x', 'y', 'z']);
    expect(bench.relay.delivered).toBe(15);
  });

  it('gives a reader that joins while it is behind the last value as such, once it has drained', () => {
    let full = false;
    const bench: Bench = new Bench({ write: (to, bytes) => !full && bench.written.push({ to, bytes }) > 0 });
    for (const topic of ['old', 'new']) bench.publish('1', topic, topic);
    bench.relay.receive('2', packet(JOIN, 'a'));
    full = true;
    bench.publish('1', 'a', 'missed');
    bench.take();
    for (const topic of ['old', 'new']) bench.relay.receive('2', packet(JOIN, topic));
    bench.publish('1', 'new', 'newer');
    bench.take();
    full = false;
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 missed', '2 old*', '2 newer']);
  });

  it('gives a reader that has drained nothing of a topic whose newest frame is its own, and calls nothing it missed a last value', () => {
    let isFull = false;
    const bench: Bench = new Bench({ write: (to, bytes) => !isFull && bench.written.push({ to, bytes }) > 0 });
    for (const topic of ['a', 'b']) bench.relay.receive('2', packet(JOIN, topic));
    isFull = true;
    for (const topic of ['a', 'b']) bench.publish('1', topic, `missed on ${topic}`);
    bench.take();
    bench.publish('2', 'a', 'its own');
    bench.relay.receive('2', packet(JOIN, 'b'));
    bench.take();
    isFull = false;
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 missed on b']);
  });

  it('gives a reader that is behind nothing until it has drained, and then only what is kept still', () => {
    let isFull = true;
    const bench: Bench = new Bench({ write: (to, bytes) => !isFull && bench.written.push({ to, bytes }) > 0, maxRetained: 1 });
    for (const topic of ['a', 'b']) {
      bench.relay.receive('2', packet(JOIN, topic));
      bench.publish('1', topic, `missed on ${topic}`);
      bench.take();
    }
    isFull = false;
    bench.publish('1', 'b', 'newest');
    expect(bench.take()).toEqual([]);
    bench.relay.drained('2');
    expect(bench.take()).toEqual(['2 newest']);
    isFull = true;
    bench.publish('1', 'a', 'missed');
    bench.take();
    bench.relay.gone('2');
    isFull = false;
    bench.relay.receive('2', packet(JOIN, 'b'));
    bench.publish('1', 'b', 'x');
    expect(bench.take()).toEqual(['2 x']);
  });

  it('keeps of what is published in a tick the last', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    for (const text of ['x', 'y', 'z']) bench.publish('1', 'a', text);
    bench.take();
    bench.relay.receive('3', packet(JOIN, 'a'));
    expect(bench.take()).toEqual(['3 z*']);
  });

  it('gives signs of life to who speaks protocol 2, and takes no offence at tickets where none are asked for', () => {
    const pinged: string[] = [];
    const bench = new Bench({ pinged: ({ name }) => void pinged.push(name) });
    for (const name of ['1', 'old']) {
      bench.relay.receive(name, encodeRelayPacket(PING, new Uint8Array(0)));
      bench.relay.receive(name, packet(GRANT, 'a', new Uint8Array(56)));
    }
    expect([pinged, bench.faults]).toEqual([['1'], ['old relay-packet']]);
  });

  it('tells of a full reader who publishes for it, and whether somebody else reads that', () => {
    const told: unknown[] = [];
    const bench: Bench = new Bench({
      full: (reader, publishers, others) => void told.push([reader.name, [...publishers].map((one) => [one.name, others(one)])]),
    });
    Object.assign(bench.member('2'), { isFull: true });
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'x');
    bench.take();
    bench.relay.receive('3', packet(JOIN, 'b'));
    bench.publish('1', 'b', 'x');
    bench.publish('1', 'a', 'x');
    bench.publish('4', 'a', 'x');
    bench.take();
    expect(told.splice(0)).toEqual([['2', [['1', false]]], ['2', [['1', true], ['4', false]]]]);
    const publish = (): unknown => (bench.publish('1', 'a', 'x'), bench.take(), told.pop());
    Object.assign(bench.member('3'), { isFull: true });
    expect(publish()).toEqual(['2', [['1', false]]]);
    Object.assign(bench.member('3'), { isFull: false });
    bench.relay.age();
    expect(publish()).toEqual(['2', [['1', true]]]);
    bench.relay.age(); // nothing was published on b since the call before
    expect(publish()).toEqual(['2', [['1', false]]]);
  });

  it('sends at once what fills a message, so that a full reader is noticed', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'x'.repeat(65_000));
    expect(bench.written.length).toBe(0);
    bench.publish('1', 'a', 'x'.repeat(65_448));
    expect(bench.written.length).toBe(2);
    for (let i = 0; i < 3; i++) bench.publish('1', 'a', 'x'.repeat(25_000));
    expect(bench.written.length).toBe(3);
  });

  it('takes no frame that is longer than allowed, but a bundle of short ones as long as a batch', () => {
    const bench = new Bench({ maxMessage: 1000 });
    bench.relay.receive('2', packet(JOIN, 'a'));
    const sealed = (length: number, flags: number): Uint8Array =>
      sealedFrame(Buffer.alloc(length), { topic: 'a', brewerId: Buffer.from(ID).toString('hex'), key: Buffer.alloc(32), epoch: '0'.repeat(16), sequence: 0, flags });
    // Only what is sealed can be a bundle.
    const unsealed = frame('a', 'x'.repeat(1033));
    unsealed[51] = 1;
    const frames = [frame('a', 'x'.repeat(1032)), sealed(1000, 0), sealed(64 * 1024 + 16, 1), frame('a', 'x'.repeat(1033)), sealed(1017, 0), sealed(64 * 1024 + 17, 1), unsealed];
    for (const one of frames) bench.relay.receive('1', packet(PUBLISH, 'a', one));
    expect([bench.relay.published, bench.faults]).toEqual([3, Array(4).fill('1 too-long')]);
  });

  it('leaves out of what it gathers only what the connection itself has published', () => {
    const bench = new Bench();
    for (const name of ['1', '2', '3']) bench.relay.receive(name, packet(JOIN, 'a'));
    bench.publish('1', 'a', 'of 1');
    bench.publish('2', 'a', 'of 2');
    bench.publish('1', 'a', 'of 1 too');
    expect(bench.take()).toEqual(['1 of 2', '2 of 1', '2 of 1 too', '3 of 1', '3 of 2', '3 of 1 too']);
  });

  it('fills messages up to 64 KiB, and gives a longer frame a message of its own', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    // With its record's header and its own, a text of 55,344 fills a message that one of 10,000 has begun; one more is too long.
    const wanted = [[10_000, 30_000], [30_000], [70_000], [100, 65_000], [10_000, 55_344], [10_000], [55_345]];
    const texts = wanted.flat().map((length, index) => String.fromCharCode(97 + index).repeat(length));
    for (const text of texts) bench.publish('1', 'a', text);
    bench.relay.flush();
    const sent = bench.written.flatMap(({ bytes }) => messages(bytes)).map(records);
    expect(sent.map((message) => message.map(({ length }) => length))).toEqual(wanted);
    expect(sent.flat()).toEqual(texts);
  });

  it('gives who joins or leaves within a tick what was published while it had joined, and no more', () => {
    const bench = new Bench();
    bench.relay.receive('2', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'one');
    bench.relay.receive('3', packet(JOIN, 'a'));
    bench.publish('1', 'a', 'two');
    bench.relay.receive('2', packet(LEAVE, 'a'));
    bench.publish('1', 'a', 'three');
    expect(bench.take()).toEqual(['2 one', '3 one*', '2 two', '3 two', '3 three']);
  });
});
