import type { Permits } from './permits.js';
import type { RelayVersion } from './relay-format.js';

/** A connection: only compared, and asked what it speaks. */
export interface RelayMember {
  readonly version: RelayVersion;
  /** Whether so much waits for it that those who publish for it should wait. */
  readonly isFull?: boolean;
  /**
   * Takes frames as they are instead of what `write` would write; the last one was published at `stamp`. False when it takes
   * none now, as with `write`.
   */
  take?(key: string, frames: readonly Uint8Array[], stamp: number): boolean;
}

/** What joins a relay to others. */
export interface RelayBridge<C> {
  /** The connection that stands for all others: what is published here reaches them by its `take`. It is never counted. */
  readonly member: C;
  /** When a frame is published, for the comparison with those of other relays. */
  stamp(): number;
  /** Something is published on a topic that `member` has not joined: whether it joins. */
  wants(key: string): boolean;
  /**
   * How many connections have joined a topic is another number now. True when who joins has to wait for the topic's last value: until `welcome`.
   */
  changed(key: string, count: number): boolean;
}

/** Why the relay dropped a packet. */
export type RelayFault = 'relay-packet' | 'relay-frame' | 'relay-topic' | 'too-long' | 'joined-topics' | 'no-ticket' | 'slow-reader-frame' | 'cluster-frame';

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
  /** A connection asks for a sign of life (protocol 2). */
  pinged?(connection: C): void;
  /** A packet was dropped. The connection may go on. */
  dropped?(fault: RelayFault, connection?: C, count?: number): void;
  /** A connection has joined the topic of this key. */
  joined?(key: string): void;
  /** What connections may do; default: everything. */
  permits?: Permits<C>;
  /** How many bytes a message may have, headers not counted; a bundle of several may fill a batch. Default: any number. */
  maxMessage?: number;
  /** How many topics a connection may have joined; default: any number. */
  maxJoined?: number;
  /** The way to other relays; default: none. */
  bridge?: RelayBridge<C>;
  /** How many last values are kept; default 10,000. The one not used for the longest time goes first. */
  maxRetained?: number;
  /** How many bytes of last values are kept; default 64 MiB. */
  maxRetainedBytes?: number;
}
