import { isFrame } from '../core/frame.js';
import { RelayPacketType, decodeRelayPacket } from '../core/relay.js';
import type { RelayPacket } from '../core/relay.js';

// The relay of the WebSocket brew (protocol, section 4), without sockets: bytes of connections go in, frames for
// connections come out. `C` is whatever stands for a connection: it is only compared, never looked into.

/** Why the relay dropped a packet. */
export type RelayFault = 'relay-packet' | 'relay-frame' | 'relay-topic';

export interface RelayOptions<C> {
  /**
   * Hands over a frame for a connection; `retained` for a topic's last value. The frame is the same object for all
   * connections of a fan-out and is not changed afterwards.
   */
  send(connection: C, frame: Uint8Array, retained: boolean): void;
  /** A packet was dropped. The connection may go on. */
  dropped?(fault: RelayFault, connection: C): void;
  /** A connection has joined the topic of this key. */
  joined?(key: string): void;
  /** How many last values are kept; default 10,000. The one not used for the longest time goes first. */
  maxRetained?: number;
  /** How many bytes of last values are kept; default 64 MiB. */
  maxRetainedBytes?: number;
}

/** A topic's hash as a key for maps: 32 latin1 characters. Cheaper to make than hex, and half as long. */
export const hashKey = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1');

/** A frame that is kept: the bytes are our own, and longer than the frame where a longer one came before. */
interface Retained {
  bytes: Uint8Array<ArrayBuffer>;
  length: number;
}

const HASH_IN_FRAME = 2;
const NOBODY: ReadonlySet<never> = new Set();

/** Who has joined which topic, what goes to whom, and each topic's last value. */
export class Relay<C> {
  readonly #options: RelayOptions<C>;
  readonly #maxRetained: number;
  readonly #maxRetainedBytes: number;
  readonly #topics = new Map<string, Set<C>>();
  readonly #connections = new Map<C, Set<string>>();
  // A map remembers the order in which keys were set: the first is the one not used for the longest time.
  readonly #retained = new Map<string, Retained>();
  #newest = '';
  #retainedBytes = 0;
  #published = 0;
  #delivered = 0;

  constructor(options: RelayOptions<C>) {
    this.#options = options;
    this.#maxRetained = options.maxRetained ?? 10_000;
    this.#maxRetainedBytes = options.maxRetainedBytes ?? 64 * 1024 * 1024;
  }

  /** Topics that a connection has joined. */
  get topics(): number {
    return this.#topics.size;
  }

  get retained(): number {
    return this.#retained.size;
  }

  get retainedBytes(): number {
    return this.#retainedBytes;
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
    return this.#topics.get(key)?.size ?? 0;
  }

  /** Takes one packet of a connection. What is malformed is dropped and reported to `dropped`. */
  receive(connection: C, bytes: Uint8Array): void {
    let packet: RelayPacket;
    try {
      packet = decodeRelayPacket(bytes);
    } catch {
      this.#options.dropped?.('relay-packet', connection);
      return;
    }
    const key = hashKey(packet.topicHash);
    if (packet.type === RelayPacketType.PUBLISH) this.#publish(connection, key, packet);
    else if (packet.type === RelayPacketType.JOIN) this.#join(connection, key);
    else this.#leave(connection, key);
  }

  /** A connection has ended: it has left all its topics. */
  gone(connection: C): void {
    for (const key of this.#connections.get(connection) ?? NOBODY) this.#leave(connection, key);
  }

  #join(connection: C, key: string): void {
    let members = this.#topics.get(key);
    if (!members) this.#topics.set(key, (members = new Set()));
    members.add(connection);
    let topics = this.#connections.get(connection);
    if (!topics) this.#connections.set(connection, (topics = new Set()));
    topics.add(key);
    const last = this.#retained.get(key);
    if (last) {
      this.#touch(key, last);
      this.#delivered++;
      // A copy: the kept bytes are overwritten by the next frame, perhaps while this one waits in a socket.
      this.#options.send(connection, last.bytes.slice(0, last.length), true);
    }
    this.#options.joined?.(key);
  }

  #leave(connection: C, key: string): void {
    const members = this.#topics.get(key);
    if (!members?.delete(connection)) return;
    if (!members.size) this.#topics.delete(key);
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
    this.#published++;
    this.#retain(key, frame);
    for (const member of this.#topics.get(key) ?? NOBODY) {
      // A client with both ends on one connection loops back by itself.
      if (member === connection) continue;
      this.#delivered++;
      this.#options.send(member, frame, false);
    }
  }

  #retain(key: string, frame: Uint8Array): void {
    if (frame.length > this.#maxRetainedBytes) {
      this.#forget(key);
      return;
    }
    let last = this.#retained.get(key);
    if (!last) this.#retained.set(key, (last = { bytes: new Uint8Array(0), length: 0 }));
    // Copied, because the frame may be a small view of a large receive buffer, which would be kept whole. The bytes are
    // used again for the next frame, unless that wastes more than half of them.
    if (last.bytes.length < frame.length || last.bytes.length > 2 * frame.length) {
      this.#retainedBytes += frame.length - last.bytes.length;
      last.bytes = new Uint8Array(frame.length);
    }
    last.bytes.set(frame);
    last.length = frame.length;
    this.#touch(key, last);
    while (this.#retained.size > this.#maxRetained || this.#retainedBytes > this.#maxRetainedBytes) {
      this.#forget(this.#retained.keys().next().value!);
    }
  }

  #touch(key: string, last: Retained): void {
    if (key === this.#newest) return;
    this.#newest = key;
    this.#retained.delete(key);
    this.#retained.set(key, last);
  }

  #forget(key: string): void {
    const last = this.#retained.get(key);
    if (!last) return;
    this.#retainedBytes -= last.bytes.length;
    this.#retained.delete(key);
    if (key === this.#newest) this.#newest = '';
  }
}
