import { isFrame } from '../core/frame.js';
import { RELAY_BATCH, RelayPacketType, readRelayPacket } from '../core/relay.js';
import type { RelayPacket } from '../core/relay.js';
import { LastValues } from './last-values.js';
import { Reach } from './reach.js';
import { format, hashKey } from './relay-format.js';
import type { Permits } from './permits.js';
import type { RelayVersion } from './relay-format.js';

export { hashKey } from './relay-format.js';

// The relay of the WebSocket brew (protocol, section 4; design, "Relay protocol 2"), without sockets: messages of
// connections go in, bytes for their sockets come out.
//
// System calls decide how much a relay can do. So what is published on a topic in one tick is gathered, brought into the
// form of the wire once, and written once to each connection that has joined.

/** A connection: only compared, and asked what it speaks. */
export interface RelayMember {
  readonly version: RelayVersion;
  /** Whether so much waits for it that those who publish for it should wait. */
  readonly isFull?: boolean;
}

/** Why the relay dropped a packet. */
export type RelayFault = 'relay-packet' | 'relay-frame' | 'relay-topic' | 'joined-topics' | 'no-ticket' | 'slow-reader-frame';

export interface RelayOptions<C extends RelayMember> {
  /**
   * Writes bytes to a connection's socket: whole WebSocket messages. The same object may go to many; it is not changed.
   * False when it takes none now: `drained` is to be called when it does again.
   */
  write(connection: C, bytes: Buffer): boolean;
  /** Something waits: `flush` is to be called at the end of the tick. */
  cork(): void;
  /** A reader is full; `others` says of a publisher whether somebody else would feel it if it waited. */
  full?(reader: C, publishers: ReadonlySet<C>, others: (publisher: C) => boolean): void;
  /** A packet was dropped. The connection may go on. */
  dropped?(fault: RelayFault, connection: C, count?: number): void;
  /** A connection has joined the topic of this key. */
  joined?(key: string): void;
  /** What connections may do; default: everything. */
  permits?: Permits<C>;
  /** How many topics a connection may have joined; default: any number. */
  maxJoined?: number;
  /** How many last values are kept; default 10,000. The one not used for the longest time goes first. */
  maxRetained?: number;
  /** How many bytes of last values are kept; default 64 MiB. */
  maxRetainedBytes?: number;
}

/** Who has joined a topic, and what was published on it in this tick. */
interface Topic<C> {
  readonly key: string;
  readonly members: Set<C>;
  pending: Pending<C>[];
  pendingBytes: number;
}

interface Pending<C> {
  readonly frame: Uint8Array;
  readonly from: C;
}

const HASH_IN_FRAME = 2;
const NOBODY: ReadonlySet<never> = new Set();

/** Who has joined which topic, what goes to whom, and each topic's last value. */
export class Relay<C extends RelayMember> {
  readonly #options: RelayOptions<C>;
  readonly #maxJoined: number;
  /** The topics of which a connection did not get all, because it is too slow. */
  readonly #missed = new Map<C, Set<string>>();
  readonly #topics = new Map<string, Topic<C>>();
  readonly #connections = new Map<C, Set<string>>();
  readonly #dirty = new Set<Topic<C>>();
  readonly #reach = new Reach<C, Topic<C>>();
  readonly #lastValues: LastValues;
  #published = 0;
  #delivered = 0;

  constructor(options: RelayOptions<C>) {
    this.#options = options;
    this.#lastValues = new LastValues(options.maxRetained ?? 10_000, options.maxRetainedBytes ?? 64 * 1024 * 1024);
    this.#maxJoined = options.maxJoined ?? Infinity;
  }

  /** Topics that a connection has joined. */
  get topics(): number {
    return this.#topics.size;
  }

  get retained(): number {
    return this.#lastValues.size;
  }

  get retainedBytes(): number {
    return this.#lastValues.bytes;
  }

  /** Frames that were accepted. */
  get published(): number {
    return this.#published;
  }

  /** Frames that were handed over, last values included. */
  get delivered(): number {
    return this.#delivered;
  }

  /** How many connections have joined the topic of this key. */
  joined(key: string): number {
    return this.#topics.get(key)?.members.size ?? 0;
  }

  /**
   * Takes a message of a connection: one packet, or in protocol 2 one or more. What is malformed is dropped and reported
   * to `dropped`, together with the rest of its message, in which nothing can be told apart any more.
   */
  receive(connection: C, bytes: Uint8Array): void {
    let at = 0;
    do {
      let packet: RelayPacket;
      try {
        [packet, at] = readRelayPacket(bytes, at);
        if (connection.version === 1 && at !== bytes.length) throw new RangeError('one packet a message');
      } catch {
        this.#options.dropped?.('relay-packet', connection);
        return;
      }
      const key = hashKey(packet.topicHash);
      if (packet.type === RelayPacketType.PUBLISH) this.#publish(connection, key, packet);
      else if (packet.type === RelayPacketType.JOIN) this.#join(connection, key, packet);
      else if (packet.type === RelayPacketType.GRANT) this.#grant(connection, packet);
      else this.#leave(connection, key);
    } while (at < bytes.length);
  }

  /** A connection has ended: it has left all its topics. */
  gone(connection: C): void {
    this.#missed.delete(connection);
    this.#reach.gone(connection);
    this.#options.permits?.gone(connection);
    for (const key of this.#connections.get(connection) ?? NOBODY) this.#leave(connection, key);
  }

  /** Sends what was published. */
  flush(): void {
    for (const topic of this.#dirty) this.#send(topic);
  }

  /** A connection takes bytes again: it gets the newest frame of each topic of which it missed any. */
  drained(connection: C): void {
    const missed = this.#missed.get(connection);
    if (!missed) return;
    this.#missed.delete(connection);
    for (const key of missed) {
      const last = this.#lastValues.get(key);
      if (last && this.#connections.get(connection)?.has(key)) this.#give(connection, key, [last], false);
    }
  }

  /** Ends what tickets have expired for. To be called every few seconds. */
  expire(): void {
    this.#reach.age();
    this.#options.permits?.expire((connection, key) => this.#leave(connection, key));
  }

  #grant(connection: C, { topicHash, payload }: RelayPacket): void {
    const { permits, dropped } = this.#options;
    if (permits && !permits.grant(connection, topicHash, payload)) dropped?.('no-ticket', connection);
  }

  #join(connection: C, key: string, { topicHash, payload }: RelayPacket): void {
    const { permits, dropped } = this.#options;
    const joined = this.#connections.get(connection);
    if (permits && !permits.join(connection, topicHash, payload)) return dropped?.('no-ticket', connection);
    // A fresh ticket for what goes on anyway.
    if (permits && joined?.has(key)) return;
    if (joined && joined.size >= this.#maxJoined && !joined.has(key)) {
      this.#options.dropped?.('joined-topics', connection);
      return;
    }
    const topic = this.#topic(key);
    // What was published before goes to those who had joined before; its last frame is this one's last value.
    this.#send(topic);
    topic.members.add(connection);
    let topics = this.#connections.get(connection);
    if (!topics) this.#connections.set(connection, (topics = new Set()));
    topics.add(key);
    const last = this.#lastValues.get(key);
    if (last) this.#give(connection, key, [last], true);
    this.#options.joined?.(key);
  }

  #leave(connection: C, key: string): void {
    this.#options.permits?.left(connection, key);
    const topic = this.#topics.get(key);
    if (!topic?.members.has(connection)) return;
    this.#send(topic);
    topic.members.delete(connection);
    if (!topic.members.size) this.#topics.delete(key);
    const topics = this.#connections.get(connection)!;
    topics.delete(key);
    if (!topics.size) this.#connections.delete(connection);
  }

  #publish(connection: C, key: string, { topicHash, payload: frame }: RelayPacket): void {
    if (!isFrame(frame)) {
      this.#options.dropped?.('relay-frame', connection);
      return;
    }
    for (let i = 0; i < topicHash.length; i++) {
      if (topicHash[i] === frame[HASH_IN_FRAME + i]) continue;
      this.#options.dropped?.('relay-topic', connection);
      return;
    }
    if (this.#options.permits && !this.#options.permits.publish(connection, frame)) {
      this.#options.dropped?.('no-ticket', connection);
      return;
    }
    this.#published++;
    const topic = this.#topics.get(key);
    if (!topic) {
      this.#lastValues.set(key, frame);
      return;
    }
    if (!topic.pending.length) {
      if (!this.#dirty.size) this.#options.cork();
      this.#dirty.add(topic);
    } else if (topic.pendingBytes + frame.length > RELAY_BATCH) {
      this.#send(topic);
      this.#dirty.add(topic);
    }
    this.#reach.note(connection, topic);
    topic.pending.push({ frame, from: connection });
    topic.pendingBytes += frame.length;
    // At once, so that a reader that is full by it is noticed before more is read.
    if (topic.pendingBytes >= RELAY_BATCH) this.#send(topic);
  }

  #send(topic: Topic<C>): void {
    const { pending, members } = topic;
    this.#dirty.delete(topic);
    if (!pending.length) return;
    topic.pending = [];
    topic.pendingBytes = 0;
    this.#lastValues.set(topic.key, pending[pending.length - 1]!.frame);
    const frames = pending.map(({ frame }) => frame);
    const publishers = new Set(pending.map(({ from }) => from));
    const formatted: (Buffer | undefined)[] = [];
    for (const member of members) {
      // A client with both ends on one connection loops back by itself.
      if (publishers.has(member)) {
        const others = pending.filter(({ from }) => from !== member).map(({ frame }) => frame);
        if (others.length) this.#give(member, topic.key, others, false);
        // Where the newest is its own it has missed nothing that is of use still.
        if (pending[pending.length - 1]!.from === member) this.#missed.get(member)?.delete(topic.key);
      } else {
        this.#give(member, topic.key, frames, false, (formatted[member.version] ??= format(frames, member.version, false)));
      }
      if (member.isFull) this.#options.full?.(member, publishers, (from) => this.#reach.others(from, member, (one) => one.isFull === true));
    }
  }

  #give(
    member: C,
    key: string,
    frames: readonly Uint8Array[],
    retained: boolean,
    bytes = format(frames, member.version, retained),
  ): void {
    // One that has missed something gets nothing until it has drained: what it gets then is the newest.
    const missed = this.#missed.get(member);
    if (!missed && this.#options.write(member, bytes)) {
      this.#delivered += frames.length;
      return;
    }
    this.#options.dropped?.('slow-reader-frame', member, frames.length);
    if (missed) missed.add(key);
    else this.#missed.set(member, new Set([key]));
  }

  #topic(key: string): Topic<C> {
    let topic = this.#topics.get(key);
    if (!topic) this.#topics.set(key, (topic = { key, members: new Set(), pending: [], pendingBytes: 0 }));
    return topic;
  }
}
