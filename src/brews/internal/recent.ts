import { type Deferred, deferred } from '../../core/deferred.js';
import { bufferFull, PubkeeperError } from '../../core/errors.js';
import { after, cancel, type Timer } from '../../core/host.js';
import { both } from './small.js';

/** How long a patron may take from being matched until it asks, in ms: it may have to dial first, for so long at most. */
const ON_ITS_WAY = 10_000;
const MAX_FRAMES = 512;
const MAX_BYTES = 1024 * 1024;
/** How much more may wait until the first patron has come, in bytes. */
const MAX_WAITING = 16 * 1024 * 1024;
/** So many are remembered that ask or say they have come; further ones only if they are expected. */
const MAX_EARLY = 1024;

/**
 * So long a patron that asks before its match is known here is left without an answer, in ms: it holds back what comes, and asks
 * again, so that what it gets once the match is known comes before what it holds.
 */
const SOON = 900;
/** Who began to ask longer ago than this, in ms, has stopped by now, as a rule: where too many ask, the others have its place. */
const GONE = 3000;

/** What a patron is given that has just arrived. */
export interface Answer {
  readonly frames: readonly Uint8Array[];
  /** Whether it is the last value from before the match, and not what was brewed since. */
  readonly retained: boolean;
}

/** Sends a patron what it is to get. `unasked`: it is to take it also if it does not wait for an answer any more. */
export type Reply = (answer: Answer, unasked: boolean) => void | Promise<void>;

interface Expected {
  /** Number of the first frame that it should get. */
  readonly from: number;
  /** What it may have missed over another brew. */
  readonly missed: readonly Uint8Array[];
  timer: Timer | undefined;
}

/** A frame that is not sent yet: there is no room to keep it for those who are on their way. */
interface Waiting {
  readonly frame: Uint8Array;
  readonly send: () => void | Promise<void>;
  readonly sent: Deferred;
}

/**
 * The brewer's side of a patron's arrival. The server tells both ends of a match at about the same time, so the brewer may
 * publish before the patron listens: this keeps what is brewed from the match on until the patron has asked for it
 * (512 frames, 1 MiB, 10 s at most from when it can be heard) and has said that it has got it, and the last value for those who come later.
 * While nobody has come, what is brewed beyond that waits here. Beside somebody who has, a patron that is slow to come may miss the oldest of it.
 */
export class Recent {
  readonly #keepLast: boolean;
  readonly #report: ((error: PubkeeperError) => void) | undefined;
  readonly #expected = new Map<string, Expected>();
  readonly #present = new Set<string>();
  /** Who has asked before its match was known, and when first. */
  readonly #early = new Map<string, number>();
  #last: Uint8Array | undefined;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  /** The number of the first frame in `#frames`. */
  #first = 0;
  #somebody: Deferred | undefined;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #hears = true;

  /**
   * @param keepLast whether a last value is kept here; false where the broker does it
   * @param report told (`BREW_FAILED`) of a patron that did not come in time for what was kept for it; for brews that know
   * who comes
   */
  constructor(keepLast: boolean, report?: (error: PubkeeperError) => void) {
    this.#keepLast = keepLast;
    this.#report = report;
  }

  /** Whether a patron that asks can be heard. What is kept for it is kept for 10 s from then on, however long that takes. */
  hear(can: boolean): void {
    this.#hears = can;
    for (const [patronId, expected] of this.#expected) {
      cancel(expected.timer);
      expected.timer = this.#limit(patronId);
    }
  }

  /** Whether somebody was matched who has not come yet. */
  get isExpecting(): boolean {
    return this.#expected.size > 0;
  }

  /**
   * A patron was matched, and will ask. Returns what to wait for until it has what it may have missed. One that has asked, or
   * come, before this end was told of the match may not ask again: `reply` gives it that, which is kept here until it says that it has it.
   * @param reply sends it to the patron, as what it had asked for or unasked
   */
  expect(patronId: string, missed: readonly Uint8Array[] = [], reply?: Reply): void | Promise<void> {
    const isOwed = this.#early.delete(patronId);
    const isKnown = this.#present.has(patronId);
    if (isKnown && !missed.length) return;
    this.#forget(patronId);
    this.#expected.set(patronId, { from: this.#first + this.#frames.length, missed, timer: this.#limit(patronId) });
    const accepted = missed.length && !isKnown ? this.#wait() : undefined;
    if (!isKnown && !isOwed) return accepted;
    return both(reply?.(this.#answer(patronId), missed.length > 0), accepted);
  }

  /** Whether one that asks before its match is known can be let wait: not one that was here before, nor for long, nor too many. */
  #canWait(patronId: string): boolean {
    if (this.#present.has(patronId)) return false;
    const now = performance.now();
    const since = this.#early.get(patronId);
    if (since !== undefined) return now - since < SOON;
    for (const [id, at] of this.#early) {
      if (this.#early.size < MAX_EARLY || now - at < GONE) break;
      this.#early.delete(id);
    }
    if (this.#early.size >= MAX_EARLY) return false;
    this.#early.set(patronId, now);
    return true;
  }

  /**
   * What to give a patron that asks. It listens by then: what is brewed from now on reaches it. Undefined where its match is not
   * known yet: it is answered when it is, or when it asks again after a while.
   */
  asked(patronId: string, isMatched: boolean): Answer | undefined {
    if (!isMatched && this.#canWait(patronId)) return undefined;
    this.#early.delete(patronId);
    if (!this.#expected.has(patronId)) this.#come(patronId);
    return this.#answer(patronId);
  }

  #answer(patronId: string): Answer {
    const expected = this.#expected.get(patronId);
    const frames = expected ? [...expected.missed, ...this.#frames.slice(Math.max(0, expected.from - this.#first))] : [];
    if (frames.length || !this.#last) return { frames, retained: false };
    return { frames: [this.#last], retained: true };
  }

  /** The patron has got the answer. */
  arrived(patronId: string): void {
    this.#come(patronId);
    this.#forget(patronId);
  }

  #come(patronId: string): void {
    if (this.#expected.has(patronId) || this.#present.size < MAX_EARLY) this.#present.add(patronId);
  }

  /** Gives somebody who does not say who it is what is for the one that is expected longest, who has arrived then. */
  somebody(give: (answer: Answer) => void): void {
    const id = this.#expected.keys().next().value ?? '';
    give(this.#answer(id));
    if (id) this.arrived(id);
  }

  /** The match ended. */
  left(patronId: string): void {
    this.#present.delete(patronId);
    this.#early.delete(patronId);
    this.#forget(patronId);
  }

  /**
   * A frame leaves, by `send`. Returns a promise while nobody who is expected has come yet: until one has, or 10 s are over.
   * @throws {PubkeeperError} `BUFFER_FULL`, and what `send` throws
   */
  add(frame: Uint8Array, send: () => void | Promise<void>): void | Promise<void> {
    const isFull = this.#frames.length >= MAX_FRAMES || (this.#bytes + frame.length > MAX_BYTES && this.#frames.length > 0);
    if (!this.#expected.size || this.#present.size || !(isFull || this.#waiting.length)) return this.#pass(frame, send);
    if (this.#waitingBytes > 0 && this.#waitingBytes + frame.length > MAX_WAITING) throw bufferFull('a patron that is on its way', { limit: MAX_WAITING });
    const sent = deferred();
    this.#waiting.push({ frame, send, sent });
    this.#waitingBytes += frame.length;
    return sent.promise;
  }

  #pass(frame: Uint8Array, send: () => void | Promise<void>): void | Promise<void> {
    const sent = send();
    if (this.#keepLast) this.#last = frame;
    if (!this.#expected.size) return sent;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    while (this.#frames.length > MAX_FRAMES || (this.#bytes > MAX_BYTES && this.#frames.length > 1)) {
      this.#bytes -= this.#frames.shift()!.length;
      this.#first++;
    }
    return this.#present.size ? sent : both(sent, this.#wait());
  }

  clear(): void {
    for (const id of this.#expected.keys()) this.#forget(id);
    this.#present.clear();
    this.#early.clear();
    this.#last = undefined;
  }

  #wait(): Promise<void> {
    return (this.#somebody ??= deferred()).promise;
  }

  #limit(patronId: string): Timer | undefined {
    return this.#hears ? after(ON_ITS_WAY, () => this.#late(patronId)) : undefined;
  }

  /** Those who wait are not told by a rejection each: it is one fault, however much was brewed. */
  #late(patronId: string): void {
    const { frames, retained } = this.#answer(patronId);
    const count = (retained ? 0 : frames.length) + this.#waiting.length;
    if (count) this.#report?.(late(patronId, count));
    this.#forget(patronId);
  }

  #forget(patronId: string): void {
    const expected = this.#expected.get(patronId);
    cancel(expected?.timer);
    this.#expected.delete(patronId);
    if (!this.#expected.size) {
      this.#first += this.#frames.length;
      this.#frames = [];
      this.#bytes = 0;
    }
    if (!this.#expected.size || this.#present.size) {
      this.#somebody?.resolve();
      this.#somebody = undefined;
      this.#flow();
    }
  }

  /** Nobody has to be waited for any more. */
  #flow(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { frame, send, sent } of waiting) {
      try {
        sent.resolve(this.#pass(frame, send) ?? undefined);
      } catch (error) {
        sent.reject(error);
      }
    }
  }
}

const late = (patronId: string, frames: number): PubkeeperError =>
  new PubkeeperError(
    'BREW_FAILED',
    `A patron that was matched has not come within ${ON_ITS_WAY / 1000} s and misses what was brewed since: check that it reaches this brew.`,
    { patronId, frames },
  );
