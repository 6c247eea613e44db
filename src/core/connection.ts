import { bytesOf } from './bytes.js';
import { PubkeeperError } from './errors.js';
import { cancel, microtask, type Timer, wait } from './host.js';

/**
 * The part of the WHATWG `WebSocket` that is used here. The browser's, Node's, and that of `ws` fit; so does anything
 * that an application passes as the option `WebSocket`.
 */
export interface WebSocketLike {
  /** Set to `'arraybuffer'` at once: messages are to come as such. */
  binaryType: string;
  /** The subprotocol that the server has picked; empty for none. */
  readonly protocol: string;
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** Bytes that were given to `send` and have not left this process. */
  readonly bufferedAmount: number;
  /** Called when it is open. */
  onopen: ((event: never) => void) | null;
  /** Called with `{ data }` for each message. */
  onmessage: ((event: never) => void) | null;
  /** Called when something is wrong; with a `message`, if it says more. */
  onerror: ((event: never) => void) | null;
  /** Called once, with `{ code, reason }`, when it is over. */
  onclose: ((event: never) => void) | null;
  /** Sends a binary message. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Closes it, with 1000 or a code from 3000 to 4999. */
  close(code?: number, reason?: string): void;
}

/** A constructor of {@link WebSocketLike}. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** What a connection is made of, and whom it tells. */
export interface ConnectionOptions {
  readonly url: string;
  /** The subprotocols to offer; the server must pick one of them. */
  readonly protocols: readonly string[];
  readonly WebSocket: WebSocketConstructor;
  /** How long opening may take, in ms. */
  readonly timeoutMs: number;
  onOpen(protocol: string): void;
  onMessage(bytes: Uint8Array): void;
  /** Something came that the protocol does not have (a text message); the connection goes on. */
  onFault(error: PubkeeperError): void;
  /** The end, told exactly once. `CONNECTION_CLOSED` when this side asked for it. */
  onClose(error: PubkeeperError): void;
}

const OPEN = 1;
/** How long the other side may take to answer a close, in ms, before it is over without its answer. */
const CLOSE_TIMEOUT = 1000;

/** One WebSocket: binary messages in and out, one of the offered subprotocols, and exactly one end. Never throws. */
export class Connection {
  /** When the last message came, as `Date.now()`. */
  heardAt = 0;
  readonly #options: ConnectionOptions;
  #socket: WebSocketLike | undefined;
  #timer: Timer | undefined;
  #opened = false;
  #ended = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { url, protocols, timeoutMs } = options;
    try {
      this.#socket = new options.WebSocket(url, [...protocols]);
    } catch (cause) {
      // Told later, as every other failure is, so that the caller has this object by then.
      microtask(() => this.abandon(blocked(url, cause)));
      return;
    }
    this.#listen(this.#socket);
    // Chromium refuses so what a page's policy forbids, where other browsers throw: closed at once, and no `close` comes.
    if (this.#socket.readyState > OPEN) microtask(() => this.abandon(blocked(url)));
    this.#timer = wait(timeoutMs, () =>
      this.abandon(
        new PubkeeperError('TIMEOUT', `${url} did not answer within ${timeoutMs} ms: check host, port and firewall.`, {
          url,
          timeoutMs,
        }),
      ),
    );
  }

  get isOpen(): boolean {
    return this.#opened && this.#socket?.readyState === OPEN;
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
   * Closes it after what was sent has left. The end is told when the other side answers, or after a second: as `error`,
   * or as `CONNECTION_LOST` where the other side refuses what it got.
   */
  close(error: PubkeeperError): void {
    const socket = this.#socket;
    if (!socket) return;
    if (!this.#opened) return this.abandon(error);
    this.#timer = wait(CLOSE_TIMEOUT, () => this.abandon(error));
    socket.onmessage = null;
    const { url } = this.#options;
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
      this.#end(isRefusal(code) ? lost(url, code, reason) : error);
    // The other side may have begun to close it: then this does nothing, and its reason is on the way.
    socket.close(1000);
  }

  /** Ends it at once for the reason given, whether or not the other side is still there to agree. */
  abandon(error: PubkeeperError): void {
    const socket = this.#socket;
    this.#end(error);
    // 4000: "abandoned"; browsers allow no protocol codes here. A socket that is not open yet is just closed.
    if (this.#opened) socket?.close(4000, error.code);
    else socket?.close();
  }

  #listen(socket: WebSocketLike): void {
    const { url, protocols, onFault, onMessage } = this.#options;
    let problem: unknown;
    // At once, and for good: in Node an 'error' that nobody listens to ends the process.
    socket.onerror = (event: { readonly message?: unknown }) => {
      problem = event.message;
      // WebKit refuses so: it stays connecting, and no `close` comes. Node's own tells so, with a message, that nobody is there.
      if (!socket.readyState) this.abandon(problem ? unreachable(url, protocols, problem) : blocked(url));
    };
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      const { protocol } = socket;
      if (!protocols.includes(protocol)) return this.abandon(wrongProtocol(url, protocols, protocol));
      cancel(this.#timer);
      this.#opened = true;
      this.heardAt = Date.now();
      this.#options.onOpen(protocol);
    };
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      this.heardAt = Date.now();
      const bytes = bytesOf(data);
      if (bytes) onMessage(bytes);
      else onFault(new PubkeeperError('PROTOCOL_ERROR', `${url} sent a text message; only binary ones are read.`, { url }));
    };
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
      this.#end(this.#opened ? lost(url, code, reason) : unreachable(url, protocols, problem));
  }

  #end(error: PubkeeperError): void {
    if (this.#ended) return;
    this.#ended = true;
    cancel(this.#timer);
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket = undefined;
    }
    this.#options.onClose(error);
  }
}

/** Whether the other side ended it because of what it got, as a message that is too long (RFC 6455, section 7.4). */
const isRefusal = (code: number): boolean => code > 1001 && code !== 1005 && code !== 1006;

const lost = (url: string, code: number, reason: string): PubkeeperError =>
  new PubkeeperError('CONNECTION_LOST', `${url} closed the connection (${code}${reason && `: ${reason}`}).`, {
    url,
    code,
    reason,
  });

function unreachable(url: string, protocols: readonly string[], problem: unknown): PubkeeperError {
  // Where the implementation looks at the subprotocol by itself, as `ws` does, only its words tell.
  if (/subprotocol/i.test(String(problem))) return wrongProtocol(url, protocols, '');
  const why = problem ? ` (${String(problem)})` : '';
  return new PubkeeperError('CONNECT_FAILED', `Cannot connect to ${url}${why}: check that a Pubkeeper server runs there.`, { url });
}

const wrongProtocol = (url: string, offered: readonly string[], chosen: string): PubkeeperError =>
  new PubkeeperError(
    'SUBPROTOCOL_REFUSED',
    `${url} speaks none of ${offered.join(', ')}${chosen && ` but ${chosen}`}: it is no Pubkeeper server of a known version.`,
    { url, offered, chosen },
  );

const blocked = (url: string, cause?: unknown): PubkeeperError =>
  new PubkeeperError(
    'CONNECT_BLOCKED',
    `${url} may not be opened from here: an https page reaches wss:// servers only, and a page's policy must allow it.`,
    { url },
    cause,
  );
