import { after, cancel, type Timer } from './host.js';

/** Why a patron did not deliver a frame or a message. */
export type DropReason =
  /** of a brewer that the patron is not matched with (any more) */
  | 'unknown-brewer'
  /** not a brew frame: too short, another version, or a length that lies */
  | 'malformed'
  /** a frame with another topic or another brewer's id in its header */
  | 'wrong-sender'
  /** encrypted, and `crypto` is false; or plaintext, and `crypto` is `'required'` */
  | 'not-accepted'
  /** encrypted with less than the patron's `minCipher`, or not at all where that was set */
  | 'too-weak'
  /** it cannot be opened with the key that its brewer announced */
  | 'undecryptable'
  /** a sealed message that was delivered before, or is too old to tell; a last value that is older than what was delivered */
  | 'replayed'
  /** messages came faster than they were read: a `for await` loop or decryption lags behind by more than its bound */
  | 'overflow'
  /** it was still being decrypted when the patron was reset */
  | 'reset';

/** Drops of one reason in one burst. */
export interface Drop {
  /** Why. */
  readonly reason: DropReason;
  /**
   * How many, since the last report of this reason: frames, or messages where they had been opened already (`replayed`, an `overflow` of
   * a `for await` loop, the rest of a bundle).
   */
  readonly count: number;
  /** The brewer that the last of them claimed to come from; undefined if that was not a valid id, and for a `for await` loop. */
  readonly brewerId: string | undefined;
}

/** Drops are gathered for this long before they are reported, in ms: a flood of garbage must not become a flood of events. */
const BURST = 250;

/** Counts drops by reason, and reports each reason once a burst. */
export class Drops {
  readonly #report: (drop: Drop) => void;
  readonly #pending = new Map<DropReason, Drop>();
  #timer: Timer | undefined;
  /** All drops so far, by reason. */
  readonly counts: Partial<Record<DropReason, number>> = {};

  constructor(report: (drop: Drop) => void) {
    this.#report = report;
  }

  add(reason: DropReason, brewerId: string | undefined, count = 1): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + count;
    count += this.#pending.get(reason)?.count ?? 0;
    this.#pending.set(reason, { reason, count, brewerId });
    this.#timer ??= after(BURST, () => this.flush());
  }

  /** Reports pending drops now. */
  flush(): void {
    cancel(this.#timer);
    this.#timer = undefined;
    const drops = [...this.#pending.values()];
    this.#pending.clear();
    for (const drop of drops) this.#report(drop);
  }
}
