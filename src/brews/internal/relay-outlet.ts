import type { Deferred } from '../../core/deferred.js';
import type { RelayLink } from './relay-link.js';

/** A brewer that publishes through a link. */
export interface Outlet {
  /** Where its pairs are; while they move to another relay, the one of those that have moved. */
  link: RelayLink;
  readonly hash: Uint8Array;
  pairs: number;
  /** How often control had been lost when the server told of its pairs last. */
  toldAfter: number;
}

/** What a brewer has brewed, and what settles the promise that was given for it. */
export interface Queued extends Deferred {
  readonly outlet: Outlet;
  readonly packet: Uint8Array<ArrayBuffer>;
}
