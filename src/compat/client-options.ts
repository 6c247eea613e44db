import { optionInvalid } from '../core/errors.js';
import type { ClientEvents as CoreEvents, PubkeeperError, TokenSource } from '../core/index.js';
import { show } from '../core/id.js';
import type { CompatBrew } from './attached.js';
import type { CryptoMap } from './ciphers.js';
import type { Matched, TargetOptions } from './target.js';
import type { ListeningConstructor } from './websocket-brew.js';

/**
 * The states of a client. `reconnecting`: the connection was lost and is retried. `disconnected`: not connected yet, or
 * closed cleanly. `dead`: the client has given up.
 */
export type Status = 'connecting' | 'connected' | 'reconnecting' | 'disconnected' | 'dead';

/**
 * What a client emits. `Client`: the class of the client. `void` lets `new Promise((resolve) => client.once('connected',
 * resolve))` compile.
 */
export interface ClientEvents<Client> {
  /** The status has changed. */
  statuschange: [
    change: {
      /** The client. */
      readonly target: Client;
      /** The new status. */
      readonly status: Status;
    },
  ];
  /** Connected, for the first time or again. */
  connected: [nothing?: void];
  /** The connection is gone: reconnecting, disconnected or dead. */
  closed: [nothing?: void];
  /** What went wrong outside of a call. Without a listener it is logged, and nothing is thrown. */
  error: [error: PubkeeperError];
  /**
   * Data that a patron could not deliver, reported once for each burst. The old client had no such event. It is no `error`, because it is also
   * emitted in ordinary use: when a brewer has started again, a relay still has its last value under the former key.
   */
  dropped: [drop: CoreEvents['dropped']];
}

/** The options of a client. */
export interface ClientOptions {
  /** The URL of the control server: `ws://host:9898/ws`, or `wss://…`. */
  readonly server: string;
  /** The token that the server knows this client by, or a function that returns it, which is called for each connection. */
  readonly jwt: TokenSource;
  /** The transports, in order of preference. Default: one `WebSocketBrew` that only subscribes. */
  readonly brews?: readonly CompatBrew[] | undefined;
  /** Ciphers of third parties, by mode. Without an entry for it, mode 2 is the SDK's AES-CBC. */
  readonly crypto?: CryptoMap | undefined;
  /** Which of the control protocols `pubkeeper-1.1` and `pubkeeper-1.0` to offer: one, or a list. Default: both. */
  readonly protocols?: string | readonly string[] | undefined;
  /** How many retries in a row may fail before the client is `dead`. Default `Infinity`. */
  readonly maxRetries?: number | undefined;
  /** The longest wait before a retry, in ms. Default 10,000. */
  readonly maxTimeout?: number | undefined;
  /** The WebSocket implementation. Default: the browser's, or `ws` in Node. */
  readonly WebSocket?: ListeningConstructor | undefined;
}

/** The options of `connect`. */
export interface ConnectOptions {
  /** Whether to wait until the server has answered all registrations. Default `true`. */
  readonly wait?: boolean | undefined;
}

/** What `addPatron` and `addBrewer` return, for `removePatron` and `removeBrewer`. */
export interface Token<Kind extends string> {
  /** `'patron'` or `'brewer'`. */
  readonly kind: Kind;
  /** Its id: 32 hex digits. */
  readonly id: string;
}

/**
 * How a client or a brew retries, in the words of the SDK. With a time that is no number, a relay would be dialled without a pause.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function retriesOf(options: Pick<ClientOptions, 'maxRetries' | 'maxTimeout'>) {
  const retries = { maxRetries: options.maxRetries ?? Infinity, maxDelayMs: options.maxTimeout ?? 10_000 };
  for (const value of Object.values(retries)) {
    if (typeof value !== 'number' || !(value >= 0)) throw optionInvalid(`maxRetries and maxTimeout must be numbers from 0 on, not ${show(value)}.`);
  }
  return retries;
}

const PROTOCOLS = ['pubkeeper-1.1', 'pubkeeper-1.0'];

/** Which control protocols to offer: one, or a list. @throws {PubkeeperError} `OPTION_INVALID` */
export function protocolsOf(given: ClientOptions['protocols'] | null): string[] {
  // A WebSocket refuses a name that is given twice.
  const protocols = [...new Set([given ?? PROTOCOLS].flat())];
  if (!protocols.length || !protocols.every((one) => PROTOCOLS.includes(one))) throw optionInvalid(`protocols must be one or both of ${PROTOCOLS}.`);
  return protocols;
}

/** The arguments of `addPatron` and `addBrewer` that may follow the topic. */
export type Rest<Options, Target> = [(Options | Matched<Target> | null)?, (Matched<Target> | null)?];

/** Reads the options and `matched` from such arguments: the options may be left out. */
export function read<Options extends TargetOptions, Target>([first, second]: Rest<Options, Target>) {
  const none: Partial<Options> = {};
  return typeof first === 'function' ? ([none, first] as const) : ([first ?? none, second] as const);
}
