// The example of docs/brews.md, word for word except for the path of the import (house.test.ts checks that).
import { PubkeeperError, type Brew, type BrewHost, type BrewerPair, type PatronPair } from '../../src/index.js';

export class HouseBrew implements Brew {
  readonly name = 'house';                       // both ends are matched by it
  #host: BrewHost | undefined;
  readonly #pairs = new Map<string, Set<object>>();
  readonly #stops = new Set<() => void>();

  constructor(readonly house: { send(address: string, bytes: Uint8Array): void; on(address: string, run: (bytes: Uint8Array) => void): () => void }) {}

  attach(host: BrewHost) {
    if (this.#host) throw new PubkeeperError('BREW_IN_USE', 'Make one HouseBrew for each client.');
    this.#host = host;                           // host.report(error), host.state(name, up), host.reconnect, …
  }

  brewerDetails() { return { name: this.name }; }  // what patrons are told: where to find it
  patronDetails() { return { name: this.name }; }

  startBrewer({ brewerId, patronId }: BrewerPair) {
    const pair = { patronId };
    const pairs = this.#pairs.get(brewerId) ?? new Set();
    this.#pairs.set(brewerId, pairs.add(pair));
    return () => void pairs.delete(pair);        // may be called twice, and after close(), when others have begun
  }

  startPatron({ brewerId, receive }: PatronPair) {
    const stop = this.house.on(brewerId, (frame) => receive(frame));   // in order; never throws
    this.#stops.add(stop);
    return () => {
      if (this.#stops.delete(stop)) stop();
    };
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>) {
    if (this.#pairs.get(brewerId)?.size) this.house.send(brewerId, frame);
  }

  close() {                                      // everything; it may be started again
    this.#pairs.clear();
    for (const stop of this.#stops) stop();
    this.#stops.clear();
  }
}
