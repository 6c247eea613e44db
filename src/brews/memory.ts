import {
  type Brew,
  type BrewDetails,
  type BrewerPair,
  type BrewHost,
  newId,
  type PatronPair,
  PubkeeperError,
} from '../core/index.js';
import { once } from './internal/once.js';

/** How many bytes are kept for a patron whose end has not begun: the server tells the two ends of a match one after the other. */
const MAX_COMING = 16 * 1024 * 1024;

/** The frames brewed since the match for a patron whose end has not begun. */
interface Coming {
  readonly of: MemoryBrew;
  readonly frames: Uint8Array[];
  bytes: number;
}

/** What the memory brews of one process share: the patrons and the last frame of each brewer. */
class Hub {
  /** Only clients of one process and one copy of this module have the same name, so only they are matched. */
  readonly name = `memory-${newId()}`;
  readonly receivers = new Map<string, Set<PatronPair>>();
  /** By brewer and patron. */
  readonly coming = new Map<string, Map<string, Coming>>();
  readonly last = new Map<string, { readonly frame: Uint8Array; readonly of: MemoryBrew }>();
}

let shared: Hub | undefined;

/**
 * Carries data between clients of one process, without a copy and without a socket. A patron that starts gets the
 * brewer's last frame as a retained one.
 */
export class MemoryBrew implements Brew {
  readonly #hub = (shared ??= new Hub());
  /** The brewers of this client, each with its number of pairs. */
  readonly #mine = new Map<string, { pairs: number }>();
  /** The functions that end the patrons of this client. */
  readonly #stops = new Set<() => void>();
  #host: BrewHost | undefined;

  get name(): string {
    return this.#hub.name;
  }

  attach(host: BrewHost): void {
    if (this.#host) {
      throw new PubkeeperError('BREW_IN_USE', 'This MemoryBrew belongs to another client: make one for each client.');
    }
    this.#host = host;
  }

  brewerDetails(): BrewDetails {
    return { name: this.name };
  }

  patronDetails(): BrewDetails {
    return { name: this.name };
  }

  startBrewer({ brewerId, patronId }: BrewerPair): () => void {
    const { receivers, coming } = this.#hub;
    const isHere = [...(receivers.get(brewerId) ?? [])].some((pair) => pair.patronId === patronId);
    const expected: Coming = { of: this, frames: [], bytes: 0 };
    if (!isHere) coming.set(brewerId, (coming.get(brewerId) ?? new Map<string, Coming>()).set(patronId, expected));
    const mine = this.#mine.get(brewerId) ?? { pairs: 0 };
    mine.pairs++;
    this.#mine.set(brewerId, mine);
    return once(() => {
      if (coming.get(brewerId)?.get(patronId) === expected) this.#arrived(brewerId, patronId);
      if (!--mine.pairs && this.#mine.get(brewerId) === mine) this.#mine.delete(brewerId);
    });
  }

  startPatron(pair: PatronPair): () => void {
    const { brewerId, patronId, receive } = pair;
    const { receivers, last, coming } = this.#hub;
    const frames = coming.get(brewerId)?.get(patronId)?.frames ?? [];
    const hasMissed = frames.length > 0;
    // The callback may brew with the same brewer: such frames are added to this list, so that they come after the earlier ones.
    for (let next = frames.shift(); next; next = frames.shift()) receive(next, false);
    this.#arrived(brewerId, patronId);
    const set = receivers.get(brewerId) ?? new Set();
    receivers.set(brewerId, set.add(pair));
    const stop = once(() => {
      this.#stops.delete(stop);
      if (set.delete(pair) && !set.size) receivers.delete(brewerId);
    });
    this.#stops.add(stop);
    const retained = last.get(brewerId);
    if (retained && !hasMissed) receive(retained.frame, true);
    return stop;
  }

  #arrived(brewerId: string, patronId: string): void {
    const { coming } = this.#hub;
    const of = coming.get(brewerId);
    if (of?.delete(patronId) && !of.size) coming.delete(brewerId);
  }

  brew(brewerId: string, frame: Uint8Array): void {
    if (!this.#mine.has(brewerId)) return;
    const { last, receivers, coming } = this.#hub;
    last.set(brewerId, { frame, of: this });
    for (const expected of coming.get(brewerId)?.values() ?? []) {
      expected.frames.push(frame);
      expected.bytes += frame.length;
      while (expected.bytes > MAX_COMING && expected.frames.length > 1) expected.bytes -= expected.frames.shift()!.length;
    }
    const set = receivers.get(brewerId);
    // A patron that starts during the loop has had the frame as the last value; one that is stopped gets nothing more.
    for (const pair of [...(set ?? [])]) if (set!.has(pair)) pair.receive(frame, false);
  }

  endBrewer(brewerId: string): void {
    const { last, coming } = this.#hub;
    for (const [patronId, { of }] of coming.get(brewerId) ?? []) if (of === this) this.#arrived(brewerId, patronId);
    if (last.get(brewerId)?.of === this) last.delete(brewerId); // else the brewer belongs to another client by now
  }

  /** Keys change with the next session, so nobody could read the last values. */
  close(): void {
    for (const stop of this.#stops) stop();
    for (const brewerId of this.#mine.keys()) this.endBrewer(brewerId);
    this.#mine.clear();
    for (const brewerId of this.#hub.last.keys()) this.endBrewer(brewerId);
  }
}
