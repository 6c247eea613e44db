import type { IncomingMessage } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { BrewDetails } from '../core/packet.js';
import { authorityOf, isLoopback } from './upgrade.js';

// By which names and addresses this server is known.

/** Where a request comes from, for the log. */
export const addressOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? 'an unknown address';

/** The addresses of this machine. */
export const localAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address.toLowerCase()) ?? []);

/** The host of a URL by which a server is reached from this machine that is bound to `host`. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Whether a brewer's details name our relay: by the name that its client knows us by, or by one of ours.
 * @param authority the Host by which that client reached us
 * @param ownPorts those at which the relay is: the main one, and its own in the split layout
 */
export function isOwnRelay(
  { name, hostname, port, secure }: BrewDetails,
  authority: string,
  ownPorts: readonly (number | undefined)[],
  ownAddresses: ReadonlySet<string>,
): boolean {
  if (name !== 'websocket' || typeof hostname !== 'string') return false;
  const bare = hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const host = bare.includes(':') ? `[${bare}]` : bare;
  const reached = authorityOf(secure ? 'wss' : 'ws', authority);
  if (`${host}:${String(port)}` === reached) return true;
  return ownPorts.includes(Number(port)) && (isLoopback(bare) || ownAddresses.has(bare) || reached.startsWith(`${host}:`));
}
