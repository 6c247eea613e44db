import { readId } from '../core/id.js';
import type { PacketType } from '../core/packet.js';
import type { Packet } from '../core/packet.js';
import type { Match, RegisteredBrewer, RegisteredPatron } from './match.js';
import { file, unfile } from './sets.js';

/** What a BREW_STATE says: about all pairs of the client, or only about those with the ids that are given. */
export interface BrewState {
  readonly brew: string;
  readonly isUp: boolean;
  readonly brewerId: string | undefined;
  readonly patronId: string | undefined;
}

export type BrewStatePayload = Extract<Packet, { type: typeof PacketType.BREW_STATE }>['payload'];

/** Undefined for states or ids that this server does not know, such as another kind of client may send. */
export function readBrewState(payload: BrewStatePayload): BrewState | undefined {
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
