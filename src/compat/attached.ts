import type { Brew } from '../core/index.js';
import { attachCustom, type CustomBrew } from './custom-brew.js';
import { WebSocketBrew } from './websocket-brew.js';

/** What the option `brews` takes: {@link WebSocketBrew} and brews of third parties. */
export type CompatBrew = WebSocketBrew | CustomBrew;

/** A brew of the old API in the form that the SDK works with. */
export interface Attached extends Brew {
  /** The brew that the application has given. */
  readonly origin: CompatBrew;
  /** Whether what this brewer brews is sent at once: the connection accepts it, or the brewer is not matched over this brew. */
  ready(brewerId: string): boolean;
}

/** What a client gives to its brews. */
export interface BrewClient {
  /** The brews that each patron and brewer offers, by `patron` or `brewer` and its id. */
  readonly offers: ReadonlyMap<string, readonly Attached[]>;
  /** To be called when a brew may have become ready. */
  look(): void;
}

/**
 * Makes a brew of the SDK from one of the old API. What has no name is passed on as it is, and the SDK refuses it: servers refuse the
 * registrations of such a brew, so that `connect()` would try forever.
 */
export const attach = (brew: CompatBrew | null, client: BrewClient): Attached =>
  typeof brew?.name !== 'string' ? (brew as unknown as Attached) : brew instanceof WebSocketBrew ? brew._attach(client) : attachCustom(brew, client);
