import { readId } from '../core/id.js';
import type { PacketType } from '../core/packet.js';
import type { Packet } from '../core/packet.js';
import { brewerNotify, brewerRemoved, patronNotify, patronRemoved } from './match.js';
import type { Match, Outgoing, RegisteredBrewer, RegisteredPatron } from './match.js';
import { file, unfile } from './sets.js';

/** What a BREW_STATE says: about all pairs of the client, or only about those with the ids that are given. */
export interface BrewState {
  readonly brew: string;
  readonly isUp: boolean;
  readonly brewerId: string | undefined;
  readonly patronId: string | undefined;
}

/** Undefined for states or ids that this server does not know, such as another kind of client may send. */
export function readBrewState(payload: Extract<Packet, { type: typeof PacketType.BREW_STATE }>['payload']): BrewState | undefined {
  const { brew, state, brewer_id, patron_id } = payload;
  const [brewerId, patronId] = [readId(brewer_id), readId(patron_id)];
  if ((brewer_id != null && !brewerId) || (patron_id != null && !patronId)) return undefined;
  return state === 'up' || state === 'down' ? { brew, isUp: state === 'up', brewerId, patronId } : undefined;
}

/** How many states of one client are kept. */
const MAX_STATES = 10_000;

/** A brew that is down for all pairs of a registration, or for the pair with one peer. */
export type Down = readonly [brew: string, peerId?: string];

/** How many states that name only a peer are shared per registration: such a state is about every registration of its client, perhaps ten thousand. */
const MOST_PEERS = 100;

/** What is down, and the ids that were named: none, one or two. */
interface DownBrew {
  readonly brew: string;
  readonly ids: readonly string[];
}

/** The brews that a client has said to be down, and for which of its pairs. */
export class DownBrews {
  readonly #keys = new Map<string, DownBrew>();
  /** The entries that name an id, by that id. */
  readonly #byId = new Map<string, Set<DownBrew>>();
  /** The entries that name exactly one id. */
  readonly #alone = new Set<DownBrew>();

  /** Records a state; returns false when it changes nothing. */
  set({ brew, isUp, brewerId, patronId }: BrewState): boolean {
    const key = keyOf(brew, brewerId, patronId);
    const before = this.#keys.get(key);
    if (isUp) {
      for (const id of before?.ids ?? []) unfile(this.#byId, id, before!);
      if (before) this.#alone.delete(before);
      return this.#keys.delete(key);
    }
    if (before || this.#keys.size >= MAX_STATES) return false;
    const down = { brew, ids: [brewerId, patronId].filter((id) => id !== undefined) };
    this.#keys.set(key, down);
    for (const id of down.ids) file(this.#byId, id, down);
    if (down.ids.length === 1) this.#alone.add(down);
    return true;
  }

  /**
   * What concerns pairs of the registration with this id, be it a brewer or a patron.
   * @param brews the names of its brews: it has no pairs over others
   * @param isOther whether an id belongs to another registration of the same client
   */
  of(id: string, brews: ReadonlySet<string>, isOther: (id: string) => boolean): Down[] {
    if (!this.#keys.size) return [];
    const own: Down[] = [...brews].filter((brew) => this.#keys.has(keyOf(brew))).map((brew) => [brew]);
    for (const { brew, ids } of this.#byId.get(id) ?? []) {
      const peer = ids.find((one) => one !== id);
      if (!brews.has(brew)) continue;
      if (peer !== undefined) own.push(...(isOther(peer) ? [] : [[brew, peer] as const]));
      else if (!this.#keys.has(keyOf(brew))) own.push([brew]);
    }
    const most = own.length + MOST_PEERS;
    for (const { brew, ids: [peer = ''] } of this.#alone) {
      if (own.length >= most) break;
      if (brews.has(brew) && peer !== id && !isOther(peer)) own.push([brew, peer]);
    }
    return own;
  }

  /** Whether a brew is down for the pair of these two. */
  has(brew: string, brewerId: string, patronId: string): boolean {
    if (!this.#keys.size) return false;
    const scopes = [keyOf(brew), keyOf(brew, brewerId), keyOf(brew, undefined, patronId), keyOf(brew, brewerId, patronId)];
    return scopes.some((key) => this.#keys.has(key));
  }
}

const keyOf = (brew: string, brewerId = '', patronId = ''): string => `${brewerId}/${patronId}/${brew}`;

/**
 * The match over the first brew in the brewer's list that the patron has too and that is up at both; if none is up, over the
 * first that both have; undefined when they have none in common.
 */
export function chooseBrew<C>(
  brewer: RegisteredBrewer<C>,
  patron: RegisteredPatron<C>,
  isDown: (brew: string) => boolean,
): Match<C> | undefined {
  let first: Match<C> | undefined;
  for (const brew of brewer.brews) {
    const patronBrew = patron.brews.get(brew.name);
    if (!patronBrew) continue;
    const match = { brewer, patron, topic: brewer.topic, brew, patronBrew };
    if (!isDown(brew.name)) return match;
    first ??= match;
  }
  return first;
}

/** What a client has registered. */
interface Ends<C> {
  readonly brewers: ReadonlySet<RegisteredBrewer<C>>;
  readonly patrons: ReadonlySet<RegisteredPatron<C>>;
}

/** All that is registered, by id. */
interface Everybody<C> {
  readonly allBrewers: ReadonlyMap<string, RegisteredBrewer<C>>;
  readonly allPatrons: ReadonlyMap<string, RegisteredPatron<C>>;
}

/** Whether these two have this brew in common. */
const share = <C>({ brewer, patron }: Match<C>, brew: string): boolean => patron.brews.has(brew) && brewer.brews.some(({ name }) => name === brew);

/** Whether a state can move a match at all: most matches have no other common brew, or do not have this one. */
export const canMove = <C>(match: Match<C>, { brew, isUp }: BrewState): boolean =>
  isUp ? match.brew.name !== brew && share(match, brew) : match.brew.name === brew && match.brewer.brews.some(({ name }) => name !== brew && share(match, name));

/** The matches of a client that a state is about. A client may have millions: if a registration is named, only its matches are looked at. */
export function affected<C>({ brewers, patrons }: Ends<C>, { brewerId, patronId }: BrewState, { allBrewers, allPatrons }: Everybody<C>): Match<C>[] {
  if (brewerId === undefined && patronId === undefined) {
    const matches = new Set<Match<C>>();
    for (const end of [...brewers, ...patrons]) for (const match of end.matches.values()) matches.add(match);
    return [...matches];
  }
  const named = brewerId === undefined ? allPatrons.get(patronId!) : allBrewers.get(brewerId);
  const isAbout = ({ brewer, patron }: Match<C>): boolean => (patronId ?? patron.id) === patron.id && (brewers.has(brewer) || patrons.has(patron));
  return [...(named?.matches.values() ?? [])].filter(isAbout);
}

/**
 * The packets about matches that have moved to another brew: patrons first, with one notification for each patron and
 * brewer. Clients that know of moves get the notification alone, and replace the pair that they have, without a gap; for
 * others the pair ends and begins again.
 */
export function moveNotices<C>(moved: readonly Match<C>[], knowsMoves: (client: C) => boolean): Outgoing<C>[] {
  const out: Outgoing<C>[] = [];
  for (const [patron, matches] of groupBy(moved, ({ patron }) => patron)) {
    if (!knowsMoves(patron.client)) out.push(...matches.map(brewerRemoved));
    out.push(brewerNotify(patron, matches));
  }
  for (const [brewer, matches] of groupBy(moved, ({ brewer }) => brewer)) {
    if (!knowsMoves(brewer.client)) out.push(...matches.map(patronRemoved));
    out.push(patronNotify(brewer, matches, false));
  }
  return out;
}

function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
