import { chooseBrew, type DownBrews } from './down-brews.js';
import type { Match, RegisteredBrewer, RegisteredPatron, Rights } from './match.js';
import type { Places } from './places.js';

// The present pairs, and the rules for them: which brewer and patron may be matched, and over which brew. Knows nothing of packets.

/** What the pairs need to know of a client. */
export interface Party<C> {
  readonly rights: Rights;
  readonly places: Places<C>;
  readonly down: DownBrews;
  /** How many pairs its registrations are part of. */
  pairs: number;
}

/** Is told of each match that begins or ends, before the packets about it are handed out. */
export interface MatchListener<C> {
  matched(match: Match<C>): void;
  unmatched(match: Match<C>): void;
}

/** The pairs of one matchmaker. */
export class Pairs<C> {
  readonly #party: (client: C) => Party<C> | undefined;
  readonly #listener: MatchListener<C> | undefined;
  #size = 0;

  /** @param party what is known of a client; undefined when it is gone */
  constructor(party: (client: C) => Party<C> | undefined, listener?: MatchListener<C>) {
    this.#party = party;
    this.#listener = listener;
  }

  /** How many pairs there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * The match that these two would make; undefined where they may not be matched, or have no brew in common.
   * @param asked remembers for each client whether it may read the brewer's topic: one client may have ten thousand patrons
   */
  find(brewer: RegisteredBrewer<C>, patron: RegisteredPatron<C>, asked?: Map<C, boolean>): Match<C> | undefined {
    // The cheap check first: there may be ten thousand patrons to check.
    if (!brewer.brews.some(({ name }) => patron.brews.has(name))) return undefined;
    const rights = this.#party(patron.client)?.rights;
    let mayRead = asked?.get(patron.client);
    if (mayRead === undefined) {
      mayRead = !!rights?.mayRead(brewer.topic);
      asked?.set(patron.client, mayRead);
    }
    if (!rights || !mayRead) return undefined;
    const source = this.#party(brewer.client);
    if ((brewer.isSecluded || patron.isSecluded) && this.#areApart(brewer, patron)) return undefined;
    // The brewer's server is not told of a wildcard patron without `reads`, and does not match it: nor may we. After that server has
    // gone, `mayWrite` is false.
    if (source?.places.isFar && ((!rights.reads && patron.pattern.includes('*')) || !source.rights.mayWrite(brewer.topic))) return undefined;
    return chooseBrew(brewer, patron, (brew) => this.#isDown(brewer, patron, brew));
  }

  link(match: Match<C>): void {
    match.brewer.matches.set(match.patron, match);
    match.patron.matches.set(match.brewer, match);
    this.#count(match, 1);
    this.#listener?.matched(match);
  }

  unlink(match: Match<C>): void {
    match.brewer.matches.delete(match.patron);
    match.patron.matches.delete(match.brewer);
    this.#count(match, -1);
    this.#listener?.unmatched(match);
  }

  /** Moves a match to the best common brew that is up; returns whether it has moved. */
  move(match: Match<C>): boolean {
    const better = this.find(match.brewer, match.patron);
    // Where all are down the pair stays where it is.
    if (!better || better.brew.name === match.brew.name || this.#isDown(better.brewer, better.patron, better.brew.name)) return false;
    this.unlink(match);
    match.brew = better.brew;
    match.patronBrew = better.patronBrew;
    this.link(match);
    return true;
  }

  /** Whether exactly one of the two is at another server. */
  #areApart(brewer: RegisteredBrewer<C>, patron: RegisteredPatron<C>): boolean {
    const [one, other] = [brewer, patron].map(({ client }) => this.#party(client)?.places.isFar);
    return one !== other;
  }

  /** Ends a match whose other end is at another server, because that server no longer knows of it; returns whether it was such a match. */
  part(match: Match<C>): boolean {
    const areApart = this.#areApart(match.brewer, match.patron);
    if (areApart) this.unlink(match);
    return areApart;
  }

  #count({ brewer, patron }: Match<C>, change: 1 | -1): void {
    this.#size += change;
    const ends = brewer.client === patron.client ? [brewer] : [brewer, patron];
    for (const { client } of ends) {
      const party = this.#party(client);
      if (party) party.pairs += change;
    }
  }

  #isDown(brewer: RegisteredBrewer<C>, patron: RegisteredPatron<C>, brew: string): boolean {
    return [brewer.client, patron.client].some((end) => this.#party(end)?.down.has(brew, brewer.id, patron.id));
  }
}
