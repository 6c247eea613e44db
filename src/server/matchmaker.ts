import { PacketType } from '../core/packet.js';
import type { Packet } from '../core/packet.js';
import type { Down } from './down-brews.js';
import { newClient, resize, type Client, type Usage } from './known-client.js';
import { brewNames, brewerNotify, brewerRemoved, brewsByName, patronNotify, patronRemoved, sameJson } from './match.js';
import type { Match, Outgoing, RegisteredBrewer, RegisteredPatron, Rights } from './match.js';
import { inOneGo, moveAll } from './moves.js';
import { Pairs, type MatchListener } from './pairs.js';
import { newPlaces, type Places } from './places.js';
import { isRegister, objectionTo, refusal, type Objection, type Register } from './refusals.js';

type Payload<Type extends PacketType> = Extract<Packet, { type: Type }>['payload'];
type BrewerRegister = Payload<typeof PacketType.BREWER_REGISTER>;
type PatronRegister = Payload<typeof PacketType.PATRON_REGISTER>;
export type BrewStated = Extract<Packet, { type: typeof PacketType.BREW_STATE }>;

/**
 * Who is registered and who is matched with whom (protocol, section 2). Knows no sockets and no clock: packets go in,
 * packets for clients come out, to be sent in their order. For a new match the patron is told before the brewer.
 *
 * A refused registration leaves an earlier registration under the same id as it was.
 */
export class Matchmaker<C> {
  readonly #clients = new Map<C, Client<C>>();
  readonly #brewers = new Map<string, RegisteredBrewer<C>>();
  readonly #patrons = new Map<string, RegisteredPatron<C>>();
  readonly #near = newPlaces<C>(false);
  readonly #far = newPlaces<C>(true);
  readonly #pairs: Pairs<C>;

  constructor(listener?: MatchListener<C>) {
    this.#pairs = new Pairs((client) => this.#clients.get(client), listener);
  }

  // These count clients of this server and what they have registered. A pair of clients of two servers is counted by both.

  get clients(): number {
    return this.#clients.size - this.#far.brewers.size - this.#far.patrons.size;
  }

  get brewers(): number {
    return this.#near.brewers.size;
  }

  get patrons(): number {
    return this.#near.patrons.size;
  }

  get matches(): number {
    return this.#pairs.size;
  }

  pair(brewerId: string, patronId: string): Match<C> | undefined {
    const patron = this.#patrons.get(patronId);
    return patron && this.#brewers.get(brewerId)?.matches.get(patron);
  }

  // The registrations at all servers, by id.

  get allBrewers(): ReadonlyMap<string, RegisteredBrewer<C>> {
    return this.#brewers;
  }

  get allPatrons(): ReadonlyMap<string, RegisteredPatron<C>> {
    return this.#patrons;
  }

  brewer(id: string): RegisteredBrewer<C> | undefined {
    return this.#brewers.get(id);
  }

  patron(id: string): RegisteredPatron<C> | undefined {
    return this.#patrons.get(id);
  }

  /** A client with its rights and registrations; undefined if it was not added, or is gone. */
  client(client: C): Readonly<Client<C>> | undefined {
    return this.#clients.get(client);
  }

  /** The brews that a client has reported down and that concern its registration `end`: each for all pairs of `end`, or for the pair with one peer. */
  downOf(client: C, end: RegisteredBrewer<C> | RegisteredPatron<C>): readonly Down[] {
    const isOther = (other: string): boolean => other !== end.id && (this.#brewers.get(other) ?? this.#patrons.get(other))?.client === client;
    return this.#clients.get(client)?.down.of(end.id, brewNames(end), isOther) ?? [];
  }

  /**
   * Adds an authenticated client, whose rights stay the same until it is gone. `isFar`: it is connected to another server,
   * and is matched only with clients of this one.
   */
  add(client: C, rights: Rights, isFar = false): void {
    const places = isFar ? this.#far : this.#near;
    this.#clients.set(client, newClient(rights, places));
  }

  /** The other live client that holds the id which `packet` would register, if there is one. */
  rival(client: C, packet: Packet): C | undefined {
    const holder = this.#holding(packet)?.client;
    return holder === client ? undefined : holder;
  }

  /** What a client has registered, without the registration that `packet` would replace. */
  usage(client: C, packet: Packet): Usage {
    const known = this.#clients.get(client);
    if (!known) return { count: 0, bytes: 0, pairs: 0 };
    const holding = this.#holding(packet);
    const own = holding?.client === client ? holding : undefined;
    return {
      count: known.brewers.size + known.patrons.size - (own ? 1 : 0),
      bytes: known.bytes - (own?.bytes ?? 0),
      pairs: known.pairs - (own?.matches.size ?? 0),
    };
  }

  #holding(packet: Packet): RegisteredBrewer<C> | RegisteredPatron<C> | undefined {
    if (packet.type === PacketType.BREWER_REGISTER) return this.#brewers.get(packet.payload.brewer_id);
    return packet.type === PacketType.PATRON_REGISTER ? this.#patrons.get(packet.payload.patron_id) : undefined;
  }

  /**
   * Handles a packet of `length` bytes of an added client. Types that do not affect matching return nothing; so does BREWS_REGISTER, because each
   * registration lists its own brews. A BREW_STATE may be about very many pairs: see `moves`.
   */
  receive(client: C, packet: Packet, length = 0): Outgoing<C>[] {
    const known = this.#clients.get(client);
    if (!known) return [];
    const objection = isRegister(packet) && objectionTo(packet, known.rights, this.rival(client, packet) !== undefined);
    if (objection) return this.refuse(client, packet, objection);
    switch (packet.type) {
      case PacketType.BREWER_REGISTER:
        return this.#registerBrewer(client, known, packet.payload, length);
      case PacketType.PATRON_REGISTER:
        return this.#registerPatron(client, known, packet.payload, length);
      case PacketType.BREWER_UNREGISTER: {
        const brewer = this.#brewers.get(packet.payload.brewer_id);
        return brewer && known.brewers.has(brewer) ? this.#dropBrewer(known, brewer) : [];
      }
      case PacketType.PATRON_UNREGISTER: {
        const patron = this.#patrons.get(packet.payload.patron_id);
        return patron && known.patrons.has(patron) ? this.#dropPatron(known, patron) : [];
      }
      case PacketType.BREW_STATE:
        return inOneGo(this.moves(client, packet));
      default:
        return [];
    }
  }

  /** Handles a BREW_STATE in steps: each yields, and the last one returns, what is to be sent. Registrations between two steps follow it. */
  moves(client: C, { payload }: BrewStated): Generator<Outgoing<C>[], Outgoing<C>[]> {
    return moveAll(this.#clients.get(client), payload, this, (match) => this.#pairs.move(match));
  }

  /** Refuses a registration; an earlier one of the same client under the same id stays as it is. */
  refuse(client: C, packet: Register, objection: Objection): Outgoing<C>[] {
    const held = this.#holding(packet);
    return refusal(client, packet, objection, held?.client === client ? held : undefined);
  }

  /** Keeps a registration from the other servers until the client registers it again: ends its pairs with their clients. */
  seclude(end: RegisteredBrewer<C> | RegisteredPatron<C>): Outgoing<C>[] {
    end.isSecluded = true;
    return [...end.matches.values()].flatMap((match) => (this.#pairs.part(match) ? [patronRemoved(match), brewerRemoved(match)] : []));
  }

  /** A client's connection has ended: unregisters everything of this client. */
  gone(client: C): Outgoing<C>[] {
    const known = this.#clients.get(client);
    if (!known) return [];
    this.#clients.delete(client);
    const ended = [...[...known.brewers].flatMap((brewer) => this.#dropBrewer(known, brewer)), ...[...known.patrons].flatMap((patron) => this.#dropPatron(known, patron))];
    return ended.filter((item) => item.client !== client);
  }

  #registerBrewer(client: C, known: Client<C>, payload: BrewerRegister, length: number): Outgoing<C>[] {
    const { topic, brewer_id: id, brewer_config: config, brews } = payload;
    const before = this.#brewers.get(id);
    const brewer = before ?? { id, client, topic, config, brews, bytes: 0, isSecluded: false, matches: new Map() };
    const told = { topic: brewer.topic, config: brewer.config };
    known.places.brewers.delete(told.topic, brewer);
    known.places.brewers.add(topic, brewer);
    brewer.topic = topic;
    brewer.config = config;
    brewer.brews = brews;
    brewer.isSecluded = false;
    resize(known, brewer, length);
    if (!before) {
      this.#brewers.set(id, brewer);
      known.brewers.add(brewer);
    }

    const wanted = new Map<RegisteredPatron<C>, Match<C>>();
    const asked = new Map<C, boolean>();
    for (const patron of this.#meet(known, ({ patrons }) => patrons.match(topic))) {
      const match = this.#pairs.find(brewer, patron, asked);
      if (match) wanted.set(patron, match);
    }
    const out: Outgoing<C>[] = [];
    const sameConfig = sameJson(told.config, config);
    for (const [patron, old] of brewer.matches) {
      const match = wanted.get(patron);
      const same = match !== undefined && match.topic === old.topic && sameJson(match.patronBrew, old.patronBrew);
      if (same && sameConfig && sameJson(match.brew, old.brew)) {
        wanted.delete(patron);
        continue;
      }
      this.#pairs.unlink(old);
      out.push(brewerRemoved(old));
      if (same) {
        // Only the patron is told of the change: for the brewer the pair stays the same.
        old.brew = match.brew;
        wanted.set(patron, old);
      } else {
        out.push(patronRemoved(old));
      }
    }
    for (const match of wanted.values()) {
      this.#pairs.link(match);
      out.push(brewerNotify(match.patron, [match]));
    }
    out.push(patronNotify(brewer, [...brewer.matches.values()], true));
    return out;
  }

  #registerPatron(client: C, known: Client<C>, payload: PatronRegister, length: number): Outgoing<C>[] {
    const { topic: pattern, patron_id: id, brews } = payload;
    const before = this.#patrons.get(id);
    const patron = before ?? { id, client, pattern, brews: new Map(), bytes: 0, isSecluded: false, matches: new Map() };
    known.places.patrons.delete(patron.pattern, patron);
    known.places.patrons.add(pattern, patron);
    patron.pattern = pattern;
    patron.brews = brewsByName(brews);
    patron.isSecluded = false;
    resize(known, patron, length);
    if (!before) {
      this.#patrons.set(id, patron);
      known.patrons.add(patron);
    }

    const wanted = new Map<RegisteredBrewer<C>, Match<C>>();
    for (const brewer of this.#meet(known, ({ brewers }) => brewers.match(pattern, known.rights.reads))) {
      const match = this.#pairs.find(brewer, patron);
      if (match) wanted.set(brewer, match);
    }
    const out: Outgoing<C>[] = [];
    for (const [brewer, old] of patron.matches) {
      const match = wanted.get(brewer);
      const same = match !== undefined && sameJson(match.brew, old.brew);
      if (same && sameJson(match.patronBrew, old.patronBrew)) {
        wanted.delete(brewer);
        continue;
      }
      this.#pairs.unlink(old);
      if (!same) out.push(brewerRemoved(old));
      out.push(patronRemoved(old));
    }
    for (const match of wanted.values()) this.#pairs.link(match);
    out.push(brewerNotify(patron, [...patron.matches.values()]));
    for (const match of wanted.values()) out.push(patronNotify(match.brewer, [match], false));
    return out;
  }

  /** What `find` finds among the registrations that a client may be matched with: at this server, and for a client of this server also at others. */
  #meet<T>(known: Client<C>, find: (places: Places<C>) => readonly T[]): readonly T[] {
    const near = find(this.#near);
    const far = known.places.isFar ? [] : find(this.#far);
    return far.length ? [...near, ...far] : near;
  }

  #dropBrewer(known: Client<C>, brewer: RegisteredBrewer<C>): Outgoing<C>[] {
    this.#brewers.delete(brewer.id);
    known.places.brewers.delete(brewer.topic, brewer);
    known.brewers.delete(brewer);
    known.bytes -= brewer.bytes;
    return [...brewer.matches.values()].map((match) => {
      this.#pairs.unlink(match);
      return brewerRemoved(match);
    });
  }

  #dropPatron(known: Client<C>, patron: RegisteredPatron<C>): Outgoing<C>[] {
    this.#patrons.delete(patron.id);
    known.places.patrons.delete(patron.pattern, patron);
    known.patrons.delete(patron);
    known.bytes -= patron.bytes;
    return [...patron.matches.values()].map((match) => {
      this.#pairs.unlink(match);
      return patronRemoved(match);
    });
  }
}
