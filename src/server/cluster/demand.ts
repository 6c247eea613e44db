// What other relays want of this one: how many connections have joined which topic there, as far as they have told, and on
// which topics frames of this relay have reached nobody. Knows no bus and no clock: `tick` is called at equal intervals.

/** For how many ticks nothing is sent on a topic that nobody wanted. */
const IDLE_TICKS = 20;
/** After how many ticks without a frame a topic is given up until the next frame, so that topics that nobody uses any more are forgotten. */
const UNUSED_TICKS = 120;
/** For how many topics such facts are remembered. */
const MOST_TOPICS = 100_000;

export class Demand {
  /** Topics that no other relay wants, and until which tick; and topics that one did want, and when they were last used. Oldest first. */
  readonly #idle = new Map<string, number>();
  readonly #used = new Map<string, number>();
  /** How many connections have joined a topic, by topic and server. */
  readonly #elsewhere = new Map<string, Map<string, number>>();
  #tick = 0;

  /** Whether a frame that was sent on a topic a short while ago has reached nobody. */
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

  /** A frame is sent on a topic. */
  used(key: string): void {
    this.#used.delete(key);
    this.#used.set(key, this.#tick);
  }

  /** A frame that was sent on a topic has reached nobody. */
  unwanted(key: string): void {
    this.#used.delete(key);
    remember(this.#idle, key, this.#tick + IDLE_TICKS);
  }

  /** A server has gone. */
  gone(server: string): void {
    for (const [key, counts] of this.#elsewhere) if (counts.delete(server) && !counts.size) this.#elsewhere.delete(key);
  }

  /** Somebody may want now what nobody wanted before. */
  retry(): void {
    this.#idle.clear();
  }

  /** Forgets what other servers have told, because it may be out of date. They tell it again. */
  forget(): void {
    this.#elsewhere.clear();
  }

  /** Another interval is over. Calls `unused` with each topic on which nothing was sent for long; if there are too many topics, with the oldest too. */
  tick(unused: (key: string) => void): void {
    this.#tick++;
    for (const [key, until] of this.#idle) {
      if (until > this.#tick) break;
      this.#idle.delete(key);
    }
    for (const [key, at] of this.#used) {
      // Topics beyond the limit are told too: otherwise the relay would send them on for ever.
      if (at + UNUSED_TICKS > this.#tick && this.#used.size <= MOST_TOPICS) break;
      this.#used.delete(key);
      unused(key);
    }
  }
}

/** Sets a key as the newest one; if there are too many, the oldest one goes. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_TOPICS) map.delete(map.keys().next().value!);
}
