import type { Brew, BrewerPair, BrewHost, PatronPair } from '../../core/brew.js';
import { deferred } from '../../core/deferred.js';
import { microtask } from '../../core/host.js';
import type { BrewDetails } from '../../core/packet.js';
import { relayUrl } from '../websocket.js';
import type { BrewStates } from './brew-states.js';
import { once } from './once.js';
import type { Parting } from './parting.js';
import type { Relays } from './relays.js';
import { both } from './small.js';

/** How long a client that leaves waits for what was sent again to be accepted, in ms. */
const LEAVE_TIMEOUT = 1000;

export interface MovingBrewOptions {
  readonly brew: Brew;
  readonly states: BrewStates;
  readonly parting: Parting;
  /** Where the brew's connections are seen, if it does not tell their state itself. */
  readonly relays: Relays | undefined;
}

/** A brewer that has pairs here. */
interface Brewing {
  pairs: number;
  /** What the brew has not accepted: each is given up when the last pair has left. */
  readonly waiting: Set<() => void>;
}

/**
 * A brew among others: the same to its client, but a pair that comes here from another brew is given again what was sent
 * last, and what waits in a brew that the pair has left is not waited for.
 */
export class MovingBrew implements Brew {
  readonly name: string;
  readonly #options: MovingBrewOptions;
  readonly #brewers = new Map<string, Brewing>();
  /** The last frame of each brewer that went this way. */
  readonly #carried = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Pairs that went on over another brew, but keep their connection here, so that it is seen when it is back. */
  readonly #parked = new Map<string, () => void>();

  #host: BrewHost | undefined;

  constructor(options: MovingBrewOptions) {
    this.#options = options;
    this.name = options.brew.name;
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
    // A relay gives it to all of the brewer's patrons, whoever comes first.
    const hasMoved = !!parting.begin(key, this.name, brewerId);
    const missed = (hasMoved && parting.missed(brewerId, brew.failover && key)) || this.#news(brewerId, hasMoved);
    const accepting = (accepted: Promise<void>): void => parting.accept(brewerId, accepted);
    const stop = this.#start(key, () => brew.startBrewer(missed && brew.failover ? { ...pair, missed, accepting } : pair));
    const brewer = this.#brewer(brewerId);
    // To all of the brewer's patrons here at once: one that comes over later, when others read here, may notice a gap.
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
    // What this brew has not accepted when the last pair leaves was sent again where that has gone, if anywhere. No Promise.race() with
    // a promise of that end: it would remember each message for as long as there are pairs.
    const left = deferred();
    waiting.add(left.resolve);
    accepted.then(left.resolve, left.reject).finally(() => waiting.delete(left.resolve));
    return left.promise.then(() => parting.accepting(brewerId));
  }

  endBrewer(brewerId: string): void {
    const { brew, relays, states } = this.#options;
    this.#carried.delete(brewerId);
    brew.endBrewer?.(brewerId);
    if (!relays) return;
    // When the server has been told that it is gone: it would move its pairs back.
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
    if (relays) relays.resting = true;
    brew.rest?.();
  }

  wake(silentMs?: number): void {
    const { relays, brew } = this.#options;
    if (relays) relays.resting = false;
    brew.wake?.(silentMs);
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
   * The last frame of a brewer, if it went over other brews alone: what this one has kept as last value is older then. If it
   * has kept none, a patron that has moved here is not sent again what it may well have.
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

  /** What cannot be sent again shows as a gap, and is no failure of what is brewed now. */
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

  /** Starts a pair; what it has kept here while it was elsewhere ends then. */
  #start(key: string, start: () => () => void): () => void {
    // Relays count the pairs of a connection, which is to stay; other brews know their patrons by name.
    if (!this.#options.relays) this.#unpark(key);
    try {
      const stop = start();
      this.#unpark(key);
      return stop;
    } catch (error) {
      this.#options.parting.end(key, this.name, () => this.#unpark(key));
      throw error;
    }
  }

  /** Ends a pair here, though not at once while what was sent again waits, or while its relay is watched. */
  #end(key: string, stop: () => void, details: BrewDetails | undefined, accepting?: Promise<void>): void {
    const { parting, relays } = this.#options;
    const unpark = (): void => this.#unpark(key);
    const unwatch = details && relays?.watch(relayUrl(details, this.#host!.server), unpark);
    const end = unwatch ? () => (unwatch(), stop()) : stop;
    if (accepting || unwatch) this.#parked.set(key, end);
    else stop();
    parting.end(key, this.name, (hasMoved) => {
      if (hasMoved && unwatch) parting.whenLeft(key, unpark);
      else if (!hasMoved && accepting) void accepting.then(unpark);
      else unpark();
    });
  }

  #unpark(key: string): void {
    const stop = this.#parked.get(key);
    this.#parked.delete(key);
    stop?.();
  }
}
