import { noBrew } from '../core/client-options.js';
import { optionInvalid } from '../core/errors.js';
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
 * Makes a brew of the SDK from one of the old API. Servers refuse the registrations of one without a name, so that `connect()` would try forever.
 * One of the SDK would be taken for a custom brew that connects nobody: nothing would ever be matched, and nobody told why.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function attach(brew: CompatBrew | null, client: BrewClient): Attached {
  if (typeof brew?.name !== 'string') throw noBrew();
  if (brew instanceof WebSocketBrew) return brew._attach(client);
  if (brew.startPatron) throw optionInvalid('brews must be brews of pubkeeper/compat.');
  return attachCustom(brew, client);
}
