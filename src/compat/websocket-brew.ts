import { relayUrl, WebSocketBrew as CoreBrew } from '../brews/websocket.js';
import type { BrewDetails, PubkeeperError, WebSocketConstructor, WebSocketLike } from '../core/index.js';
import type { Attached, BrewClient } from './attached.js';
import { Emitter } from './emitter.js';

/** Where the relay is. */
export interface BrewerConfig {
  readonly hostname: string;
  readonly port: number;
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
  /** How often a relay is tried again in a row. Default: for ever. */
  readonly maxRetries?: number | undefined;
  /** The longest wait before a relay is tried again, in ms. Default 10,000. */
  readonly maxTimeout?: number | undefined;
  /** The WebSocket implementation. Default: the client's. */
  readonly WebSocket?: WebSocketConstructor | undefined;
}

/** How many frames were received from relays, and sent to them. */
export interface Metrics {
  readonly recv: number;
  readonly sent: number;
}

/** A WebSocket's own way to tell several listeners. */
export interface Listening {
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number }) => void): void;
}

/** Data through a WebSocket relay. `error`: what goes wrong with it; without a listener it is one of the client's. */
export class WebSocketBrew extends Emitter<{ error: [error: PubkeeperError] }> {
  readonly name: string;
  readonly brewerConfig: BrewerConfig | null;
  readonly patronConfig: Readonly<Record<string, unknown>> | null;
  readonly #options: WebSocketBrewOptions;
  #recv = 0;
  #sent = 0;

  constructor(options: WebSocketBrewOptions = {}) {
    super();
    const { name = 'websocket', brewerConfig = null, patronConfig = null } = options;
    this.name = name;
    this.brewerConfig = brewerConfig;
    this.patronConfig = patronConfig;
    this.#options = options;
  }

  /** What went through it so far. */
  metrics(): Metrics {
    return { recv: this.#recv, sent: this.#sent };
  }

  /** @internal Makes the brew of the SDK that does the work, for one client. */
  _attach({ offers, waiting }: BrewClient): Attached {
    const { name, brewerConfig, patronConfig } = this;
    const { loopback = true, maxRetries = Infinity, maxTimeout = 10_000, WebSocket } = this.#options;
    const { hostname, port, secure = false } = brewerConfig ?? {};
    const inner = new CoreBrew(hostname === undefined || port === undefined ? {} : { hostname, port, secure });
    const relays = new Map<string, WebSocketLike>();
    let pairs = 0;
    const offered = (key: string): boolean => !!offers.get(key)?.includes(name);
    const details = (): BrewDetails => ({ ...inner.brewerDetails(), ...brewerConfig, name });
    return {
      name,
      attach: (host) =>
        inner.attach({
          ...host,
          reconnect: { ...host.reconnect, maxRetries, maxDelayMs: maxTimeout },
          report: (error) => void (this.emit('error', error) || host.report(error)),
          WebSocket: new Proxy(WebSocket ?? host.WebSocket, {
            construct(Dialled, [url, protocols]: [string, string[]]) {
              const socket = new Dialled(url, protocols) as WebSocketLike & Listening;
              socket.addEventListener('open', () => {
                relays.set(url, socket);
                waiting.forEach((look) => look());
              });
              return socket;
            },
          }),
        }),
      brewerDetails: ({ brewerId }) => (brewerConfig && offered('brewer' + brewerId) ? details() : undefined),
      patronDetails: ({ patronId }) => (offered('patron' + patronId) ? { ...patronConfig, name } : undefined),
      startBrewer(pair) {
        const stop = inner.startBrewer(pair);
        pairs++;
        return () => {
          pairs--;
          stop();
        };
      },
      startPatron: (pair) =>
        inner.startPatron({
          ...pair,
          receive: (frame, retained) => {
            if (!loopback && offers.has('brewer' + pair.brewerId)) return;
            this.#recv++;
            pair.receive(frame, retained);
          },
        }),
      brew: (brewerId, frame) => {
        const accepted = inner.brew(brewerId, frame);
        this.#sent++;
        return accepted;
      },
      ready: () => !pairs || relays.get(relayUrl(details()))?.readyState === 1,
      wake: () => inner.wake(),
      close: () => inner.close(),
    };
  }
}
