import { bytesOf } from './bytes.js';
import { bursts, type CryptoEngine, sizeOf } from './ciphers/engine.js';
import { openerFor } from './ciphers/index.js';
import { type Opener, strength } from './ciphers/cipher.js';
import type { DropReason, Drops } from './drops.js';
import { bearsIdentity, identityOf, isBundle, isFrame, sequenceOf, topicHash } from './frame.js';
import { soon } from './host.js';
import { Message } from './message.js';
import { OrderedQueue } from './order.js';
import type { BrewerConfig, BrewerInfo } from './packet.js';
import { ReplayWindow } from './replay.js';

/** What a source needs of the patron that it belongs to. */
export interface SourceOwner {
  readonly crypto: boolean | 'required';
  /** The `strength` of the weakest cipher that it accepts. */
  readonly floor: number;
  readonly opener: ((config: BrewerConfig) => Opener | undefined) | undefined;
  /** How often it was reset. */
  resets(): number;
  /** What has come of sealed sessions that have ended. */
  readonly past: ReadonlyMap<string, ReplayWindow>;
  deliver(message: Message): void;
  readonly drops: Drops;
  gap(source: Source, missing: number): void;
}

/** How many bytes of one brewer may wait for decryption. Browsers cannot tell a socket to wait, so there must be an end. */
const MAX_OPENING = 64 * 1024 * 1024;

/** When so many frames in a row have come alone in their tick, the next ones are opened at once; but of each so many two wait for company. */
const LOOK_EVERY = 32;

/** What was in a frame, or in frames that were opened together. */
type Opened = Uint8Array | readonly (Uint8Array | undefined)[];

/** One brewer as one patron sees it: its key, its place in the order of messages, and what it has delivered. */
export class Source {
  readonly topic: string;
  readonly brewerId: string;
  readonly brew: BrewerInfo['brew'];
  /** The order in which its messages are delivered; it outlives a change of the brewer's key. */
  readonly queue: OrderedQueue;
  /** Ends the transport. */
  stop: (() => void) | undefined;
  /** Whether its match was told: one of a list may be removed before, by a listener of those before it. */
  told?: true;
  /** How many frames have come, whatever became of them. */
  received = 0;
  readonly #owner: SourceOwner;
  readonly #resets: number;
  readonly #opener: Opener;
  readonly #identity: Uint8Array;
  /** Why nothing of this brewer is accepted. */
  readonly #refused: DropReason | undefined;
  /** What has come of a sealed session; it goes on over another brew, and when the brewer comes back with it. */
  readonly replays: ReplayWindow | undefined;
  /** By what that session is known. It does not tell the key. */
  readonly session: string | undefined;
  #burst: Uint8Array[] = [];
  /** How many frames have come alone in their tick, since one had company. */
  #alone = 0;
  /** How many bursts are being opened. */
  #opening = 0;

  /**
   * @param queue that of the same brewer's former session, so that its messages come first
   * @throws {PubkeeperError} `KEY_INVALID` or `CIPHER_UNKNOWN`
   */
  constructor(
    owner: SourceOwner,
    info: BrewerInfo,
    brewerId: string,
    engine: CryptoEngine,
    queue = new OrderedQueue(),
  ) {
    this.topic = info.topic;
    this.brewerId = brewerId;
    this.brew = info.brew;
    this.#owner = owner;
    this.#resets = owner.resets();
    const config = info.brewer_config ?? {};
    this.#opener = owner.opener?.(config) ?? openerFor(config, engine, { topic: info.topic, brewerId });
    this.#identity = identityOf(info.topic, brewerId);
    const { cipher } = this.#opener;
    if (owner.crypto === (cipher === 'none' ? 'required' : false)) this.#refused = 'not-accepted';
    else if (strength(cipher) < owner.floor) this.#refused = 'too-weak';
    if (cipher === 'aes-gcm') {
      this.session = String(topicHash(brewerId + JSON.stringify(config.cipher)));
      this.replays = owner.past.get(this.session) ?? new ReplayWindow();
    }
    this.queue = queue;
  }

  /** Opens a frame and delivers its messages in their turn, or drops it. Never throws. */
  receive(data: Uint8Array | ArrayBuffer, retained: boolean): void {
    this.received++;
    const frame = bytesOf(data)!; // what is none is refused
    const reason = this.#refuse(frame);
    if (reason) return this.#owner.drops.add(reason, this.brewerId);
    // Where frames keep coming one by one, the next is opened at once, since the end of a tick costs a browser more than a short
    // message. Two of so many wait for it nevertheless, to see whether others come with them: one could be the last of its tick
    // each time.
    const isAlone = this.#alone >= LOOK_EVERY && this.#alone % LOOK_EVERY > 1; // and so nothing waits
    if (isAlone) this.#alone++;
    if (!this.#opener.openAll || retained || isAlone) {
      if (retained) this.flush(); // the others find nothing that waits
      return this.#begin([frame], retained);
    }
    this.queue.size += frame.length;
    // What comes in one tick is opened together at its end, and what comes while others are being opened together after them:
    // it would be delivered after those anyway.
    if (this.#burst.push(frame) === 1 && !this.#opening) soon(() => this.flush());
  }

  #refuse(frame: Uint8Array | undefined): DropReason | undefined {
    // Brews are written by others too, and not all of them by way of a compiler.
    if (!frame || !isFrame(frame)) return 'malformed';
    if (!bearsIdentity(frame, this.#identity)) return 'wrong-sender';
    if (this.#refused) return this.#refused;
    if (!this.#opener.isWhole(frame)) return 'undecryptable';
    if (this.queue.size > MAX_OPENING) return 'overflow';
    // A cheap no for a replay before any decryption; what counts is the second look, once it proved to be authentic.
    const sequence = this.replays && sequenceOf(frame);
    return sequence !== undefined && !isBundle(frame) && this.replays!.has(sequence) ? 'replayed' : undefined;
  }

  /** Begins to open what has come. */
  flush(): void {
    const frames = this.#burst;
    this.#burst = [];
    this.#alone = frames.length > 1 ? 0 : this.#alone + frames.length;
    this.queue.size -= sizeOf(frames);
    for (const burst of bursts(frames)) this.#begin(burst, false);
  }

  /** Puts in line what is opened by one call. */
  #begin(burst: readonly Uint8Array[], retained: boolean): void {
    const { length } = burst;
    const lost = (): void => this.#owner.drops.add('undecryptable', this.brewerId, length);
    try {
      const opened = length > 1 ? this.#opener.openAll!(burst) : this.#opener.open(burst[0]!);
      if (length > 1 && (opened as Partial<Promise<Opened>>).then) {
        this.#opening++;
        const done = (): void => {
          if (!--this.#opening) this.flush();
        };
        // Before it is in line: the next burst is being opened while callbacks have this one.
        (opened as Promise<Opened>).then(done, done);
      }
      const sequence = this.replays && sequenceOf(burst[0]!);
      this.queue.push<Opened>(opened, sizeOf(burst), (messages) => this.#pass(messages, sequence, retained), lost, length);
    } catch {
      lost();
    }
  }

  #pass(messages: Opened, sequence: number | undefined, retained: boolean): void {
    if (messages instanceof Uint8Array) return this.#deliver(messages, sequence, retained);
    // What a callback makes come does not overtake the rest.
    this.#alone = 0;
    messages.forEach((data, index) => {
      if (data) this.#deliver(data, sequence === undefined ? undefined : sequence + index, retained);
      else this.#owner.drops.add('undecryptable', this.brewerId);
    });
  }

  #deliver(data: Uint8Array, sequence: number | undefined, retained: boolean): void {
    if (sequence !== undefined) {
      if (this.replays!.has(sequence, retained)) return this.#owner.drops.add('replayed', this.brewerId);
      const missing = this.replays!.accept(sequence);
      if (missing) this.#owner.gap(this, missing);
    }
    // A listener of the gap may have reset the patron, or the callback of the message before it in a bundle.
    if (this.#resets !== this.#owner.resets()) return this.#owner.drops.add('reset', this.brewerId);
    // No transport gives shared memory; so that an application need not say so wherever it passes data on.
    this.#owner.deliver(new Message(this.topic, this.brewerId, data as Uint8Array<ArrayBuffer>, retained, sequence));
  }
}
