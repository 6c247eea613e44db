import { DownBrews } from './down-brews.js';
import type { RegisteredBrewer, RegisteredPatron, Rights } from './match.js';
import type { Party } from './pairs.js';
import type { Places } from './places.js';

/** What the matchmaker knows of a client. */
export interface Client<C> extends Party<C> {
  readonly brewers: Set<RegisteredBrewer<C>>;
  readonly patrons: Set<RegisteredPatron<C>>;
  /** Whether it understands moves: a notification of a pair that it already has means that the pair has moved to another brew. */
  moves: boolean;
  /** The length of all its registrations together, in bytes. */
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

/** What a client has registered: how many patrons and brewers, their length together in bytes, and how many pairs they make. */
export interface Usage {
  readonly count: number;
  readonly bytes: number;
  readonly pairs: number;
}

/** Records the present length of a registration of a client, in bytes. */
export function resize<C>(known: Client<C>, registration: { bytes: number }, bytes: number): void {
  known.bytes += bytes - registration.bytes;
  registration.bytes = bytes;
}
