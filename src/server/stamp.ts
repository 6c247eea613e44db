import { topicHash } from '../core/frame.js';
import { fromHex } from '../core/id.js';
import { PacketType } from '../core/packet.js';
import type { BrewDetails, Packet } from '../core/packet.js';
import { brewerNotify, patronNotify } from './match.js';
import type { Match, Outgoing, RegisteredBrewer, RegisteredPatron } from './match.js';
import type { Tickets } from './tickets.js';

/** What a stamp needs of the matchmaker. */
export interface Pairs<C> {
  pair(brewerId: string, patronId: string): Match<C> | undefined;
  readonly allBrewers: ReadonlyMap<string, RegisteredBrewer<C>>;
  readonly allPatrons: ReadonlyMap<string, RegisteredPatron<C>>;
}

/** Puts tickets for the own relay into notifications (design, "Relay tickets"). */
export class Stamp<C> {
  readonly #tickets: Tickets;
  readonly #seconds: number;
  readonly #own: (match: Match<C>) => boolean;
  readonly #now: () => number;

  /** @param seconds how long a ticket is valid */
  constructor(tickets: Tickets, seconds: number, own: (match: Match<C>) => boolean, now: () => number = () => tickets.now()) {
    this.#tickets = tickets;
    this.#seconds = seconds;
    this.#own = own;
    this.#now = now;
  }

  /** The packet with a ticket for each pair that meets over the own relay. */
  put(packet: Packet, pairs: Pairs<C>): Packet {
    if (packet.type === PacketType.BREWER_NOTIFY) {
      const { patron_id, brewers } = packet.payload;
      const stamped = brewers.map((info) => ({ ...info, brew: this.#brew(info.brew, pairs.pair(info.brewer_id, patron_id), false) }));
      return { type: packet.type, payload: { patron_id, brewers: stamped } };
    }
    if (packet.type === PacketType.PATRON_NOTIFY) {
      const { brewer_id, patrons } = packet.payload;
      const stamped = patrons.map((info) => ({ ...info, brew: this.#brew(info.brew, pairs.pair(brewer_id, info.patron_id), true) }));
      return { type: packet.type, payload: { brewer_id, patrons: stamped } };
    }
    return packet;
  }

  /**
   * Notifications that tell of pairs again, so that they can be stamped with fresh tickets: to a patron of all its pairs, to a brewer
   * of one, which is enough. Each is made when it is asked for, from the pairs of that time; undefined if there are none.
   */
  *renewals(pairs: Pairs<C>, heard: (match: Match<C>) => boolean): Generator<Outgoing<C> | undefined> {
    for (const patron of pairs.allPatrons.values()) {
      const matches = [...patron.matches.values()].filter(this.#own);
      yield matches.length ? brewerNotify(patron, matches) : undefined;
    }
    for (const brewer of pairs.allBrewers.values()) {
      const match = [...brewer.matches.values()].find((one) => this.#own(one) && heard(one));
      yield match && patronNotify(brewer, [match], false);
    }
  }

  #brew(brew: BrewDetails, match: Match<C> | undefined, publish: boolean): BrewDetails {
    if (!match || !this.#own(match)) return brew;
    const hash = topicHash(match.topic);
    // It is a u32: a clock that stands beyond the year 2106 must not make tickets impossible.
    const expires = Math.min(Math.ceil(this.#now()) + this.#seconds, 0xffff_ffff);
    const grant = publish
      ? ({ operation: 'publish', topicHash: hash, brewerId: fromHex(match.brewer.id)! } as const)
      : ({ operation: 'join', topicHash: hash } as const);
    return { ...brew, ticket: this.#tickets.issue(grant, expires).toString('hex') };
  }
}
