import { scope as platformScope } from '#scope';
import { bytesOf } from '../core/bytes.js';
import { type Brew, type BrewDetails, type BrewerPair, type BrewHost, type PatronPair } from '../core/index.js';
import { optionInvalid } from '../core/errors.js';
import { failover } from './internal/failover.js';
import { Joining } from './internal/joining.js';
import { type Answer, Recent } from './internal/recent.js';
import { once } from './internal/once.js';
import { checkLastValue, givenOptions, invalidOption } from './internal/options.js';
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
  readonly recent: Recent;
  readonly pairs: Set<string>;
  /** Undefined while the page is put away. */
  channel: BroadcastChannel | undefined;
}

interface Reader {
  readonly pair: PatronPair;
  channel: BroadcastChannel;
  joining: Joining;
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
  readonly #readers = new Set<Reader>();
  #rests = false;
  #host: BrewHost | undefined;

  /** @throws {PubkeeperError} `OPTION_INVALID`; also where there is no BroadcastChannel, and without a `scope` in workers and in pages that may not use localStorage */
  constructor(given?: BroadcastChannelBrewOptions | null) {
    const { scope = platformScope(), lastValue = true } = givenOptions('BroadcastChannelBrew', '{ scope }', given);
    if (typeof BroadcastChannel !== 'function') {
      throw optionInvalid('BroadcastChannelBrew needs BroadcastChannel, which is not there: leave it out.');
    }
    if (typeof scope !== 'string' || !/^[\w-]+$/.test(scope)) throw invalidOption('BroadcastChannelBrew', "scope must be letters, digits, _ and - (workers get that of their page's brew)", scope);
    checkLastValue('BroadcastChannelBrew', lastValue);
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
    const outlet = this.#outlets.get(brewerId)!;
    const { pairs, recent } = outlet;
    pairs.add(patronId);
    const accepted = recent.expect(patronId, missed, (answer, unasked) => reply(outlet, patronId, answer, unasked));
    if (accepted) accepting?.(accepted);
    return once(() => {
      pairs.delete(patronId);
      recent.left(patronId);
    });
  }

  startPatron(pair: PatronPair): () => void {
    const reader: Reader = { pair, ...this.#read(pair) };
    this.#readers.add(reader);
    return once(() => this.#end(reader));
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const outlet = this.#outlets.get(brewerId);
    if (!outlet?.pairs.size) return;
    return outlet.recent.add(frame, () => {
      // What is brewed while the page is being put away goes by a channel that is closed at once.
      const channel = outlet.channel ?? new BroadcastChannel(this.#address(brewerId));
      channel.postMessage(compact(frame));
      if (channel !== outlet.channel) channel.close();
    });
  }

  renew({ brewerId }: Pick<PatronPair, 'brewerId'>, brews: boolean): void {
    if (brews || this.#rests) return;
    for (const { pair, joining } of this.#readers) if (pair.brewerId === brewerId) joining.again();
  }

  /** Closes all channels: a message on an open one would evict the page from the back/forward cache. */
  rest(): void {
    this.#rests = true;
    for (const outlet of this.#outlets.values()) shut(outlet);
    for (const reader of this.#readers) stop(reader);
  }

  wake(): void {
    if (!this.#rests) return;
    this.rest(); // also ends what was started meanwhile
    this.#rests = false;
    for (const [brewerId, outlet] of this.#outlets) this.#hear(brewerId, outlet);
    for (const reader of this.#readers) Object.assign(reader, this.#read(reader.pair, reader.joining.last));
  }

  endBrewer(brewerId: string): void {
    const outlet = this.#outlets.get(brewerId);
    this.#outlets.delete(brewerId);
    if (!outlet) return;
    outlet.recent.clear();
    shut(outlet); // what is on its way could not be answered
  }

  close(): void {
    for (const id of this.#outlets.keys()) this.endBrewer(id);
    for (const reader of this.#readers) this.#end(reader);
    this.#rests = false;
  }

  #outlet(brewerId: string): Outlet {
    const recent = new Recent(this.#lastValue, (error) => this.#host!.report(error));
    const outlet: Outlet = { recent, pairs: new Set(), channel: undefined };
    this.#hear(brewerId, outlet);
    return outlet;
  }

  #hear(brewerId: string, outlet: Outlet): void {
    const { recent, pairs } = outlet;
    const channel = (outlet.channel = this.#channel(brewerId));
    channel.onmessage = ({ data }: { readonly data: unknown }) => {
      if (!isAsking(data)) return;
      if (data.got) return recent.arrived(data.ask);
      const answer = recent.asked(data.ask, pairs.has(data.ask));
      if (answer) reply(outlet, data.ask, answer);
    };
  }

  /** @param last the last frame that was delivered before, if this is a return */
  #read({ brewerId, patronId, receive }: PatronPair, last?: Uint8Array): Pick<Reader, 'channel' | 'joining'> {
    const channel = this.#channel(brewerId);
    const joining = new Joining({
      ask: () => channel.postMessage({ ask: patronId } satisfies Asking),
      got: () => channel.postMessage({ ask: patronId, got: true } satisfies Asking),
      deliver: (frame, retained) => receive(frame, retained),
      // No brewer answers: the browser keeps the two apart after all, or the brewer's tab is frozen.
      unanswered: () => this.#host!.state?.(this.name, false, { brewerId, patronId }),
      last,
    });
    channel.onmessage = ({ data }: { readonly data: unknown }) => {
      const frame = bytesOf(data);
      if (frame) joining.live(frame, false);
      else if (isAnswering(data) && data.to === patronId) {
        joining.answer({ frames: data.frames.map((frame) => bytesOf(frame)!), retained: data.retained, unasked: data.unasked === true, more: false });
      }
    };
    joining.begin();
    return { channel, joining };
  }

  #end(reader: Reader): void {
    stop(reader);
    this.#readers.delete(reader);
  }

  #address(brewerId: string): string {
    return `pubkeeper:${this.scope}:${brewerId}`;
  }

  #channel(brewerId: string): BroadcastChannel {
    const channel = new BroadcastChannel(this.#address(brewerId));
    channel.onmessageerror = () => this.#host!.dropped('malformed');
    // In Node an open channel keeps the process alive; only the client's connection should.
    (channel as { unref?(): void }).unref?.();
    return channel;
  }
}

function closeChannel(channel: BroadcastChannel | undefined): void {
  if (!channel) return;
  channel.onmessage = null;
  channel.close();
}

function shut(outlet: Outlet): void {
  closeChannel(outlet.channel);
  outlet.channel = undefined;
}

function stop({ channel, joining }: Reader): void {
  joining.stop();
  closeChannel(channel);
}

function reply({ channel }: Outlet, to: string, { frames, retained }: Answer, unasked = false): void {
  channel?.postMessage({ to, frames: frames.map(compact), retained, ...(unasked && { unasked }) } satisfies Answering);
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
