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

/** What a source needs of its patron. */
export interface SourceOwner {
  readonly crypto: boolean | 'required';
  /** The `strength` of the weakest cipher that the patron accepts. */
  readonly floor: number;
  readonly opener: ((config: BrewerConfig) => Opener | undefined) | undefined;
  /** How often the patron was reset. */
  resets(): number;
  /** The replay windows of sealed sessions that have ended, by session. */
  readonly past: ReadonlyMap<string, ReplayWindow>;
  deliver(message: Message): void;
  readonly drops: Drops;
  gap(source: Source, missing: number): void;
}

/** How many bytes of one brewer may wait for decryption. A limit is needed because browsers cannot pause a WebSocket. */
const MAX_OPENING = 64 * 1024 * 1024;

/** After so many ticks in a row with a single frame, frames are decrypted at once; but two of each so many still wait for the end of their tick. */
const LOOK_EVERY = 32;

/** The plaintext of one frame, or those of frames that were decrypted together. */
type Opened = Uint8Array | readonly (Uint8Array | undefined)[];

/** One matched brewer of one patron: its key, the order of its messages, and which of them were delivered. */
export class Source {
  readonly topic: string;
  readonly brewerId: string;
  readonly brew: BrewerInfo['brew'];
  /** Keeps its messages in order, also across a change of the brewer's key. */
  readonly queue: OrderedQueue;
  /** Ends the transport. */
  stop: (() => void) | undefined;
  /** Whether `added` was emitted for it. A listener for an earlier brewer of the same notification may remove it before that. */
  told?: true;
  /** How many frames were received, including those that were dropped. */
  received = 0;
  readonly #owner: SourceOwner;
  readonly #resets: number;
  readonly #opener: Opener;
  readonly #identity: Uint8Array;
  /** Why no data of this brewer is accepted; undefined if it is. */
  readonly #refused: DropReason | undefined;
  /** Of a sealed session. It is kept when the pair moves to another brew, and when the brewer comes back with the same session. */
  readonly replays: ReplayWindow | undefined;
  /** Identifies the sealed session, without revealing its key. */
  readonly session: string | undefined;
  #burst: Uint8Array[] = [];
  /** How many ticks in a row have brought a single frame. */
  #alone = 0;
  /** How many bursts are being decrypted. */
  #opening = 0;

  /**
   * @param queue the queue of the same brewer's former session, so that its messages are delivered first
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

  /** Decrypts a frame and delivers its messages in order, or drops it. Never throws. */
  receive(data: Uint8Array | ArrayBuffer, retained: boolean): void {
    this.received++;
    const frame = bytesOf(data)!; // undefined is refused below
    const reason = this.#refuse(frame);
    if (reason) return this.#owner.drops.add(reason, this.brewerId);
    // If frames keep coming one by one, decrypt the next at once: in a browser, waiting for the end of the tick costs more than a short
    // message. Two of each so many wait nevertheless, to find out whether bursts have begun. Two, because a single one might happen
    // to be the last of its tick each time.
    const isAlone = this.#alone >= LOOK_EVERY && this.#alone % LOOK_EVERY > 1; // then the burst is empty
    if (isAlone) this.#alone++;
    if (!this.#opener.openAll || retained || isAlone) {
      if (retained) this.flush(); // in the other cases the burst is empty
      return this.#begin([frame], retained);
    }
    this.queue.size += frame.length;
    // The frames of one tick are decrypted together at its end. Frames that come while a burst is being decrypted wait for it, since
    // they would be delivered after it anyway.
    if (this.#burst.push(frame) === 1 && !this.#opening) soon(() => this.flush());
  }

  #refuse(frame: Uint8Array | undefined): DropReason | undefined {
    // Custom brews may be plain JavaScript and pass anything.
    if (!frame || !isFrame(frame)) return 'malformed';
    if (!bearsIdentity(frame, this.#identity)) return 'wrong-sender';
    if (this.#refused) return this.#refused;
    let isWhole;
    try {
      isWhole = this.#opener.isWhole(frame);
    } catch {
      // A custom opener may throw, but not into the brew.
    }
    if (!isWhole) return 'undecryptable';
    if (this.queue.size > MAX_OPENING) return 'overflow';
    // Refuses a replay cheaply, before decryption. The check that counts is the second one, when the frame has proved to be authentic.
    const sequence = this.replays && sequenceOf(frame);
    return sequence !== undefined && !isBundle(frame) && this.replays!.has(sequence) ? 'replayed' : undefined;
  }

  /** Begins to decrypt the burst. */
  flush(): void {
    const frames = this.#burst;
    this.#burst = [];
    this.#alone = frames.length > 1 ? 0 : this.#alone + frames.length;
    this.queue.size -= sizeOf(frames);
    for (const burst of bursts(frames)) this.#begin(burst, false);
  }

  /** Decrypts frames by one call of the opener, and queues the result. */
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
        // Registered before the queue's own `then`: so the next burst is being decrypted while callbacks handle this one.
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
    // A frame that arrives during these callbacks must not overtake the rest of the burst.
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
    // The patron may have been reset by a listener of `gap`, or by the callback of an earlier message in the bundle.
    if (this.#resets !== this.#owner.resets()) return this.#owner.drops.add('reset', this.brewerId);
    // No transport delivers shared memory: the cast saves applications a cast wherever they pass the data on.
    this.#owner.deliver(new Message(this.topic, this.brewerId, data as Uint8Array<ArrayBuffer>, retained, sequence));
  }
}
