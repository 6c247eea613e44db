import { scope as platformScope } from '#scope';
import { bytesOf } from '../core/bytes.js';
import { type Brew, type BrewDetails, type BrewerPair, type BrewHost, type PatronPair, PubkeeperError } from '../core/index.js';
import { show } from '../core/id.js';
import { failover } from './internal/failover.js';
import { Joining } from './internal/joining.js';
import { type Answer, Recent } from './internal/recent.js';
import { once } from './internal/once.js';
import { inUse } from './internal/small.js';

/** The options of a {@link BroadcastChannelBrew}. */
export interface BroadcastChannelBrewOptions {
  /**
   * Names the group of tabs, workers or threads that can reach each other by a BroadcastChannel. Default: in a page, a random id kept in
   * the origin's localStorage; in Node, one of this process. A worker in a browser has no localStorage: pass it the `scope`
   * of its page's brew.
   */
  readonly scope?: string | undefined;
  /** Whether a patron that comes later first gets the brewer's last frame. Default true. */
  readonly lastValue?: boolean | undefined;
}

/** A patron asks the brewer for what it has, or confirms the answer (`got`). */
interface Asking {
  readonly ask: string;
  readonly got?: true;
}

/** The brewer's answer to a patron. */
interface Answering {
  readonly to: string;
  readonly frames: readonly Uint8Array[];
  readonly retained: boolean;
  /** The patron had asked before the brewer knew of the match: it takes this even if it has had an answer. */
  readonly unasked?: true;
}

interface Outlet {
  readonly channel: BroadcastChannel;
  readonly recent: Recent;
  readonly pairs: Set<string>;
}

/**
 * Carries data between tabs and workers of one origin, or between threads of one Node process, without the network. Each brewer
 * has its own channel.
 */
export class BroadcastChannelBrew implements Brew {
  /** Pass it to workers, as their `scope`. */
  readonly scope: string;
  readonly name: string;
  readonly #lastValue: boolean;
  readonly #outlets = new Map<string, Outlet>();
  /** The function that ends each patron, with the brewer that it reads. */
  readonly #patrons = new Map<() => void, { readonly brewerId: string; readonly joining: Joining }>();
  #host: BrewHost | undefined;

  /** @throws {PubkeeperError} `OPTION_INVALID` where there is no BroadcastChannel, and without a `scope` in workers and in pages that may not use localStorage */
  constructor(options?: BroadcastChannelBrewOptions | null) {
    const { scope = platformScope(), lastValue = true } = options ?? {};
    if (typeof BroadcastChannel !== 'function') {
      throw new PubkeeperError('OPTION_INVALID', 'BroadcastChannelBrew needs BroadcastChannel, which is not there: leave it out.');
    }
    if (typeof scope !== 'string' || !/^[\w-]+$/.test(scope)) {
      throw new PubkeeperError(
        'OPTION_INVALID',
        `BroadcastChannelBrew: scope must be letters, digits, _ and -, not ${show(scope)}; workers get that of their page's brew.`,
      );
    }
    this.scope = scope;
    this.name = `broadcast-${scope}`;
    this.#lastValue = lastValue;
  }

  /** @internal */
  readonly failover = failover;

  attach(host: BrewHost): void {
    if (this.#host) throw inUse('BroadcastChannelBrew');
    this.#host = host;
  }

  /** Opens the brewer's channel, to hear patrons that ask before the brewer knows of their match. */
  brewerDetails({ brewerId }: Pick<Parameters<Brew['brewerDetails']>[0], 'brewerId'>): BrewDetails {
    if (!this.#outlets.has(brewerId)) this.#outlets.set(brewerId, this.#outlet(brewerId));
    return { name: this.name };
  }

  patronDetails(): BrewDetails {
    return { name: this.name };
  }

  startBrewer({ brewerId, patronId, missed, accepting }: BrewerPair): () => void {
    this.brewerDetails({ brewerId });
    const { channel, pairs, recent } = this.#outlets.get(brewerId)!;
    pairs.add(patronId);
    const accepted = recent.expect(patronId, missed, (answer, unasked) => reply(channel, patronId, answer, unasked));
    if (accepted) accepting?.(accepted);
    return once(() => {
      pairs.delete(patronId);
      recent.left(patronId);
    });
  }

  startPatron({ brewerId, patronId, receive }: PatronPair): () => void {
    const channel = this.#channel(brewerId);
    const joining = new Joining({
      ask: () => channel.postMessage({ ask: patronId } satisfies Asking),
      got: () => channel.postMessage({ ask: patronId, got: true } satisfies Asking),
      deliver: (frame, retained) => receive(frame, retained),
      // Nobody brews here: the browser keeps the two apart after all, or the brewer's tab is frozen.
      unanswered: () => this.#host!.state?.(this.name, false, { brewerId, patronId }),
      last: undefined,
    });
    channel.onmessage = ({ data }: { readonly data: unknown }) => {
      const frame = bytesOf(data);
      if (frame) joining.live(frame, false);
      else if (isAnswering(data) && data.to === patronId) {
        joining.answer({ frames: data.frames.map((frame) => bytesOf(frame)!), retained: data.retained, unasked: data.unasked === true, more: false });
      }
    };
    joining.begin();
    const stop = once(() => {
      joining.stop();
      channel.onmessage = null;
      channel.close();
      this.#patrons.delete(stop);
    });
    this.#patrons.set(stop, { brewerId, joining });
    return stop;
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const outlet = this.#outlets.get(brewerId);
    if (!outlet?.pairs.size) return;
    return outlet.recent.add(frame, () => outlet.channel.postMessage(compact(frame)));
  }

  renew({ brewerId }: Pick<PatronPair, 'brewerId'>, brews: boolean): void {
    for (const reader of brews ? [] : this.#patrons.values()) if (reader.brewerId === brewerId) reader.joining.again();
  }

  endBrewer(brewerId: string): void {
    const outlet = this.#outlets.get(brewerId);
    this.#outlets.delete(brewerId);
    if (!outlet) return;
    outlet.recent.clear();
    outlet.channel.onmessage = null; // questions in transit could not be answered on a closed channel
    outlet.channel.close();
  }

  close(): void {
    for (const id of this.#outlets.keys()) this.endBrewer(id);
    for (const stop of this.#patrons.keys()) stop();
  }

  #outlet(brewerId: string): Outlet {
    const channel = this.#channel(brewerId);
    const recent = new Recent(this.#lastValue, (error) => this.#host!.report(error));
    const pairs = new Set<string>();
    channel.onmessage = ({ data }: { readonly data: unknown }) => {
      if (!isAsking(data)) return;
      if (data.got) return recent.arrived(data.ask);
      const answer = recent.asked(data.ask, pairs.has(data.ask));
      if (answer) reply(channel, data.ask, answer);
    };
    return { channel, recent, pairs };
  }

  #channel(brewerId: string): BroadcastChannel {
    const channel = new BroadcastChannel(`pubkeeper:${this.scope}:${brewerId}`);
    channel.onmessageerror = () => this.#host!.dropped('malformed');
    // In Node an open channel keeps the process alive; only the client's connection should.
    (channel as { unref?(): void }).unref?.();
    return channel;
  }
}

function reply(channel: BroadcastChannel, to: string, { frames, retained }: Answer, unasked = false): void {
  channel.postMessage({ to, frames: frames.map(compact), retained, ...(unasked && { unasked }) } satisfies Answering);
}

/** `postMessage` copies the whole buffer behind a view: that must hold the frame and nothing else. */
const compact = (frame: Uint8Array): Uint8Array => (frame.length === frame.buffer.byteLength ? frame : frame.slice());

const isAsking = (data: unknown): data is Asking =>
  typeof data === 'object' && data !== null && 'ask' in data && typeof data.ask === 'string';

const isAnswering = (data: unknown): data is Answering =>
  typeof data === 'object' &&
  data !== null &&
  'to' in data &&
  'retained' in data &&
  typeof data.retained === 'boolean' &&
  'frames' in data &&
  Array.isArray(data.frames) &&
  data.frames.every((frame) => bytesOf(frame));
