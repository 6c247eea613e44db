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

/** The one place that decides whether an error is final, or whether to try again. */
export const isFatal = ({ code }: PubkeeperError): boolean =>
  ['UNAUTHORIZED', 'SUBPROTOCOL_REFUSED', 'CONNECT_BLOCKED', 'CONNECTION_CLOSED'].includes(code);

/** A random wait up to a ceiling that doubles with each attempt (full jitter), in ms. */
export const backoff = (attempt: number, { delayMs, maxDelayMs }: { readonly delayMs: number; readonly maxDelayMs: number }): number =>
  Math.random() * Math.min(maxDelayMs, delayMs * 2 ** attempt);

/** The options of a connection, and its callbacks. */
export interface ReconnectingOptions {
  /** Read at each attempt to connect. */
  readonly url: string;
  /** The subprotocols to offer; the server must pick one of them. */
  readonly protocols: readonly string[];
  readonly WebSocket: WebSocketConstructor;
  /** How long opening may take, in ms. */
  readonly timeoutMs: number;
  readonly reconnect: Complete<ReconnectOptions>;
  onOpen(protocol: string): void;
  onMessage(bytes: Uint8Array): void;
  /** Something arrived that the protocol does not allow (a text message); the connection goes on. */
  onFault(error: PubkeeperError): void;
  /**
   * The connection ended or could not be made, and is retried in `retryMs`; calling `close` here prevents that. With `away` in the error's
   * details the page is being put away, and nothing is wrong.
   */
  onDown(error: PubkeeperError, retryMs: number): void;
  /** The final end; called exactly once. `CONNECTION_CLOSED` when this side asked for it. */
  onClose(error: PubkeeperError): void;
}

const OPEN = 1;
/** How long to wait for the other side to answer a close, in ms. */
const CLOSE_TIMEOUT = 1000;
/** How long the answer to a ping may take after a wake-up, in ms. */
const WAKE_TIMEOUT = 3000;

/**
 * A WebSocket with one of the offered subprotocols and binary messages, which reconnects by itself: with exponential backoff and full
 * jitter, so that thousands of clients that lost their connection together do not all come back at the same moment. Never throws.
 */
export class ReconnectingConnection {
  /** When the present connection was opened or last received a message, as `Date.now()`; 0 while none is open. */
  heardAt = 0;
  readonly #options: ReconnectingOptions;
  #socket: WebSocketLike | undefined;
  /** Ends the present connection or attempt; undefined while there is neither. */
  #end: ((error: PubkeeperError) => void) | undefined;
  /** The deadline for the socket to open, or to close. */
  #timer: Timer | undefined;
  #retry: Timer | undefined;
  #stable: Timer | undefined;
  /** The heartbeat request; undefined while the present connection is not watched. */
  #ping: Uint8Array<ArrayBuffer> | undefined;
  /** How long the connection may be silent before a ping is sent, and again before it is given up, in ms. Together less than 2.5 heartbeats. */
  #quietMs = 0;
  #pulse: Timer | undefined;
  #attempts = 0;
  /** Why the connection has ended for good, or is being closed. */
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
   * Watches the present connection for silence. `beatMs`: the heartbeat interval that the other side has announced, in ms; 0 (none) does
   * nothing. `ping`: the message that it answers. `now`: send that at once.
   */
  watch(beatMs: number, ping: Uint8Array<ArrayBuffer>, now?: boolean): void {
    if (!beatMs || this.#ping || !this.isOpen) return;
    this.#ping = ping;
    this.#quietMs = 1.2 * beatMs;
    this.#listen(now);
  }

  /** Ends the present connection at once, without waiting for the other side, and retries unless the error is fatal. */
  abandon(error: PubkeeperError): void {
    const socket = this.#socket;
    const opened = this.heardAt;
    this.#end?.(error);
    // 4000 stands for "abandoned": browsers allow only 1000 and 3000 to 4999. A socket that is not open yet takes no code.
    if (opened) socket?.close(4000, error.code);
    else socket?.close();
  }

  /** Closes the socket and does not reconnect until `wake`. */
  rest(): void {
    // This is not a failure, so it must not count as a failed attempt.
    if (this.#end) this.#attempts--;
    this.abandon(new PubkeeperError('CONNECTION_LOST', 'The page was put away.', { away: true }));
    cancel(this.#retry);
  }

  /** Like `hurry`; and pings a watched connection to find out whether it is still alive. */
  wake(): void {
    if (this.#ping) this.#ask(WAKE_TIMEOUT);
    this.hurry();
  }

  /** Reconnects at once if it is waiting for the next attempt, or rests. */
  hurry(): void {
    if (this.#retry === undefined) return;
    cancel(this.#retry);
    this.#dial();
  }

  /**
   * Closes the connection for good, after everything has been sent. `onClose` follows: at once if no connection is open, otherwise when
   * the other side answers, or after a second. It gets `error`, or `CONNECTION_LOST` if the other side refused what it received.
   */
  close(error: PubkeeperError): void {
    if (this.#over) return;
    this.#over = error;
    cancel(this.#retry);
    this.#retry = undefined;
    if (!this.#end) return this.#options.onClose(error);
    if (!this.heardAt) return this.abandon(error);
    const socket = this.#socket!;
    // Messages are ignored from now on.
    cancel(this.#pulse);
    this.#timer = wait(CLOSE_TIMEOUT, () => this.abandon(error));
    socket.onmessage = null;
    // If the other side has begun to close, this does nothing, and its reason is about to arrive.
    socket.close(1000);
  }

  /** Pings after `#quietMs` of silence, or `now`. */
  #listen(now?: boolean): void {
    const leftMs = this.#quietMs - Math.abs(Date.now() - this.heardAt);
    if (!now && leftMs > 0) this.#pulse = after(leftMs, () => this.#listen());
    else this.#ask(this.#quietMs);
  }

  /**
   * Pings, and gives up when nothing arrives in time. Silence alone proves nothing: in a hidden tab, whose timers run once a minute, it may
   * be this side that has not asked.
   */
  #ask(timeoutMs: number): void {
    const asked = Date.now();
    const { heardAt } = this;
    cancel(this.#pulse);
    this.send(this.#ping!);
    this.#pulse = after(timeoutMs, () => {
      // Not whether it is later than `asked`: the clock may have been set between the ping and its answer.
      if (this.heardAt !== heardAt || heardAt === asked) return this.#listen();
      const silentMs = Math.max(timeoutMs, Date.now() - asked);
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
    /** Ignores a failure of an attempt that is over. */
    const fail = (error: PubkeeperError): void => {
      if (this.#end === end) this.abandon(error);
    };
    this.#retry = undefined;
    try {
      this.#socket = socket = new WebSocket(url, [...protocols]);
    } catch (cause) {
      // Reported later, like every other failure, so that the caller has this object by then.
      microtask(() => fail(blocked(url, cause)));
      return;
    }
    let problem: unknown;
    // Set at once and never removed: in Node an 'error' event without a listener ends the process.
    socket.onerror = (event: { readonly message?: unknown }) => {
      problem = event.message;
      // WebKit blocks a connection this way: it stays in the state "connecting", without a `close` event. Node's own WebSocket reports an
      // unreachable server this way, with a message.
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
    // Chromium blocks what a page's policy forbids this way, where other browsers throw: closed at once, without a `close` event.
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
