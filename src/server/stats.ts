import type { ClusterStats } from './cluster/cluster.js';

/** Why the server dropped something, refused it or cut a connection. */
export type DropReason =
  /** a message that is not a control packet, or a packet that a client may not send */
  | 'control-packet'
  /** a text message on a control connection */
  | 'control-text'
  /** a control packet of an unknown type */
  | 'control-unknown'
  /** a message that is not a relay packet */
  | 'relay-packet'
  /** a PUBLISH that does not hold a brew frame */
  | 'relay-frame'
  /** a PUBLISH under another topic than its frame says */
  | 'relay-topic'
  /** a text message on a relay connection */
  | 'relay-text'
  /** a message above `maxMessageBytes` */
  | 'too-long'
  /** bytes that break the WebSocket protocol */
  | 'websocket'
  /** a token that is not known, or whose key is not known (yet) */
  | 'unauthorized'
  /** a connection whose token has expired, or was given other rights */
  | 'expired'
  /** a connection without a token in time, or whose token was not checked in time */
  | 'auth-timeout'
  /** a WebSocket handshake that is malformed, with an unknown subprotocol or path, or from an origin that may not connect */
  | 'handshake'
  /** a connection without a sign of life for 2.5 heartbeats, or for 2 s when another one wants to register one of its ids */
  | 'silent'
  /** a connection that does not read what is sent to it */
  | 'slow-reader'
  /** a frame that a slow reader did not get */
  | 'slow-reader-frame'
  /** a frame to or from another server of the cluster that did not get through */
  | 'cluster-frame'
  /** a malformed message of another server */
  | 'cluster-message'
  /** a malformed registration of another server, or one of this server that is too long */
  | 'cluster-record'
  /** a JOIN, GRANT or PUBLISH without a valid ticket, in the profile `secured` */
  | 'no-ticket'
  /** more packets, or a longer one, than a client may send before it is authenticated */
  | 'before-auth'
  /** a connection from an address that has too many */
  | 'connections'
  /** a patron or brewer of a connection that has too many */
  | 'registrations'
  /** a patron or brewer of a connection whose registrations are too long together */
  | 'registered-bytes'
  /** a patron or brewer of a connection whose registrations make too many pairs */
  | 'pairs'
  /** a patron or brewer with too many brews, or a brew with too long a name */
  | 'brews'
  /** a patron or brewer whose details are nested too deeply */
  | 'nesting'
  /** a topic joined by a relay connection that has joined too many */
  | 'joined-topics'
  /** a brewer told of a patron that had not joined the relay in time (`holdMs`): the patron misses what is brewed until it does */
  | 'late-join'
  /** a topic that is too long */
  | 'topic-length'
  /** a topic with too many segments */
  | 'topic-segments'
  /** a pattern with too many `**` */
  | 'double-wildcards'
  /** a control connection that had to wait, because it sent too much */
  | 'packet-rate'
  /** a relay connection that had to wait, because it sent too much */
  | 'relay-rate';

/** What a server counts: the present numbers, unless it says "since the start". */
export interface ServerStats {
  /** Control connections, authenticated or not. */
  readonly controlConnections: number;
  /** Authenticated control connections. */
  readonly clients: number;
  /** Relay connections, on either port. */
  readonly relayConnections: number;
  /** Registered brewers. */
  readonly brewers: number;
  /** Registered patrons. */
  readonly patrons: number;
  /** Pairs of a brewer and a patron that may exchange data. In a cluster a pair of two servers is counted by both. */
  readonly matches: number;
  /** PATRON_NOTIFYs that wait for a patron to join the relay. */
  readonly heldNotifications: number;
  /** Bytes that wait for the slowest reader of the relay. */
  readonly bufferedBytes: number;
  /** Topics that somebody has joined on the relay. */
  readonly topics: number;
  /** Last values that the relay keeps. */
  readonly retained: number;
  /** The bytes of these last values. */
  readonly retainedBytes: number;
  /** Frames that the relay received from its connections, since the start. */
  readonly published: number;
  /** Frames that the relay sent, since the start: each counts once for every connection that got it. */
  readonly delivered: number;
  /** What was dropped since the start, by reason. A reason that never occurred is missing. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
  /** In a cluster: its state. */
  readonly cluster?: ClusterStats;
}

/** Counts drops by reason. */
export class Drops {
  readonly #counts = new Map<DropReason, number>();

  add(reason: DropReason, count = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }

  toJSON(): Partial<Record<DropReason, number>> {
    return Object.fromEntries(this.#counts);
  }
}
