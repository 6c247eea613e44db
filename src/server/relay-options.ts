import type { Permits } from './permits.js';
import type { RelayVersion } from './relay-format.js';

/** What the relay needs of a connection. */
export interface RelayMember {
  readonly version: RelayVersion;
  /** Whether so much waits for it that its publishers should wait. */
  readonly isFull?: boolean;
  /**
   * If there is one, it takes the bare frames, and nothing is written with `write`; the last frame was published at `stamp`.
   * Returns false when it takes none now, as `write` does.
   */
  take?(key: string, frames: readonly Uint8Array[], stamp: number): boolean;
}

/** What connects a relay with those of other servers. */
export interface RelayBridge<C> {
  /** The member that stands for all other relays: its `take` gets what is published here. It is never counted as a connection. */
  readonly member: C;
  /** The stamp of a frame that is published now, to be compared with those of other relays. */
  stamp(): number;
  /** A frame is published on a topic that `member` has not joined: returns whether it is to join. */
  wants(key: string): boolean;
  /**
   * The number of connections that have joined a topic is `count` now. Returns true when one that joins has to wait for the topic's last value:
   * until `welcome`.
   */
  changed(key: string, count: number): boolean;
}

/** Why the relay dropped a packet. */
export type RelayFault = 'relay-packet' | 'relay-frame' | 'relay-topic' | 'too-long' | 'joined-topics' | 'slow-reader-frame' | 'cluster-frame';

/** What is wrong with a JOIN, a GRANT or a PUBLISH in the profile `secured`: it bears no ticket, or one that is not valid, or no valid one was shown before it. */
export type TicketLack = 'none' | 'invalid' | 'ungranted';

/** What a relay needs of its owner, and its limits. */
export interface RelayOptions<C extends RelayMember> {
  /**
   * Writes bytes to a connection's socket: whole WebSocket messages. The same buffer may go to many connections; it is never changed.
   * Returns false when the connection takes none now: call `drained` when it does again.
   */
  write(connection: C, bytes: Buffer): boolean;
  /** A frame waits: `flush` has to be called at the end of the tick. */
  cork(): void;
  /** A reader is full; `others` says whether any other reader would notice if a publisher waited. */
  full?(reader: C, publishers: ReadonlySet<C>, others: (publisher: C) => boolean): void;
  /** A connection asks for a sign of life (protocol 2). */
  pinged?(connection: C): void;
  /** A packet was dropped. The connection may go on. */
  dropped?(fault: RelayFault, connection?: C, count?: number): void;
  /** A packet was dropped because its sender lacks a valid ticket. Called in the place of `dropped`. */
  ungranted?(connection: C, lack: TicketLack): void;
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
  /** How many last values are kept; default 10,000. The least recently used one goes first. */
  maxRetained?: number;
  /** How many bytes of last values are kept; default 64 MiB. */
  maxRetainedBytes?: number;
}
