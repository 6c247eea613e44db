import {
  type Brew,
  type BrewDetails,
  type BrewerPair,
  type BrewHost,
  type PatronPair,
  PubkeeperError,
  topicHash,
} from '../core/index.js';
import { after, cancel, microtask, parseUrl, portOf } from '../core/host.js';
import { fromHex, show } from '../core/id.js';
import { once } from './internal/once.js';
import { RelayLink } from './internal/relay-link.js';
import type { Outlet } from './internal/relay-outlet.js';
import { inUse } from './internal/small.js';

/** The relay that this client's brewers use. Default: the relay on the control server's own host and port. */
export interface WebSocketBrewOptions {
  /** A host name or an IP address. Only together with `port`. */
  readonly hostname?: string | undefined;
  /** 1 to 65,535. Only together with `hostname`. */
  readonly port?: number | undefined;
  /** `true`: `wss:`. Default `false`. Only together with `hostname` and `port`. */
  readonly secure?: boolean | undefined;
}

/** How long a connection that no pair uses any more is kept, in ms: patrons come and go. */
const LINGER = 5000;

/** Where a relay is, as the options or as a URL says it. */
type Place = Omit<WebSocketBrewOptions, 'port'> & { readonly port?: unknown; readonly protocol?: string };

/**
 * Carries data through a WebSocket relay (protocol, section 4), over one connection per relay, whatever the number of brewers and
 * patrons. A patron connects to the relay that its brewer names. Reconnects by itself, and joins its topics again.
 */
export class WebSocketBrew implements Brew {
  readonly name: string = 'websocket';
  readonly #options: WebSocketBrewOptions;
  readonly #links = new Map<string, RelayLink>();
  /** By brewer id. */
  protected readonly outlets = new Map<string, Outlet>();
  #host: BrewHost | undefined;

  /** @throws {PubkeeperError} `BREW_CONFIG_INVALID` */
  constructor(given?: WebSocketBrewOptions | null) {
    const options = (this.#options = given ?? {});
    // Throws also for an option that does not exist, and for a text, whose characters are its values.
    for (const value of Object.values(options)) if (value != null && value !== false) relayUrl(options);
  }

  attach(host: BrewHost): void {
    if (this.#host) throw inUse('WebSocketBrew');
    this.#host = host;
  }

  brewerDetails(_brewer?: { readonly brewerId: string }): BrewDetails | undefined {
    const at: Place = this.#options.hostname ? this.#options : parseUrl(this.#host!.server);
    const { hostname, port, protocol, secure = protocol === 'wss:' } = at;
    return { name: this.name, hostname, port: portOf(port, secure), secure };
  }

  patronDetails(_patron?: { readonly patronId: string }): BrewDetails | undefined {
    return { name: this.name };
  }

  startBrewer({ brewerId, topic, details }: BrewerPair): () => void {
    const link = this.#open(this.brewerDetails()!);
    const outlet: Outlet = this.outlets.get(brewerId) ?? { link, hash: topicHash(topic), pairs: 0, toldAfter: 0 };
    const { link: former } = outlet;
    outlet.pairs++;
    this.outlets.set(brewerId, outlet);
    // After the client has changed to another server, its own relay is another one. Frames that wait for the former relay move along,
    // before anything newer: sent later, when the former relay is back, they would come after newer frames.
    outlet.link = link;
    if (former !== link) former.revoke(outlet);
    link.grant(outlet, readTicket(details));
    return once(() => {
      outlet.pairs--;
      this.#release(link);
      // Not at once: if the brewer gets a pair again in this tick, what it brews then must follow the frames that it holds.
      microtask(() => {
        if (outlet.pairs) return;
        if (this.outlets.get(brewerId) === outlet) this.outlets.delete(brewerId);
        outlet.link.revoke(outlet);
      });
    });
  }

  startPatron(pair: PatronPair): () => void {
    const link = this.#open(pair.details);
    const leave = link.join(pair, readTicket(pair.details));
    return once(() => {
      leave();
      this.#release(link);
    });
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const outlet = this.outlets.get(brewerId);
    if (outlet?.pairs) return outlet.link.publish(outlet, frame);
  }

  renew({ topic, brewerId, details }: Pick<BrewerPair, 'topic' | 'brewerId' | 'details'>, brews: boolean): void {
    const ticket = readTicket(details);
    const outlet = this.outlets.get(brewerId);
    if (brews) outlet?.link.grant(outlet, ticket);
    else this.#links.get(relayUrl(details, this.#host!.server))?.renew(topic, ticket);
  }

  rest(): void {
    this.#links.forEach((link) => link.rest());
  }

  wake(silentMs?: number): void {
    this.#links.forEach((link) => link.wake(silentMs));
  }

  async close(): Promise<void> {
    const links = [...this.#links.values()];
    this.#links.clear();
    this.outlets.clear();
    await Promise.all(links.map((link) => link.close()));
  }

  #open(details: BrewDetails): RelayLink {
    const url = relayUrl(details, this.#host!.server);
    const known = this.#links.get(url);
    const link = known ?? new RelayLink(url, this.#host!);
    if (!known) {
      this.#links.set(url, link);
      // Forget a link that has ended, so that the next pair tries again.
      void link.ended.then(() => this.#forget(link));
    }
    cancel(link.idle);
    link.users++;
    return link;
  }

  #release(link: RelayLink): void {
    if (--link.users || this.#links.get(link.url) !== link) return;
    link.idle = after(LINGER, () => {
      // Before the close, so that no pair is given a connection that is being closed.
      this.#forget(link);
      void link.close();
    });
  }

  #forget(link: RelayLink): void {
    if (this.#links.get(link.url) === link) this.#links.delete(link.url);
  }
}

/** The ticket that the control server gave for its relay (design, "Relay tickets"); the relay checks it. */
const readTicket = ({ ticket }: BrewDetails): Uint8Array | undefined =>
  ticket ? fromHex(ticket) : undefined;

/**
 * @internal The relay's URL, for a client of `server`. The details may come from the network, so nothing but a host and a port may
 * get into the URL.
 * @throws {PubkeeperError} `BREW_CONFIG_INVALID`
 */
export function relayUrl({ hostname, port, secure }: BrewDetails | WebSocketBrewOptions, server?: string): string {
  // An IPv6 address, or a name without the characters that the URL standard forbids in a host.
  const isHost = typeof hostname === 'string' && /^(\[?[\da-f:.]+]?|[^\s#%/:<>?@[\\\]^|]+)$/i.test(hostname);
  // Deployed clients register the port of their page's `location`: text, and empty for the default port.
  const number = portOf(port, secure === true);
  if (!isHost || !Number.isInteger(number) || number < 1 || number > 65535) {
    throw new PubkeeperError(
      'BREW_CONFIG_INVALID',
      `A relay needs a hostname and a port from 1 to 65535, not ${show(hostname)} and ${show(port)}.`,
      { hostname, port },
    );
  }
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
  const url = `${secure === true ? 'wss' : 'ws'}://${host}:${number}`;
  // Registrations have no path (protocol, section 4). If a proxy leads to the control server by a path, its relay is at that path, too; except
  // `/ws`, which is the path of deployed control servers.
  const own = server && parseUrl(server);
  return own && !/^\/(ws)?$/.test(own.pathname) && own.host === parseUrl(url).host ? url + own.pathname : url;
}
