import type { Brew, BrewerPair, BrewHost, PatronPair } from '../../src/core/brew.js';
import { failover } from '../../src/brews/internal/failover.js';
import { Brewer, type BrewerOptions } from '../../src/core/brewer.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { Patron } from '../../src/core/patron.js';
import { id, settle } from '../helpers.js';

/** A brew in memory that delivers only while `connected`. */
export class Wire {
  connected = true;
  readonly starts: BrewerPair[] = [];
  /** The pair gives this brew the frames that it missed. */
  readonly failover = failover;
  receive: PatronPair['receive'] | undefined;
  constructor(readonly name: string) {}
  startBrewer(pair: BrewerPair): () => void {
    this.starts.push(pair);
    for (const frame of pair.missed ?? []) void this.brew('', frame);
    return () => undefined;
  }
  reading = 0;
  startPatron({ receive }: PatronPair): () => void {
    this.receive = receive;
    this.reading++;
    return () => void this.reading--;
  }
  brew(_brewerId: string, frame: Uint8Array): void | Promise<void> {
    if (this.connected) this.receive?.(frame);
  }
}

/** A wire that knows its patrons, as brews over brokers do. Its patrons never confirm that they have got what they missed. */
export class ListingWire extends Wire {
  readonly #patrons = new Set<string>();
  override startBrewer(pair: BrewerPair): () => void {
    this.#patrons.add(pair.patronId);
    if (pair.missed) pair.accepting?.(new Promise(() => undefined));
    super.startBrewer(pair);
    return () => void this.#patrons.delete(pair.patronId);
  }
  override brew(brewerId: string, frame: Uint8Array): void | Promise<void> {
    if (this.#patrons.size) return super.brew(brewerId, frame);
  }
}

export function moving(options: BrewerOptions = {}, moves = true, one = new Wire('one')) {
  const two = new Wire('two');
  const wires = [one, two] as Partial<Brew>[] as Brew[];
  const brews = moves ? failover({} as BrewHost, wires, () => undefined) : wires;
  const lent = { brew: (name: string) => brews.find((brew) => brew.name === name), engine: nobleEngine };
  const brewer = new Brewer('a.b', options);
  const got: string[] = [];
  const patron = new Patron('a.*', (_data, message) => got.push(message.text()));
  const dropped: unknown[] = [];
  const gaps: number[] = [];
  patron.on('dropped', (drop) => dropped.push(drop));
  patron.on('gap', ({ missing }) => gaps.push(missing));
  brewer._lend(lent);
  patron._lend(lent);
  const info = { topic: 'a.b', brewer_id: brewer.brewerId, brewer_config: brewer.getConfig() };
  const over = (name: string): void => {
    patron.newBrewers([{ ...info, brew: { name } }]);
    brewer.newPatrons([{ topic: 'a.b', patron_id: id(1), brew: { name } }]);
  };
  const say = async (text: string): Promise<void> => {
    await brewer.brewText(text);
    await settle();
  };
  return { one, two, brewer, patron, got, dropped, gaps, over, say };
}
