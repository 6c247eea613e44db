import type { Complete } from '../../core/complete.js';
import { optionInvalid } from '../../core/errors.js';
import { type BrewDetails, PubkeeperError } from '../../core/index.js';
import { utf8 } from '../../core/host.js';
import { show } from '../../core/id.js';
import type { Place } from './broker-way.js';
import type { Credentials } from './broker-line.js';
import { checkLastValue, checkName, invalidOption, isOptions } from './options.js';

// Reads the options of brews over a broker, and the details of brewers, which come from the network.

const WS = ['ws:', 'wss:'];
const MAX_ADDRESSES = 16;
/**
 * The limits of an address: brokers end the connection over a longer one, and with it all other pairs. NATS takes lines of 4096 bytes;
 * mosquitto takes 200 levels, and the address of a patron's answers has two more.
 */
const MAX_BYTES = 3900;
const MAX_LEVELS = 190;

/** The addresses that patrons are told. */
interface Advertised {
  readonly tcp?: readonly string[];
  readonly ws?: readonly string[];
}

interface Secrets {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
}

/**
 * Reads the addresses of the own broker. Returns them without credentials, the credentials, and the addresses that patrons are told.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function readUrls(
  kind: string,
  tcp: readonly string[],
  given: readonly string[],
  alternatives: readonly string[],
  { username, password, token }: Secrets,
): { urls: readonly string[]; credentials: Credentials; advertised: Advertised } {
  if (!Array.isArray(given) || !Array.isArray(alternatives)) {
    // Show no address: it may contain a password.
    throw optionInvalid(`${kind}: ${Array.isArray(given) ? 'alternatives' : 'url'} must be a list of addresses.`);
  }
  let inUrl: Credentials = {};
  const clean = (text: unknown): string => {
    const url = parse(text);
    if (!url || ![...tcp, ...WS].includes(url.protocol) || !url.hostname) {
      throw optionInvalid(`${kind}: an address must be like ${tcp[0]}//host:port or wss://host/path.`);
    }
    if (url.search || url.hash) throw optionInvalid(`${kind}: an address ends with its path, and has no ? or #.`);
    if (url.username || url.password) inUrl = { username: decoded(url.username), password: decoded(url.password) };
    return plain(url);
  };
  const urls = given.map(clean);
  const fromUrl = inUrl; // the alternatives are for patrons, which are told no credentials
  const all = [...new Set([...urls, ...alternatives.map(clean)])];
  const isWs = (url: string): boolean => WS.some((protocol) => url.startsWith(protocol));
  if (urls.some(isWs) && !urls.every(isWs)) {
    throw invalidOption(kind, 'url must be of one kind, TCP or WebSocket; the others are alternatives', urls.join(', '));
  }
  const credentials = {
    ...fromUrl,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
  };
  if (credentials.password && !credentials.username) throw optionInvalid(`${kind}: a password needs a username.`);
  const [ofTcp, ofWs] = [all.filter((url) => !isWs(url)), all.filter(isWs)];
  return { urls, credentials, advertised: { ...(ofTcp.length && { tcp: ofTcp }), ...(ofWs.length && { ws: ofWs }) } };
}

/** Whether a broker would end the connection over this address. */
const isTooLong = (address: string, separator: string): boolean =>
  utf8(address).length > MAX_BYTES || address.split(separator).length > MAX_LEVELS;

/** Whether the patrons of another brewer get their answers at this address. Nobody may brew there: a patron expects either answers or frames. */
const isForAnswers = (address: string, separator: string): boolean => {
  const [brewerId = '', to] = address.split(separator).slice(-3);
  return to === 'to' && /^[\da-f]{32}$/.test(brewerId);
};

/** Why an own brewer cannot publish at this address, if it cannot. */
export function unfit(kind: string, address: string, separator: string): PubkeeperError | undefined {
  const why = isTooLong(address, separator)
    ? `${show(address)} is more than brokers take, which is ${MAX_BYTES} bytes and ${MAX_LEVELS} levels. Brew to a shorter topic`
    : isForAnswers(address, separator) && `at ${show(address)} patrons of another brewer are answered. Brew to another topic`;
  return why ? new PubkeeperError('BREW_FAILED', `A brewer is registered without this ${kind}: ${why}.`, { address }) : undefined;
}

/**
 * Reads from a brewer's details where its frames are.
 * @throws {PubkeeperError} `BREW_CONFIG_INVALID`
 */
export function readPlace(details: BrewDetails, address: unknown, brewerId: string, tcp: readonly string[], separator: string): Omit<Place, 'kept'> {
  // A patron publishes its questions beside this address, with its own rights: so the address must be the brewer's own.
  const own = typeof address === 'string' && address.endsWith(separator + brewerId);
  if (!own || isTooLong(address, separator) || isForAnswers(address, separator) || !/^[\p{L}\p{M}\p{N}_./-]+$/u.test(address)) {
    throw new PubkeeperError('BREW_CONFIG_INVALID', `A brewer publishes where it should not: ${show(address)}.`, { address });
  }
  const read = (list: unknown, protocols: readonly string[]): string[] =>
    (Array.isArray(list) ? list.slice(0, MAX_ADDRESSES) : []).flatMap((text: unknown) => {
      const url = parse(text);
      return url && protocols.includes(url.protocol) && url.hostname ? [plain(url)] : [];
    });
  return { address, tcp: read(details.tcp, tcp), ws: read(details.ws, WS), join: details.join === true };
}

/** The options that all brews over brokers have. */
interface Common extends Secrets {
  readonly name?: string | undefined;
  readonly prefix?: string | undefined;
  readonly lastValue?: boolean | undefined;
}

const NAMES = ['url', 'alternatives', 'username', 'password', 'lastValue', 'prefix', 'name'];

/**
 * Checks options, and gives those that have defaults. `separator`: what divides the parts of a prefix; `more`: options that not all kinds have.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function readCommon(
  kind: string,
  separator: '/' | '.',
  defaultName: string,
  more: readonly string[],
  options: Common,
): Complete<Omit<Common, keyof Secrets>> {
  // An address in place of the options would make a brew without an address, which could not brew. Do not show it: it may contain a password.
  if (!isOptions(options)) {
    throw optionInvalid(`${kind}: the options must be an object, in which an address is the url.`);
  }
  const names = [...NAMES, ...more];
  const unknown = Object.keys(options).find((option) => !names.includes(option));
  if (unknown !== undefined) throw optionInvalid(`${kind}: the option "${unknown}" is not known: there are ${names.join(', ')}.`);
  const { name = defaultName, prefix = 'pubkeeper', lastValue = true, username, password, token } = options;
  checkName(kind, name);
  if (typeof prefix !== 'string' || !prefix.split(separator).every((part) => /^[\w-]+$/.test(part))) {
    throw invalidOption(kind, `prefix must be letters, digits, _ and -, divided by ${separator === '/' ? 'slashes' : 'dots'}`, prefix);
  }
  checkLastValue(kind, lastValue);
  for (const [which, secret] of Object.entries({ username, password, token })) {
    // Do not show the value: it may be secret.
    if (secret !== undefined && typeof secret !== 'string') throw optionInvalid(`${kind}: ${which} must be a text.`);
  }
  return { name, prefix, lastValue };
}

function parse(text: unknown): URL | undefined {
  try {
    return typeof text === 'string' ? new URL(text) : undefined;
  } catch {
    return undefined;
  }
}

/** Decodes a name or password in an address. One that is no valid percent-encoding was written unescaped, and stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Default ports, and other names of a protocol. `URL` knows only those of the Web. */
const PORTS: Readonly<Record<string, string>> = { 'mqtt:': '1883', 'mqtts:': '8883', 'nats:': '4222', 'tls:': '4222' };
const ALIASES: Readonly<Record<string, string>> = { 'tcp:': 'mqtt:', 'ssl:': 'mqtts:' };

/** Writes an address in one canonical way, so that two can be compared, and without credentials. */
function plain({ protocol: written, hostname, port, pathname }: URL): string {
  const protocol = ALIASES[written] ?? written;
  const number = port || PORTS[protocol];
  return `${protocol}//${hostname.toLowerCase()}${number ? `:${number}` : ''}${pathname === '/' ? '' : pathname}`;
}
