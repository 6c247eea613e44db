import { isIP } from 'node:net';
import type { PacketVersion } from '../core/packet.js';
import { RELAY_1, RELAY_2 } from '../core/relay.js';
import type { RelayVersion } from './relay-format.js';

// Which of the two kinds of connection a WebSocket handshake asks for (design, "Single port"). No sockets here.

/** What an upgrade request says, as far as it matters. */
export interface UpgradeRequest {
  /** The path, without a query. */
  readonly path: string;
  /** The subprotocols offered, in order. */
  readonly protocols: readonly string[];
  /** The Origin header: that of the page; undefined if the client is not a page. */
  readonly origin: string | undefined;
  /** The Host header. */
  readonly host: string;
}

/** What the server does with an upgrade request. `protocol`: the subprotocol to answer with; empty for none. */
export type Route =
  | { readonly kind: 'control'; readonly protocol: string; readonly version: PacketVersion }
  | { readonly kind: 'relay'; readonly protocol: string; readonly version: RelayVersion }
  | { readonly kind: 'refused'; readonly status: number; readonly sentence: string };

/** A route that is not a refusal. */
export type AcceptedRoute = Exclude<Route, { kind: 'refused' }>;

const CONTROL: ReadonlyMap<string, PacketVersion> = new Map([
  ['pubkeeper-1.1', '1.1'],
  ['pubkeeper-1.0', '1.0'],
]);
const RELAY: ReadonlyMap<string, RelayVersion> = new Map([
  [RELAY_2, 2],
  [RELAY_1, 1],
]);

/** What a request on the main port asks for: by the first subprotocol that is known, else by its path. */
export function routeMain({ path, protocols }: UpgradeRequest): Route {
  for (const protocol of protocols) {
    const version = CONTROL.get(protocol);
    if (version) return { kind: 'control', protocol, version };
    const relay = RELAY.get(protocol);
    if (relay) return { kind: 'relay', protocol, version: relay };
  }
  if (protocols.length) {
    const known = [...CONTROL.keys(), ...RELAY.keys()].join(', ');
    const sentence = `None of the subprotocols offered is known here; known are ${known}.`;
    return { kind: 'refused', status: 400, sentence };
  }
  if (path === '/ws' || path === '/') return { kind: 'control', protocol: '', version: '1.0' };
  if (path === '/brew') return { kind: 'relay', protocol: '', version: 1 };
  return {
    kind: 'refused',
    status: 404,
    sentence: 'There is no WebSocket at this path: connect to /ws for control or to /brew for the relay.',
  };
}

/**
 * On a port for the relay only, every connection is for the relay, whatever is offered. A control protocol is not answered, so that a client that
 * takes this port for the control server's learns of its mistake at once, and does not wait for an answer to its token.
 */
export function routeRelay({ protocols }: UpgradeRequest): Route {
  const protocol = protocols.find((offered) => RELAY.has(offered)) ?? protocols.find((offered) => !CONTROL.has(offered)) ?? '';
  return { kind: 'relay', protocol, version: RELAY.get(protocol) ?? 1 };
}

/** The subprotocols of a `Sec-WebSocket-Protocol` header. */
export const readProtocols = (header: string | undefined): string[] =>
  (header ?? '')
    .split(',')
    .map((protocol) => protocol.trim())
    .filter(Boolean);

/** The path of a request's target, without its query. Proxies may send a whole URL as the target, which servers have to take. */
export const readPath = (target = '/'): string => target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?]*/i, '').split('?', 1)[0] || '/';

/** Whether this host name or address is the machine itself. IPv6 with or without brackets. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  return isIP(name) === 4 && name.startsWith('127.');
}

/**
 * Whether a page of the request's origin may connect; a request without an origin is not from a page, and may. If the server is bound
 * to loopback, every page of this machine may, otherwise only pages of the server's own origin.
 */
export function mayConnect({ origin, host }: UpgradeRequest, boundToLoopback: boolean): boolean {
  if (origin === undefined) return true;
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    return false;
  }
  // Not by the Host header: whoever has a domain can point it to 127.0.0.1, and then page and server would have the same host.
  if (boundToLoopback) return isLoopback(url.hostname);
  return url.host !== '' && authorityOf(url.protocol, url.host) === authorityOf(url.protocol, host);
}

/** Whether this is an origin as browsers send it, also of an extension or an app (`chrome-extension://…`), for which `URL` gives `null`. */
export function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { origin, protocol, host } = new URL(text);
  return origin === text || (origin === 'null' && host !== '' && text === `${protocol}//${host}`);
}

/** `host:port` in lower case, with the port that the scheme implies where none is written. */
export function authorityOf(scheme: string, host: string): string {
  const lower = host.toLowerCase();
  if (/:\d+$/.test(lower)) return lower;
  return `${lower}:${/^(https|wss):?$/.test(scheme) ? 443 : 80}`;
}
