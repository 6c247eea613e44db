import type { IncomingMessage } from 'node:http';
import { networkInterfaces } from 'node:os';
import { portOf } from '../core/host.js';
import type { BrewDetails } from '../core/packet.js';
import { authorityOf, isLoopback } from './upgrade.js';

// By which names and addresses this server is known.

/** Where a request comes from, for the log. */
export const addressOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? 'an unknown address';

/** The addresses of this machine. */
export const localAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address.toLowerCase()) ?? []);

/** The host of a URL by which this machine reaches a server that is bound to `host`. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether this is a `host:port` with which a brewer's relay can be compared: an IPv6 address in brackets, a port from 1 to 65535. */
export function isAddress(value: unknown): boolean {
  const [, port] = (typeof value === 'string' && /^(?:\[[\da-f:.]+\]|[^\s/:@[\]]+):([1-9]\d{0,4})$/i.exec(value)) || [];
  return Number(port) <= 65_535;
}

/** A host as an URL has it: in lower case, and an IPv6 address in brackets. */
function bracketed(hostname: string): string {
  const host = hostname.toLowerCase();
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** Whether details name the relay by the address by which a client reaches the server: its Host header, `authority`. */
export const isReached = ({ hostname, port, secure }: BrewDetails, authority: string): boolean =>
  typeof hostname === 'string' && `${bracketed(hostname)}:${portOf(port, secure)}` === authorityOf(secure ? 'wss' : 'ws', authority);

/** How many unknown relay addresses are logged, because brewers can name as many as they like. */
const MOST_TOLD = 100;

/** Decides which relays that brewers name are this server's own: their pairs get tickets, and the brewer is told of a patron after its JOIN. */
export class OwnRelays {
  readonly #ports: () => readonly (number | undefined)[];
  readonly #addresses: ReadonlySet<string>;
  readonly #named: ReadonlySet<string>;
  readonly #unknown: (address: string) => void;
  readonly #told = new Set<string>();

  /**
   * @param ports the ports of the relay: the main one, and in the split layout its own one
   * @param addresses the addresses of this machine
   * @param named further names of the relay, each `host:port`
   * @param unknown called once with the address of each relay that is not known
   */
  constructor(
    ports: () => readonly (number | undefined)[],
    addresses: Iterable<string>,
    named: readonly string[] = [],
    unknown: (address: string) => void = () => undefined,
  ) {
    this.#ports = ports;
    this.#addresses = new Set(addresses);
    this.#named = new Set(named.map((address) => address.toLowerCase()));
    this.#unknown = unknown;
  }

  /**
   * Whether a brewer's details name this server's relay: by the host by which its client reaches the server, or by a known name or address.
   * @param authority the Host header by which that client has reached the server
   */
  has({ name, hostname, port, secure }: BrewDetails, authority: string): boolean {
    // With any other details no patron could connect.
    const number = portOf(port, secure);
    if (name !== 'websocket' || typeof hostname !== 'string' || !Number.isInteger(number)) return false;
    const host = bracketed(hostname);
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    const address = `${host}:${number}`;
    const reached = authorityOf(secure ? 'wss' : 'ws', authority);
    if (address === reached || this.#named.has(address)) return true;
    if (this.#ports().includes(number) && (isLoopback(bare) || this.#addresses.has(bare) || reached.startsWith(`${host}:`))) return true;
    if (this.#told.size < MOST_TOLD && !this.#told.has(address)) {
      this.#told.add(address);
      this.#unknown(address);
    }
    return false;
  }
}
