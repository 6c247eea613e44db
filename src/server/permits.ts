import { hashKey } from './relay-format.js';
import { type Grant, readTicket, type Tickets } from './tickets.js';

/** Where the topic's hash and the brewer's id stand in a brew frame, end to end (protocol, section 3). */
const IDENTITY_AT = 2;
const IDENTITY_END = 50;

/** What the connections of a relay in the profile `secured` may do, by the tickets that they have shown. */
export class Permits<C> {
  readonly #tickets: Tickets;
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #most: number;
  /** Until when each connection may do what, in seconds of the steady clock: joins by the topic's key, publishing by topic and brewer. */
  readonly #joins = new Map<C, Map<string, number>>();
  readonly #publishes = new Map<C, Map<string, number>>();

  /**
   * @param most how many grants to publish are kept for one connection; joins are as many as the relay allows
   * @param now the time in seconds since 1970, as in tickets; default: theirs
   * @param steady a clock in seconds that nobody sets, for what was granted: where `now` is set forward, all grants would expire at once,
   *   and nothing would come through until they are renewed; where it is set back, they would hold for too long
   */
  constructor(tickets: Tickets, most: number, now?: () => number, steady: () => number = now ?? ((): number => performance.now() / 1000)) {
    this.#tickets = tickets;
    this.#most = most;
    this.#now = now ?? ((): number => tickets.now());
    this.#steady = steady;
  }

  /** Whether a JOIN with this ticket is allowed. */
  join(connection: C, topicHash: Uint8Array, sent: Uint8Array): boolean {
    const until = this.#check(readTicket(sent), { operation: 'join', topicHash });
    if (until === undefined) return false;
    note(this.#joins, connection, hashKey(topicHash), until);
    return true;
  }

  /** Takes a GRANT; false when its ticket is not good. */
  grant(connection: C, topicHash: Uint8Array, sent: Uint8Array): boolean {
    const ticket = readTicket(sent);
    const brewerId = ticket.subarray(8, 24);
    const until = this.#check(ticket, { operation: 'publish', topicHash, brewerId });
    if (until === undefined) return false;
    const grants = note(this.#publishes, connection, hashKey(topicHash) + hashKey(brewerId), until);
    // Brewers that are there have their grants renewed, so the grant that was renewed longest ago is of a brewer that has gone.
    if (grants.size > this.#most) grants.delete(grants.keys().next().value!);
    return true;
  }

  /** Whether this frame may be published. */
  publish(connection: C, frame: Uint8Array): boolean {
    const until = this.#publishes.get(connection)?.get(hashKey(frame.subarray(IDENTITY_AT, IDENTITY_END)));
    return until !== undefined && until > this.#steady();
  }

  left(connection: C, key: string): void {
    this.#joins.get(connection)?.delete(key);
  }

  gone(connection: C): void {
    this.#joins.delete(connection);
    this.#publishes.delete(connection);
  }

  /** Forgets expired grants to publish, and calls `ended` for each expired join. */
  expire(ended: (connection: C, key: string) => void): void {
    const now = this.#steady();
    for (const grants of this.#publishes.values()) for (const [key, until] of grants) if (until <= now) grants.delete(key);
    for (const [connection, joins] of this.#joins) {
      for (const [key, until] of joins) if (until <= now) ended(connection, key);
    }
  }

  /** Until when a ticket grants this, by the steady clock; undefined when it does not. */
  #check(ticket: Uint8Array, grant: Grant): number | undefined {
    const now = this.#now();
    const expires = this.#tickets.check(ticket, grant, now);
    return expires === undefined ? undefined : this.#steady() + expires - now;
  }
}

/** Records that a connection may do what `key` stands for; what was recorded last is last in the map. */
function note<C>(all: Map<C, Map<string, number>>, connection: C, key: string, until: number): Map<string, number> {
  let grants = all.get(connection);
  if (!grants) all.set(connection, (grants = new Map()));
  const latest = Math.max(until, grants.get(key) ?? 0);
  grants.delete(key);
  return grants.set(key, latest);
}
