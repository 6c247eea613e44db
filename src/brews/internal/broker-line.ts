import { cancel, wait } from '../../core/host.js';
import { type BrewHost, PubkeeperError } from '../../core/index.js';

// What the brews over a broker need of its client library. The drivers implement it, so that no library's types appear here.

/** How long a broker may take to answer when it is checked, in ms, if the question follows that many bytes over a slow network, of 64 bytes per ms. */
export const patience = (unsent: number): number => 3000 + unsent / 64;

/** One connection to a broker, from the moment it is open. */
export interface Line {
  /** The longest message that the broker takes, in bytes, if that is known. */
  readonly most?: number | undefined;
  /**
   * Returns nothing if the broker or the socket took the message at once; else a promise, which rejects if the line ends first.
   * Throws if the broker will never take it.
   */
  publish(address: string, payload: Uint8Array, retain: boolean): void | Promise<void>;
  /** Resolves when the broker has confirmed the subscription: what is published to `address` from then on arrives. */
  subscribe(address: string): Promise<void>;
  unsubscribe(address: string): void;
  /** The network may have changed: asks the broker for a sign of life, and ends the line if none comes soon. */
  check(): void;
  /** Closes the line after what was published has left. */
  close(): Promise<void>;
  /**
   * Closes the line because the page is put away. A page runs nothing after that, so there the socket has all that was published and is
   * closed before this returns. Messages that the broker has not confirmed are rejected, to be sent over the next line.
   */
  rest(): Promise<void>;
}

/** What a line needs of its owner. */
export interface LineOwner {
  /** A message has arrived. `retained`: the broker had kept it, it is not live. */
  message(address: string, payload: Uint8Array, retained: boolean): void;
  /** The line has ended, but not by `close`. Called at most once. */
  ended(error: PubkeeperError): void;
  /** Aborted when the owner does not need the line any more that is being opened. */
  readonly gone: AbortSignal;
}

/** Where to connect: the addresses of one broker or of one cluster, and the credentials for it. */
export interface Target {
  readonly urls: readonly string[];
  /** Undefined for a broker that a brewer named: this client's own credentials are for its own broker only. */
  readonly credentials: Credentials | undefined;
}

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  readonly token?: string;
}

/**
 * Opens a line. Rejects with {@link PubkeeperError} `CONNECT_FAILED` (may be tried again), `UNAUTHORIZED` or
 * `BREW_DEPENDENCY` (may not).
 */
export type Dial = (target: Target, owner: LineOwner, host: BrewHost) => Promise<Line>;

/**
 * The WebSockets by which a library opens one line in a page. The libraries close a socket only some ticks after they were asked to,
 * when a page that is put away is frozen already.
 */
export class PageSockets {
  /** The last one that was opened. */
  current: WebSocket | undefined;
  readonly #gone: AbortSignal;

  constructor({ gone }: LineOwner) {
    this.#gone = gone;
    gone.addEventListener('abort', () => this.current?.close());
  }

  /** Throws when the line is not needed any more: a library may go on to the next address. */
  open(url: string, protocols?: string): WebSocket {
    this.#gone.throwIfAborted();
    return (this.current = new WebSocket(url, protocols));
  }

  /** Resolves to a socket when it is open; rejects when it could not be opened, at the latest after `ms` milliseconds. */
  opened(url: string, protocols: string, ms: number): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const socket = this.open(url, protocols);
      const fail = (): void => {
        cancel(timer);
        reject(new Error('no answer')); // pages are not told why
        socket.close();
      };
      const timer = wait(ms, fail);
      // Chromium gives no `close` to a socket that the page's content security policy forbids.
      socket.onerror = socket.onclose = fail;
      socket.onopen = () => {
        cancel(timer);
        socket.onerror = socket.onclose = null;
        resolve(socket);
      };
    });
  }
}

/** What `publish` throws. `raise`: the option of the broker that allows more. */
export const tooLong = (where: string, length: number, limit: number, raise: string): PubkeeperError =>
  new PubkeeperError(
    'BREW_FAILED',
    `${where} takes messages of up to ${limit} bytes, and this one has ${length}: brew shorter ones, or raise ${raise}.`,
    { length, limit },
  );

/** What to do about reasons why a broker cannot be reached, or does not do what it is asked for. */
const REMEDIES: readonly (readonly [why: RegExp, what: string])[] = [
  [/maximum subscriptions/i, 'raise its max_subscriptions (a brewer needs one, a match two), or divide them among several clients'],
  [/maximum .*connections/i, 'close other connections to it, or raise its limit, such as max_connections'],
  [/altname/i, 'name it as its certificate does, and begin the address with the word for TLS'],
  [/certificate .*(expired|not yet valid)/i, 'renew its certificate, or set the clock of this machine right'],
  [/certificate/i, 'where its certificate is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>'],
];

/** What to do about such a reason; undefined if that is not known. */
export const knownRemedy = (why: string): string | undefined => REMEDIES.find(([reason]) => reason.test(why))?.[1];

/** What to do about a broker that cannot be reached, depending on the reason that the library gives. */
export const remedy = (why: string): string => knownRemedy(why) ?? 'check that it runs there, and that the address begins with what it speaks at that port';

/**
 * Checks the addresses for a page, which has no TCP.
 * @throws {PubkeeperError} `CONNECT_FAILED` if one is not that of a WebSocket
 */
export function needsWebSocket(kind: string, urls: readonly string[]): void {
  const other = urls.find((url) => !url.startsWith('ws'));
  if (other === undefined) return;
  throw new PubkeeperError(
    'CONNECT_FAILED',
    `A page cannot connect to ${other}, but to WebSockets only: give this ${kind} the ws:// or wss:// address of the broker as the url, and others as alternatives.`,
    { url: other },
  );
}
