import { sameJson } from '../match.js';
import type { Kind, RecordName, RegistryRecord } from './records.js';

// What the registry holds, as one server sees it, and what follows from it. No network here, and no clock.

/** What a replica needs of its owner. */
export interface ReplicaOwner {
  /** A registration at another server counts: it is new, or has changed. */
  set(record: RegistryRecord, server: string): void;
  /** No registration at another server counts for this id any more. */
  delete(kind: Kind, id: string): void;
  /** Another server has a later registration of an id that is registered here: the one here has to be removed. */
  usurped(kind: Kind, id: string): void;
  /** The registrations at another server that clients of this one are matched with: when that server goes, their end is told first. */
  matchedAt(server: string): Iterable<{ readonly kind: Kind; readonly id: string }>;
}

interface Entry {
  readonly server: string;
  readonly record: RegistryRecord;
  /** The snapshot in which it was seen last. */
  seen: number;
}

type Name = string;

const nameOf = (kind: Kind, id: string): Name => kind + id;

/**
 * The registrations at all servers. Those of a server count while it is alive. Of several registrations of one id the latest counts,
 * and of two with the same time that of the server whose id sorts last, so that all servers agree.
 *
 * Changes are only noted; `work` tells the owner what follows from them, as much at a time as the caller wants.
 */
export class Replica {
  readonly #own: string;
  readonly #owner: ReplicaOwner;
  readonly #servers = new Map<string, Map<Name, Entry>>();
  readonly #alive = new Set<string>();
  /** The entries of all servers, by id. */
  readonly #byName = new Map<Name, Entry[]>();
  /** When ids were registered here. */
  readonly #local = new Map<Name, number>();
  /** The entries that the owner has been told of, as it was told last. */
  readonly #told = new Map<Name, Entry>();
  /** Ids of which another entry may count now. */
  readonly #dirty = new Set<Name>();
  /** Like `#dirty`, but handled first, because clients wait for it. */
  readonly #urgent = new Set<Name>();
  /** Servers that have gone, each with those of its ids that are not handled yet. */
  readonly #leaving = new Map<string, Iterator<Name>>();
  /** How many of `#told` each server has. */
  readonly #counts = new Map<string, number>();
  #snapshot = 0;
  #isReading = false;
  /** Servers of which everything that they have registered has been told since the last snapshot began. */
  readonly #whole = new Set<string>();
  /** Servers that were still writing when the last snapshot ended: registrations of theirs that it did not have may still come. */
  readonly #behind = new Set<string>();

  constructor(own: string, owner: ReplicaOwner) {
    this.#own = own;
    this.#owner = owner;
  }

  /** How many registrations at other servers count. */
  get size(): number {
    let count = 0;
    for (const [server, told] of this.#counts) if (this.#alive.has(server)) count += told;
    return count;
  }

  /** How many registrations at other servers are known, whether or not they count. */
  get known(): number {
    let count = 0;
    for (const entries of this.#servers.values()) count += entries.size;
    return count;
  }

  /** How many registrations at another server are known, whether or not they count. */
  knownAt(server: string): number {
    return this.#servers.get(server)?.size ?? 0;
  }

  /** A key of the registry has been set or, without a record, deleted. Keys of this server itself are ignored. */
  apply({ server, kind, id }: RecordName, record: RegistryRecord | undefined): void {
    if (server === this.#own) return;
    const name = nameOf(kind, id);
    if (record) this.#put(name, { server, record, seen: this.#snapshot });
    else this.#drop(name, server);
  }

  /** Everything in the registry will be told now. */
  beginSnapshot(): void {
    this.#snapshot++;
    this.#isReading = true;
    this.#whole.clear();
    this.#behind.clear();
  }

  /**
   * Everything in the registry has been told: what was not part of it is gone. If a live server has not written all its registrations yet, for
   * example after the registry was lost, it is known only later, once it has, which of them are gone.
   */
  endSnapshot(): void {
    this.#isReading = false;
    for (const server of this.#servers.keys()) {
      if (this.#alive.has(server) && !this.#whole.has(server)) this.#behind.add(server);
      else this.#prune(server);
    }
  }

  /** Everything that a server has registered is in the registry, and has been told. */
  whole(server: string): void {
    this.#whole.add(server);
    if (!this.#isReading && this.#behind.delete(server)) this.#prune(server);
  }

  #prune(server: string): void {
    for (const [name, { seen }] of this.#servers.get(server) ?? []) if (seen !== this.#snapshot) this.#drop(name, server);
  }

  /** A server has come or gone. What is known of a server that has gone is kept, in case it comes back. */
  setAlive(server: string, isAlive: boolean): void {
    if (this.#alive.has(server) === isAlive) return;
    if (!isAlive) return this.#leave(server);
    this.#alive.add(server);
    this.#leaving.delete(server);
    for (const name of this.#servers.get(server)?.keys() ?? []) {
      this.#dirty.add(name);
      const told = this.#told.get(name);
      // The server is back before this was removed. Clients that came meanwhile were not matched with it: a copy is told as a change.
      if (told?.server === server) this.#told.set(name, { ...told, record: { ...told.record } });
    }
  }

  /** A server has gone. Only its registrations with matches are urgent: the rest is removed bit by bit, because nobody waits for it. */
  #leave(server: string): void {
    this.#alive.delete(server);
    for (const { kind, id } of this.#owner.matchedAt(server)) this.#urgent.add(nameOf(kind, id));
    const names = this.#servers.get(server)?.keys();
    if (names) this.#leaving.set(server, names);
  }

  /** Forgets what is known of a server that has gone. */
  forget(server: string): void {
    this.#alive.delete(server);
    for (const name of this.#servers.get(server)?.keys() ?? []) this.#drop(name, server);
  }

  /** An id has been registered here. A registration of it at another server, if the owner was told of one, ends at once. */
  claim(kind: Kind, id: string, at: number): void {
    const name = nameOf(kind, id);
    this.#local.set(name, at);
    this.#settle(name);
  }

  /** An id is not registered here any more. */
  release(kind: Kind, id: string): void {
    const name = nameOf(kind, id);
    if (this.#local.delete(name) && this.#byName.has(name)) this.#dirty.add(name);
  }

  /** Tells the owner what follows for up to `most` ids; returns true while there are more. */
  work(most = Infinity): boolean {
    let left = most;
    for (const names of [this.#urgent, this.#dirty]) {
      for (const name of names) {
        if (left-- <= 0) return true;
        this.#settle(name);
      }
    }
    for (const [server, names] of this.#leaving) {
      for (;;) {
        if (left-- <= 0) return true;
        const { done, value } = names.next();
        if (done) break;
        this.#settle(value);
      }
      this.#leaving.delete(server);
    }
    return false;
  }

  #put(name: Name, entry: Entry): void {
    const { server } = entry;
    let entries = this.#servers.get(server);
    if (!entries) this.#servers.set(server, (entries = new Map()));
    const before = entries.get(name);
    if (before && sameJson(before.record, entry.record)) {
      before.seen = entry.seen;
      return;
    }
    entries.set(name, entry);
    const others = this.#byName.get(name);
    if (!others) this.#byName.set(name, [entry]);
    else if (before) others[others.indexOf(before)] = entry;
    else others.push(entry);
    this.#dirty.add(name);
  }

  #drop(name: Name, server: string): void {
    const entries = this.#servers.get(server);
    const entry = entries?.get(name);
    if (!entries || !entry) return;
    entries.delete(name);
    if (!entries.size) this.#servers.delete(server);
    const others = this.#byName.get(name)!.filter((other) => other !== entry);
    if (others.length) this.#byName.set(name, others);
    else this.#byName.delete(name);
    this.#dirty.add(name);
  }

  #settle(name: Name): void {
    this.#dirty.delete(name);
    this.#urgent.delete(name);
    let best: Entry | undefined;
    for (const entry of this.#byName.get(name) ?? []) {
      if (this.#alive.has(entry.server) && (!best || isLater(entry.record.at, entry.server, best.record.at, best.server))) best = entry;
    }
    const at = this.#local.get(name);
    if (at !== undefined && best) {
      if (isLater(best.record.at, best.server, at, this.#own)) {
        const { kind, id } = best.record;
        this.#local.delete(name);
        this.#owner.usurped(kind, id);
      } else {
        best = undefined;
      }
    }
    const told = this.#told.get(name);
    if (told) this.#count(told.server, -1);
    if (best) {
      this.#count(best.server, 1);
      this.#told.set(name, best);
      if (told?.record !== best.record) this.#owner.set(best.record, best.server);
    } else if (told) {
      this.#told.delete(name);
      this.#owner.delete(told.record.kind, told.record.id);
    }
  }

  #count(server: string, more: 1 | -1): void {
    const count = (this.#counts.get(server) ?? 0) + more;
    if (count) this.#counts.set(server, count);
    else this.#counts.delete(server);
  }
}

const isLater = (at: number, server: string, than: number, other: string): boolean => at > than || (at === than && server > other);
