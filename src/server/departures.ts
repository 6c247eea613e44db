import type { Packet } from '../core/packet.js';
import { unregister } from './cluster/record-packets.js';

/** How many pairs end in one turn of the event loop, which takes some 10 ms. A single registration is not divided. */
const PAIRS_A_TURN = 2000;

interface Registrations {
  readonly brewers: Iterable<Registration>;
  readonly patrons: Iterable<Registration>;
  readonly pairs: number;
}

interface Registration {
  readonly id: string;
  readonly matches: { readonly size: number };
}

/** What departures need of the control server. */
export interface DeparturesOptions<C> {
  /** What a client has registered, and in how many pairs that is; undefined when it is gone. */
  registrations(client: C): Registrations | undefined;
  /** Takes a packet as if the client had sent it. */
  receive(client: C, packet: Packet): void;
  /** Removes a client with everything that is left of it. */
  gone(client: C): void;
}

/**
 * Removes clients whose connections have ended. A client may have millions of pairs, which take seconds to end: so a client with many is
 * unregistered in steps, each in a turn of the event loop of its own, and the server serves others meanwhile.
 */
export class Departures<C> {
  readonly #options: DeparturesOptions<C>;
  readonly #leaving = new Set<C>();

  constructor(options: DeparturesOptions<C>) {
    this.#options = options;
  }

  /** Begins to remove a client: one with few pairs is gone at once. May be called twice. */
  begin(client: C): void {
    if (this.#leaving.has(client)) return;
    this.#leaving.add(client);
    this.#step(client);
  }

  /** Removes all clients that are being removed, now. */
  finish(): void {
    for (const client of this.#leaving) while (!this.#leave(client)) continue;
  }

  #step(client: C): void {
    if (this.#leaving.has(client) && !this.#leave(client)) setImmediate(() => this.#step(client));
  }

  /** Ends some of a client's registrations; returns whether it is gone. */
  #leave(client: C): boolean {
    const { registrations, receive, gone } = this.#options;
    const left = registrations(client);
    let ended = 0;
    for (const kind of ['brewer', 'patron'] as const) {
      for (const { id, matches } of left?.[`${kind}s`] ?? []) {
        if (ended + left!.pairs <= PAIRS_A_TURN) break;
        if (ended && ended + matches.size > PAIRS_A_TURN) return false;
        ended += matches.size;
        receive(client, unregister(kind, id));
      }
    }
    this.#leaving.delete(client);
    gone(client);
    return true;
  }
}
