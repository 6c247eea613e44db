import type { Brew } from '../core/index.js';
import type { CustomBrew } from './custom-brew.js';
import type { WebSocketBrew } from './websocket-brew.js';

/** What the option `brews` takes: {@link WebSocketBrew} and brews of third parties. */
export type CompatBrew = WebSocketBrew | CustomBrew;

/** A brew of the old API as the SDK works with it. */
export interface Attached extends Brew {
  /** What the application has given. */
  readonly origin: CompatBrew;
  /** Whether what this brewer brews leaves at once: the connection takes it, or the brewer is not matched over this brew. */
  ready(brewerId: string): boolean;
}

/** What a client lends its brews. */
export interface BrewClient {
  /** The brews that each patron and brewer offers, by `patron` or `brewer` and its id. */
  readonly offers: ReadonlyMap<string, readonly Attached[]>;
  /** To be called when a brew may have become ready. */
  look(): void;
}
