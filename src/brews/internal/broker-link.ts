import { asPubkeeperError, bufferFull } from '../../core/errors.js';
import { cancel, type Timer, wait } from '../../core/host.js';
import { type BrewHost, type BrewScope, PubkeeperError } from '../../core/index.js';
import { backoff, isFatal } from '../../core/reconnect.js';
import type { Dial, Line, Target } from './broker-line.js';
import { Outage } from './outage.js';

/** More does not wait for a connection, or for the broker to take it, in bytes. */
const MAX_BUFFERED = 16 * 1024 * 1024;
/** So many connections in a row that end over the same message, before anything else is confirmed, are its fault. */
const MAX_REFUSED = 3;

/** What wants to hear of an address. */
export interface Listener {
  message(payload: Uint8Array, retained: boolean): void;
  /** It is about to be subscribed, now or after a reconnect. */
  opening?(): void;
  /** The broker has confirmed the subscription. */
  confirmed?(): void;
  /** The connection has been lost, or could not be made. */
  lost?(): void;
}

interface Item {
  /** The order of the calls. */
  readonly serial: number;
  readonly address: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** How many connections have ended while it was the first that the broker had not confirmed. */
  refused: number;
}

interface Queued extends Item {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The way to one broker, shared by all brewers and patrons of a client that use it. Comes back by itself. */
export class BrokerLink {
  readonly #target: Target;
  readonly #dial: Dial;
  readonly #host: BrewHost;
  readonly #listeners = new Map<string, Listener>();
  readonly #outage: Outage;
  #line: Line | undefined;
  #queue: Queued[] = [];
  /** What this line has sent and the broker has not confirmed, the oldest first. */
  readonly #unconfirmed = new Set<Item>();
  #serial = 0;
  #waitingBytes = 0;
  #attempts = 0;
  #timer: Timer | undefined;
  #stable: Timer | undefined;
  #told = false;
  #wasUp = false;
  /** Why it has come to its final end. */
  ended: PubkeeperError | undefined;

  /** @param brew the name of the brew, for what is said of its state */
  constructor(brew: string, target: Target, dial: Dial, host: BrewHost) {
    this.#target = target;
    this.#dial = dial;
    this.#host = host;
    this.#outage = new Outage((up, scope) => host.state?.(brew, up, scope));
    void this.#open();
  }

  /** Whether it is said to be down, and whoever left it waits for it to come back. */
  get isMissed(): boolean {
    return !!this.#host.state && !this.ended && this.#outage.isMissed;
  }

  /** How long a message may be, in bytes, as far as the broker tells. */
  get most(): number {
    return this.#line?.most ?? Infinity;
  }

  /** This pair is over: it does not wait for this link any more. */
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

  /** Says something that is of no use later. */
  say(address: string, payload: Uint8Array, retain = false): void {
    try {
      if (this.#line) void this.#line.publish(address, payload, retain)?.catch(() => undefined);
    } catch {
      // Whoever waits for it asks again, or goes on without.
    }
  }

  /** What waits for a connection is for nobody any more. */
  forget(address: string): void {
    const mine = this.#queue.filter((queued) => queued.address === address);
    this.#queue = this.#queue.filter((queued) => queued.address !== address);
    for (const { payload, resolve } of mine) {
      this.#waitingBytes -= payload.length;
      resolve();
    }
  }

  wake(): void {
    if (this.#timer === undefined) return;
    cancel(this.#timer);
    void this.#open();
  }

  /** Closes it after what was published has left. */
  async close(): Promise<void> {
    const closed = new PubkeeperError('CONNECTION_CLOSED', `The connection to ${this.#name} was closed.`);
    this.ended ??= closed;
    cancel(this.#timer);
    cancel(this.#stable);
    this.#outage.end(closed);
    this.#refuse(this.ended);
    // One that is still being dialled is closed as soon as it is open; nobody has to wait for that.
    const line = this.#line;
    this.#line = undefined;
    await line?.close();
  }

  get #name(): string {
    return this.#target.urls.join(', ');
  }

  /** Never rejects. */
  async #open(): Promise<void> {
    this.#timer = undefined;
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
          isGone: () => this.ended !== undefined,
        },
        this.#host,
      );
      if (early) throw early;
    } catch (error) {
      if (!this.ended) this.#down(asPubkeeperError(error, 'CONNECT_FAILED', `Cannot connect to ${this.#name}.`));
      return;
    }
    if (this.ended) return void (await line.close().catch(() => undefined));
    this.#up(line);
  }

  #up(line: Line): void {
    this.#line = line;
    this.#wasUp = true;
    this.#told = false;
    this.#stable = wait(this.#host.reconnect.stableMs, () => (this.#attempts = 0));
    for (const [address, listener] of this.#listeners) this.#subscribe(line, address, listener);
    // What was on its way when the former line ended is older than what came in the meantime.
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
        // The connection was lost before the broker had it: it goes out again with the next one.
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

  #down(error: PubkeeperError): void {
    this.#line = undefined;
    for (const listener of this.#listeners.values()) listener.lost?.();
    // A broker ends the connection over what it does not take, as a message that is too long. Sent again for ever, that would keep
    // all behind it from leaving.
    const [suspect] = this.#unconfirmed;
    if (suspect) suspect.refused++;
    this.#unconfirmed.clear();
    this.#waitingBytes = this.#queue.reduce((sum, { payload }) => sum + payload.length, 0);
    cancel(this.#stable);
    const isFinal = isFatal(error) || error.code === 'BREW_DEPENDENCY';
    // An outage is told of once; that it lasts for good, and why, is news.
    if (isFinal || !this.#told) this.#host.report(error);
    this.#told = true;
    if (isFinal) {
      this.ended = error;
      this.#refuse(error);
      this.#outage.end(error);
      return;
    }
    // One that has never been up is not waited for.
    this.#outage.down(this.#wasUp ? undefined : 0);
    this.#timer = wait(backoff(this.#attempts++, this.#host.reconnect), () => void this.#open());
  }

  #refuse(error: PubkeeperError): void {
    for (const { reject } of this.#queue.splice(0)) reject(error);
    this.#waitingBytes = 0;
  }
}

const full = (name: string): PubkeeperError => bufferFull(name, { limit: MAX_BUFFERED });

const refused = (name: string, length: number): PubkeeperError =>
  new PubkeeperError(
    'BREW_FAILED',
    `${name} ended the connection ${MAX_REFUSED} times over a message of ${length} bytes, which is given up: brew shorter ones, or raise the broker's limit.`,
    { length },
  );
