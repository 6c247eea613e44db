import { WebSocketBrew as CoreBrew } from '../brews/websocket.js';
import { optionInvalid } from '../core/errors.js';
import { microtask, portOf } from '../core/host.js';
import type {
  BrewDetails,
  BrewerPair,
  BrewHost,
  PatronPair,
  PubkeeperError,
  WebSocketConstructor,
  WebSocketLike,
} from '../core/index.js';
import type { Attached, BrewClient } from './attached.js';
import { retriesOf } from './client-options.js';
import { Emitter } from './emitter.js';

/** Where the relay is. */
export interface BrewerConfig {
  /** A host name or an IP address. */
  readonly hostname: string;
  /** A number; or text such as `location.port`, which is empty for the default port. */
  readonly port: number | string;
  /** `true`: `wss:`. Default `false`. */
  readonly secure?: boolean | undefined;
}

/** The options of a {@link WebSocketBrew}. */
export interface WebSocketBrewOptions {
  /** What it is called in registrations. Default `websocket`. */
  readonly name?: string | undefined;
  /** The relay that this client's brewers use. Default `null`: no brewer uses this brew, it only subscribes. */
  readonly brewerConfig?: BrewerConfig | null | undefined;
  /** What a patron's registration says about this brew besides its name. Default `null`: nothing. */
  readonly patronConfig?: Readonly<Record<string, unknown>> | null | undefined;
  /** Whether patrons of a client get what its own brewers brew. Default `true`. */
  readonly loopback?: boolean | undefined;
  /** How many retries in a row a relay gets. Default: no limit. */
  readonly maxRetries?: number | undefined;
  /** The longest wait before a relay is tried again, in ms. Default 10,000. */
  readonly maxTimeout?: number | undefined;
  /** The WebSocket implementation. Default: the client's. */
  readonly WebSocket?: ListeningConstructor | undefined;
}

/** How many brew frames patrons were given, and how many brewers sent. */
export interface Metrics {
  /** Frames that its patrons were given. */
  readonly recv: number;
  /** Frames that its brewers sent. */
  readonly sent: number;
}

/** The part of a W3C WebSocket that takes several listeners. */
export interface Listening {
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number }) => void): void;
}

/** The constructor of a W3C WebSocket: besides what the SDK asks for, it has `addEventListener`. */
export type ListeningConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike & Listening;

/** Carries data through a WebSocket relay. Emits `error` when something goes wrong with that; without a listener, the client emits it. */
export class WebSocketBrew extends Emitter<{ error: [error: PubkeeperError] }> {
  /** What it is called in registrations. */
  readonly name: string;
  /** The relay that this client's brewers use; `null` for none. */
  readonly brewerConfig: BrewerConfig | null;
  /** What a patron's registration says about this brew besides its name. */
  readonly patronConfig: Readonly<Record<string, unknown>> | null;
  readonly #options: WebSocketBrewOptions;
  readonly #counts = { recv: 0, sent: 0 };

  /** @throws {PubkeeperError} `OPTION_INVALID` */
  constructor(given?: WebSocketBrewOptions | null) {
    super();
    const options = given ?? {};
    // There the SDK's own brew takes the relay. Ignored, brewers would be left without a brew, and nobody would be told.
    if ((options as Partial<BrewerConfig>).hostname) throw optionInvalid('WebSocketBrew takes brewerConfig: { hostname, port, secure }.');
    const { name = 'websocket', brewerConfig = null, patronConfig = null } = options;
    this.name = name;
    this.brewerConfig = brewerConfig;
    this.patronConfig = patronConfig;
    this.#options = options;
  }

  /** How many frames went through this brew so far. */
  metrics(): Metrics {
    return { ...this.#counts };
  }

  /** @internal Makes the brew of the SDK that does the work, for one client. */
  _attach(client: BrewClient): Attached {
    return new RelayBrew(this, this.#options, this.#counts, client);
  }
}

class RelayBrew extends CoreBrew implements Attached {
  override readonly name: string;
  readonly origin: WebSocketBrew;
  readonly #options: WebSocketBrewOptions;
  readonly #counts: { recv: number; sent: number };
  readonly #client: BrewClient;

  constructor(owner: WebSocketBrew, options: WebSocketBrewOptions, counts: { recv: number; sent: number }, client: BrewClient) {
    const { brewerConfig: at } = owner;
    // As in the old client: any truthy `secure` asks for `wss:`. And an incomplete address is an error, not the default one.
    super(at && { hostname: at.hostname, port: Number(portOf(at.port, at.secure)), secure: !!at.secure });
    this.name = owner.name;
    this.origin = owner;
    this.#options = options;
    this.#counts = counts;
    this.#client = client;
  }

  override attach(host: BrewHost): void {
    const { WebSocket = host.WebSocket } = this.#options;
    const own: Partial<BrewHost> = {
      reconnect: { ...host.reconnect, ...retriesOf(this.#options) },
      report: (error) => void (this.origin.emit('error', error) || host.report(error)),
      WebSocket: new Proxy(WebSocket, {
        construct: (Dialled, [url, protocols]: [string, string[]]) => {
          const socket = dial(Dialled, url, protocols);
          // After the link itself has heard of the event.
          microtask(() => socket.addEventListener('open', () => this.#client.look()));
          return socket;
        },
      }),
    };
    // Not a copy: `losses` and `heartbeatMs` of the host change.
    super.attach(Object.assign(Object.create(host) as BrewHost, own));
  }

  /** Without a brewer: where the relay is. */
  override brewerDetails(brewer?: { readonly brewerId: string }): BrewDetails | undefined {
    const { brewerConfig, name } = this.origin;
    if (brewer && !(brewerConfig && this.#isOffered('brewer' + brewer.brewerId))) return;
    return { ...brewerConfig, ...super.brewerDetails(), name };
  }

  override patronDetails(patron: { readonly patronId: string }): BrewDetails | undefined {
    const { patronConfig, name } = this.origin;
    return this.#isOffered('patron' + patron.patronId) ? { ...patronConfig, name } : undefined;
  }

  override startBrewer(pair: BrewerPair): () => void {
    const stop = super.startBrewer(pair);
    this.#client.look();
    return stop;
  }

  override renew(...told: Parameters<CoreBrew['renew']>): void {
    super.renew(...told);
    this.#client.look();
  }

  override startPatron(pair: PatronPair): () => void {
    const { loopback = true } = this.#options;
    return super.startPatron({
      ...pair,
      receive: (frame, retained) => {
        if (!loopback && this.#client.offers.has('brewer' + pair.brewerId)) return;
        this.#counts.recv++;
        pair.receive(frame, retained);
      },
    });
  }

  override brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const accepted = super.brew(brewerId, frame);
    this.#counts.sent++;
    return accepted;
  }

  ready(brewerId: string): boolean {
    const outlet = this.outlets.get(brewerId);
    return !outlet || outlet.link.takes(outlet);
  }

  #isOffered(key: string): boolean {
    return !!this.#client.offers.get(key)?.includes(this);
  }
}

/** @throws {PubkeeperError} `OPTION_INVALID`, which becomes the cause of a `CONNECT_BLOCKED` */
export function dial(WebSocket: WebSocketConstructor, url: string, protocols: string[]): WebSocketLike & Listening {
  const socket = new WebSocket(url, protocols) as WebSocketLike & Partial<Listening>;
  if (!socket.addEventListener) throw optionInvalid('The option WebSocket needs addEventListener.');
  return socket as WebSocketLike & Listening;
}
