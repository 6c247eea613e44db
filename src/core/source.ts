import type { CryptoEngine } from './ciphers/engine.js';
import { openerFor } from './ciphers/index.js';
import type { Opener } from './ciphers/cipher.js';
import type { DropReason } from './drops.js';
import { bearsIdentity, frameIdentity, isFrame, readSeal, topicHash } from './frame.js';
import { fromHex } from './id.js';
import { Message } from './message.js';
import { OrderedQueue } from './order.js';
import type { BrewerConfig, BrewerInfo } from './packet.js';
import { ReplayWindow } from './replay.js';

/** What a source needs of the patron that it belongs to. */
export interface SourceOwner {
  readonly crypto: boolean | 'required';
  readonly opener: ((config: BrewerConfig) => Opener | undefined) | undefined;
  deliver(message: Message): void;
  drop(reason: DropReason, brewerId: string, count?: number): void;
  gap(source: Source, missing: number): void;
}

/** How many bytes of one brewer may wait for decryption. Browsers cannot tell a socket to wait, so there must be an end. */
const MAX_OPENING = 64 * 1024 * 1024;

/** A frame that is being opened, as it goes through the queue. */
interface Opening {
  readonly messages: Uint8Array | readonly Uint8Array[];
  readonly sequence: number | undefined;
  readonly retained: boolean;
  readonly source: Source;
}

/** The order in which one brewer's messages are delivered; it outlives a change of that brewer's key. */
export type SourceQueue = OrderedQueue<Opening>;

/** One brewer as one patron sees it: its key, its place in the order of messages, and what it has delivered. */
export class Source {
  readonly topic: string;
  readonly brewerId: string;
  readonly brew: BrewerInfo['brew'];
  readonly queue: SourceQueue;
  /** Ends the transport. */
  stop: (() => void) | undefined;
  readonly #owner: SourceOwner;
  readonly #opener: Opener;
  readonly #identity: Uint8Array;
  readonly #accepted: boolean;
  readonly #window: ReplayWindow | undefined;

  /**
   * @param queue that of the same brewer's former session, so that its messages come first
   * @throws {PubkeeperError} `KEY_INVALID` or `CIPHER_UNKNOWN`
   */
  constructor(owner: SourceOwner, info: BrewerInfo, brewerId: string, engine: CryptoEngine, queue?: SourceQueue) {
    this.topic = info.topic;
    this.brewerId = brewerId;
    this.brew = info.brew;
    this.#owner = owner;
    const config = info.brewer_config ?? {};
    this.#opener = owner.opener?.(config) ?? openerFor(config, engine);
    this.#identity = frameIdentity(topicHash(info.topic), fromHex(brewerId));
    this.#accepted = this.#opener.cipher === 'none' ? owner.crypto !== 'required' : owner.crypto !== false;
    if (this.#opener.cipher === 'aes-gcm') this.#window = new ReplayWindow();
    this.queue =
      queue ??
      new OrderedQueue<Opening>(
        (opening) => opening.source.#pass(opening),
        () => owner.drop('undecryptable', brewerId),
      );
  }

  /** Opens a frame and delivers its messages in their turn, or drops it. Never throws. */
  receive(frame: Uint8Array, retained: boolean): void {
    const reason = this.#refuse(frame);
    if (reason) {
      this.#owner.drop(reason, this.brewerId);
      return;
    }
    const sequence = this.#window && readSeal(frame)?.sequence;
    try {
      const opened = this.#opener.open(frame);
      const opening = (messages: Opening['messages']): Opening => ({ messages, sequence, retained, source: this });
      if (opened instanceof Promise) this.queue.push(opened.then(opening), frame.length);
      else this.queue.push(opening(opened), frame.length);
    } catch {
      this.#owner.drop('undecryptable', this.brewerId);
    }
  }

  #refuse(frame: Uint8Array): DropReason | undefined {
    if (!isFrame(frame)) return 'malformed';
    if (!bearsIdentity(frame, this.#identity)) return 'wrong-sender';
    if (!this.#accepted) return 'not-accepted';
    if (this.queue.size > MAX_OPENING) return 'overflow';
    // A cheap no for a replay before any decryption; what counts is the second look, once it proved to be authentic.
    const seal = this.#window && readSeal(frame);
    return seal && !seal.bundle && this.#window!.has(seal.sequence) ? 'replayed' : undefined;
  }

  #pass({ messages, sequence, retained }: Opening): void {
    if (messages instanceof Uint8Array) this.#deliver(messages, sequence, retained);
    else messages.forEach((data, index) => this.#deliver(data, sequence === undefined ? undefined : sequence + index, retained));
  }

  #deliver(data: Uint8Array, sequence: number | undefined, retained: boolean): void {
    if (this.#window && sequence !== undefined) {
      if (this.#window.has(sequence)) {
        this.#owner.drop('replayed', this.brewerId);
        return;
      }
      const missing = this.#window.accept(sequence);
      if (missing) this.#owner.gap(this, missing);
    }
    this.#owner.deliver(new Message(this.topic, this.brewerId, data, retained, sequence));
  }
}
