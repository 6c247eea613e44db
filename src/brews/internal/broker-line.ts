import { type BrewHost, PubkeeperError } from '../../core/index.js';

// What the brews over a broker ask of its client library. Drivers in `platform/` fill it; nothing of a library shows here.

/** One connection to a broker, from the moment it is open. */
export interface Line {
  /** How long a message may be, in bytes, where the broker tells. */
  readonly most?: number | undefined;
  /** Nothing when the broker or the socket took it at once, a promise when that takes time; it rejects when the line has ended before. Throws when it never will. */
  publish(address: string, payload: Uint8Array, retain: boolean): void | Promise<void>;
  /** Resolves when the broker has confirmed it: what is published to `address` from then on comes. */
  subscribe(address: string): Promise<void>;
  unsubscribe(address: string): void;
  /** Closes it after what was published has left. */
  close(): Promise<void>;
}

/** Whom a line tells. */
export interface LineOwner {
  /** `retained`: the broker kept it, and it is not live. */
  message(address: string, payload: Uint8Array, retained: boolean): void;
  /** The line has ended, and not by `close`. Told at most once. */
  ended(error: PubkeeperError): void;
  /** Whether it needs no line any more. */
  isGone(): boolean;
}

/** Which broker: addresses of one broker or of one cluster, and what to tell it. */
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

/** What to do where a broker cannot be reached, for the reason that the library gives. */
export const remedy = (why: string): string =>
  /altname/i.test(why)
    ? 'name it as its certificate does, and begin the address with the word for TLS'
    : /certificate/i.test(why)
    ? 'where its certificate is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>'
    : 'check that it runs there, and that the address begins with what it speaks at that port';

/**
 * For pages, which have no TCP.
 * @throws {PubkeeperError} `CONNECT_FAILED`
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
