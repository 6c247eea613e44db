import { expect } from 'vitest';
import { encodeFrame, frameIdentity, topicHash } from '../../src/core/frame.js';
import { RelayPacketType, encodeRelayPacket } from '../../src/core/relay.js';
import { Relay } from '../../src/server/relay.js';
import type { RelayOptions } from '../../src/server/relay.js';
import { unhex } from '../helpers.js';

// A relay without sockets: what it writes is decoded by the protocol and not by the code under test.

const { PUBLISH } = RelayPacketType;
export const ID = unhex('0123456789abcdef0123456789abcdef');
export const frame = (topic: string, text: string, id = ID): Uint8Array =>
  encodeFrame(frameIdentity(topicHash(topic), id), Buffer.from(text));
export const packet = (type: RelayPacketType, topic: string, payload?: Uint8Array): Uint8Array =>
  encodeRelayPacket(type, topicHash(topic), payload);

interface Member {
  readonly name: string;
  readonly version: 1 | 2;
}

/** The messages that a server has written to a socket, decoded by RFC 6455, section 5.2. */
export function messages(bytes: Buffer): Buffer[] {
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
export function records(message: Buffer): string[] {
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

/** A relay whose writes are decoded as `connection text`, with a star for last values. Connections speak protocol 2, those
 * whose names begin with `old` 1.0. */
export class Bench {
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

  /** What was sent until the end of the tick. */
  take(): string[] {
    this.#relay.flush();
    return this.written.splice(0).flatMap(({ to, bytes }) => {
      const texts = messages(bytes).flatMap((one) => (to.version === 2 ? records(one) : [one.toString('utf8', 88)]));
      return texts.map((text) => `${to.name} ${text}`);
    });
  }
}
