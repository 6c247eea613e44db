import { chooseBrew, type DownBrews } from './down-brews.js';
import type { Match, RegisteredBrewer, RegisteredPatron, Rights } from './match.js';
import type { Places } from './places.js';

// The pairs that there are: which brewer and patron may meet, and over which brew. Knows nothing of packets.

/** What it takes to say whom the registrations of a client may meet. */
export interface Party<C> {
  readonly rights: Rights;
  readonly places: Places<C>;
  readonly down: DownBrews;
  /** In how many pairs its registrations are. */
  pairs: number;
}

/** What wants to hear of matches as they come and go, before the packets about them are handed out. */
export interface MatchListener<C> {
  matched(match: Match<C>): void;
  unmatched(match: Match<C>): void;
}

export class Pairs<C> {
  readonly #party: (client: C) => Party<C> | undefined;
  readonly #listener: MatchListener<C> | undefined;
  #size = 0;

  /** @param party what is known of a client that is there */
  constructor(party: (client: C) => Party<C> | undefined, listener?: MatchListener<C>) {
    this.#party = party;
    this.#listener = listener;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * The match that these two would make; undefined where the patron may not read, or no brew is common to both.
   * @param asked of which clients it is known whether they may read the brewer's topic: one may have ten thousand patrons
   */
  find(brewer: RegisteredBrewer<C>, patron: RegisteredPatron<C>, asked?: Map<C, boolean>): Match<C> | undefined {
    // The cheap question first: it may be asked of ten thousand.
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
    // What the other server cannot know it does not match either; and one that has gone does nothing any more.
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

  /** Moves a match to the best common brew that is up; false where it is there already. */
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

  /** Whether one of them is at another server. */
  #areApart(brewer: RegisteredBrewer<C>, patron: RegisteredPatron<C>): boolean {
    const [one, other] = [brewer, patron].map(({ client }) => this.#party(client)?.places.isFar);
    return one !== other;
  }

  /** Parts a pair of two servers, of which one does not know of it. Whether it was one. */
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
