import { asPubkeeperError, bufferFull } from '../../core/errors.js';
import { cancel, type Timer, wait } from '../../core/host.js';
import { type BrewHost, type BrewScope, PubkeeperError } from '../../core/index.js';
import { backoff, isFatal } from '../../core/reconnect.js';
import type { Dial, Line, Target } from './broker-line.js';
import { Outage } from './outage.js';
import { type Item, MAX_REFUSED, type Queued, refused } from './unconfirmed.js';

/** How many bytes may wait for a connection, or for the broker to take them. */
const MAX_BUFFERED = 16 * 1024 * 1024;

/** Receives the messages of an address, and hears of its subscription. */
export interface Listener {
  message(payload: Uint8Array, retained: boolean): void;
  /** The address is about to be subscribed to, now or after a reconnect. */
  opening?(): void;
  /** The broker has confirmed the subscription. */
  confirmed?(): void;
  /** The connection has been lost, or could not be made. */
  lost?(): void;
}

/** The connection to one broker, shared by all brewers and patrons of a client that use it. Reconnects by itself. */
export class BrokerLink {
  readonly #target: Target;
  readonly #dial: Dial;
  readonly #host: BrewHost;
  readonly #listeners = new Map<string, Listener>();
  readonly #outage: Outage;
  #line: Line | undefined;
  /** What the line before said. */
  #most: number | undefined;
  #queue: Queued[] = [];
  /** What this line has sent and the broker has not confirmed, the oldest first. */
  readonly #unconfirmed = new Set<Item>();
  #serial = 0;
  #waitingBytes = 0;
  #attempts = 0;
  #timer: Timer | undefined;
  #stable: Timer | undefined;
  /** Why the broker cannot be reached, as far as it says so and that was reported in this outage; undefined if nothing was reported. */
  #told: string | undefined;
  #wasUp = false;
  /** Ends the dial that is under way. */
  #dialling: AbortController | undefined;
  #rests = false;
  /** The line that was closed for a rest has ended, and what it had not sent waits for the next one. */
  #rested: Promise<void> | undefined;
  /** Why the link has ended for good. */
  ended: PubkeeperError | undefined;

  /** @param brew the name of the brew, for reports of its state */
  constructor(brew: string, target: Target, dial: Dial, host: BrewHost) {
    this.#target = target;
    this.#dial = dial;
    this.#host = host;
    this.#outage = new Outage((up, scope) => host.state?.(brew, up, scope));
    void this.#open();
  }

  /** Whether the link was reported as down, and pairs that have left it wait for it to come back. */
  get isMissed(): boolean {
    return !!this.#host.state && !this.ended && this.#outage.isMissed;
  }

  /** The longest message that the broker takes, in bytes, as far as it has said so; kept while it cannot be reached. */
  get most(): number | undefined {
    return this.#line?.most ?? this.#most;
  }

  /** This pair has ended: it does not wait for the link any more. */
  forgetPair(scope: BrewScope): void {
    this.#outage.forget(scope);
  }

  /** A pair, or the whole brew, depends on this link from now on. */
  use(scope: BrewScope): () => void {
    return this.#outage.use(scope);
  }

  /** Subscribes to an address, also after each reconnect, until the returned function is called. */
  listen(address: string, listener: Listener): () => void {
    this.#listeners.set(address, listener);
    if (this.#line) this.#subscribe(this.#line, address, listener);
    return () => {
      if (this.#listeners.get(address) !== listener) return;
      this.#listeners.delete(address);
      this.#line?.unsubscribe(address);
    };
  }

  /** @throws {PubkeeperError} `BUFFER_FULL`, or why the link has ended */
  publish(address: string, payload: Uint8Array, retain = false): void | Promise<void> {
    if (this.ended) throw this.ended;
    if (this.#waitingBytes > 0 && this.#waitingBytes + payload.length > MAX_BUFFERED) throw full(this.#name);
    const item = { serial: this.#serial++, address, payload, retain, refused: 0 };
    return this.#line ? this.#send(this.#line, item) : this.#wait(item);
  }

  /** Sends a message that is of no use later, if there is a connection now. */
  say(address: string, payload: Uint8Array, retain = false): void {
    try {
      if (this.#line) void this.#line.publish(address, payload, retain)?.catch(() => undefined);
    } catch {
      // A patron that waits for this message asks again, or goes on without it.
    }
  }

  /** Drops what waits for a connection to be sent to this address: nobody reads it any more. */
  forget(address: string): void {
    const mine = this.#queue.filter((queued) => queued.address === address);
    this.#queue = this.#queue.filter((queued) => queued.address !== address);
    for (const { payload, resolve } of mine) {
      this.#waitingBytes -= payload.length;
      resolve();
    }
  }

  /** Closes the line until `wake`, which is no fault and is not reported. What is published meanwhile waits. */
  rest(): void {
    if (this.ended) return;
    this.#rests = true;
    this.#stop();
    this.#outage.rest();
    const line = this.#line;
    if (!line) return;
    this.#lose();
    this.#rested = line.rest().catch(() => undefined);
  }

  /** Checks the line, or dials now if there is none and no dial under way. */
  wake(): void {
    this.#line?.check();
    if (this.ended || (!this.#rests && this.#timer === undefined)) return;
    this.#rests = false;
    cancel(this.#timer);
    void this.#open();
  }

  /** Closes the link after what was published has left. */
  async close(): Promise<void> {
    const closed = new PubkeeperError('CONNECTION_CLOSED', `The connection to ${this.#name} was closed.`);
    this.ended ??= closed;
    this.#stop();
    this.#outage.end(closed);
    this.#refuse(this.ended);
    const line = this.#line;
    this.#line = undefined;
    await (line?.close() ?? this.#rested);
  }

  get #name(): string {
    return this.#target.urls.join(', ');
  }

  /** Ends the timers, and the dial that is under way. A line that opens all the same is closed then; nobody waits for that. */
  #stop(): void {
    cancel(this.#timer);
    cancel(this.#stable);
    this.#timer = undefined;
    this.#dialling?.abort();
  }

  /** Never rejects. */
  async #open(): Promise<void> {
    this.#timer = undefined;
    const { signal: gone } = (this.#dialling = new AbortController());
    if (this.#rested) await this.#rested;
    if (gone.aborted) return;
    let early: PubkeeperError | undefined;
    let line: Line | undefined;
    try {
      line = await this.#dial(
        this.#target,
        {
          message: (address, payload, retained) => this.#listeners.get(address)?.message(payload, retained),
          ended: (error) => {
            if (line && this.#line === line) this.#down(error);
            else early = error;
          },
          gone,
        },
        this.#host,
      );
      if (early) throw early;
    } catch (error) {
      if (!gone.aborted) this.#down(asPubkeeperError(error, 'CONNECT_FAILED', `Cannot connect to ${this.#name}.`));
      return;
    }
    if (gone.aborted) return void (await line.close().catch(() => undefined));
    this.#up(line);
  }

  #up(line: Line): void {
    this.#line = line;
    this.#dialling = undefined;
    this.#wasUp = true;
    this.#told = undefined;
    this.#stable = wait(this.#host.reconnect.stableMs, () => (this.#attempts = 0));
    for (const [address, listener] of this.#listeners) this.#subscribe(line, address, listener);
    // Messages that were in transit when the last line ended are older than those that were queued since.
    const queue = this.#queue.sort((a, b) => a.serial - b.serial);
    this.#queue = [];
    this.#waitingBytes = 0;
    for (const item of queue) {
      try {
        const sent = this.#send(line, item);
        if (sent) sent.then(item.resolve, item.reject);
        else item.resolve();
      } catch (error) {
        item.reject(error);
      }
    }
    this.#outage.up();
  }

  #send(line: Line, item: Item): void | Promise<void> {
    const { address, payload, retain } = item;
    const sent = line.publish(address, payload, retain);
    if (!sent) return;
    this.#waitingBytes += payload.length;
    this.#unconfirmed.add(item);
    return sent.then(
      () => {
        if (this.#line !== line) return;
        this.#unconfirmed.delete(item);
        this.#waitingBytes -= payload.length;
      },
      (error: unknown) => {
        if (this.ended) throw asPubkeeperError(error, 'BREW_FAILED', `${this.#name} does not take a message.`);
        if (item.refused >= MAX_REFUSED) throw refused(this.#name, payload.length);
        // The connection was lost before the broker had the message: send it again over the next one.
        return this.#wait(item);
      },
    );
  }

  #wait(item: Item): Promise<void> {
    this.#waitingBytes += item.payload.length;
    return new Promise((resolve, reject) => this.#queue.push({ ...item, resolve, reject }));
  }

  #subscribe(line: Line, address: string, listener: Listener): void {
    listener.opening?.();
    const current = (): boolean => this.#line === line && this.#listeners.get(address) === listener;
    line.subscribe(address).then(
      () => current() && listener.confirmed?.(),
      (error: unknown) => {
        if (!current()) return;
        this.#host.report(asPubkeeperError(error, 'BREW_FAILED', `${this.#name} refuses the subscription to ${address}.`));
      },
    );
  }

  /** The line has ended. What the broker has not confirmed is rejected, and waits for the next line then. */
  #lose(): void {
    this.#most = this.most;
    this.#line = undefined;
    cancel(this.#stable);
    for (const listener of this.#listeners.values()) listener.lost?.();
    this.#unconfirmed.clear();
    this.#waitingBytes = this.#queue.reduce((sum, { payload }) => sum + payload.length, 0);
  }

  #down(error: PubkeeperError): void {
    // A broker ends the connection over a message that it does not take, such as one that is too long. If that were sent again for ever,
    // it would block all messages behind it.
    const [suspect] = this.#unconfirmed;
    if (suspect) suspect.refused++;
    this.#lose();
    const isFinal = isFatal(error) || error.code === 'BREW_DEPENDENCY';
    // An outage is reported once, and again if the broker is back and says why it refuses this client, for now or for good.
    const { says = '' } = error.details as { readonly says?: string };
    if (isFinal || this.#told === undefined || (says && says !== this.#told)) this.#host.report(error);
    this.#told = says || this.#told || '';
    if (isFinal) {
      this.ended = error;
      this.#refuse(error);
      this.#outage.end(error);
      return;
    }
    // A link that has never been up is reported as down at once.
    this.#outage.down(this.#wasUp ? undefined : 0);
    this.#timer = wait(backoff(this.#attempts++, this.#host.reconnect), () => void this.#open());
  }

  #refuse(error: PubkeeperError): void {
    for (const { reject } of this.#queue.splice(0)) reject(error);
    this.#waitingBytes = 0;
  }
}

const full = (name: string): PubkeeperError => bufferFull(name, { limit: MAX_BUFFERED });
