import { Option } from 'commander';
import { isServer, showServer } from '../core/client-options.js';
import { isTopic, isTopicPattern } from '../core/topic.js';
import { show } from '../core/id.js';
import { brewOption, type BrewFlag } from './brews.js';
import { usage } from './exit.js';
import { MAX_MESSAGE } from './input.js';

// Parsers of arguments. They throw sentences of our own, because those of commander repeat the value, which may be a token.

const DEFAULT_SERVER = 'ws://127.0.0.1:9898/ws';
/** The value of `--server` until one is given, which then takes its place. */
const DEFAULT_SERVERS: readonly string[] = [DEFAULT_SERVER];

export function parseTopic(text: string): string {
  if (isTopic(text)) return text;
  if (isTopicPattern(text)) throw usage(`${show(text)} is a pattern: a brewer publishes one literal topic, without * and **.`);
  throw usage(`${show(text)} is not a topic: use dot-separated segments of letters, digits, _ and -, as in demo.x.`);
}

export function parsePattern(text: string): string {
  if (isTopicPattern(text)) return text;
  throw usage(
    `${show(text)} is not a topic pattern: use dot-separated segments of letters, digits, _ and -, or * or ** as a whole segment, as in 'demo.**'.`,
  );
}

/** One `--server`, or several divided by commas, added to those before it. */
export function parseServers(text: string, before: readonly string[] = DEFAULT_SERVERS): readonly string[] {
  const given = text.split(',').map((part) => parseServer(part.trim()));
  return before === DEFAULT_SERVERS ? given : [...before, ...given];
}

function parseServer(text: string): string {
  if (isServer(text)) return text;
  throw usage(`The server must be a URL like ${DEFAULT_SERVER} or wss://…, not ${showServer(text)}.`);
}

/** The longest token, in bytes: servers read no more from a client before it is authenticated. */
export const MAX_TOKEN = 65_000;

/** Removes line breaks at the end: `"$(cat FILE)"` leaves a part of one from a file that was written on Windows. */
export const withoutBreak = (text: string): string => text.replace(/[\r\n]+$/, '');

export function parseToken(given: string): string {
  const text = withoutBreak(given);
  const length = Buffer.byteLength(text);
  if (length > MAX_TOKEN) throw usage(`A token has at most ${MAX_TOKEN} bytes, and this one has ${length}: give the token alone.`);
  if (text) return text;
  throw usage('The token is empty: give the one that pubkeeper serve printed, or one of its token file.');
}

/** The address to listen on. */
export function parseHost(text: string): string {
  if (text) return text;
  throw usage('--host needs an address or a host name, and has got an empty one: 0.0.0.0 is for all.');
}

/** An option that names a file. The name is empty when `"$NAME"` was given and the shell has no such variable. */
export const fileOption = (flags: string, help: string): Option =>
  new Option(flags, help).argParser((path) => {
    if (path) return path;
    throw usage(`${flags.split(' ')[0]} needs the name of a file, and has got an empty one.`);
  });

export function parsePort(text: string): number {
  return wholeNumber(text, 'A port', 0, 65_535);
}

export function parseCount(text: string): number {
  return wholeNumber(text, 'The count', 1, Number.MAX_SAFE_INTEGER);
}

/** The length of a message in bytes. */
export function parseSize(text: string): number {
  return wholeNumber(text, 'The size', 1, MAX_MESSAGE);
}

/** The longest time that a timer can measure, rounded down to whole days, in seconds. */
const MAX_SECONDS = 24 * 24 * 3600;

export function parseSeconds(text: string): number {
  const seconds = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN;
  if (seconds > 0 && seconds <= MAX_SECONDS) return seconds;
  throw usage(`The time must be a number of seconds above 0 and up to ${MAX_SECONDS}, not ${show(text)}.`);
}

export function wholeNumber(text: string, what: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw usage(`${what} must be a whole number from ${least} to ${most}, not ${show(text)}.`);
}

const CIPHERS = ['aes-gcm', 'aes-cbc', 'none'] as const;
export type Cipher = (typeof CIPHERS)[number];

export function parseCipher(text: string): Cipher {
  const cipher = CIPHERS.find((known) => known === text);
  if (cipher) return cipher;
  throw usage(`The cipher must be one of ${CIPHERS.join(', ')}, not ${show(text)}.`);
}

/** The flags of all commands that connect. */
export interface ClientFlags {
  /** The servers of one network, in the order in which they are tried. */
  readonly server: readonly string[];
  readonly token?: string;
  readonly cipher: Cipher;
  readonly timeout?: number;
  readonly brew?: readonly BrewFlag[];
}

export const clientOptions = (): Option[] => [
  new Option('-s, --server <url>', 'the control server; may be repeated: if one is gone, the next is tried')
    .default(DEFAULT_SERVERS, DEFAULT_SERVER)
    .env('PUBKEEPER_SERVER')
    .argParser(parseServers),
  new Option('-t, --token <token>', 'the token that the server knows you by').env('PUBKEEPER_TOKEN').argParser(parseToken),
  brewOption(),
];

/** The server, or the servers, as words. */
export const placeOf = ({ server }: ClientFlags): string => (server.length > 1 ? `one of ${server.join(', ')}` : server.join());

/** The token, whether from a flag or the environment; throws if there is none. */
export function requireToken(token: string | undefined): string {
  if (token !== undefined) return token;
  throw usage('There is no token: give --token, or set PUBKEEPER_TOKEN. pubkeeper serve prints one when it starts.');
}
