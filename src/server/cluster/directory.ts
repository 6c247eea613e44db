import { PacketType } from '../../core/packet.js';
import type { BrewDetails, Packet } from '../../core/packet.js';
import { isTopic, isTopicPattern } from '../../core/topic.js';
import { rightsOf } from '../auth.js';
import { readBrewState, type BrewState } from '../down-brews.js';
import { file, unfile } from '../sets.js';
import { brewNames, brewerRemoved, patronRemoved, sameJson } from '../match.js';
import type { Match, Outgoing, RegisteredBrewer, RegisteredPatron, Rights } from '../match.js';
import type { Matchmaker } from '../matchmaker.js';
import type { Down, Kind, RegistryRecord } from './records.js';
import { packetOf, registered, states, unregister } from './record-packets.js';
import type { Name } from './record-packets.js';
import type { SharedClock } from './clock.js';

/** A patron or brewer at another server. To the matchmaker it is a client, but it is sent nothing, because its own server does that. */
export class RemotePeer {
  /** The record that the matchmaker was given last. */
  record: RegistryRecord | undefined;
  rights: Rights = NOTHING;
  /** The id of the server where it is registered. */
  server = '';
}

const NOTHING: Rights = { mayRead: () => false, mayWrite: () => false };

export interface DirectoryOptions<C extends object> {
  readonly matchmaker: Matchmaker<C | RemotePeer>;
  readonly clock: SharedClock;
  /** Passes packets on to clients of this server. */
  pass(items: readonly Outgoing<C | RemotePeer>[]): void;
  /** Whether a brewer's details name the relay of this server. */
  isOwn(brew: BrewDetails, client: C): boolean;
  /** Shares a registration with other servers; returns false when it is too long for that. */
  share(record: RegistryRecord): boolean;
  claim(kind: Kind, id: string, at: number): void;
  unshare(kind: Kind, id: string): void;
  /** Whether another server is alive: registrations at a server that is not are matched with nobody, even before they are removed. */
  isThere(server: string): boolean;
  /** A patron cannot be matched at other servers, because its rights cannot be told to them. */
  opaque(): void;
  /** Tells the client that its registration was taken over by one at another server. */
  tell(client: C, kind: Kind, id: string): void;
  /** Tells the client that its registration is too long to be shared with other servers. */
  tooLong(client: C, kind: Kind, id: string): void;
  /** Calls `run` when others have had their turn. */
  later(run: () => void): void;
}

/** Connects a matchmaker with the registrations of all servers: gives it those of other servers, and shares those of its own clients. */
export class Directory<C extends object> {
  readonly #options: DirectoryOptions<C>;
  readonly #peers = new Map<string, RemotePeer>();
  /** By client of this server, the registrations that were shared, by name. */
  readonly #shared = new Map<C, Map<string, Shared>>();
  /** By server, the peers that clients of this server are matched with. */
  readonly #matched = new Map<string, Set<RemotePeer>>();
  /** By client, the names of registrations of which a brew is down or up, and other servers have not been told yet. */
  readonly #pending = new Map<C, Set<string>>();
  /** Rights by the list that they are made from: most patrons have the same list. */
  readonly #rights = new Map<string, Rights>();

  constructor(options: DirectoryOptions<C>) {
    this.#options = options;
  }

  /** A client is about to register something: unless it is refused, what another server has under that id is out of date. */
  before(client: C, packet: Packet): void {
    const { matchmaker, claim, clock } = this.#options;
    const name = registered(packet);
    if (name && this.#peers.has(name.kind + name.id) && mayRegister(packet, matchmaker.client(client)?.rights)) claim(name.kind, name.id, clock.next());
  }

  /** The matchmaker has taken a packet of a client. */
  after(client: C, packet: Packet): void {
    const name = registered(packet) ?? unregistered(packet);
    if (name) this.#follow(client, name);
    else if (packet.type === PacketType.BREW_STATE) this.#stated(client, readBrewState(packet.payload));
  }

  /** A client has gone. */
  gone(client: C): void {
    const shared = this.#shared.get(client);
    this.#shared.delete(client);
    this.#pending.delete(client);
    for (const { kind, id } of shared?.values() ?? []) this.#options.unshare(kind, id);
  }

  /** A registration at another server counts: it is new, or has changed. */
  set(record: RegistryRecord, server: string): void {
    const { matchmaker, pass, isThere } = this.#options;
    const name = record.kind + record.id;
    let peer = this.#peers.get(name);
    if (!peer) {
      const made = new RemotePeer();
      this.#peers.set(name, (peer = made));
      const rights: Rights = { mayRead: (topic) => isThere(made.server) && made.rights.mayRead(topic), mayWrite: () => isThere(made.server) };
      matchmaker.add(made, rights, true);
    }
    if (peer.server !== server) {
      // A client has moved to another server: its matches go on.
      if (this.#matched.get(peer.server)?.has(peer)) file(this.#matched, server, peer);
      unfile(this.#matched, peer.server, peer);
      peer.server = server;
    }
    peer.rights = record.kind === 'patron' ? this.#rightsTo(record.reads) : NOTHING;
    const before = peer.record?.down ?? [];
    peer.record = record;
    for (const packet of states(record, before, record.down)) pass(matchmaker.receive(peer, packet));
    pass(matchmaker.receive(peer, packetOf(record)));
  }

  /** No registration at another server counts for this id any more. */
  delete(kind: Kind, id: string): void {
    const peer = this.#peers.get(kind + id);
    if (!peer) return;
    this.#peers.delete(kind + id);
    this.#options.pass(this.#options.matchmaker.gone(peer));
  }

  /** The registrations at another server that clients of this server are matched with. */
  *matchedAt(server: string): Generator<{ readonly kind: Kind; readonly id: string }> {
    for (const { record } of this.#matched.get(server) ?? []) if (record) yield record;
  }

  /** A match has begun, or has ended. */
  changed({ brewer, patron }: Match<C | RemotePeer>): void {
    for (const { client, matches } of [brewer, patron]) {
      if (!(client instanceof RemotePeer)) continue;
      if (matches.size) file(this.#matched, client.server, client);
      else unfile(this.#matched, client.server, client);
    }
  }

  /** Another server has a later registration of an id that a client of this server has registered. */
  usurped(kind: Kind, id: string): void {
    const { matchmaker, pass, tell } = this.#options;
    const end = this.#find(kind, id);
    if (!end || end.client instanceof RemotePeer) return;
    const { client } = end;
    const ended = [...end.matches.values()].map(kind === 'brewer' ? patronRemoved<C | RemotePeer> : brewerRemoved<C | RemotePeer>);
    tell(client, kind, id);
    // The client has not unregistered itself: unless it is told that its pairs have ended, it would go on with them.
    pass([...matchmaker.receive(client, unregister(kind, id)), ...ended]);
    this.#follow(client, { kind, id });
  }

  /**
   * A client has told the state of a brew. A state that names registrations of the client concerns only these; any other state concerns all of them
   * alike: if it changes nothing for the first, such as when it is told again, the rest need not be looked at. There may be ten thousand.
   */
  #stated(client: C, state: BrewState | undefined): void {
    const shared = this.#shared.get(client);
    if (!state || !shared) return;
    const named = [state.brewerId, state.patronId].flatMap((id) => [shared.get(`brewer${id}`), shared.get(`patron${id}`)]).filter((one) => one !== undefined);
    // With the former time: if no other brews are down than before, there is nothing to tell.
    for (const one of named) this.#follow(client, one, one.at);
    if (named.length) return;
    const isConcerned = ({ kind, id }: Name): boolean => {
      const end = this.#find(kind, id);
      return end !== undefined && brewNames(end).has(state.brew);
    };
    let names: Set<string> | undefined;
    for (const one of shared.values()) {
      if (!isConcerned(one)) continue;
      if (names) names.add(one.kind + one.id);
      else if (!this.#follow(client, one, one.at)) return;
      else names = this.#pending.get(client) ?? new Set();
    }
    if (!names?.size) return;
    const isWorking = this.#pending.size > 0;
    this.#pending.set(client, names);
    if (!isWorking) this.#work();
  }

  /** Shares what is pending, a slice at a time and the clients in turn: one packet may be about ten thousand registrations with many peers each. */
  #work(): void {
    const [client, names] = [...this.#pending][0] ?? [];
    if (!client || !names) return;
    let left = SLICE;
    for (const name of names) {
      if (left <= 0) break;
      names.delete(name);
      const one = this.#shared.get(client)?.get(name);
      if (!one) continue;
      this.#follow(client, one, one.at);
      left -= 1 + (this.#shared.get(client)?.get(name)?.down.length ?? 0);
    }
    this.#pending.delete(client);
    if (names.size) this.#pending.set(client, names);
    if (this.#pending.size) this.#options.later(() => this.#work());
  }

  /** Shares a registration as it is now; with `at`, only if other brews of it are down than before. Returns whether there was something to share. */
  #follow(client: C, { kind, id }: Name, at?: number): boolean {
    const { matchmaker, pass, share, tooLong, unshare } = this.#options;
    const found = this.#find(kind, id);
    const record = found?.client === client ? this.#record(client, found, at) : undefined;
    if (record) {
      const { down } = record;
      const shared = this.#shared.get(client) ?? new Map<string, Shared>();
      if (at !== undefined && sameJson(shared.get(kind + id)?.down, down)) return false;
      this.#shared.set(client, shared.set(kind + id, { kind, id, at: record.at, down }));
      if (!share(record)) {
        tooLong(client, kind, id);
        pass(matchmaker.seclude(found!));
      }
    } else if (found?.client !== client && found && !(found.client instanceof RemotePeer)) {
      // The id belongs to another client of this server.
    } else {
      this.#shared.get(client)?.delete(kind + id);
      unshare(kind, id);
    }
    return true;
  }

  #find(kind: Kind, id: string): RegisteredBrewer<C | RemotePeer> | RegisteredPatron<C | RemotePeer> | undefined {
    const { matchmaker } = this.#options;
    return kind === 'brewer' ? matchmaker.brewer(id) : matchmaker.patron(id);
  }

  #record(client: C, end: RegisteredBrewer<C | RemotePeer> | RegisteredPatron<C | RemotePeer>, at = this.#options.clock.next()): RegistryRecord | undefined {
    const { matchmaker, isOwn, opaque } = this.#options;
    const { id } = end;
    const down = matchmaker.downOf(client, end);
    if ('topic' in end) {
      // The relays pass frames on to each other, so each patron joins the relay of its own server: this record names no host.
      const brews = end.brews.map((brew) => (isOwn(brew, client) ? { ...brew, hostname: null, port: null } : brew));
      return { kind: 'brewer', id, topic: end.topic, config: end.config, brews, down, at };
    }
    const { mayRead, reads } = matchmaker.client(client)?.rights ?? NOTHING;
    const literal = !end.pattern.includes('*') && mayRead(end.pattern) ? [end.pattern] : undefined;
    const patterns = reads ?? literal;
    if (!patterns) {
      opaque();
      return undefined;
    }
    return { kind: 'patron', id, topic: end.pattern, brews: [...end.brews.values()], reads: patterns, down, at };
  }

  #rightsTo(reads: readonly string[]): Rights {
    const key = JSON.stringify(reads);
    let rights = this.#rights.get(key);
    if (!rights) {
      if (this.#rights.size >= MOST_RIGHTS) this.#rights.delete(this.#rights.keys().next().value!);
      rights = rightsOf(reads.map((topic) => ({ topic, read: true })));
      this.#rights.set(key, rights);
    }
    return rights;
  }
}

const MOST_RIGHTS = 10_000;
/** How many registrations, and peers that are named with them, are handled at a time. */
const SLICE = 1_000;

interface Shared extends Name {
  /** When it was registered. */
  readonly at: number;
  /** Which of its brews other servers were told to be down. */
  readonly down: readonly Down[];
}

/** Whether the matchmaker will accept a registration, if no other client of this server has its id. */
function mayRegister({ type, payload }: Packet, rights = NOTHING): boolean {
  if (type === PacketType.BREWER_REGISTER) return isTopic(payload.topic) && rights.mayWrite(payload.topic);
  return type === PacketType.PATRON_REGISTER && isTopicPattern(payload.topic);
}

function unregistered({ type, payload }: Packet): Name | undefined {
  if (type === PacketType.BREWER_UNREGISTER) return { kind: 'brewer', id: payload.brewer_id };
  return type === PacketType.PATRON_UNREGISTER ? { kind: 'patron', id: payload.patron_id } : undefined;
}
