import { hashKey } from './relay-format.js';
import type { Tickets } from './tickets.js';

/** Where the topic's hash and the brewer's id stand in a brew frame, end to end. */
const IDENTITY_AT = 2;
const IDENTITY_END = 50;

/** What the connections of a relay in the profile `secured` may do, by the tickets that they have shown. */
export class Permits<C> {
  readonly #tickets: Tickets;
  readonly #now: () => number;
  readonly #most: number;
  /** Until when each connection may do what, in seconds: joins by the topic's key, publishing by topic and brewer. */
  readonly #joins = new Map<C, Map<string, number>>();
  readonly #publishes = new Map<C, Map<string, number>>();

  /**
   * @param most how many grants to publish are kept for one connection; joins are as many as the relay allows
   * @param now the time in seconds since 1970
   */
  constructor(tickets: Tickets, most: number, now: () => number = () => Date.now() / 1000) {
    this.#tickets = tickets;
    this.#most = most;
    this.#now = now;
  }

  /** Whether a JOIN with this ticket is allowed. */
  join(connection: C, topicHash: Uint8Array, ticket: Uint8Array): boolean {
    const expires = this.#tickets.check(ticket, { operation: 'join', topicHash }, this.#now());
    if (expires === undefined) return false;
    note(this.#joins, connection, hashKey(topicHash), expires);
    return true;
  }

  /** Takes a GRANT; false when it is none. */
  grant(connection: C, topicHash: Uint8Array, ticket: Uint8Array): boolean {
    const brewerId = ticket.subarray(8, 24);
    const expires = this.#tickets.check(ticket, { operation: 'publish', topicHash, brewerId }, this.#now());
    const key = hashKey(topicHash) + hashKey(brewerId);
    if (expires === undefined) return false;
    const grants = note(this.#publishes, connection, key, expires);
    // Brewers that are there have theirs renewed, so that the one not renewed for the longest time is of one that has gone.
    if (grants.size > this.#most) grants.delete(grants.keys().next().value!);
    return true;
  }

  /** Whether this frame may be published. */
  publish(connection: C, frame: Uint8Array): boolean {
    const expires = this.#publishes.get(connection)?.get(hashKey(frame.subarray(IDENTITY_AT, IDENTITY_END)));
    return expires !== undefined && expires > this.#now();
  }

  left(connection: C, key: string): void {
    this.#joins.get(connection)?.delete(key);
  }

  gone(connection: C): void {
    this.#joins.delete(connection);
    this.#publishes.delete(connection);
  }

  /** Forgets what has expired; tells of each join among it. */
  expire(ended: (connection: C, key: string) => void): void {
    const now = this.#now();
    for (const grants of this.#publishes.values()) for (const [key, expires] of grants) if (expires <= now) grants.delete(key);
    for (const [connection, joins] of this.#joins) {
      for (const [key, expires] of joins) if (expires <= now) ended(connection, key);
    }
  }
}

/** Notes that a connection may do what `key` stands for; what was noted last is last in its map. */
function note<C>(all: Map<C, Map<string, number>>, connection: C, key: string, expires: number): Map<string, number> {
  let grants = all.get(connection);
  if (!grants) all.set(connection, (grants = new Map()));
  const until = Math.max(expires, grants.get(key) ?? 0);
  grants.delete(key);
  return grants.set(key, until);
}
