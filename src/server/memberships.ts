import { file, unfile } from './sets.js';

// Who has joined which topic of the relay, to be found from both sides.

/** Who has joined a topic, and what was published on it in this tick. It exists for as long as somebody has joined. */
export interface Topic<C> {
  readonly key: string;
  readonly members: Set<C>;
  pending: Pending<C>[];
  pendingBytes: number;
}

interface Pending<C> {
  readonly frame: Uint8Array;
  readonly from: C;
  readonly stamp: number;
}

const NOTHING: ReadonlySet<never> = new Set();

/** All topics that somebody has joined. */
export class Memberships<C> {
  readonly #topics = new Map<string, Topic<C>>();
  readonly #connections = new Map<C, Set<string>>();

  /** How many topics somebody has joined. */
  get topics(): number {
    return this.#topics.size;
  }

  find(key: string): Topic<C> | undefined {
    return this.#topics.get(key);
  }

  /** The topics that a connection has joined. */
  of(connection: C): ReadonlySet<string> {
    return this.#connections.get(connection) ?? NOTHING;
  }

  enter(connection: C, key: string): Topic<C> {
    let topic = this.#topics.get(key);
    if (!topic) this.#topics.set(key, (topic = { key, members: new Set(), pending: [], pendingBytes: 0 }));
    topic.members.add(connection);
    file(this.#connections, connection, key);
    return topic;
  }

  leave(connection: C, topic: Topic<C>): void {
    topic.members.delete(connection);
    if (!topic.members.size) this.#topics.delete(topic.key);
    unfile(this.#connections, connection, topic.key);
  }
}
