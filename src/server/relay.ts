import { FRAME_HEADER, isBundle, isFrame, sequenceOf } from '../core/frame.js';
import { RELAY_BATCH, RelayPacketType, tryRelayPacket } from '../core/relay.js';
import type { RelayPacket } from '../core/relay.js';
import { LastValues } from './last-values.js';
import { Memberships, type Topic } from './memberships.js';
import { Reach } from './reach.js';
import { format, hashKey } from './relay-format.js';
import type { RelayBridge, RelayMember, RelayOptions } from './relay-options.js';
import { file, unfile } from './sets.js';

export { hashKey } from './relay-format.js';
export type { RelayBridge, RelayFault, RelayMember, RelayOptions, TicketLack } from './relay-options.js';

// The relay of the WebSocket brew (protocol, section 4; design, "Relay protocol 2"), without sockets: messages of
// connections go in, bytes for their sockets come out.
//
// System calls limit how much a relay can do. So what is published on a topic in one tick is gathered, encoded for the
// wire once, and written once to each connection that has joined.

/** Where the topic's hash stands in a brew frame (protocol, section 3). */
const HASH_IN_FRAME = 2;
/** How many bytes a cipher may add to a message. */
const CIPHER_OVERHEAD = 32;
const NOBODY: ReadonlySet<never> = new Set();

/** Whether a frame is a bundle of at most a batch: short messages that piled up at the brewer may together be longer than one message may be. */
const isSmallBundle = (frame: Uint8Array): boolean =>
  sequenceOf(frame) !== undefined && isBundle(frame) && frame.length <= RELAY_BATCH + FRAME_HEADER + CIPHER_OVERHEAD;

/** Who has joined which topic, what goes to whom, and each topic's last value. */
export class Relay<C extends RelayMember> {
  readonly #options: RelayOptions<C>;
  readonly #maxJoined: number;
  readonly #maxFrame: number;
  /** By connection that is too slow, the topics of which it missed frames; true: it missed only the last value that it should get for its JOIN. */
  readonly #missed = new Map<C, Map<string, boolean>>();
  readonly #memberships = new Memberships<C>();
  readonly #dirty = new Set<Topic<C>>();
  readonly #bridge: RelayBridge<C> | undefined;
  /** By topic, the connections that have joined it and wait for its last value, while other relays are asked for theirs. */
  readonly #waiting = new Map<string, Set<C>>();
  readonly #reach = new Reach<C, Topic<C>>();
  readonly #lastValues: LastValues;
  #published = 0;
  #delivered = 0;

  constructor(options: RelayOptions<C>) {
    this.#options = options;
    this.#bridge = options.bridge;
    this.#lastValues = new LastValues(options.maxRetained ?? 10_000, options.maxRetainedBytes ?? 64 * 1024 * 1024);
    this.#maxFrame = FRAME_HEADER + CIPHER_OVERHEAD + (options.maxMessage ?? Infinity);
    this.#maxJoined = options.maxJoined ?? Infinity;
  }

  /** How many topics somebody has joined. */
  get topics(): number {
    return this.#memberships.topics;
  }

  get retained(): number {
    return this.#lastValues.size;
  }

  get retainedBytes(): number {
    return this.#lastValues.bytes;
  }

  /** How many frames of connections were accepted; those of other relays are not counted. */
  get published(): number {
    return this.#published;
  }

  /** How many frames were handed over to connections, last values included. */
  get delivered(): number {
    return this.#delivered;
  }

  /** How many connections have joined the topic of this key. */
  joined(key: string): number {
    const members = this.#memberships.find(key)?.members;
    if (!members) return 0;
    return this.#bridge && members.has(this.#bridge.member) ? members.size - 1 : members.size;
  }

  /**
   * Takes a message of a connection: one packet, or in protocol 2 one or more. A malformed packet is reported to `dropped`, and
   * dropped together with the rest of its message, because nobody can say where the next packet begins.
   */
  receive(connection: C, bytes: Uint8Array): void {
    let at = 0;
    do {
      const read = tryRelayPacket(bytes, at);
      if (typeof read === 'string') return this.#options.dropped?.('relay-packet', connection);
      const [packet, next] = read;
      at = next;
      // Several packets in a message, and PING, belong to protocol 2.
      if (connection.version === 1 && (at !== bytes.length || packet.type === RelayPacketType.PING)) return this.#options.dropped?.('relay-packet', connection);
      const key = hashKey(packet.topicHash);
      if (packet.type === RelayPacketType.PUBLISH) this.#publish(connection, key, packet);
      else if (packet.type === RelayPacketType.JOIN) this.#join(connection, key, packet);
      else if (packet.type === RelayPacketType.GRANT) this.#grant(connection, packet);
      else if (packet.type === RelayPacketType.PING) this.#options.pinged?.(connection);
      else this.#leave(connection, key);
    } while (at < bytes.length);
  }

  /** A connection has ended: it has left all its topics. */
  gone(connection: C): void {
    this.#missed.delete(connection);
    this.#reach.gone(connection);
    this.#options.permits?.gone(connection);
    for (const key of this.#memberships.of(connection)) this.#leave(connection, key);
  }

  /** Sends all frames that wait. */
  flush(): void {
    for (const topic of this.#dirty) this.#send(topic);
  }

  /** A connection takes bytes again: it gets the newest frame of each topic of which it missed any. */
  drained(connection: C): void {
    const missed = this.#missed.get(connection);
    if (!missed) return;
    this.#missed.delete(connection);
    for (const [key, retained] of missed) {
      const last = this.#lastValues.get(key);
      if (last) this.#give(connection, key, [last], retained);
    }
  }

  /** Gives a frame that was published on another relay to everybody who has joined its topic. */
  inject(key: string, frame: Uint8Array, stamp: number): void {
    if (!this.#bridge || !isFrame(frame)) this.#options.dropped?.('cluster-frame');
    else this.#accept(key, frame, this.#bridge.member, stamp);
  }

  /** Takes the last value that another relay has. If it is newer than the one known here, everybody here has missed it, and gets it. */
  refresh(key: string, frame: Uint8Array, stamp: number): void {
    const topic = this.#settle(key);
    if (!isFrame(frame)) return this.#options.dropped?.('cluster-frame');
    if (stamp <= (this.#lastValues.stamp(key) ?? -1)) return;
    this.#lastValues.set(key, frame, stamp);
    const waiting = this.#waiting.get(key);
    for (const member of topic?.members ?? NOBODY) {
      if (member !== this.#bridge?.member && !waiting?.has(member)) this.#give(member, key, [frame], false);
    }
  }

  /** No newer last value of a topic will come: connections that wait for it get the one known here, if any. */
  welcome(key: string): void {
    const waiting = this.#waiting.get(key);
    if (!waiting) return;
    this.#waiting.delete(key);
    const last = this.#lastValues.get(key);
    if (last) for (const member of waiting) this.#give(member, key, [last], true);
  }

  /** The last value of a topic, and when it was published. The bytes are valid until the next one is stored. */
  last(key: string): { readonly frame: Uint8Array; readonly stamp: number } | undefined {
    this.#settle(key);
    const frame = this.#lastValues.get(key);
    return frame && { frame, stamp: this.#lastValues.stamp(key) ?? 0 };
  }

  /** Stops sending a topic to other relays, because none of them wants it. */
  unbridge(key: string): void {
    if (this.#bridge) this.#leave(this.#bridge.member, key);
  }

  /** Forgets, for the question whom a publisher reaches, what was published before the previous call. Call it every few seconds. */
  age(): void {
    this.#reach.age();
  }

  /** Ends the joins and grants whose tickets have expired. Call it well within the life of a ticket. */
  expire(): void {
    this.#options.permits?.expire((connection, key) => this.#leave(connection, key));
  }

  #grant(connection: C, { topicHash, payload }: RelayPacket): void {
    const { permits, ungranted } = this.#options;
    if (permits && !permits.grant(connection, topicHash, payload)) ungranted?.(connection, 'invalid');
  }

  #join(connection: C, key: string, { topicHash, payload }: RelayPacket): void {
    const { permits, dropped, ungranted } = this.#options;
    const joined = this.#memberships.of(connection);
    if (joined.size >= this.#maxJoined && !joined.has(key)) return dropped?.('joined-topics', connection);
    if (permits && !permits.join(connection, topicHash, payload)) return ungranted?.(connection, payload.length ? 'invalid' : 'none');
    // It has joined already: this JOIN only renews the ticket.
    if (permits && joined.has(key)) return;
    // Frames that wait go only to those who had joined before; the last of them becomes the last value, which the new member gets.
    this.#settle(key);
    this.#memberships.enter(connection, key);
    const last = this.#lastValues.get(key);
    if (this.#bridge?.changed(key, this.joined(key))) file(this.#waiting, key, connection);
    else if (last) this.#give(connection, key, [last], true);
    this.#options.joined?.(key);
  }

  #leave(connection: C, key: string): void {
    this.#options.permits?.left(connection, key);
    const topic = this.#memberships.find(key);
    if (!topic?.members.has(connection)) return;
    this.#send(topic);
    this.#missed.get(connection)?.delete(key);
    this.#memberships.leave(connection, topic);
    unfile(this.#waiting, key, connection);
    if (connection !== this.#bridge?.member) this.#bridge?.changed(key, this.joined(key));
  }

  #publish(connection: C, key: string, { topicHash, payload: frame }: RelayPacket): void {
    if (!isFrame(frame)) return this.#options.dropped?.('relay-frame', connection);
    if (frame.length > this.#maxFrame && !isSmallBundle(frame)) return this.#options.dropped?.('too-long', connection);
    for (let i = 0; i < topicHash.length; i++) {
      if (topicHash[i] !== frame[HASH_IN_FRAME + i]) return this.#options.dropped?.('relay-topic', connection);
    }
    const { permits, ungranted } = this.#options;
    if (permits && !permits.publish(connection, frame)) return ungranted?.(connection, 'ungranted');
    this.#published++;
    this.#accept(key, frame, connection, this.#bridge?.stamp() ?? 0);
  }

  #accept(key: string, frame: Uint8Array, from: C, stamp: number): void {
    const bridge = this.#bridge;
    let topic = this.#memberships.find(key);
    if (bridge && from !== bridge.member && !topic?.members.has(bridge.member) && bridge.wants(key)) {
      topic = this.#memberships.enter(bridge.member, key);
    }
    if (!topic) {
      this.#lastValues.set(key, frame, stamp);
      return;
    }
    if (!topic.pending.length) {
      if (!this.#dirty.size) this.#options.cork();
      this.#dirty.add(topic);
    } else if (topic.pendingBytes + frame.length > RELAY_BATCH) {
      this.#send(topic);
      this.#dirty.add(topic);
    }
    this.#reach.note(from, topic);
    topic.pending.push({ frame, from, stamp });
    topic.pendingBytes += frame.length;
    // Send at once, so that a reader that becomes full is noticed before more is read.
    if (topic.pendingBytes >= RELAY_BATCH) this.#send(topic);
  }

  #settle(key: string): Topic<C> | undefined {
    const topic = this.#memberships.find(key);
    if (topic) this.#send(topic);
    return topic;
  }

  #send(topic: Topic<C>): void {
    const { pending, members } = topic;
    this.#dirty.delete(topic);
    if (!pending.length) return;
    topic.pending = [];
    topic.pendingBytes = 0;
    const newest = pending.reduce((best, one) => (one.stamp >= best.stamp ? one : best));
    this.#lastValues.set(topic.key, newest.frame, newest.stamp);
    const frames = pending.map(({ frame }) => frame);
    const publishers = new Set(pending.map(({ from }) => from));
    const formatted: (Buffer | undefined)[] = [];
    for (const member of members) {
      // A client with both ends on one connection loops back by itself.
      if (publishers.has(member)) {
        const others = pending.filter(({ from }) => from !== member);
        if (others.length) this.#give(member, topic.key, others.map(({ frame }) => frame), false, undefined, others.at(-1)!.stamp);
        // If the newest frame is its own, what it has missed before is of no use any more.
        if (pending[pending.length - 1]!.from === member) this.#missed.get(member)?.delete(topic.key);
      } else {
        const bytes = member.take ? undefined : (formatted[member.version] ??= format(frames, member.version, false));
        this.#give(member, topic.key, frames, false, bytes, newest.stamp);
      }
      if (member.isFull) this.#options.full?.(member, publishers, (from) => this.#reach.others(from, member, (one) => one.isFull === true));
    }
  }

  #give(member: C, key: string, frames: readonly Uint8Array[], retained: boolean, bytes?: Buffer, stamp?: number): void {
    // These frames are newer than the last value that it may wait for.
    if (this.#waiting.size) unfile(this.#waiting, key, member);
    // A member that has missed a frame gets nothing until it has drained: then it gets the newest one.
    if (!this.#missed.has(member) && this.#hand(member, key, frames, bytes ?? retained, stamp)) return;
    this.#options.dropped?.(member.take ? 'cluster-frame' : 'slow-reader-frame', member, frames.length);
    let missed = this.#missed.get(member);
    if (!missed) this.#missed.set(member, (missed = new Map()));
    missed.set(key, retained && missed.get(key) !== false);
  }

  #hand(member: C, key: string, frames: readonly Uint8Array[], bytes: Buffer | boolean, stamp = this.#lastValues.stamp(key)): boolean {
    if (member.take) return member.take(key, frames, stamp ?? 0);
    const message = typeof bytes === 'boolean' ? format(frames, member.version, bytes) : bytes;
    if (!this.#options.write(member, message)) return false;
    this.#delivered += frames.length;
    return true;
  }
}
