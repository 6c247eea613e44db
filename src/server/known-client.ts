import { DownBrews } from './down-brews.js';
import type { RegisteredBrewer, RegisteredPatron, Rights } from './match.js';
import type { Party } from './pairs.js';
import type { Places } from './places.js';

/** What the matchmaker knows of a client. */
export interface Client<C> extends Party<C> {
  readonly brewers: Set<RegisteredBrewer<C>>;
  readonly patrons: Set<RegisteredPatron<C>>;
  /** Whether it takes a notification of a pair that it has as the word that the pair has moved to another brew. */
  moves: boolean;
  /** The lengths of all its registrations. */
  bytes: number;
}

export const newClient = <C>(rights: Rights, places: Places<C>): Client<C> => ({
  rights,
  brewers: new Set(),
  patrons: new Set(),
  places,
  moves: false,
  bytes: 0,
  pairs: 0,
  down: new DownBrews(),
});

/** What a client has registered: how many patrons and brewers, how long all of it is, and in how many pairs it is. */
export interface Usage {
  readonly count: number;
  readonly bytes: number;
  readonly pairs: number;
}

/** Notes how long a registration of a client is now. */
export function resize<C>(known: Client<C>, registration: { bytes: number }, bytes: number): void {
  known.bytes += bytes - registration.bytes;
  registration.bytes = bytes;
}
