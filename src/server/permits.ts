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
   * @param most how many grants of a kind are kept for one connection
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
    return expires !== undefined && this.#note(this.#joins, connection, hashKey(topicHash), expires);
  }

  /** Takes a GRANT; false when it is none. */
  grant(connection: C, topicHash: Uint8Array, ticket: Uint8Array): boolean {
    const brewerId = ticket.subarray(8, 24);
    const expires = this.#tickets.check(ticket, { operation: 'publish', topicHash, brewerId }, this.#now());
    const key = hashKey(topicHash) + hashKey(brewerId);
    return expires !== undefined && this.#note(this.#publishes, connection, key, expires);
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

  #note(all: Map<C, Map<string, number>>, connection: C, key: string, expires: number): boolean {
    let grants = all.get(connection);
    if (!grants) all.set(connection, (grants = new Map()));
    if (grants.size >= this.#most && !grants.has(key)) return false;
    grants.set(key, Math.max(expires, grants.get(key) ?? 0));
    return true;
  }
}
