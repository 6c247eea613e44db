/// <reference lib="esnext.disposable" preserve="true" />
import { leaving } from './attempt.js';
import type { Brew } from './brew.js';
import type { BrewerEvents, BrewerHost, BrewerOptions } from './brewer-options.js';
import { bytesOf } from './bytes.js';
import { type CipherName, CIPHERS, type MakeSealer, optionsOf } from './ciphers/cipher.js';
import { defaultEngine } from './ciphers/default-engine.js';
import { sealerFor } from './ciphers/index.js';
import { asPubkeeperError, guard, optionInvalid, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { identityOf } from './frame.js';
import { utf8 } from './host.js';
import { newId, parseId, readId, show } from './id.js';
import { Outlet } from './outlet.js';
import type { BrewerConfig, PatronInfo } from './packet.js';
import { assertTopic } from './topic.js';

export type { BrewerEvents, BrewerHost, BrewerOptions } from './brewer-options.js';

/** A matched patron: the brew that serves it, and what ends the match. */
interface Reader {
  readonly patronId: string;
  readonly name: string;
  readonly brew: Brew | undefined;
  readonly stop: (() => void) | undefined;
  /** The session in which the match began. */
  readonly outlet: Outlet;
}

/**
 * A publisher: publishes on one literal topic, to the patrons (subscribers) that the server matches it with. While no patron is
 * matched, what is brewed is not sent and not kept; `isMatched` says whether one is.
 */
export class Brewer {
  /** The literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** The cipher that messages are encrypted with; `'none'` if `crypto` is false. */
  readonly cipher: CipherName | MakeSealer;
  readonly #events = new Events<BrewerEvents>();
  readonly #readers = new Map<string, Reader>();
  #host: BrewerHost | undefined;
  #leave: (() => void) | undefined;
  /** Seals and sends the messages of the present session. */
  #outlet: Outlet | undefined;
  /** Patrons whose match has ended, but that still get what was brewed before: sealing takes a while in browsers. */
  readonly #leaving = new Set<Reader>();
  #matched = false;
  /** Settles when everything that was brewed before the last match ended has been sent; undefined when nothing waits. */
  #left: Promise<void> | undefined;

  /** `options` may be `crypto` alone, as for a patron. @throws {PubkeeperError} `TOPIC_INVALID`, `ID_INVALID` or `OPTION_INVALID` */
  constructor(topic: string, options?: BrewerOptions | BrewerOptions['crypto'] | null) {
    assertTopic(topic);
    const { crypto = true, brewerId, cipher = 'aes-gcm' } = optionsOf<BrewerOptions>(options);
    if (typeof crypto !== 'boolean') throw optionInvalid(`crypto must be true or false, not ${show(crypto)}.`);
    if (typeof cipher !== 'function' && !CIPHERS.includes(cipher)) throw optionInvalid(`cipher must be 'aes-gcm', 'aes-cbc' or 'none', not ${show(cipher)}.`);
    this.topic = topic;
    this.brewerId = brewerId == null ? newId() : parseId(brewerId);
    this.cipher = crypto ? cipher : 'none';
  }

  /** Calls `listener` at each event of that name; returns a function that removes it. @throws {PubkeeperError} `OPTION_INVALID` when it is not a function */
  on<Name extends keyof BrewerEvents>(name: Name, listener: (event: BrewerEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** Whether a patron is matched: while none is, what is brewed is not sent. */
  get isMatched(): boolean {
    return this.#readers.size > 0;
  }

  /** The patrons it is matched with now: name of the brew, by patron id. A snapshot. */
  get patrons(): ReadonlyMap<string, Pick<BrewerEvents['added'], 'brew'>> {
    return new Map([...this.#readers].map(([id, { name }]) => [id, { brew: name }]));
  }

  /** Called before it is registered with a server, at `connect()` and after an outage longer than `reconnect.graceMs`: makes a fresh key, and so a new session. */
  configure(): void {
    const identity = identityOf(this.topic, this.brewerId);
    const outlet: Outlet = new Outlet(
      sealerFor(this.cipher, this.#host?.engine ?? defaultEngine(), identity),
      (frame) => this.#carry(frame, outlet.brews),
      (error) => this.#report(error),
    );
    this.#outlet = outlet;
  }

  /** What patrons are told about this session (`brewer_config` in protocol, section 2). It holds the key. */
  getConfig(): BrewerConfig {
    const cipher = this.#configured().sealer.config;
    return cipher ? { cipher } : {};
  }

  /**
   * Called with the patrons of a PATRON_NOTIFY. A patron that is known already is removed first. If something is wrong with one
   * of them (`BREW_UNKNOWN`, `ID_INVALID`, …), that is an `error` event, and the others go on.
   */
  newPatrons(patrons: readonly PatronInfo[]): void {
    const outlet = this.#configured();
    for (const info of patrons) {
      this.#try(() => {
        const patronId = parseId(info.patron_id);
        this.#end(patronId);
        return this.#outlet === outlet && this.#begin(patronId, info, outlet); // otherwise a listener has ended the session of this notification
      });
    }
    this.#tell();
  }

  /** Called on PATRON_REMOVED. Does nothing for a patron that is not known. */
  removePatron(patronId: string): void {
    const id = readId(patronId);
    if (id && this.#readers.has(id)) this.#part([id], this.#outlet?.leave());
  }

  /** Called when disconnected: releases all patrons once the messages brewed for them have been sent, and forgets the key. */
  reset(): void {
    const outlet = this.#outlet;
    this.#outlet = undefined;
    // When the brewer itself is being removed (no `#leave` any more), also wait for what its brews still hold.
    this.#part(this.#readers.keys(), this.#leave ? outlet?.leave() : outlet?.flush());
  }

  /**
   * Sends the bytes of `data`, whatever kind of view it is, to every matched patron. Resolves at once while nobody is matched: the message is
   * then not sent. Else resolves when the brews have accepted the bytes. That is usually at once. It takes longer while a connection is
   * being made or its buffer is full, while a patron is on its way (just matched, or after a restart of the server), and where a browser
   * encrypts or an MQTT broker confirms (`qos: 1`). You may change `data` once the call has returned. Sealed messages that are brewed in one
   * tick are sent together: while nothing waits they count as accepted, and what goes wrong then (`BUFFER_FULL`, `BREW_FAILED`) is only an
   * `error` event.
   *
   * A rejection is also an `error` event, and never an unhandled rejection, so you need not await the promise.
   * Rejects with {@link PubkeeperError} `DATA_INVALID`, `BUFFER_FULL` (more than 16 MiB wait), `BREW_FAILED`, `CONNECTION_CLOSED` (this side
   * closed the connection), or the code of an error that no retry helps (`SUBPROTOCOL_REFUSED`, `UNAUTHORIZED`, …).
   */
  brew(data: ArrayBuffer | ArrayBufferView): Promise<void> {
    const bytes = bytesOf(data);
    if (!bytes) {
      return this.#reject(
        new PubkeeperError('DATA_INVALID', 'brew() takes bytes; use brewText() for text, brewJSON() for values.'),
      );
    }
    if (this.isMatched) return this.#configured().send(bytes);
    this.#outlet?.sealer.skip?.();
    return Promise.resolve();
  }

  /** Like {@link brew}, with text as UTF-8. */
  brewText(text: string): Promise<void> {
    if (typeof text === 'string') return this.brew(utf8(text));
    return this.#reject(new PubkeeperError('DATA_INVALID', `brewText() takes a string, not ${typeof text}.`));
  }

  /** Like {@link brew}, with `JSON.stringify(value)`. Rejects with `DATA_INVALID` if JSON cannot express the value. */
  brewJSON(value: unknown): Promise<void> {
    let json: string | undefined;
    let cause: unknown;
    try {
      json = JSON.stringify(value) as string | undefined;
    } catch (error) {
      cause = error;
    }
    if (json !== undefined) return this.brew(utf8(json));
    return this.#reject(new PubkeeperError('DATA_INVALID', 'brewJSON() takes a value that JSON can express.', {}, cause));
  }

  /** Removes it from its client, if it has one: `using brewer = client.addBrewer(…)`. */
  [Symbol.dispose](): void {
    this.#leave?.();
  }

  /** @internal Called by the client that this is added to; `leave` removes it there. Returns false if it belongs to a client already. */
  _lend(host: BrewerHost, leave?: () => void): boolean {
    if (this.#host) return false;
    this.#host = host;
    this.#leave = leave;
    return true;
  }

  /** @internal Called when this is removed. Settles when everything has been sent, also what a brew holds for a patron that is still joining; undefined when nothing waits. */
  _release(): Promise<void> | undefined {
    // First, since a listener of `removed` may add it again.
    this.#host = this.#leave = undefined;
    this.reset();
    return this.#left;
  }

  /** @internal Sends the messages gathered in this tick. Resolves when all messages have been accepted; undefined when nothing waits. */
  _flush(): Promise<void> | undefined {
    return this.#outlet?.flush();
  }

  #configured(): Outlet {
    if (!this.#outlet) this.configure();
    return this.#outlet!;
  }

  /** Returns what the brew returned: if that is a promise, because the brew is wrong, its rejection is reported. */
  #begin(patronId: string, { brew: details }: PatronInfo, outlet: Outlet): unknown {
    const { topic, brewerId } = this;
    const name = details?.name;
    const brew = this.#host?.brew(name);
    if (this.#host && !brew) {
      throw new PubkeeperError(
        'BREW_UNKNOWN',
        `A patron reads ${topic} over ${show(name)}, which this client does not have: add that brew to its brews.`,
        { topic, patronId, brew: name },
      );
    }
    // Brews know a pair by its two ids: end the former pair before a new one with the same ids begins.
    for (const reader of this.#leaving) if (reader.patronId === patronId) this.#stop(reader);
    // Without a client there are no brews.
    const stop = brew?.startBrewer({ topic, brewerId, patronId, details });
    this.#readers.set(patronId, { patronId, name, brew, stop, outlet });
    this.#list(outlet);
    // Last: a listener may brew at once, or remove this very patron.
    this.#events.emit('added', { topic, patronId, brew: name });
    return stop;
  }

  /** Ends matches, but only when `sending` has settled, so that their patrons get what was brewed until now; after a second at the latest. */
  #part(ids: Iterable<string>, sending: Promise<void> | undefined): void {
    this.#left = sending && leaving(sending, (error) => this.#report(error));
    for (const id of ids) this.#end(id, this.#left);
    this.#tell();
  }

  #end(patronId: string, left?: Promise<void>): void {
    const reader = this.#readers.get(patronId);
    if (!reader) return;
    this.#readers.delete(patronId);
    this.#leaving.add(reader);
    if (left) void left.then(() => this.#stop(reader));
    else this.#stop(reader);
    this.#events.emit('removed', { topic: this.topic, patronId });
  }

  #stop(reader: Reader): void {
    if (!this.#leaving.delete(reader)) return;
    this.#list(reader.outlet);
    this.#try(() => reader.stop?.());
  }

  #tell(): void {
    const { isMatched, topic } = this;
    if (this.#matched !== (this.#matched = isMatched)) this.#events.emit(isMatched ? 'matched' : 'unmatched', { topic });
  }

  #list(outlet: Outlet): void {
    outlet.brews = [...new Set([...this.#readers.values(), ...this.#leaving].flatMap((reader) => (reader.outlet === outlet && reader.brew) || []))];
  }

  /** Hands a frame to each brew. Returns undefined when all brews accepted it at once. */
  #carry(frame: Uint8Array<ArrayBuffer>, brews: readonly Brew[]): void | Promise<void> {
    let waiting: Promise<void>[] | undefined;
    for (const brew of brews) {
      let accepted: void | Promise<void>;
      try {
        accepted = brew.brew(this.brewerId, frame);
      } catch (error) {
        accepted = Promise.reject(error);
      }
      if (accepted) (waiting ??= []).push(accepted);
    }
    const failed = (cause: unknown): never => {
      throw asBrewFailure(cause, this.topic);
    };
    return waiting && Promise.all(waiting).then(() => undefined, failed);
  }

  #reject(error: PubkeeperError): Promise<void> {
    const rejected = Promise.reject<void>(error);
    rejected.catch(() => this.#report(error));
    return rejected;
  }

  #try(run: () => unknown): void {
    void guard(run, (error) => this.#report(error));
  }

  #report(cause: unknown): void {
    this.#events.report(asBrewFailure(cause, this.topic));
  }
}

/** A brew of somebody else may throw errors of any kind. */
const asBrewFailure = (cause: unknown, topic: string): PubkeeperError =>
  asPubkeeperError(cause, 'BREW_FAILED', `A brew failed for the brewer of ${topic}.`);
