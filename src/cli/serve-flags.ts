import { Option, type Command } from 'commander';
import { show } from '../core/id.js';
import type { JwtAlgorithm, Limits, LogLevel, Right } from '../server/index.js';
// Import parts of the server only: all of it is loaded when it is to run.
import { LIMITS } from '../server/limits.js';
import { LOG_LEVELS } from '../server/log.js';
import { isAddress } from '../server/own-address.js';
import { isOrigin } from '../server/upgrade.js';
import { fileOption, parseHost, parsePort, wholeNumber } from './arguments.js';
import { usage } from './exit.js';
import { collectTokens } from './tokens.js';

const ALGORITHMS: readonly JwtAlgorithm[] = ['HS256', 'RS256', 'ES256', 'EdDSA'];

/** Numeric options of `createServer` other than its `limits`: the help text, the default, the minimum and the maximum of each. */
const NUMBERS = {
  maxMessageBytes: ['the longest message, in bytes', 1024 * 1024, 1024, 1024 ** 3],
  authMs: ['how long a connection may take to authenticate, in ms', 5_000, 1, 3_600_000],
  heartbeatMs: ['the time between two pings, in ms; a connection that is silent for 2.5 of them is cut', 15_000, 20, 3_600_000],
  holdMs: ['how long to wait for a patron to join the relay before its brewer is told of the match, in ms', 250, 0, 60_000],
  ticketSeconds: ['how long a relay ticket is valid, in seconds', 600, 1, 86_400],
} as const satisfies Record<string, readonly [string, number, number, number]>;

/** The help text of each limit. */
const LIMIT_HELP: Readonly<Record<keyof typeof LIMITS, string>> = {
  packetsBeforeAuth: 'packets that a client may send before it is authenticated',
  connectionsPerAddress: 'connections from one address (IPv6: one /64); no limit on loopback unless this flag is given',
  registrations: 'patrons and brewers of one connection',
  registeredBytes: 'bytes of all patrons and brewers of one connection together',
  pairs: 'pairs that the patrons and brewers of one connection may make',
  brewsPerRegistration: 'brews of one patron or brewer',
  joinedTopics: 'topics that one relay connection has joined',
  topicLength: 'characters of a topic or pattern',
  topicSegments: 'segments of a topic or pattern',
  doubleWildcards: '** in a pattern',
  packetsPerSecond: 'control packets, pings and pongs of one connection per second; the rest is read later',
  packetBurst: 'control packets that one connection may send at once before that limit applies',
  relayMessagesPerSecond: 'relay messages, pings and pongs of one connection per second; the rest is read later',
  relayBytesPerSecond: 'relay bytes of one connection per second; the rest is read later',
  retainedValues: 'last values that the relay keeps',
  retainedBytes: 'bytes of last values that the relay keeps',
  bufferedBytes: 'bytes that may wait for one reader',
};

type Numbers = { readonly [Name in keyof typeof NUMBERS]?: number } & Omit<Limits, 'slowReader'>;

/** The flags by which signed tokens (JWT) are checked or made. */
export interface JwtFlags {
  readonly jwtKeyFile?: string;
  readonly jwtJwksUrl?: string;
  readonly jwtIssuer?: string;
  readonly jwtAudience?: string;
  readonly jwtAlgorithms?: readonly JwtAlgorithm[];
  readonly jwtLeeway?: number;
}

export interface ServeFlags extends JwtFlags, Numbers {
  readonly port: number;
  readonly host: string;
  readonly relayPort?: number;
  readonly relayAddress?: readonly string[];
  readonly tokens?: string;
  readonly token?: ReadonlyMap<string, readonly Right[]>;
  readonly profile?: 'open' | 'secured';
  readonly ticketKeyFile?: string;
  readonly origin?: readonly string[];
  readonly cluster?: string;
  readonly clusterName: string;
  readonly clusterCredentials?: string;
  readonly clusterReplicas?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly slowReader?: 'drop' | 'cut';
  readonly metrics?: boolean;
  readonly drainMs: number;
  readonly logFormat: 'text' | 'json';
  readonly logLevel?: LogLevel;
  readonly json?: true;
  readonly verbose?: true;
}

/** `maxMessageBytes` as a flag: `--max-message-bytes`. */
export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

type Bounds = readonly [fallback: number, least: number, most: number];

const number = (name: string, help: string, [fallback, least, most]: Bounds): Option =>
  new Option(`${flagOf(name)} <number>`, `${help} (default: ${fallback})`).argParser((text) => wholeNumber(text, flagOf(name), least, most));

function collectOrigins(text: string, before: readonly string[] = []): string[] {
  if (isOrigin(text)) return [...before, text];
  throw usage(`The origin must be as browsers send it, like https://example.org, not ${show(text)}.`);
}

function collectAddresses(text: string, before: readonly string[] = []): string[] {
  if (isAddress(text)) return [...before, text];
  throw usage(`The address of a relay must be host:port, like relay.example:443, not ${show(text)}.`);
}

function parseAlgorithms(text: string): JwtAlgorithm[] {
  const algorithms = text.split(',').map((name) => {
    const algorithm = ALGORITHMS.find((known) => known === name.trim());
    if (algorithm) return algorithm;
    throw usage(`--jwt-algorithms takes one or more of ${ALGORITHMS.join(', ')}, joined by commas, not ${show(text)}.`);
  });
  if (new Set(algorithms).size > 1 && algorithms.includes('HS256')) throw usage('--jwt-algorithms: HS256 uses a secret, the others use public keys: choose one kind.');
  return algorithms;
}

/** The flags for signed tokens. `key`: what the key file is for. */
export const jwtOptions = (key: string): Option[] => [
  fileOption('--jwt-key-file <file>', key),
  new Option('--jwt-jwks-url <url>', 'an https URL of a JWKS that verifies signed tokens'),
  new Option('--jwt-issuer <text>', 'what the claim "iss" must be'),
  new Option('--jwt-audience <text>', 'what the claim "aud" must be or contain'),
  new Option('--jwt-algorithms <list>', `which signature algorithms are accepted: ${ALGORITHMS.join(', ')}`).argParser(parseAlgorithms),
  new Option('--jwt-leeway <seconds>', 'how many seconds clocks may differ (default: 60)').argParser((text) => wholeNumber(text, '--jwt-leeway', 0, 86_400)),
];

/** Adds the flags of `pubkeeper serve`, except those that every command has. */
export function addServeFlags(command: Command): Command {
  const options = [
    new Option('-p, --port <port>', 'the TCP port; 0 for any that is free').default(9898).argParser(parsePort),
    new Option('--host <address>', 'the address to listen on; 0.0.0.0 for all').default('127.0.0.1').argParser(parseHost),
    new Option('--relay-port <port>', 'also open a port for the relay alone, as older clients expect').argParser(parsePort),
    new Option('--relay-address <host:port>', 'a further address of this relay, such as that of a proxy; may be repeated').argParser(collectAddresses),
    fileOption('--tokens <file>', 'a JSON file of tokens, or of their hashes, and their rights'),
    new Option('-t, --token <token>', 'a token that may connect; may be repeated').argParser(collectTokens),
    ...jwtOptions('a PEM public key or certificate, a JWK, a JWKS or an HS256 secret that verifies signed tokens'),
    new Option('--profile <name>', 'secured: the relay requires tickets of the control server; open: it does not; default: open on loopback, else secured').choices(['open', 'secured']),
    fileOption('--ticket-key-file <file>', 'one or two keys for relay tickets, as lines of 64 hex digits; the first signs'),
    new Option('--cluster <urls>', 'form one network with other servers, over NATS at nats://host:port; several addresses with commas').env('PUBKEEPER_CLUSTER'),
    new Option('--cluster-name <name>', 'the name of that network; different names separate networks on one NATS').default('pubkeeper').env('PUBKEEPER_CLUSTER_NAME'),
    fileOption('--cluster-credentials <file>', 'a credentials file for NATS').env('PUBKEEPER_CLUSTER_CREDENTIALS'),
    new Option('--cluster-replicas <number>', 'how many NATS servers keep the registry (default: 3, or 1 where there is one)').argParser((text) => wholeNumber(text, '--cluster-replicas', 1, 5)),
    new Option('--origin <origin>', 'an origin whose pages may connect, and no others; may be repeated').argParser(collectOrigins),
    fileOption('--tls-cert <file>', 'the certificate chain, as PEM: the server speaks wss: and https:'),
    fileOption('--tls-key <file>', 'its private key, as PEM'),
    ...Object.entries(NUMBERS).map(([name, [help, ...bounds]]) => number(name, help, bounds)),
    ...Object.entries(LIMITS).map(([name, bounds]) => number(name, LIMIT_HELP[name as keyof typeof LIMITS], bounds)),
    new Option('--slow-reader <what>', 'what happens to a relay connection that stops reading: drop (it gets the newest frames later) or cut (closed with 4413); default drop').choices(['drop', 'cut']),
    new Option('--metrics', 'answer /metrics also beyond loopback (default: on loopback only)'),
    new Option('--no-metrics', 'do not answer /metrics, for example behind a public proxy'),
    new Option('--drain-ms <number>', 'at shutdown, refuse new connections for this long before closing the others').default(0).argParser((text) => wholeNumber(text, '--drain-ms', 0, 3_600_000)),
    new Option('--log-format <format>', 'text for people, or json: one object a line').default('text').choices(['text', 'json']),
    new Option('--log-level <level>', 'the minimum level that is logged (default: info)').choices(LOG_LEVELS),
    new Option('--json', 'print the address and a generated token as one line of JSON on stdout, not on stderr'),
  ];
  for (const option of options) command.addOption(option);
  return command;
}

/** The numbers among the flags, as `createServer` takes them. */
export function numbersOf(flags: ServeFlags): { readonly [Name in keyof typeof NUMBERS]?: number } & { readonly limits: Limits } {
  const pick = (names: object): Record<string, number> =>
    Object.fromEntries(Object.entries(flags).filter(([name]) => Object.hasOwn(names, name)));
  return { ...pick(NUMBERS), limits: { ...pick(LIMITS), ...(flags.slowReader && { slowReader: flags.slowReader }) } };
}
