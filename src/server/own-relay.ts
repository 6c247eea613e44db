import type { IncomingMessage } from 'node:http';
import { PacketType } from '../core/packet.js';
import type { BrewDetails, BrewerInfo, Packet } from '../core/packet.js';
import { isLoopback } from './upgrade.js';

// WebSocket brew details without a host (`hostname: null`) mean "the relay of the server that you are connected to". The servers
// of a cluster share their brewers in this form; clients are told host and port.

/** How a client reaches its server. */
export interface Reach {
  /** The Host header: host and, unless it is the scheme's own, port. */
  readonly authority: string;
  readonly secure: boolean;
  /** Whether a proxy says that it has passed the client on: then a loopback address is perhaps the proxy's, not the client's. */
  readonly isForwarded: boolean;
}

/**
 * How a brewer has named the relay of this server: `reached`, by the address by which its own client reaches the server (the default); or
 * `named`, by another address. Undefined for any other relay.
 */
export type OwnName = 'reached' | 'named' | undefined;

/** Whether the details of a brew mean the relay of the server that a client is connected to. */
export const isNowhere = ({ name, hostname }: BrewDetails): boolean => name === 'websocket' && hostname === null;

/**
 * A packet in which details without a host name the host and port by which this client reaches its server. So do those of this server's own relay in
 * two cases: a brewer has named it by loopback, and the client is elsewhere, where that would be another machine; or the client reaches the server by
 * loopback, and the brewer by another way, such as a proxy that this client may not reach, or that leads here by a path, which details cannot name.
 * A relay that the brewer's client does not reach as it does the server is left as it was named: it may be behind a proxy that does not pass on the
 * Host header, so that every client seems to use loopback.
 * @param ownName how the brewer of a pair has named this server's relay
 */
export function reachedBy(reach: Reach, packet: Packet, ownName: (brewerId: string, patronId: string) => OwnName): Packet {
  if (packet.type !== PacketType.BREWER_NOTIFY) return packet;
  const { patron_id, brewers } = packet.payload;
  const place = locate(reach);
  const isLocal = isLoopback(place.hostname) && !reach.isForwarded;
  const isElsewhere = place.hostname !== '' && !isLoopback(place.hostname);
  const isHere = ({ brewer_id, brew }: BrewerInfo): boolean => {
    if (isNowhere(brew)) return true;
    const { name, hostname, port } = brew;
    if (name !== 'websocket' || typeof hostname !== 'string') return false;
    if (isElsewhere) return isLoopback(hostname) && ownName(brewer_id, patron_id) !== undefined;
    const isSame = hostname === place.hostname && port === place.port;
    return isLocal && !isSame && ownName(brewer_id, patron_id) === 'reached';
  };
  if (!brewers.some(isHere)) return packet;
  const located = brewers.map((info) => (isHere(info) ? { ...info, brew: { ...info.brew, ...place } } : info));
  return { type: packet.type, payload: { patron_id, brewers: located } };
}

function locate({ authority, secure }: Reach): { hostname: string; port: number; secure: boolean } {
  const [, hostname = authority, port] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  return { hostname, port: port === undefined ? (secure ? 443 : 80) : Number(port), secure };
}

/** The parts of a handshake that tell whether the client speaks TLS, to this server or to a proxy in front of it. */
export interface Transport {
  readonly isTls: boolean;
  readonly forwarded: string | undefined;
  readonly origin: string | undefined;
  readonly authority: string;
}

/** Whether the client speaks TLS. A proxy says so in X-Forwarded-Proto; a page from https: can only open wss:, except on its own machine. */
export function isSecure({ isTls, forwarded, origin, authority }: Transport): boolean {
  if (isTls) return true;
  if (forwarded !== undefined) return /^\s*(https|wss)\b/i.test(forwarded);
  if (origin?.startsWith('https:') && origin.slice('https://'.length).toLowerCase() === authority.toLowerCase()) return true;
  return authority.endsWith(':443');
}

/** How the client of a handshake reaches its server. `isTls`: whether this server speaks TLS. */
export function reachOf({ headers }: IncomingMessage, isTls: boolean): Reach {
  const authority = headers.host ?? '';
  const forwarded = String(headers['x-forwarded-proto'] ?? '') || undefined;
  const isForwarded = forwarded !== undefined || headers['x-forwarded-for'] !== undefined;
  return { authority, secure: isSecure({ isTls, forwarded, origin: headers.origin, authority }), isForwarded };
}
