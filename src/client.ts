import { engine, lifecycle, webSocket } from '#platform';
import { WebSocketBrew } from './brews/websocket.js';
import { PubkeeperClient as CoreClient, type ClientOptions as CoreOptions, type WebSocketConstructor } from './core/index.js';

/** The options of a {@link PubkeeperClient}: as in the core, with what the platform provides as defaults. */
export interface ClientOptions extends Omit<CoreOptions, 'brews' | 'WebSocket' | 'prepare'> {
  /** Default: one {@link WebSocketBrew} through the relay of the control server's own host and port. */
  readonly brews?: CoreOptions['brews'] | undefined;
  /** Default: the browser's WebSocket, or `ws` in Node. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** What computes AES. Default: `node:crypto` in Node; elsewhere WebCrypto and plain JavaScript, by size. */
  readonly engine?: CoreOptions['engine'];
  /**
   * Calls `wake` when the network or the page comes back, `rest` when the page is put away; returns a function that stops this. Default:
   * by the events of the page or worker in browsers; none in Node.
   */
  readonly lifecycle?: CoreOptions['lifecycle'];
}

/** The client of `pubkeeper/core` with the platform's WebSocket, crypto and page lifecycle. */
export class PubkeeperClient extends CoreClient {
  /** @throws {PubkeeperError} `OPTION_INVALID`, `BREW_DUPLICATE` or `BREW_IN_USE` */
  constructor(options: ClientOptions) {
    super({
      ...options,
      engine: options?.engine ?? engine,
      lifecycle: options?.lifecycle ?? lifecycle,
      brews: options?.brews ?? [new WebSocketBrew()],
      ...webSocket(options?.WebSocket),
    });
  }
}
