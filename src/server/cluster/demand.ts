// What other relays want of this one: who has joined which topic there, as far as they have told, and which topics nobody
// there has taken what was sent on. Knows no bus and no clock: `tick` is called at equal intervals.

/** For how many ticks nothing is sent where nobody wanted it. */
const IDLE_TICKS = 20;
/** After how many ticks without a frame a topic is tried anew, so that what nobody publishes any more is forgotten. */
const UNUSED_TICKS = 120;
/** Of how many topics such things are remembered. */
const MOST_TOPICS = 100_000;

export class Demand {
  /** Topics that no other relay wants, until when; and those that one did, when they were used. Oldest first. */
  readonly #idle = new Map<string, number>();
  readonly #used = new Map<string, number>();
  /** How many have joined a topic, by server. */
  readonly #elsewhere = new Map<string, Map<string, number>>();
  #tick = 0;

  /** Whether nobody has wanted what was sent on a topic a short while ago. */
  isIdle(key: string): boolean {
    return this.#idle.has(key);
  }

  /** How many connections have joined a topic on all other relays. */
  count(key: string): number {
    let sum = 0;
    for (const count of this.#elsewhere.get(key)?.values() ?? []) sum += count;
    return sum;
  }

  /** A server tells how many connections have joined a topic there. */
  set(key: string, server: string, count: number): void {
    if (count) this.#idle.delete(key);
    const counts = this.#elsewhere.get(key) ?? new Map<string, number>();
    if (count) counts.set(server, count);
    else counts.delete(server);
    if (counts.size) remember(this.#elsewhere, key, counts);
    else this.#elsewhere.delete(key);
  }

  /** Something is sent on a topic. */
  used(key: string): void {
    this.#used.delete(key);
    this.#used.set(key, this.#tick);
  }

  /** What was sent on a topic has reached nobody. */
  unwanted(key: string): void {
    this.#used.delete(key);
    remember(this.#idle, key, this.#tick + IDLE_TICKS);
  }

  /** A server has gone. */
  gone(server: string): void {
    for (const [key, counts] of this.#elsewhere) if (counts.delete(server) && !counts.size) this.#elsewhere.delete(key);
  }

  /** What nobody has wanted somebody may want now. */
  retry(): void {
    this.#idle.clear();
  }

  /** What others have told may be out of date. They tell anew. */
  forget(): void {
    this.#elsewhere.clear();
  }

  /** Another interval is over; `unused` is called with each topic on which nothing has been sent for long, or for longest where there are too many. */
  tick(unused: (key: string) => void): void {
    this.#tick++;
    for (const [key, until] of this.#idle) {
      if (until > this.#tick) break;
      this.#idle.delete(key);
    }
    for (const [key, at] of this.#used) {
      // What there are too many of is told too: a relay would else send it on for ever.
      if (at + UNUSED_TICKS > this.#tick && this.#used.size <= MOST_TOPICS) break;
      this.#used.delete(key);
      unused(key);
    }
  }
}

/** Sets a key as the newest; what was not set for the longest time goes when there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_TOPICS) map.delete(map.keys().next().value!);
}
