/// <reference lib="esnext.disposable" preserve="true" />
import { defaultEngine } from './ciphers/default-engine.js';
import { type CipherName, strength } from './ciphers/cipher.js';
import type { CryptoEngine } from './ciphers/engine.js';
import { Drops, type DropReason } from './drops.js';
import { asPubkeeperError, guard, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { after } from './host.js';
import { parseId, readId, show } from './id.js';
import type { Message } from './message.js';
import type { OrderedQueue } from './order.js';
import type { BrewerInfo } from './packet.js';
import { type PatronCallback, type PatronEvents, type PatronHost, type PatronOptions, readPatronOptions } from './patron-options.js';
import type { ReplayWindow } from './replay.js';
import { Source, type SourceOwner } from './source.js';
import { BoundedStream } from './stream.js';
import { assertTopicPattern } from './topic.js';

export type { PatronCallback, PatronEvents, PatronHost, PatronOptions } from './patron-options.js';

/** A brewer that has left is removed after two intervals of this length (in ms) without data, or after this many looks at the latest. */
const RETIRE_MS = 200;
const RETIRE_LOOKS = 150;
/** For so many ended sealed sessions the replay window is kept, since a brewer may come back with the same session. */
const PAST_LIMIT = 1024;

/**
 * A subscriber: subscribes to a topic pattern and decrypts what the matched brewers (publishers) send.
 *
 * A client calls `configure`, `newBrewers`, `removeBrewer` and `reset` when the server tells it to, and brews (transports) call
 * `_handleCallback`. An application passes a callback, listens to events, or reads with `for await`:
 *
 *     for await (const message of patron) console.log(message.topic, message.text());
 */
export class Patron {
  /** The topic pattern. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** Whether encrypted and plaintext brewers are read; see {@link PatronOptions}. */
  readonly crypto: boolean | 'required';
  /** The weakest cipher that is accepted from brewers that encrypt; see {@link PatronOptions} for plaintext. */
  readonly minCipher: CipherName;
  readonly #callback: PatronCallback | undefined;
  readonly #events = new Events<PatronEvents>();
  readonly #sources = new Map<string, Source>();
  /** The queues of removed brewers whose messages are still being decrypted: these are delivered before those of a next session. */
  readonly #leaving = new Map<string, OrderedQueue>();
  readonly #past = new Map<string, ReplayWindow>();
  readonly #streams = new Set<BoundedStream<Message>>();
  readonly #drops = new Drops((drop) => this.#events.emit('dropped', drop));
  readonly #owner: SourceOwner;
  /** Null after it was removed from its client. */
  #host: PatronHost | null | undefined;
  #leave: (() => void) | null | undefined;
  #engine: CryptoEngine | undefined;
  #resets = 0;

  /**
   * @param topic a literal topic or a pattern with `*` and `**`
   * @param callback called with each message; not needed if you read with `for await`
   * @param options the options; or, as in the Python original, `crypto` alone, followed by `patronId`
   * @throws {PubkeeperError} `PATTERN_INVALID`, `ID_INVALID` or `OPTION_INVALID`
   */
  constructor(topic: string, callback?: PatronCallback, options?: PatronOptions | PatronOptions['crypto'] | null, id?: string) {
    assertTopicPattern(topic);
    const { crypto, minCipher, patronId, opener } = readPatronOptions(options, id, callback);
    this.topic = topic;
    this.crypto = crypto;
    this.minCipher = minCipher ?? 'aes-cbc';
    this.patronId = patronId;
    this.#callback = callback;
    this.#owner = {
      crypto,
      floor: strength(minCipher),
      opener,
      resets: () => this.#resets,
      past: this.#past,
      deliver: (message) => this.#deliver(message),
      drops: this.#drops,
      gap: ({ brewerId, topic }, missing) => this.#events.emit('gap', { topic, brewerId, missing }),
    };
  }

  /** Calls `listener` at each event of that name; returns a function that removes it. @throws {PubkeeperError} `OPTION_INVALID` when it is not a function */
  on<Name extends keyof PatronEvents>(name: Name, listener: (event: PatronEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** The brewers it is matched with now: literal topic and name of the brew, by brewer id. A snapshot. */
  get brewers(): ReadonlyMap<string, Pick<PatronEvents['added'], 'topic' | 'brew'>> {
    return new Map([...this.#sources].map(([id, { topic, brew }]) => [id, { topic, brew: brew?.name }]));
  }

  /** Whether it is matched with a brewer. */
  get isMatched(): boolean {
    return this.#sources.size > 0;
  }

  /** How many frames or messages were dropped so far, by reason; see {@link Drop}. */
  get dropped(): Readonly<Partial<Record<DropReason, number>>> {
    return { ...this.#drops.counts };
  }

  /** Called before it is registered with a server, at `connect()` and after an outage longer than `reconnect.graceMs`: prepares what decryption needs. */
  configure(): void {
    this.#engine = this.#host?.engine ?? defaultEngine();
  }

  /**
   * Called with the brewers of a BREWER_NOTIFY. Stores the configuration of all before it starts any of them, since a last
   * value may arrive as soon as one is started. A brewer that is known already is removed first. If something is wrong with one
   * of them (`KEY_INVALID`, `CIPHER_UNKNOWN`, `BREW_UNKNOWN`, …), that is an `error` event, and the others go on.
   */
  newBrewers(brewers: readonly BrewerInfo[]): void {
    if (!this.#engine) this.configure();
    const added: Source[] = [];
    const resets = this.#resets;
    for (const info of brewers) {
      this.#try(() => {
        const brewerId = parseId(info.brewer_id);
        // Not for a new one: a subclass may override it.
        if (this.#sources.get(brewerId)) this.removeBrewer(brewerId);
        if (this.#resets !== resets) return; // a listener has reset the patron: this notification is obsolete
        const source = new Source(this.#owner, info, brewerId, this.#engine!, this.#leaving.get(brewerId));
        this.#sources.set(brewerId, source);
        added.push(source);
      });
    }
    for (const source of added) this.#try(() => this.#start(source), () => this.removeBrewer(source.brewerId));
  }

  /** Ends a brewer's transport and forgets its key. Does nothing for a brewer that is not known. */
  removeBrewer(brewerId: string): void {
    const source = this.#sources.get(readId(brewerId)!);
    if (!source) return;
    const { topic, brewerId: id } = source;
    this.#sources.delete(id);
    source.flush();
    this.#leaving.set(id, source.queue);
    for (const [left, { length }] of this.#leaving) if (!length) this.#leaving.delete(left);
    if (this.#past.size >= PAST_LIMIT) this.#past.clear();
    if (source.replays) this.#past.set(source.session!, source.replays);
    this.#stop(source);
    if (source.told) this.#events.emit('removed', { topic, brewerId: id });
  }

  /** Called when disconnected: releases all brewers and ends all `for await` loops. Messages not yet delivered are dropped. */
  reset(): void {
    this.#resets++;
    for (const id of [...this.#sources.keys()]) this.removeBrewer(id);
    this.#past.clear();
    for (const [id, queue] of this.#leaving) {
      const lost = queue.clear();
      if (lost) this.#drops.add('reset', id, lost);
    }
    this.#leaving.clear();
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
    this.#drops.flush();
    this.#engine = undefined;
  }

  /**
   * Called by a brew with each brew frame that it received (protocol, section 3). Decrypts it as the brewer's
   * configuration says and delivers it in order. Never throws: what cannot be delivered is dropped and counted.
   * @param retained whether it is a last value: what was brewed last before this patron came
   */
  _handleCallback(brewerId: string, data: Uint8Array | ArrayBuffer, retained = false): void {
    const source = this.#sources.get(brewerId) ?? this.#sources.get(readId(brewerId)!);
    if (source) source.receive(data, retained);
    else this.#drops.add('unknown-brewer', readId(brewerId));
  }

  /**
   * The messages from now on, until the patron is removed or reset (by `disconnect()`, a refused token, or an outage longer than
   * `reconnect.graceMs`). Ends at once if it was removed before. Buffers up to 1,024 unread messages; then the oldest is
   * dropped and counted (`overflow`).
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const stream: BoundedStream<Message> = new BoundedStream<Message>(
      () => this.#drops.add('overflow', undefined),
      () => this.#streams.delete(stream),
    );
    if (this.#host === null) stream.end();
    else this.#streams.add(stream);
    return stream;
  }

  /**
   * @internal Called on BREWER_REMOVED. That packet takes another route than the data, and may overtake messages that a busy relay or
   * a busy patron has not handled yet. So the brewer is not removed at once, but when no more data has come for a while.
   */
  _retire(brewerId: string): void {
    const source = this.#sources.get(brewerId);
    if (!source) return;
    let seen = source.received;
    let quiet = 0;
    let looks = RETIRE_LOOKS;
    const look = (): void => {
      if (this.#sources.get(source.brewerId) !== source) return; // removed by now, or back
      quiet = source.received === seen ? quiet + 1 : 0;
      seen = source.received;
      // Two quiet intervals: after a pause of the whole process the timer fires before the data that has arrived meanwhile.
      if (quiet > 1 || !--looks) this.removeBrewer(source.brewerId);
      else after(RETIRE_MS, look);
    };
    after(RETIRE_MS, look);
  }

  /** Removes it from its client, if it has one: `using patron = client.addPatron(…)`. */
  [Symbol.dispose](): void {
    this.#leave?.();
  }

  /** @internal Called by the client that this is added to; `leave` removes it there. Returns false if it belongs to a client already. */
  _lend(host: PatronHost, leave?: () => void): boolean {
    if (this.#host) return false;
    this.#host = host;
    this.#leave = leave;
    return true;
  }

  /** @internal Called when this is removed from its client. */
  _release(): undefined {
    // First, since a listener of `removed` may add it again.
    this.#host = this.#leave = null;
    this.reset();
  }

  /** @internal Whether the match with this brewer was announced (`added`) and has not ended. */
  _runs(brewerId: string): boolean {
    return !!this.#sources.get(brewerId)?.told;
  }

  /** Returns what the brew returned: if that is a promise, because the brew is wrong, its rejection is reported. */
  #start(source: Source): unknown {
    const { topic, brewerId, brew: details } = source;
    const name = details?.name;
    if (this.#sources.get(brewerId) !== source) return undefined; // replaced or removed in the meantime
    const brew = this.#host?.brew(name);
    if (this.#host && !brew) {
      throw new PubkeeperError(
        'BREW_UNKNOWN',
        `${topic} is brewed over ${show(name)}, which this client does not have: add that brew to its brews.`,
        { topic, brewerId, brew: name },
      );
    }
    source.told = true;
    this.#events.emit('added', { topic, brewerId, brew: name });
    // Without a client there are no brews: the application calls `_handleCallback` itself. And a listener of `added` may have
    // removed this very brewer.
    if (!brew || this.#sources.get(brewerId) !== source) return undefined;
    const stop = brew.startPatron({
      topic,
      brewerId,
      patronId: this.patronId,
      details,
      receive: (frame, retained) => {
        // Drops data of a brew that goes on after it was stopped, or that still serves a former session.
        if (this.#sources.get(brewerId) === source) source.receive(frame, retained ?? false);
        else this.#drops.add('unknown-brewer', brewerId);
      },
    });
    // A last value may have been delivered by now, and the callback may have removed this very brewer.
    source.stop = stop;
    if (this.#sources.get(brewerId) !== source) this.#stop(source);
    return stop;
  }

  #stop(source: Source): void {
    const { stop } = source;
    source.stop = undefined;
    this.#try(() => stop?.());
  }

  #deliver(message: Message): void {
    // Streams first: the callback may cause the next message, which must come after this one in the streams.
    for (const stream of this.#streams) stream.push(message);
    try {
      // Not `instanceof Promise`: it may be a promise of an iframe or of a library.
      const result = this.#callback?.(message.data, message) as Partial<PromiseLike<unknown>> | undefined;
      result?.then?.(null, (error: unknown) => this.#callbackFailed(error, message));
    } catch (error) {
      this.#callbackFailed(error, message);
    }
  }

  #callbackFailed(cause: unknown, { topic, brewerId }: Message): void {
    this.#events.report(new PubkeeperError('CALLBACK_FAILED', `The callback for ${this.topic} threw at a message on ${topic}.`, { topic, brewerId }, cause));
  }

  #try(run: () => unknown, undo?: () => void): void {
    void guard(run, (error) => {
      undo?.();
      this.#events.report(asPubkeeperError(error, 'BREW_FAILED', `A brew failed for the patron of ${this.topic}.`));
    });
  }
}
