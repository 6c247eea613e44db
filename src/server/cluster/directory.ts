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
import { packetOf, states, unregister } from './record-packets.js';
import type { SharedClock } from './clock.js';

/** A patron or brewer at another server, as the matchmaker knows it: a client that is told nothing, because its own server does that. */
export class RemotePeer {
  /** The record that the matchmaker was told of last. */
  record: RegistryRecord | undefined;
  rights: Rights = NOTHING;
  /** Where it is registered. */
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
  /** False when it is too long to be told to other servers. */
  share(record: RegistryRecord): boolean;
  claim(kind: Kind, id: string, at: number): void;
  unshare(kind: Kind, id: string): void;
  /** Whether another server is there: what is registered at one that is not meets nobody, even before it is taken back. */
  isThere(server: string): boolean;
  /** A patron cannot be matched at other servers: its rights cannot be told. */
  opaque(): void;
  /** The client's registration was taken over by one at another server. */
  tell(client: C, kind: Kind, id: string): void;
  /** The client's registration is too long to be told to other servers. */
  tooLong(client: C, kind: Kind, id: string): void;
  /** Calls `run` when others have had their turn. */
  later(run: () => void): void;
}

/** Between a matchmaker and the registrations of all servers: the other servers' go in, those of its own clients go out. */
export class Directory<C extends object> {
  readonly #options: DirectoryOptions<C>;
  readonly #peers = new Map<string, RemotePeer>();
  /** What was shared of each client of this server. */
  readonly #shared = new Map<C, Map<string, Shared>>();
  /** By their servers, those whom clients of this server are matched with. */
  readonly #matched = new Map<string, Set<RemotePeer>>();
  /** Registrations, by client and name, of which other servers are still to be told that a brew is down, or up. */
  readonly #pending = new Map<C, Set<string>>();
  /** Rights by the list that they come from: most have the same. */
  readonly #rights = new Map<string, Rights>();

  constructor(options: DirectoryOptions<C>) {
    this.#options = options;
  }

  /** A client is about to register something: what another server has under that id is out of date, unless this is refused. */
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

  /** A registration at another server counts. */
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
      // A client has moved: its matches go on.
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

  /** What another server has registered that clients here are matched with. */
  *matchedAt(server: string): Generator<{ readonly kind: Kind; readonly id: string }> {
    for (const { record } of this.#matched.get(server) ?? []) if (record) yield record;
  }

  /** A pair has been made, or has come apart. */
  changed({ brewer, patron }: Match<C | RemotePeer>): void {
    for (const { client, matches } of [brewer, patron]) {
      if (!(client instanceof RemotePeer)) continue;
      if (matches.size) file(this.#matched, client.server, client);
      else unfile(this.#matched, client.server, client);
    }
  }

  /** Another server has a later registration of an id than a client here. */
  usurped(kind: Kind, id: string): void {
    const { matchmaker, pass, tell } = this.#options;
    const end = this.#find(kind, id);
    if (!end || end.client instanceof RemotePeer) return;
    const { client } = end;
    const ended = [...end.matches.values()].map(kind === 'brewer' ? patronRemoved<C | RemotePeer> : brewerRemoved<C | RemotePeer>);
    tell(client, kind, id);
    // It has not unregistered itself, and would go on with its pairs.
    pass([...matchmaker.receive(client, unregister(kind, id)), ...ended]);
    this.#follow(client, { kind, id });
  }

  /**
   * A client has told of a brew's state. One that names a registration of its concerns that one alone, and any other one all of them alike:
   * where it changes nothing of the first, as when it is told again, the rest need not be looked at. There may be ten thousand.
   */
  #stated(client: C, state: BrewState | undefined): void {
    const shared = this.#shared.get(client);
    if (!state || !shared) return;
    const named = [state.brewerId, state.patronId].flatMap((id) => [shared.get(`brewer${id}`), shared.get(`patron${id}`)]).filter((one) => one !== undefined);
    // Of the same time: where nothing else has changed there is nothing to tell.
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

  /** Tells of what is pending, some of it at a time and one client after the other: one packet may be about ten thousand registrations of many peers each. */
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

  /** Tells other servers of a registration as it is now; with `at`, only where other brews of its are down. Whether there was something to tell. */
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
      // It belongs to another client of this server.
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
      // Every relay passes on what is published on any: so each patron joins the one that it reaches its own server by.
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
/** How many registrations, and peers that are named with them, are gone through at a time. */
const SLICE = 1_000;

interface Name {
  readonly kind: Kind;
  readonly id: string;
}

interface Shared extends Name {
  /** When it was registered. */
  readonly at: number;
  /** Which of its brews were told to be down. */
  readonly down: readonly Down[];
}

function registered({ type, payload }: Packet): Name | undefined {
  if (type === PacketType.BREWER_REGISTER) return { kind: 'brewer', id: payload.brewer_id };
  return type === PacketType.PATRON_REGISTER ? { kind: 'patron', id: payload.patron_id } : undefined;
}

/** Whether the matchmaker will take a registration of an id that nobody else has here. */
function mayRegister({ type, payload }: Packet, rights = NOTHING): boolean {
  if (type === PacketType.BREWER_REGISTER) return isTopic(payload.topic) && rights.mayWrite(payload.topic);
  return type === PacketType.PATRON_REGISTER && isTopicPattern(payload.topic);
}

function unregistered({ type, payload }: Packet): Name | undefined {
  if (type === PacketType.BREWER_UNREGISTER) return { kind: 'brewer', id: payload.brewer_id };
  return type === PacketType.PATRON_UNREGISTER ? { kind: 'patron', id: payload.patron_id } : undefined;
}
