import type { Complete } from './complete.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { PubkeeperError } from './errors.js';
import { cancel, type Timer, wait } from './host.js';
import { Pulse } from './pulse.js';

/** How a connection comes back: after random waits, whose limit doubles. Times in ms. */
export interface ReconnectOptions {
  /** The first wait is a random time up to this one; each further one may be twice as long. Default 1,500. */
  readonly delayMs?: number | undefined;
  /** No wait is longer. Default 5,000. */
  readonly maxDelayMs?: number | undefined;
  /** Only after a connection has lasted this long do waits start from `delayMs` again. Default 5,000. */
  readonly stableMs?: number | undefined;
  /** How long matched pairs are kept without a control server. Default 30,000. */
  readonly graceMs?: number | undefined;
  /** How often it is tried again in a row; each wait counts, `stableMs` ends the row. Then it is over. Default: for ever. */
  readonly maxRetries?: number | undefined;
}

/** The one place that decides: whether an end is final, or whether trying again may help. */
export const isFatal = ({ code }: PubkeeperError): boolean =>
  ['UNAUTHORIZED', 'SUBPROTOCOL_REFUSED', 'CONNECT_BLOCKED', 'CONNECTION_CLOSED'].includes(code);

/** A random wait up to a ceiling that doubles with each attempt (full jitter), in ms. */
export const backoff = (attempt: number, { delayMs, maxDelayMs }: { readonly delayMs: number; readonly maxDelayMs: number }): number =>
  Math.random() * Math.min(maxDelayMs, delayMs * 2 ** attempt);

/** As for a connection; `onClose` tells only of a final end. */
export interface ReconnectingOptions extends ConnectionOptions {
  readonly reconnect: Complete<ReconnectOptions>;
  /** The connection ended or could not be made; it is tried again in `retryMs`. Calling `close` here prevents it. */
  onDown(error: PubkeeperError, retryMs: number): void;
}

/**
 * A connection that comes back: the same shape as {@link Connection}, plus exponential backoff with full jitter, so
 * that thousands of clients that were thrown off together do not come back together.
 */
export class ReconnectingConnection {
  readonly #options: ReconnectingOptions;
  #connection: Connection | undefined;
  #timer: Timer | undefined;
  #stable: Timer | undefined;
  #pulse: Pulse | undefined;
  #attempts = 0;
  #closed = false;

  constructor(options: ReconnectingOptions) {
    this.#options = options;
    this.#dial();
  }

  get isOpen(): boolean {
    return !!this.#connection?.isOpen;
  }

  get bufferedAmount(): number {
    return this.#connection?.bufferedAmount ?? 0;
  }

  get heardAt(): number {
    return this.#connection?.heardAt ?? 0;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#connection?.send(bytes);
  }

  /**
   * Watches the present connection. `beatMs`: how often the other side gives a sign of life, in ms; 0 where it has not said
   * so, and then nothing is watched. `ping`: what it answers; `now`: it is to be sent at once.
   */
  watch(beatMs: number, ping: Uint8Array<ArrayBuffer>, now?: boolean): void {
    if (!beatMs || this.#pulse || !this.isOpen) return;
    if (now) this.send(ping);
    const { url } = this.#options;
    this.#pulse = new Pulse(
      this,
      beatMs,
      () => this.send(ping),
      (silentMs) => this.abandon(new PubkeeperError('CONNECTION_LOST', `${url} has not answered for ${Math.round(silentMs)} ms.`, { silentMs })),
    );
  }

  /** Gives the present connection up and, unless the error is fatal, tries again. */
  abandon(error: PubkeeperError): void {
    this.#connection?.abandon(error);
  }

  /** Lets go of the socket, and does not try again until `wake`. */
  rest(): void {
    // It is no failure, and counts for nothing in the row.
    if (this.#connection) this.#attempts--;
    this.abandon(new PubkeeperError('CONNECTION_LOST', 'The page was put away.'));
    cancel(this.#timer);
  }

  /** As `hurry`; and a connection that is watched is asked whether it is still there. */
  wake(): void {
    this.#pulse?.ask();
    this.hurry();
  }

  /** Tries at once if it is waiting to try again, or rests. */
  hurry(): void {
    if (this.#timer === undefined) return;
    cancel(this.#timer);
    this.#dial();
  }

  /** Closes it for good; `onClose` follows, at once when no connection is open. */
  close(error: PubkeeperError): void {
    if (this.#closed) return;
    this.#closed = true;
    cancel(this.#timer);
    this.#timer = undefined;
    if (this.#connection) this.#connection.close(error);
    else this.#options.onClose(error);
  }

  #dial(): void {
    const { reconnect, onOpen } = this.#options;
    this.#timer = undefined;
    this.#connection = new Connection({
      ...this.#options,
      onOpen: (protocol) => {
        this.#stable = wait(reconnect.stableMs, () => (this.#attempts = 0));
        onOpen(protocol);
      },
      onClose: (error) => this.#ended(error),
    });
  }

  #ended(error: PubkeeperError): void {
    const { reconnect, onClose, onDown } = this.#options;
    this.#connection = undefined;
    cancel(this.#stable);
    this.#pulse?.stop();
    this.#pulse = undefined;
    if (this.#closed || isFatal(error) || this.#attempts >= reconnect.maxRetries) {
      this.#closed = true;
      onClose(error);
      return;
    }
    const retryMs = backoff(this.#attempts++, reconnect);
    this.#timer = wait(retryMs, () => this.#dial());
    onDown(error, retryMs);
  }
}
