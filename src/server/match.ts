import { PubkeeperError, type ErrorCode } from '../core/errors.js';
import { PacketType } from '../core/packet.js';
import type { BrewDetails, BrewerConfig, BrewerInfo, Packet, PatronInfo } from '../core/packet.js';

// The data of the matchmaker, and the packets that it sends. `C` is the type of a client: clients are only compared with each other.

/** What a token allows. Topics are literal. */
export interface Rights {
  /** Whether its patrons are matched to this topic. */
  mayRead(topic: string): boolean;
  /** Whether its brewers may publish this topic. */
  mayWrite(topic: string): boolean;
  /**
   * The patterns that `mayRead` follows. A patron's brewers are looked up by these where they are narrower than its own pattern. The
   * other servers of a cluster need them: without them a patron with a wildcard is matched only with brewers of its own server.
   */
  readonly reads?: readonly string[] | undefined;
  /** When the rights end, in milliseconds as in `Date.now()`: the connection is closed then, and its client may come back with a new token. */
  readonly expiresAt?: number | undefined;
}

/** A registered brewer. A re-registration changes it in place. */
export interface RegisteredBrewer<C> {
  readonly id: string;
  readonly client: C;
  topic: string;
  config: BrewerConfig;
  brews: readonly BrewDetails[];
  /** The length of its registration, in bytes. */
  bytes: number;
  /** Whether it is kept from the other servers of a cluster: then it is matched with clients of its own server only. */
  isSecluded: boolean;
  readonly matches: Map<RegisteredPatron<C>, Match<C>>;
}

/** A registered patron. A re-registration changes it in place. */
export interface RegisteredPatron<C> {
  readonly id: string;
  readonly client: C;
  pattern: string;
  brews: ReadonlyMap<string, BrewDetails>;
  /** The length of its registration, in bytes. */
  bytes: number;
  /** Whether it is kept from the other servers of a cluster: then it is matched with clients of its own server only. */
  isSecluded: boolean;
  readonly matches: Map<RegisteredBrewer<C>, Match<C>>;
}

/**
 * A brewer and a patron that are matched. The object stays the same unless something changes that the brewer has to be
 * told of.
 */
export interface Match<C> {
  readonly brewer: RegisteredBrewer<C>;
  readonly patron: RegisteredPatron<C>;
  /** The brewer's literal topic. */
  readonly topic: string;
  /** The brewer's details of the chosen brew: what the patron is told. */
  brew: BrewDetails;
  /** The patron's details of the same brew: what the brewer is told. */
  patronBrew: BrewDetails;
}

/** A packet that is to be sent to a client. */
export interface Outgoing<C> {
  readonly client: C;
  readonly packet: Packet;
  /** For a PATRON_NOTIFY or a PATRON_REMOVED: the pairs that it tells of. */
  readonly about?: PatronNews<C>;
}

/** What a packet tells a brewer of its patrons. */
export interface PatronNews<C> {
  readonly brewer: RegisteredBrewer<C>;
  /** In the order of the packet's list. */
  readonly matches: readonly Match<C>[];
  /** Whether it answers a BREWER_REGISTER with the whole list; else it tells of a later change. */
  readonly answer: boolean;
}

/** The brews by name; of two with the same name the first counts. */
export function brewsByName(brews: readonly BrewDetails[]): Map<string, BrewDetails> {
  const byName = new Map<string, BrewDetails>();
  for (const brew of brews) if (!byName.has(brew.name)) byName.set(brew.name, brew);
  return byName;
}

/** The names of the brews of a registration. */
export const brewNames = <C>(end: RegisteredBrewer<C> | RegisteredPatron<C>): ReadonlySet<string> =>
  new Set('topic' in end ? end.brews.map(({ name }) => name) : end.brews.keys());

/** Whether two values that came as JSON are the same. Keys in another order count as a change, which does no harm. */
export const sameJson = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

const brewerInfo = <C>({ brewer, topic, brew }: Match<C>): BrewerInfo => ({
  topic,
  brewer_id: brewer.id,
  brewer_config: brewer.config,
  brew,
});

const patronInfo = <C>({ patron, topic, patronBrew }: Match<C>): PatronInfo => ({
  topic,
  patron_id: patron.id,
  brew: patronBrew,
});

/** BREWER_NOTIFY: tells a patron of the brewers of `matches`. */
export const brewerNotify = <C>(patron: RegisteredPatron<C>, matches: readonly Match<C>[]): Outgoing<C> => ({
  client: patron.client,
  packet: { type: PacketType.BREWER_NOTIFY, payload: { patron_id: patron.id, brewers: matches.map(brewerInfo) } },
});

/** PATRON_NOTIFY: tells a brewer of the patrons of `matches`. */
export const patronNotify = <C>(
  brewer: RegisteredBrewer<C>,
  matches: readonly Match<C>[],
  answer: boolean,
): Outgoing<C> => ({
  client: brewer.client,
  packet: { type: PacketType.PATRON_NOTIFY, payload: { brewer_id: brewer.id, patrons: matches.map(patronInfo) } },
  about: { brewer, matches, answer },
});

/** BREWER_REMOVED: tells a patron that a match has ended. */
export const brewerRemoved = <C>({ brewer, patron, topic }: Match<C>): Outgoing<C> => ({
  client: patron.client,
  packet: { type: PacketType.BREWER_REMOVED, payload: { topic, patron_id: patron.id, brewer_id: brewer.id } },
});

/** PATRON_REMOVED: tells a brewer that a match has ended. */
export const patronRemoved = <C>(match: Match<C>): Outgoing<C> => ({
  client: match.brewer.client,
  packet: {
    type: PacketType.PATRON_REMOVED,
    payload: { topic: match.topic, brewer_id: match.brewer.id, patron_id: match.patron.id },
  },
  about: { brewer: match.brewer, matches: [match], answer: false },
});

/** The registration that an ERROR is about. Our client reads these keys; other clients ignore keys that they do not know. */
export interface ErrorSubject {
  readonly brewer_id?: string;
  readonly patron_id?: string;
}

/** An ERROR packet. `message` says what is wrong and what to do, `code` is one of the SDK's stable codes. */
export function errorPacket(code: ErrorCode, message: string, subject: ErrorSubject = {}): Packet {
  const payload = { message, code, ...subject };
  return { type: PacketType.ERROR, payload };
}

/** The `PubkeeperError` that `check` throws; undefined if it throws nothing. Any other error is thrown on. */
export function faultOf(check: () => void): PubkeeperError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof PubkeeperError) return error;
    throw error;
  }
}
