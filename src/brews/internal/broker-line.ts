import { type BrewHost, PubkeeperError } from '../../core/index.js';

// What the brews over a broker need of its client library. The drivers implement it, so that no library's types appear here.

/** One connection to a broker, from the moment it is open. */
export interface Line {
  /** The longest message that the broker takes, in bytes, if it says. */
  readonly most?: number | undefined;
  /**
   * Returns nothing if the broker or the socket took the message at once; else a promise, which rejects if the line ends first.
   * Throws if the broker will never take it.
   */
  publish(address: string, payload: Uint8Array, retain: boolean): void | Promise<void>;
  /** Resolves when the broker has confirmed the subscription: what is published to `address` from then on arrives. */
  subscribe(address: string): Promise<void>;
  unsubscribe(address: string): void;
  /** Closes the line after what was published has left. */
  close(): Promise<void>;
}

/** What a line needs of its owner. */
export interface LineOwner {
  /** A message has arrived. `retained`: the broker had kept it, it is not live. */
  message(address: string, payload: Uint8Array, retained: boolean): void;
  /** The line has ended, but not by `close`. Called at most once. */
  ended(error: PubkeeperError): void;
  /** Whether the owner needs no line any more. */
  isGone(): boolean;
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

/** What to do about a broker that cannot be reached, depending on the reason that the library gives. */
export const remedy = (why: string): string =>
  /altname/i.test(why)
    ? 'name it as its certificate does, and begin the address with the word for TLS'
    : /certificate/i.test(why)
    ? 'where its certificate is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>'
    : 'check that it runs there, and that the address begins with what it speaks at that port';

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
