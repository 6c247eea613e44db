import type { Deferred } from '../../core/deferred.js';
import type { RelayLink } from './relay-link.js';

/** A brewer that publishes through a link. */
export interface Outlet {
  /** The link that its pairs use; while they move to another relay, the link of those that have moved. */
  link: RelayLink;
  readonly hash: Uint8Array;
  pairs: number;
  /** How often control had been lost when the server last announced a pair of this brewer. */
  toldAfter: number;
}

/** A packet that a brewer has published and that waits, with the promise that was returned for it. */
export interface Queued extends Deferred {
  readonly outlet: Outlet;
  readonly packet: Uint8Array<ArrayBuffer>;
}
