import { randomBytes } from 'node:crypto';
import type { Complete } from '../core/complete.js';
import { PubkeeperError } from '../core/errors.js';
import type { Logger } from '../core/host.js';
import { show } from '../core/id.js';
import { Tokens } from './auth.js';
import type { Authenticator, TokenTable } from './auth.js';
import type { RequestHandler } from './http.js';
import { readLimits } from './limits.js';
import type { LimitSettings, Limits } from './limits.js';
import { readClusterOptions } from './cluster/options.js';
import type { ClusterOptions, ClusterSettings } from './cluster/options.js';
import { checkTls } from './listener.js';
import { isAddress } from './own-address.js';
import { Tickets } from './tickets.js';
import { isLoopback, isOrigin } from './upgrade.js';
import type { UpgradeRequest } from './upgrade.js';

/** What `createServer` takes. Everything has a default. */
export interface ServerOptions {
  /** The TCP port for control, relay and plain HTTP; default 9898; 0 for any that is free. */
  readonly port?: number | undefined;
  /** The address to bind to; default `127.0.0.1`. */
  readonly host?: string | undefined;
  /**
   * Who may do what: a table of tokens, what `readTokens` returned, or your own authenticator. Without it, the
   * server makes a random token that may do everything, and binds to loopback only.
   */
  readonly tokens?: TokenTable | Authenticator | undefined;
  /** Also opens a port for relay connections only, as deployed systems have it; 0 for any that is free. Default: none. */
  readonly relayPort?: number | undefined;
  /**
   * Further addresses of this server's relay, as `host:port`, such as those of a proxy or a mapped port. The server knows the host by
   * which a client reaches it, this machine's own addresses and its own ports. In the profile
   * `secured`, a relay at an unknown address gets no tickets, and so no data. Default: none.
   */
  readonly relayAddresses?: readonly string[] | undefined;
  /** The longest payload of a message, in bytes, without headers; default 1 MiB. Several short messages may come together, up to 64 KiB. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * Receives refusals (`warn`), oddities (`debug`) and faults (`error`); default: only faults, to the console. Of entries that clients cause, it gets
   * 100 refusals and 100 faults at once, then one a second of each, which says how many were left out.
   */
  readonly logger?: Logger | undefined;
  /** Whether /metrics answers; default: only on loopback. */
  readonly metrics?: boolean | undefined;
  /** Answers plain HTTP requests except /healthz, /readyz, /ws, /brew and, where it answers, /metrics; see `serveFiles`. Default: 404. */
  readonly http?: RequestHandler | undefined;
  /** The time between two pings, in milliseconds; default 15,000. A connection that is silent for 2.5 of them is cut. */
  readonly heartbeatMs?: number | undefined;
  /** How long a connection may take to authenticate, in milliseconds; default 5,000. */
  readonly authMs?: number | undefined;
  /**
   * How long the server waits for a patron to join its relay before it tells the brewer of the match, in
   * milliseconds; default 250. Otherwise a new pair would lose what is brewed before the patron has joined.
   */
  readonly holdMs?: number | undefined;
  /**
   * `'open'`: everybody who reaches the relay may join and publish on any topic, as deployed clients do. `'secured'`: only with
   * a ticket of the control server, which clients of this SDK send. Default: `'open'` on loopback, else `'secured'`.
   */
  readonly profile?: 'open' | 'secured' | undefined;
  /** One or two keys for tickets, of 32 bytes or more; the first one signs. Relays that serve together share them. Default: random. */
  readonly ticketKeys?: readonly Uint8Array[] | undefined;
  /** How long a ticket is valid, in seconds; default 600. It is renewed after half to three quarters of that. */
  readonly ticketSeconds?: number | undefined;
  /** Makes this server form one network with others, over NATS. Default: it is alone. */
  readonly cluster?: ClusterOptions | undefined;
  /** What one client may use of the server; each limit has a default. */
  readonly limits?: Limits | undefined;
  /** Serves TLS (`wss:`, `https:`): certificate chain and private key in PEM. Default: neither. */
  readonly tls?: {
    /** The certificate chain in PEM, the server's own first. */
    readonly cert: string | Uint8Array;
    /** Its private key in PEM. */
    readonly key: string | Uint8Array;
  } | undefined;
  /** The only origins whose pages may connect, such as `https://example.org`. Default: see `allowOrigin`. */
  readonly origins?: readonly string[] | undefined;
  /**
   * Decides whether pages of an origin may connect, in place of `origins`. Default: the server's own origin; if bound to loopback, those of this
   * machine. Not called for clients that are not pages. If it throws, the error is logged and the handshake is refused with 500.
   */
  readonly allowOrigin?: ((origin: string, request: UpgradeRequest) => boolean) | undefined;
}

/** What `server.reload()` takes: as in {@link ServerOptions}. */
export type ReloadOptions = Pick<ServerOptions, 'tokens' | 'ticketKeys' | 'tls'>;

/** The options, checked and with their defaults. */
export interface ServerSettings extends Omit<Complete<ServerOptions>, 'tokens' | 'relayPort' | 'http' | 'allowOrigin' | 'limits' | 'tls' | 'origins' | 'ticketKeys' | 'cluster'> {
  readonly cluster: ClusterSettings | undefined;
  readonly tickets: Tickets | undefined;
  readonly tls: ServerOptions['tls'];
  readonly limits: LimitSettings;
  readonly authenticator: Authenticator;
  /** The token that the server made, where `tokens` was not given. */
  readonly token: string | undefined;
  readonly loopback: boolean;
  readonly relayPort: number | undefined;
  readonly http: RequestHandler | undefined;
  readonly allowOrigin: ServerOptions['allowOrigin'];
}

const FAULTS_ONLY: Logger = { warn: () => undefined, error: (...data) => console.error(...data) };

const NAMES: Readonly<Record<keyof ServerOptions, true>> = {
  port: true, host: true, tokens: true, relayPort: true, relayAddresses: true, maxMessageBytes: true, logger: true, metrics: true, http: true, heartbeatMs: true,
  authMs: true, holdMs: true, profile: true, ticketKeys: true, ticketSeconds: true, cluster: true, limits: true, tls: true, origins: true,
  allowOrigin: true,
};

/** The names of the options that `server.reload()` takes. */
export const RELOADED: Readonly<Record<keyof ReloadOptions, true>> = { tokens: true, ticketKeys: true, tls: true };

/**
 * Refuses unknown names of options: with a misspelt one the default would hold, and nobody would notice. The values are not
 * shown, because they may be secrets.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function checkNames(caller: string, options: unknown, names: Readonly<Record<string, true>>): void {
  if (typeof options !== 'object' || options === null) {
    throw new PubkeeperError('OPTION_INVALID', `${caller} takes an object of options, not ${options == null ? String(options) : `a ${typeof options}`}.`);
  }
  const option = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (option === undefined) return;
  throw new PubkeeperError('OPTION_INVALID', `There is no option "${option}" of ${caller}: the options are ${Object.keys(names).join(', ')}.`, { option });
}

/**
 * Checks types that would otherwise cause an error only when the option is used, perhaps by a stranger's request.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
function checkTypes(options: ServerOptions): void {
  checkNames('createServer()', options, NAMES);
  const { logger, metrics, http, allowOrigin, tls, origins, relayAddresses } = options;
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
  if (logger !== undefined && (typeof logger?.warn !== 'function' || typeof logger.error !== 'function')) {
    throw invalid('logger', 'must have the functions warn and error, as console has', logger);
  }
  if (metrics !== undefined && typeof metrics !== 'boolean') throw invalid('metrics', 'must be true or false', metrics);
  for (const [name, value] of Object.entries({ http, allowOrigin })) {
    if (value !== undefined && typeof value !== 'function') throw invalid(name, 'must be a function', value);
  }
  // The value is not shown, because it may hold a key.
  if (tls !== undefined && !isObject(tls)) throw new PubkeeperError('OPTION_INVALID', 'The option "tls" must be { cert, key } in PEM; leave it out to serve without TLS.', { option: 'tls' });
  if (origins !== undefined && !Array.isArray(origins)) throw invalid('origins', 'must be a list of origins', origins);
  if (relayAddresses !== undefined && !(Array.isArray(relayAddresses) && relayAddresses.every(isAddress))) {
    throw invalid('relayAddresses', 'must be a list of host:port, like "relay.example:443"', relayAddresses);
  }
  if (options.limits !== undefined && !isObject(options.limits)) throw invalid('limits', 'must be an object of numbers', options.limits);
}

/**
 * Checks options and fills in the defaults.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function readOptions(given: ServerOptions | null): ServerSettings {
  const options = given ?? {};
  checkTypes(options);
  const { host = '127.0.0.1', logger = FAULTS_ONLY, http, origins, tls, tokens, limits = {} } = options;
  if (typeof host !== 'string' || !host) throw invalid('host', 'must be an address or a host name', host);
  const { slowReader } = limits;
  if (slowReader !== undefined && slowReader !== 'drop' && slowReader !== 'cut') {
    throw invalid('limits.slowReader', 'must be "drop" or "cut"', slowReader);
  }
  if (origins && options.allowOrigin) throw new PubkeeperError('OPTION_INVALID', 'The options "origins" and "allowOrigin" exclude each other: give one.', { option: 'origins' });
  const wrong = origins?.find((origin) => !isOrigin(origin));
  if (wrong !== undefined) throw invalid('origins', 'must be origins as browsers send them ("https://example.org")', wrong);
  const allowOrigin = origins ? (origin: string): boolean => origins.includes(origin) : options.allowOrigin;
  const loopback = isLoopback(host);
  if (tokens === undefined && !loopback) {
    throw new PubkeeperError(
      'OPTION_INVALID',
      `A server on ${show(host)} can be reached from outside: give it "tokens", or bind it to 127.0.0.1.`,
      { host },
    );
  }
  // Checked before the server connects to a cluster: if this threw later, nobody would close that connection.
  if (tls) checkTls(tls);
  const profile = options.profile ?? (loopback ? 'open' : 'secured');
  if (profile !== 'open' && profile !== 'secured') throw invalid('profile', 'must be "open" or "secured"', profile);
  const tickets = new Tickets(options.ticketKeys); // checked in both profiles: options that work on loopback should work elsewhere
  // 32 random bytes, which nobody can guess, in characters that need no escaping in a URL or a shell.
  const token = tokens === undefined ? randomBytes(32).toString('base64url') : undefined;
  const table = token === undefined ? tokens : { [token]: [{ topic: '**', read: true, write: true }] };
  const port = count('port', options.port, 9898, 0, 65_535);
  const relayPort = options.relayPort === undefined ? undefined : count('relayPort', options.relayPort, 0, 0, 65_535);
  if (port && relayPort === port) throw invalid('relayPort', 'must be another one than "port", which has the relay too', relayPort);
  return {
    port,
    host: host.replace(/^\[(.*)\]$/, '$1'),
    relayPort,
    relayAddresses: options.relayAddresses ?? [],
    maxMessageBytes: count('maxMessageBytes', options.maxMessageBytes, 1024 * 1024, 1024, 1024 ** 3),
    heartbeatMs: count('heartbeatMs', options.heartbeatMs, 15_000, 20, 3_600_000),
    authMs: count('authMs', options.authMs, 5_000, 1, 3_600_000),
    holdMs: count('holdMs', options.holdMs, 250, 0, 60_000),
    limits: readLimits(limits, count),
    authenticator: isAuthenticator(table) ? table : new Tokens(table),
    token,
    metrics: options.metrics ?? loopback,
    loopback,
    logger,
    http,
    tls,
    profile,
    tickets: profile === 'secured' ? tickets : undefined,
    ticketSeconds: count('ticketSeconds', options.ticketSeconds, 600, 1, 86_400),
    allowOrigin,
    cluster: readClusterOptions(options.cluster),
  };
}

function count(name: string, value: unknown, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, `must be a whole number from ${least} to ${most}`, value);
}

/** Whether `tokens` is an authenticator, and not a table. */
export const isAuthenticator = (value: unknown): value is Authenticator =>
  typeof value === 'object' && value !== null && 'authenticate' in value && typeof value.authenticate === 'function';

const invalid = (name: string, why: string, value: unknown): PubkeeperError =>
  new PubkeeperError('OPTION_INVALID', `The option "${name}" ${why}, not ${show(value)}.`, { option: name });
