import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import { Bucket } from './bucket.js';

// Back-pressure. A burst is faster than any reader, and a healthy reader must not lose it; but nobody may wait for long for
// a reader that does not read. So this server does not read from a publisher of a full reader until the reader has drained:
// - if nobody else reads what it publishes, it waits until the reader has taken nothing at all for 2 s;
// - if somebody does, it waits until the reader has taken nothing for 20 ms, and in total for a second at first and then for
//   a hundredth of the time: other readers should notice a slow reader in less than one of a hundred messages.
// After that the reader counts as slow, and nobody waits for it until it has drained.

const ALONE_MS = 2_000;
const BESIDE_MS = 20;
const CREDIT_MS = 1_000;
const CREDIT_MS_PER_SECOND = 10;
/**
 * How often a full reader is looked at, in milliseconds. Quiet time is counted in looks, with a turn of the event loop before each: while
 * this whole process stands still, no reader can take anything, and that must not count.
 */
const LOOK_MS = 5;
/** How much credit a look may cost a reader, however long ago the previous look was. Timers come somewhat late on any machine. */
const LOOK_COST_MS = 2 * LOOK_MS;

/** What the pacer needs of a connection. */
export interface Paced {
  /** How many bytes its other end has taken so far. */
  readonly taken: number;
  /** Stops reading what it publishes. */
  hold(): void;
  /** Continues to read. */
  release(): void;
}

/** What is known of a full reader, and of the publishers that wait for it. */
interface Full<C> {
  readonly waiting: Set<C>;
  timer: Timer | undefined;
  taken: number;
  /** For how long nothing was taken, in ms. */
  quietMs: number;
  lookedAt: number;
  /** Whether any other reader would notice if this publisher waited. */
  others: (publisher: C) => boolean;
  /** Whether other readers notice that publishers wait for this one. */
  beside: boolean;
  isSlow: boolean;
}

/** Decides which publishers wait for which full readers, and for how long. */
export class Pacer<C extends Paced> {
  readonly #full = new Map<C, Full<C>>();
  readonly #credits = new WeakMap<C, Bucket>();
  /** How many readers each publisher waits for. */
  readonly #held = new Map<C, number>();

  /** Whether a publisher is not read from now. */
  isHeld(publisher: C): boolean {
    return this.#held.has(publisher);
  }

  /**
   * `reader` is full because of what these publishers have sent.
   * @param others whether any other reader would notice if this publisher waited
   */
  full(reader: C, publishers: Iterable<C>, others: (publisher: C) => boolean): void {
    const now = performance.now();
    let full = this.#full.get(reader);
    if (!full) {
      full = { waiting: new Set(), timer: undefined, taken: reader.taken, quietMs: 0, lookedAt: now, others, beside: false, isSlow: false };
      this.#full.set(reader, full);
    }
    if (full.isSlow) return;
    for (const publisher of publishers) {
      if (publisher === reader || full.waiting.has(publisher)) continue;
      full.beside ||= others(publisher);
      if (full.beside && this.#credit(reader).take(0)) return this.#giveUp(full);
      full.waiting.add(publisher);
      const held = this.#held.get(publisher) ?? 0;
      this.#held.set(publisher, held + 1);
      if (!held) publisher.hold();
    }
    if (full.waiting.size) full.timer ??= after(LOOK_MS, () => this.#look(reader, full));
  }

  /** `reader` has drained. */
  drained(reader: C): void {
    const full = this.#full.get(reader);
    if (!full) return;
    this.#full.delete(reader);
    this.#pay(reader, full);
    this.#giveUp(full);
  }

  gone(connection: C): void {
    this.drained(connection);
    for (const { waiting } of this.#full.values()) waiting.delete(connection);
    this.#held.delete(connection);
  }

  #look(reader: C, full: Full<C>): void {
    // Other readers that were full as well may have drained.
    for (const publisher of full.waiting) full.beside ||= full.others(publisher);
    full.quietMs = reader.taken > full.taken ? 0 : full.quietMs + LOOK_MS;
    full.taken = reader.taken;
    const isBroke = this.#pay(reader, full);
    if (isBroke || full.quietMs >= (full.beside ? BESIDE_MS : ALONE_MS)) this.#giveUp(full);
    else full.timer = after(LOOK_MS, () => this.#look(reader, full));
  }

  /** Charges the reader's credit for the time that publishers have waited, if other readers notice it; returns whether no credit is left. */
  #pay(reader: C, full: Full<C>): boolean {
    const now = performance.now();
    const cost = full.waiting.size ? Math.min(now - full.lookedAt, LOOK_COST_MS) : 0;
    full.lookedAt = now;
    return full.beside && this.#credit(reader).take(cost) > 0;
  }

  #giveUp(full: Full<C>): void {
    full.isSlow = true;
    cancel(full.timer);
    for (const publisher of full.waiting) {
      const held = (this.#held.get(publisher) ?? 1) - 1;
      if (held) this.#held.set(publisher, held);
      else this.#held.delete(publisher);
      if (!held) publisher.release();
    }
    full.waiting.clear();
  }

  #credit(reader: C): Bucket {
    let credit = this.#credits.get(reader);
    if (!credit) this.#credits.set(reader, (credit = new Bucket(CREDIT_MS_PER_SECOND, CREDIT_MS)));
    return credit;
  }
}
