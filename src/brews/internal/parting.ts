import { within } from '../../core/attempt.js';
import { microtask } from '../../core/host.js';
import { readSeal } from '../../core/frame.js';
import type { BrewScope } from '../../core/brew.js';
import { Heard } from './heard.js';
import { Sent } from './sent.js';
import { both, sameBytes } from './small.js';

const MAX_PAST = 1024;

/** What the brews of a client have to know of each other when a pair moves from one to another. */
export class Parting {
  /** The last frame of each brewer that has pairs, over whichever brew it went. */
  readonly newest = new Map<string, Uint8Array<ArrayBuffer>>();
  /** The brew of each pair that has one. The two ends of a pair have separate keys, since both may be in this client. */
  readonly #current = new Map<string, string>();
  /** The brew that a pair has just left: a pair that moves begins on its next brew within the same tick. */
  readonly #former = new Map<string, string>();
  readonly #whenLeft = new Map<string, () => void>();
  /** The brewer of each pair whose brewer's end is here. */
  readonly #brewers = new Map<string, string>();
  /** How many frames had been sent when each of these pairs began: those are not among what its patron has missed. */
  readonly #since = new Map<string, { readonly sent: Sent | undefined; readonly count: number }>();
  /** How many pairs each brewer has, over all brews. */
  readonly #pairs = new Map<string, number>();
  readonly #sent = new Map<string, { readonly epoch: Uint8Array; readonly frames: Sent; last: Uint8Array }>();
  /** What the patron has heard, for each pair whose patron's end is here. */
  readonly #heard = new Map<string, Heard>();
  /** The same for pairs that have ended, oldest first. */
  readonly #past = new Map<string, Heard>();
  readonly #accepting = new Map<string, Promise<void>>();
  readonly #ended: (pair: Required<BrewScope>) => void;

  /** @param ended told of each pair that has ended at its patron's end */
  constructor(ended: (pair: Required<BrewScope>) => void) {
    this.#ended = ended;
  }

  /**
   * A pair begins over a brew. Returns the other brew from which it has moved here, if it has.
   * @param brewerId given for the brewer's end of a pair only
   */
  begin(key: string, brew: string, brewerId?: string): string | undefined {
    const former = this.#former.get(key);
    this.#former.delete(key);
    if (brewerId && former === undefined) {
      this.#brewers.set(key, brewerId);
      const sent = this.#sent.get(brewerId)?.frames;
      this.#since.set(key, { sent, count: sent?.count ?? 0 });
      this.#pairs.set(brewerId, (this.#pairs.get(brewerId) ?? 0) + 1);
    }
    this.#current.set(key, brew);
    return former === brew ? undefined : former;
  }

  /** @param done told at the end of the tick whether the pair goes on, over another brew or again over this one */
  end(key: string, brew: string, done: (hasMoved: boolean) => void): void {
    this.#current.delete(key);
    this.#former.set(key, brew);
    microtask(() => {
      const hasMoved = this.#current.has(key);
      this.#former.delete(key);
      if (!hasMoved) this.#left(key);
      done(hasMoved);
    });
  }

  /** Calls `run` when the pair has ended for good. */
  whenLeft(key: string, run: () => void): void {
    this.#whenLeft.set(key, run);
  }

  /** A frame is sent. Keeps only what patrons can recognise when it comes again: sealed frames of the current session. */
  add(brewerId: string, frame: Uint8Array<ArrayBuffer>): void {
    let sent = this.#sent.get(brewerId);
    // A brewer with pairs over several brews gives each of them the same frame.
    if (sent?.last === frame) return;
    const epoch = readSeal(frame)?.epoch;
    if (!epoch) return;
    if (!sent || !sameBytes(sent.epoch, epoch)) this.#sent.set(brewerId, (sent = { epoch: epoch.slice(), frames: new Sent(), last: frame }));
    sent.last = frame;
    sent.frames.add(frame);
  }

  /**
   * The record of what a pair's patron has heard. A pair that ended not long ago, for example when control was lost, gets its old one.
   * @param isRelay whether the pair begins over a relay
   */
  heard(key: string, isRelay: boolean): Heard {
    const heard = this.#heard.get(key) ?? this.#past.get(key) ?? new Heard(isRelay);
    this.#past.delete(key);
    this.#heard.set(key, heard);
    return heard;
  }

  /** The last frames that were sent since this pair began, or, without a `key`, since the brewer's oldest pair began. */
  missed(brewerId: string, key?: string): readonly Uint8Array<ArrayBuffer>[] | undefined {
    const sent = this.#sent.get(brewerId)?.frames;
    const pairs = key ? [key] : [...this.#brewers].filter(([, id]) => id === brewerId).map(([other]) => other);
    const counts = pairs.map((pair) => this.#since.get(pair)).map((since) => (since?.sent === sent ? since!.count : 0));
    return sent?.since(Math.min(...counts));
  }

  /** What a brewer's frames wait for besides their own acceptance: that of the frames that were sent again. */
  accepting(brewerId: string): Promise<void> | undefined {
    return this.#accepting.get(brewerId);
  }

  accept(brewerId: string, accepted: Promise<void>): void {
    const all = Promise.resolve(both(this.#accepting.get(brewerId), accepted.catch(() => undefined))).then(() => {
      if (this.#accepting.get(brewerId) === all) this.#accepting.delete(brewerId);
    });
    this.#accepting.set(brewerId, all);
  }

  #left(key: string): void {
    const heard = this.#heard.get(key);
    if (heard) {
      const [, brewerId, patronId] = key.split(' ');
      this.#ended({ brewerId: brewerId!, patronId: patronId! });
      heard.end();
      this.#heard.delete(key);
      this.#past.set(key, heard);
      if (this.#past.size > MAX_PAST) this.#past.delete(this.#past.keys().next().value!);
    }
    this.#whenLeft.get(key)?.();
    this.#whenLeft.delete(key);
    const brewerId = this.#brewers.get(key);
    if (!brewerId) return;
    this.#brewers.delete(key);
    this.#since.delete(key);
    const pairs = this.#pairs.get(brewerId)! - 1;
    if (pairs) return void this.#pairs.set(brewerId, pairs);
    // The brewer's next pair may belong to another session, whose patrons do not know these frames.
    this.#pairs.delete(brewerId);
    this.#sent.delete(brewerId);
    this.newest.delete(brewerId);
  }

  /** Resolves when all frames that were sent again are accepted, or after `ms` milliseconds. */
  async allAccepted(ms: number): Promise<void> {
    await within(ms, Promise.all(this.#accepting.values()), () => undefined);
  }
}
