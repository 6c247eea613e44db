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

/** What the memory brews of one process share: who receives, and the last frame of each brewer. */
class Hub {
  /** Only clients of one process and one copy of this module have the same name, so only they are matched. */
  readonly name = `memory-${newId()}`;
  readonly receivers = new Map<string, Set<PatronPair['receive']>>();
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
  /** What ends the patrons of this client. */
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

  startBrewer({ brewerId }: BrewerPair): () => void {
    const mine = this.#mine.get(brewerId) ?? { pairs: 0 };
    mine.pairs++;
    this.#mine.set(brewerId, mine);
    return once(() => {
      if (!--mine.pairs && this.#mine.get(brewerId) === mine) this.#mine.delete(brewerId);
    });
  }

  startPatron({ brewerId, receive }: PatronPair): () => void {
    const { receivers, last } = this.#hub;
    const set = receivers.get(brewerId) ?? new Set();
    receivers.set(brewerId, set.add(receive));
    const stop = once(() => {
      this.#stops.delete(stop);
      if (set.delete(receive) && !set.size && receivers.get(brewerId) === set) receivers.delete(brewerId);
    });
    this.#stops.add(stop);
    const retained = last.get(brewerId);
    if (retained) receive(retained.frame, true);
    return stop;
  }

  brew(brewerId: string, frame: Uint8Array): void {
    if (!this.#mine.has(brewerId)) return;
    this.#hub.last.set(brewerId, { frame, of: this });
    const set = this.#hub.receivers.get(brewerId);
    // One that comes while this is delivered has had it as the last value; one that goes gets nothing more.
    for (const receive of [...(set ?? [])]) if (set!.has(receive)) receive(frame, false);
  }

  endBrewer(brewerId: string): void {
    const { last } = this.#hub;
    if (last.get(brewerId)?.of === this) last.delete(brewerId); // else it brews at another client by now
  }

  /** Keys change with the next session, so last values would be of no use to anybody. */
  close(): void {
    for (const stop of this.#stops) stop();
    this.#mine.clear();
    for (const brewerId of this.#hub.last.keys()) this.endBrewer(brewerId);
  }
}
