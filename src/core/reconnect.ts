import { bytesOf } from './bytes.js';
import type { Complete } from './complete.js';
import { blocked, isRefusal, lost, unreachable, type WebSocketConstructor, type WebSocketLike, wrongProtocol } from './connection.js';
import { PubkeeperError } from './errors.js';
import { after, cancel, microtask, type Timer, wait } from './host.js';

/** How a connection is retried: after random waits, whose limit doubles. Times in ms. */
export interface ReconnectOptions {
  /** The first wait is random, up to this limit; the limit doubles with each retry, up to `maxDelayMs`. Default 1,500. */
  readonly delayMs?: number | undefined;
  /** The longest wait. Default 5,000. */
  readonly maxDelayMs?: number | undefined;
  /** How long a connection must last before the waits start from `delayMs` again. Default 5,000. */
  readonly stableMs?: number | undefined;
  /** How long matched pairs are kept without a control server. Default 30,000. */
  readonly graceMs?: number | undefined;
  /** How many retries in a row may fail before the client gives up; a connection that lasts `stableMs` resets the count. Default: no limit. */
  readonly maxRetries?: number | undefined;
}

/** The one place that decides: whether an end is final, or whether trying again may help. */
export const isFatal = ({ code }: PubkeeperError): boolean =>
  ['UNAUTHORIZED', 'SUBPROTOCOL_REFUSED', 'CONNECT_BLOCKED', 'CONNECTION_CLOSED'].includes(code);

/** A random wait up to a ceiling that doubles with each attempt (full jitter), in ms. */
export const backoff = (attempt: number, { delayMs, maxDelayMs }: { readonly delayMs: number; readonly maxDelayMs: number }): number =>
  Math.random() * Math.min(maxDelayMs, delayMs * 2 ** attempt);

/** What a connection is made of, and whom it tells. */
export interface ReconnectingOptions {
  /** Looked at each time that it dials. */
  readonly url: string;
  /** The subprotocols to offer; the server must pick one of them. */
  readonly protocols: readonly string[];
  readonly WebSocket: WebSocketConstructor;
  /** How long opening may take, in ms. */
  readonly timeoutMs: number;
  readonly reconnect: Complete<ReconnectOptions>;
  onOpen(protocol: string): void;
  onMessage(bytes: Uint8Array): void;
  /** Something came that the protocol does not have (a text message); the connection goes on. */
  onFault(error: PubkeeperError): void;
  /**
   * The connection ended or could not be made; it is tried again in `retryMs`. Calling `close` here prevents it. With `away` in its details:
   * the page is just being put away, so that nothing is lost.
   */
  onDown(error: PubkeeperError, retryMs: number): void;
  /** The final end, told exactly once. `CONNECTION_CLOSED` when this side asked for it. */
  onClose(error: PubkeeperError): void;
}

const OPEN = 1;
/** How long the other side may take to answer a close, in ms, before it is over without its answer. */
const CLOSE_TIMEOUT = 1000;
/** After a wake-up an answer must come within this time, in ms. */
const WAKE_TIMEOUT = 3000;

/**
 * A WebSocket with one of the offered subprotocols, binary messages in and out, that comes back: by exponential backoff with full
 * jitter, so that thousands of clients that were thrown off together do not come back together. Never throws.
 */
export class ReconnectingConnection {
  /** When the last message came on the present connection, or that was opened, as `Date.now()`; 0 where none is open. */
  heardAt = 0;
  readonly #options: ReconnectingOptions;
  #socket: WebSocketLike | undefined;
  /** Ends the present connection, or the attempt to make one; missing where there is none. */
  #end: ((error: PubkeeperError) => void) | undefined;
  /** Until the socket must have opened, or closed. */
  #timer: Timer | undefined;
  #retry: Timer | undefined;
  #stable: Timer | undefined;
  /** What the other side answers by a sign of life; missing where the present connection is not watched. */
  #ping: Uint8Array<ArrayBuffer> | undefined;
  /** How long it may be silent before it is asked, and then before it is given up, in ms: together less than 2.5 heartbeats. */
  #quietMs = 0;
  #pulse: Timer | undefined;
  #attempts = 0;
  /** Why it is over, or is being closed. */
  #over: PubkeeperError | undefined;

  constructor(options: ReconnectingOptions) {
    this.#options = options;
    this.#dial();
  }

  get isOpen(): boolean {
    return !!this.heardAt && this.#socket?.readyState === OPEN;
  }

  /** Bytes that were given to `send` and have not left this process. */
  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Sends a message, if the connection is open. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.isOpen) this.#socket!.send(bytes);
  }

  /**
   * Watches the present connection. `beatMs`: how often the other side gives a sign of life, in ms; 0 where it has not said
   * so, and then nothing is watched. `ping`: what it answers; `now`: it is to be sent at once.
   */
  watch(beatMs: number, ping: Uint8Array<ArrayBuffer>, now?: boolean): void {
    if (!beatMs || this.#ping || !this.isOpen) return;
    this.#ping = ping;
    this.#quietMs = 1.2 * beatMs;
    this.#listen(now);
  }

  /** Ends the present connection at once, whether or not the other side is still there to agree; unless the error is fatal, tries again. */
  abandon(error: PubkeeperError): void {
    const socket = this.#socket;
    const opened = this.heardAt;
    this.#end?.(error);
    // 4000: "abandoned"; browsers allow no protocol codes here. A socket that is not open yet is just closed.
    if (opened) socket?.close(4000, error.code);
    else socket?.close();
  }

  /** Lets go of the socket, and does not try again until `wake`. */
  rest(): void {
    // It is no failure, and counts for nothing in the row.
    if (this.#end) this.#attempts--;
    this.abandon(new PubkeeperError('CONNECTION_LOST', 'The page was put away.', { away: true }));
    cancel(this.#retry);
  }

  /** As `hurry`; and a connection that is watched is asked whether it is still there. */
  wake(): void {
    if (this.#ping) this.#ask(WAKE_TIMEOUT);
    this.hurry();
  }

  /** Tries at once if it is waiting to try again, or rests. */
  hurry(): void {
    if (this.#retry === undefined) return;
    cancel(this.#retry);
    this.#dial();
  }

  /**
   * Closes it for good after what was sent has left; `onClose` follows: at once where no connection is open, else when the other side
   * answers, or after a second. It is told `error`, or `CONNECTION_LOST` where the other side refuses what it got.
   */
  close(error: PubkeeperError): void {
    if (this.#over) return;
    this.#over = error;
    cancel(this.#retry);
    this.#retry = undefined;
    if (!this.#end) return this.#options.onClose(error);
    if (!this.heardAt) return this.abandon(error);
    const socket = this.#socket!;
    // Nothing is heard any more.
    cancel(this.#pulse);
    this.#timer = wait(CLOSE_TIMEOUT, () => this.abandon(error));
    socket.onmessage = null;
    // The other side may have begun to close it: then this does nothing, and its reason is on the way.
    socket.close(1000);
  }

  /** Asks for a sign of life after so much silence, or `now`. */
  #listen(now?: boolean): void {
    const leftMs = this.#quietMs - Math.abs(Date.now() - this.heardAt);
    if (!now && leftMs > 0) this.#pulse = after(leftMs, () => this.#listen());
    else this.#ask(this.#quietMs);
  }

  /**
   * Asks for a sign of life, and gives up when none comes in time. Silence without a question proves nothing: in a hidden tab, whose
   * timers run once a minute, it is this side that was silent.
   */
  #ask(timeoutMs: number): void {
    const asked = Date.now();
    cancel(this.#pulse);
    this.send(this.#ping!);
    this.#pulse = after(timeoutMs, () => {
      const now = Date.now();
      // What was heard "later" was heard before the clock was set back.
      if (asked <= this.heardAt && this.heardAt <= now) return this.#listen();
      const silentMs = now - asked;
      this.abandon(new PubkeeperError('CONNECTION_LOST', `${this.#options.url} did not answer within ${silentMs} ms.`, { silentMs }));
    });
  }

  #dial(): void {
    const { url, protocols, WebSocket, timeoutMs, reconnect, onOpen, onMessage, onFault } = this.#options;
    let socket: WebSocketLike | undefined;
    const end = (this.#end = (error) => {
      this.#end = this.#socket = this.#ping = undefined;
      this.heardAt = 0;
      for (const timer of [this.#timer, this.#stable, this.#pulse]) cancel(timer);
      if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
      this.#ended(error);
    });
    /** What is told later may be of an attempt that is over. */
    const fail = (error: PubkeeperError): void => {
      if (this.#end === end) this.abandon(error);
    };
    this.#retry = undefined;
    try {
      this.#socket = socket = new WebSocket(url, [...protocols]);
    } catch (cause) {
      // Told later, as every other failure is, so that the caller has this object by then.
      microtask(() => fail(blocked(url, cause)));
      return;
    }
    let problem: unknown;
    // At once, and for good: in Node an 'error' that nobody listens to ends the process.
    socket.onerror = (event: { readonly message?: unknown }) => {
      problem = event.message;
      // WebKit refuses so: it stays connecting, and no `close` comes. Node's own tells so, with a message, that nobody is there.
      if (!socket.readyState) fail(problem ? unreachable(url, protocols, problem) : blocked(url));
    };
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      const { protocol } = socket;
      if (!protocols.includes(protocol)) return this.abandon(wrongProtocol(url, protocols, protocol));
      cancel(this.#timer);
      this.heardAt = Date.now();
      this.#stable = wait(reconnect.stableMs, () => (this.#attempts = 0));
      onOpen(protocol);
    };
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      this.heardAt = Date.now();
      const bytes = bytesOf(data);
      if (bytes) onMessage(bytes);
      else onFault(new PubkeeperError('PROTOCOL_ERROR', `${url} sent a text message; only binary ones are read.`, { url }));
    };
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
      end((!isRefusal(code) && this.#over) || (this.heardAt ? lost(url, code, reason) : unreachable(url, protocols, problem)));
    // Chromium refuses so what a page's policy forbids, where other browsers throw: closed at once, and no `close` comes.
    if (socket.readyState > OPEN) microtask(() => fail(blocked(url)));
    const late = `${url} did not answer within ${timeoutMs} ms: check host, port and firewall.`;
    this.#timer = wait(timeoutMs, () => this.abandon(new PubkeeperError('TIMEOUT', late, { url, timeoutMs })));
  }

  #ended(error: PubkeeperError): void {
    const { reconnect, onClose, onDown } = this.#options;
    if (this.#over || isFatal(error) || this.#attempts >= reconnect.maxRetries) {
      this.#over = error;
      return onClose(error);
    }
    const retryMs = backoff(this.#attempts++, reconnect);
    this.#retry = wait(retryMs, () => this.#dial());
    onDown(error, retryMs);
  }
}
