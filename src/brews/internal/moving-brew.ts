import type { Brew, BrewerPair, BrewHost, PatronPair } from '../../core/brew.js';
import { deferred } from '../../core/deferred.js';
import { asPubkeeperError, guard } from '../../core/errors.js';
import { microtask } from '../../core/host.js';
import type { BrewDetails } from '../../core/packet.js';
import { relayUrl } from '../websocket.js';
import type { BrewStates } from './brew-states.js';
import { once } from './once.js';
import type { Parting } from './parting.js';
import type { Relays } from './relays.js';
import { both } from './small.js';

/** How long a client that closes waits for frames that were sent again to be accepted, in ms. */
const LEAVE_TIMEOUT = 1000;

export interface MovingBrewOptions {
  readonly brew: Brew;
  readonly states: BrewStates;
  readonly parting: Parting;
  /** Watches the brew's connections, if the brew does not report their state itself. */
  readonly relays: Relays | undefined;
}

/** A brewer that has pairs here. */
interface Brewing {
  pairs: number;
  /** For each frame that the brew has not accepted, ends the wait for it; called when the last pair has left. */
  readonly waiting: Set<() => void>;
}

/**
 * Wraps a brew that stands beside others. To the client it behaves like that brew, but a pair that moves here from another brew is
 * sent the last frames again, and nobody waits for frames that are stuck in a brew that their pair has left.
 */
export class MovingBrew implements Brew {
  readonly name: string;
  readonly #options: MovingBrewOptions;
  readonly #brewers = new Map<string, Brewing>();
  /** The last frame of each brewer that this brew has carried. */
  readonly #carried = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Pairs that have ended here, or moved to another brew, but keep their connection for a while: see `#end`. */
  readonly #parked = new Map<string, () => void>();

  #host: BrewHost | undefined;

  constructor(options: MovingBrewOptions) {
    this.#options = options;
    this.name = options.brew.name;
  }

  get maxBundle(): number | undefined {
    return this.#options.brew.maxBundle;
  }

  attach(host: BrewHost): void {
    this.#host = host;
    this.#options.brew.attach(host);
  }

  brewerDetails(brewer: Parameters<Brew['brewerDetails']>[0]): ReturnType<Brew['brewerDetails']> {
    this.#options.states.repeat();
    return this.#options.brew.brewerDetails(brewer);
  }

  patronDetails(patron: Parameters<Brew['patronDetails']>[0]): BrewDetails | undefined {
    this.#options.states.repeat();
    return this.#options.brew.patronDetails(patron);
  }

  startBrewer(pair: BrewerPair): () => void {
    const { brew, parting, relays } = this.#options;
    const { topic, brewerId, patronId } = pair;
    const key = `> ${brewerId} ${patronId}`;
    // A relay (a brew without `failover`) sends them to all of the brewer's patrons: so take what any of those may have missed.
    const hasMoved = !!parting.begin(key, this.name, brewerId);
    const missed = (hasMoved && parting.missed(brewerId, brew.failover && key)) || this.#news(brewerId, hasMoved);
    const accepting = (accepted: Promise<void>): void => parting.accept(brewerId, accepted);
    const stop = this.#start(key, () => brew.startBrewer(missed && brew.failover ? { ...pair, missed, accepting } : pair));
    const brewer = this.#brewer(brewerId);
    // Once, for all of the brewer's patrons here: a patron that moves here later, when others already read here, may notice a gap.
    if (!brewer.pairs++ && missed && !brew.failover) accepting(this.#repeat(brewerId, missed));
    const details = relays && (brew.brewerDetails({ topic, brewerId }) as BrewDetails);
    const free = details && relays.use(relayUrl(details, this.#host!.server), { brewerId });
    return once(() => {
      if (!--brewer.pairs) {
        this.#brewers.delete(brewerId);
        for (const over of brewer.waiting) over();
      }
      free?.();
      this.#end(key, stop, details, parting.accepting(brewerId));
    });
  }

  startPatron(pair: PatronPair): () => void {
    const { brew, parting, relays } = this.#options;
    const { brewerId, patronId, details } = pair;
    const key = `< ${brewerId} ${patronId}`;
    let isHere = true;
    const heard = parting.heard(key, !!relays);
    heard.move(!!parting.begin(key, this.name));
    const receive: PatronPair['receive'] = (frame, retained) => {
      if (isHere && heard.isNews(frame, retained)) pair.receive(frame, retained);
    };
    const stop = this.#start(key, () => brew.startPatron({ ...pair, receive }));
    const free = relays?.use(relayUrl(details, this.#host!.server), { brewerId, patronId });
    return once(() => {
      isHere = false;
      free?.();
      this.#end(key, stop, details);
    });
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const { brew, parting } = this.#options;
    parting.add(brewerId, frame);
    parting.newest.set(brewerId, frame);
    this.#carried.set(brewerId, frame);
    const accepted = both(brew.brew(brewerId, frame), parting.accepting(brewerId));
    const waiting = this.#brewers.get(brewerId)?.waiting;
    if (!accepted || !waiting) return accepted;
    // When the last pair leaves, frames that this brew has not accepted are sent again over the brew that the pair moves to, if it moves.
    // No Promise.race() with a promise of that moment: it would remember each message for as long as there are pairs.
    const left = deferred();
    waiting.add(left.resolve);
    accepted.then(left.resolve, left.reject).finally(() => waiting.delete(left.resolve));
    return left.promise.then(() => parting.accepting(brewerId));
  }

  endBrewer(brewerId: string): void {
    const { brew, relays, states } = this.#options;
    this.#carried.delete(brewerId);
    this.#try(() => brew.endBrewer?.(brewerId));
    if (!relays) return;
    // Only after the server has been told that the brewer is gone: otherwise the server would move its pairs back.
    microtask(() => {
      states.forget({ brewerId });
      relays.forget({ brewerId });
    });
  }

  renew(pair: Pick<BrewerPair, 'topic' | 'brewerId' | 'details'>, brews: boolean): void {
    this.#options.brew.renew?.(pair, brews);
  }

  rest(): void {
    const { relays, brew } = this.#options;
    relays?.rest();
    return brew.rest?.();
  }

  wake(silentMs?: number): void {
    return this.#options.brew.wake?.(silentMs);
  }

  async close(): Promise<void> {
    const { brew, states, parting, relays } = this.#options;
    if (this.#parked.size) await parting.allAccepted(LEAVE_TIMEOUT);
    for (const key of [...this.#parked.keys()]) this.#unpark(key);
    await brew.close();
    this.#carried.clear();
    states.clear(this.name);
    relays?.clear();
  }

  /**
   * The last frame of a brewer, if only other brews have carried it: the last value that this brew keeps is older then. If this brew
   * keeps none, a patron that has moved here is not sent a frame that it probably has.
   */
  #news(brewerId: string, hasMoved: boolean): readonly Uint8Array<ArrayBuffer>[] | undefined {
    const newest = this.#options.parting.newest.get(brewerId);
    const carried = this.#carried.get(brewerId);
    return newest && newest !== carried && (carried || !hasMoved) ? [newest] : undefined;
  }

  #brewer(brewerId: string): Brewing {
    let brewer = this.#brewers.get(brewerId);
    if (!brewer) this.#brewers.set(brewerId, (brewer = { pairs: 0, waiting: new Set() }));
    return brewer;
  }

  /** Sends frames again. One that cannot be sent shows as a gap at the patron, but does not make the current `brew()` fail. */
  async #repeat(brewerId: string, frames: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    const all = frames.map((frame) => {
      try {
        return this.#options.brew.brew(brewerId, frame);
      } catch {
        return undefined; // as above
      }
    });
    await Promise.allSettled(all);
  }

  /** Starts a pair, and ends the connection that was parked here for it. */
  #start(key: string, start: () => () => void): () => void {
    // A relay's link counts its pairs: there the parked one ends after the start, so that the count stays above zero. Other brews know
    // a patron by its id: there the parked one ends first.
    if (!this.#options.relays) this.#unpark(key);
    try {
      const stop = start();
      this.#try(() => stop); // reports the rejection of a promise, which a brew of somebody else may return
      this.#unpark(key);
      return stop;
    } catch (error) {
      this.#options.parting.end(key, this.name, () => this.#unpark(key));
      throw error;
    }
  }

  /** Ends a pair here; parks it first while frames that were sent again wait, or to notice when its relay, which is down, is back. */
  #end(key: string, stop: () => void, details: BrewDetails | undefined, accepting?: Promise<void>): void {
    const { parting, relays } = this.#options;
    const unpark = (): void => this.#unpark(key);
    const unwatch = details && relays?.watch(relayUrl(details, this.#host!.server), unpark);
    const end = unwatch ? () => (unwatch(), stop()) : stop;
    if (accepting || unwatch) this.#parked.set(key, end);
    else this.#try(stop);
    parting.end(key, this.name, (hasMoved) => {
      if (hasMoved && unwatch) parting.whenLeft(key, unpark);
      else if (!hasMoved && accepting) void accepting.then(unpark);
      else unpark();
    });
  }

  #unpark(key: string): void {
    const stop = this.#parked.get(key);
    this.#parked.delete(key);
    if (stop) this.#try(stop);
  }

  #try(run: () => unknown): void {
    void guard(run, (error) => this.#host!.report(asPubkeeperError(error, 'BREW_FAILED', `The brew ${this.name} failed.`)));
  }
}
