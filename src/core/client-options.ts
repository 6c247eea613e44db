import type { Brew } from './brew.js';
import type { CryptoEngine } from './ciphers/engine.js';
import type { Complete } from './complete.js';
import type { WebSocketConstructor } from './connection.js';
import type { Drop } from './drops.js';
import { optionInvalid, PubkeeperError } from './errors.js';
import { type Logger, parseUrl } from './host.js';
import { show } from './id.js';
import type { ReconnectOptions } from './reconnect.js';
import type { TokenSource } from './session.js';

/**
 * The states of a client. `disconnected`: not connected yet, or ended by `disconnect()`, a refusal or the last retry; also for a moment
 * when `reconnect.graceMs` is over, before `connecting`. `connecting`: the first attempt, or one after `reconnect.graceMs`. `connected`:
 * authenticated, and all registrations are answered. `reconnecting`: the connection was lost and is retried; matched pairs go on.
 */
export type ClientState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting';

/** What a client emits: `client.on(name, listener)`. */
export interface ClientEvents {
  /** The new state. */
  state: ClientState;
  /** What went wrong outside of a call, and why a `brew()` was rejected. Without a listener it goes to the logger. */
  error: PubkeeperError;
  /** A patron of this client was matched with a brewer (`patronId` is ours then), or a brewer of this client with a patron. */
  matched: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
    /** 32 hex digits. */
    readonly patronId: string;
    /** The name of the brew over which they meet. */
    readonly brew: string;
  };
  /** Data was not delivered: one event per patron, reason and burst. `patronId` is missing if the data was for no patron. */
  dropped: Drop & {
    /** 32 hex digits. */
    readonly patronId?: string;
  };
}

/** What a client needs of a `URL`: those of browsers and Node fit. */
export interface UrlLike {
  /** The whole address. */
  readonly href: string;
}

/** The options of a client. */
export interface ClientOptions {
  /**
   * The URL of the control server, as text or as a `URL`: `ws://host:9898/ws`, or `wss://…`, without a name and a password. Or a list of servers of one
   * network: when one is lost or cannot be reached, the next is tried. The first `connect()` rejects when all have been tried.
   */
  readonly server: string | UrlLike | readonly (string | UrlLike)[];
  /** The token that the server knows this client by, or a function that returns it, which is called for each connection. */
  readonly token: TokenSource;
  /** The transports that both ends must share, in order of preference. At least one. */
  readonly brews: readonly Brew[];
  /** The WebSocket implementation. */
  readonly WebSocket: WebSocketConstructor;
  /** Called by `connect()`, which waits for it before it opens a socket: to load what `WebSocket` needs. */
  readonly prepare?: (() => Promise<void>) | undefined;
  /** How the client reconnects; times in ms. `false`: not at all, as with `maxRetries: 0`. */
  readonly reconnect?: ReconnectOptions | false | undefined;
  /**
   * Whether the first `connect()` retries too, and rejects only when the retries are over, with the last failure; each one before is an `error` event. Default
   * `false`: it rejects at the first failure.
   */
  readonly retryFirst?: boolean | undefined;
  /** Receives errors for which there is no `error` listener. Default: `console`. */
  readonly logger?: Logger | undefined;
  /** Timeout in ms for each of these: dialling, authentication, the answers to all registrations. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** What computes AES. Default: WebCrypto and plain JavaScript, by size. */
  readonly engine?: CryptoEngine | undefined;
  /** Calls `wake` when the network or the page comes back, and `rest` when the page is put away. Returns a function that stops it. */
  readonly lifecycle?: ((wake: () => void, rest: () => void) => () => void) | undefined;
}

/** Options, checked and complete. */
export interface Settings extends ClientOptions {
  readonly servers: readonly string[];
  readonly reconnect: Complete<ReconnectOptions>;
  readonly timeoutMs: number;
}

/** @throws {PubkeeperError} `OPTION_INVALID` or `BREW_DUPLICATE` */
export function readOptions(options: ClientOptions): Settings {
  const { server, token, brews, reconnect, connectTimeoutMs = 10_000 } = options ?? {};
  const servers = [server].flat().map(String);
  for (const one of servers.length ? servers : ['']) {
    if (!isServer(one)) throw optionInvalid(`server must be a URL like ws://127.0.0.1:9898/ws or wss://..., not ${showServer(one)}.`);
  }
  if (typeof token !== 'function' && (typeof token !== 'string' || !token)) {
    throw optionInvalid('token must be a text, not empty, or a function that gets it.');
  }
  const names = new Set<string>();
  // An empty list, or a value that is no list, is checked as a list of one element that is no brew.
  for (const brew of (Array.isArray(brews) && brews.length ? brews : [null]) as readonly (Brew | null)[]) {
    if (typeof brew?.attach !== 'function') throw noBrew();
    const { name } = brew;
    if (names.has(name)) {
      throw new PubkeeperError('BREW_DUPLICATE', `Two brews are called ${show(name)}: give one another name.`, { name });
    }
    names.add(name);
  }
  const settings: Settings['reconnect'] & Record<string, unknown> = { delayMs: 1500, maxDelayMs: 5000, stableMs: 5000, graceMs: 30_000, maxRetries: reconnect === false ? 0 : Infinity };
  for (const [name, given] of Object.entries(reconnect ?? {})) settings[name] = given ?? settings[name];
  for (const [name, ms] of Object.entries({ ...settings, connectTimeoutMs })) {
    if (typeof ms !== 'number' || !(ms >= 0)) throw optionInvalid(`${name} must be a number from 0 on, not ${show(ms)}.`);
  }
  return { ...options, servers, reconnect: settings, timeoutMs: connectTimeoutMs };
}

/**
 * Whether a WebSocket can be opened at this address. The constructor refuses a fragment, which would be reported as if the browser had
 * blocked the connection. A user name and password would appear in messages, and would not be passed on to the server's own relay.
 */
export function isServer(server: string): boolean {
  try {
    return /^wss?:..[^@/]+\/[^#]*$/.test(parseUrl(server).href);
  } catch {
    return false;
  }
}

/** The error for something among the brews that is none. */
export const noBrew = (): PubkeeperError => optionInvalid('brews must list brews, as new WebSocketBrew().');

/** An address for an error message, without a password that may be in it. */
export const showServer = (server: string): string => show(server.replace(/.*@/s, '(use token)@'));
