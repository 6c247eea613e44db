import { topicHash } from '../core/frame.js';
import { PacketType } from '../core/packet.js';
import { patronNotify } from './match.js';
import type { Match, Outgoing, PatronNews, RegisteredBrewer } from './match.js';
import { patience } from './patience.js';
import type { PatienceClock } from './patience.js';
import { hashKey } from './relay.js';

// A new pair that uses this server's own relay has a race: the brewer may publish before the patron's JOIN has arrived.
// The server sees both, so it can hold the PATRON_NOTIFY until the JOIN is there.

export interface BarrierOptions<C> {
  /** Sends a packet on to its client. */
  send(item: Outgoing<C>): void;
  /** How many relay connections have joined the topic of this key (see `hashKey`). */
  joined(key: string): number;
  /** Whether the pair uses this server's own relay. Asked when a match begins. */
  own(match: Match<C>): boolean;
  /** How long a packet is held at most, in milliseconds; default 250. */
  holdMs?: number;
  /** Called for each packet whose `holdMs` are over although a patron has not joined: that patron misses what is brewed until it joins. */
  late?(): void;
  /** The clock; default: `setTimeout` and `clearTimeout`. */
  clock?: PatienceClock;
}

/** A topic with pairs that use the own relay. */
interface Topic<C> {
  readonly name: string;
  readonly key: string;
  /** The clients with patrons in such pairs, each with the number of its pairs. Each client should have joined the topic once. */
  readonly clients: Map<C, number>;
  readonly held: Set<Held<C>>;
}

/** A PATRON_NOTIFY that waits. */
interface Held<C> {
  readonly brewer: RegisteredBrewer<C>;
  readonly topic: Topic<C>;
  readonly matches: Set<Match<C>>;
  /** How many BREWER_REGISTERs it answers; 0 for a later match. */
  readonly answers: number;
  readonly cancel: () => void;
}

/**
 * Passes packets on in order, but holds a PATRON_NOTIFY about pairs on the own relay until as many connections have
 * joined the topic as there are clients that should, or until `holdMs` is over. If a pair ends while it is held, it is
 * dropped together with its PATRON_REMOVED: the brewer never hears of that patron. A later match is added to an answer that
 * is held, because a client would take a separate packet for the answer. Packets about one pair keep their order.
 *
 * It is a `MatchListener`, and has to be told of matches before the packets about them are passed.
 */
export class Barrier<C> {
  readonly #options: BarrierOptions<C>;
  readonly #holdMs: number;
  readonly #own = new Set<Match<C>>();
  readonly #topics = new Map<string, Topic<C>>();
  readonly #byKey = new Map<string, Topic<C>>();
  readonly #byBrewer = new Map<RegisteredBrewer<C>, Set<Held<C>>>();
  /** The answer that is held for each brewer: at most one, however many other packets are held. */
  readonly #owed = new Map<RegisteredBrewer<C>, Held<C>>();
  readonly #byMatch = new Map<Match<C>, Held<C>>();
  /** The matches that brewers have been told of. */
  readonly #heard = new WeakSet<Match<C>>();
  /** Held packets whose pairs have all ended since the last `pass`. */
  readonly #emptied = new Set<Held<C>>();
  /** Topics whose other held packets may be ready now. */
  readonly #touched = new Set<Topic<C>>();

  constructor(options: BarrierOptions<C>) {
    this.#options = options;
    this.#holdMs = options.holdMs ?? 250;
  }

  /** How many packets are held. */
  get held(): number {
    let count = 0;
    for (const held of this.#byBrewer.values()) count += held.size;
    return count;
  }

  matched(match: Match<C>): void {
    if (!this.#options.own(match)) return;
    this.#own.add(match);
    let topic = this.#topics.get(match.topic);
    if (!topic) {
      topic = { name: match.topic, key: hashKey(topicHash(match.topic)), clients: new Map(), held: new Set() };
      this.#topics.set(topic.name, topic);
      this.#byKey.set(topic.key, topic);
    }
    const { client } = match.patron;
    topic.clients.set(client, (topic.clients.get(client) ?? 0) + 1);
  }

  unmatched(match: Match<C>): void {
    const held = this.#byMatch.get(match);
    if (held) {
      this.#byMatch.delete(match);
      held.matches.delete(match);
      if (!held.matches.size) this.#emptied.add(held);
    }
    if (!this.#own.delete(match)) return;
    const topic = this.#topics.get(match.topic)!;
    const { client } = match.patron;
    const pairs = topic.clients.get(client)! - 1;
    if (pairs) topic.clients.set(client, pairs);
    else topic.clients.delete(client);
    this.#touched.add(topic);
  }

  /** Sends `items` in their order, or holds them back. */
  pass(items: readonly Outgoing<C>[]): void {
    for (const item of items) {
      const { about } = item;
      if (!about) this.#options.send(item);
      else if (item.packet.type === PacketType.PATRON_NOTIFY) this.#notify(item, about);
      else if (about.matches.every((match) => this.#heard.has(match))) {
        // A match that moves is told of again, in a packet that may be held. If its patron goes before that, the brewer has no pair to end.
        for (const match of about.matches) this.#heard.delete(match);
        this.#options.send(item);
      }
    }
    // After all items: a new answer may have replaced an emptied one, and a match that has ended may be all that other held
    // packets waited for. An emptied answer is still sent, because the client waits for it.
    for (const held of this.#emptied) {
      if (held.answers && held.topic.held.has(held) && !held.matches.size) this.#let(held);
      else if (!held.answers) this.#forget(held);
    }
    this.#emptied.clear();
    for (const topic of this.#touched) {
      this.#release(topic);
      if (!topic.clients.size && !topic.held.size) {
        this.#topics.delete(topic.name);
        this.#byKey.delete(topic.key);
      }
    }
    this.#touched.clear();
  }

  /** A connection has joined the topic of this key. */
  arrived(key: string): void {
    const topic = this.#byKey.get(key);
    if (topic) this.#release(topic);
  }

  /** Whether the brewer has been told of this match. */
  heard(match: Match<C>): boolean {
    return this.#heard.has(match);
  }

  #notify(item: Outgoing<C>, { brewer, matches, answer }: PatronNews<C>): void {
    const waiting = this.#byBrewer.get(brewer);
    let answers = answer ? 1 : 0;
    if (waiting && answer) {
      // This answer lists all patrons, so what was held is out of date; but each BREWER_REGISTER still gets an answer.
      for (const held of waiting) {
        answers += held.answers;
        this.#forget(held);
      }
    }
    const owed = this.#owed.get(brewer);
    if (owed) {
      for (const match of matches) this.#file(owed, match);
      return;
    }
    const topic = matches.some((match) => this.#own.has(match)) ? this.#topics.get(brewer.topic) : undefined;
    if (topic && !this.#ready(topic)) this.#hold(brewer, topic, matches, answers);
    else this.#tell(item, matches, answers);
  }

  #hold(brewer: RegisteredBrewer<C>, topic: Topic<C>, matches: readonly Match<C>[], answers: number): void {
    const { late, clock } = this.#options;
    const over = (): void => {
      late?.();
      this.#let(held);
    };
    const held: Held<C> = { brewer, topic, matches: new Set(), answers, cancel: patience(this.#holdMs, over, clock) };
    for (const match of matches) this.#file(held, match);
    topic.held.add(held);
    if (answers) this.#owed.set(brewer, held);
    const waiting = this.#byBrewer.get(brewer);
    if (waiting) waiting.add(held);
    else this.#byBrewer.set(brewer, new Set([held]));
  }

  #file(held: Held<C>, match: Match<C>): void {
    held.matches.add(match);
    this.#byMatch.set(match, held);
  }

  #ready(topic: Topic<C>): boolean {
    return this.#options.joined(topic.key) >= topic.clients.size;
  }

  #release(topic: Topic<C>): void {
    if (topic.held.size && this.#ready(topic)) for (const held of topic.held) this.#let(held);
  }

  #let(held: Held<C>): void {
    const matches = [...held.matches];
    this.#forget(held);
    this.#tell(patronNotify(held.brewer, matches, held.answers > 0), matches, held.answers);
  }

  #tell(item: Outgoing<C>, matches: readonly Match<C>[], answers: number): void {
    for (const match of matches) this.#heard.add(match);
    for (let i = 0; i < Math.max(answers, 1); i++) this.#options.send(item);
  }

  #forget(held: Held<C>): void {
    held.cancel();
    for (const match of held.matches) this.#byMatch.delete(match);
    held.topic.held.delete(held);
    if (this.#owed.get(held.brewer) === held) this.#owed.delete(held.brewer);
    const waiting = this.#byBrewer.get(held.brewer);
    waiting?.delete(held);
    if (!waiting?.size) this.#byBrewer.delete(held.brewer);
    this.#touched.add(held.topic);
  }
}
