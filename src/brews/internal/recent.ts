import { type Deferred, deferred } from '../../core/deferred.js';
import { bufferFull, PubkeeperError } from '../../core/errors.js';
import { after, cancel, type Timer } from '../../core/host.js';
import { both } from './small.js';

/** How long a patron may take from its match until it asks, in ms: it may have to connect first, which takes this long at most. */
const ON_ITS_WAY = 10_000;
const MAX_FRAMES = 512;
const MAX_BYTES = 1024 * 1024;
/** How much more may wait until the first patron has come, in bytes. */
const MAX_WAITING = 16 * 1024 * 1024;
/** How many patrons that ask, or that confirm an answer, are remembered; beyond that only those that are expected. */
const MAX_EARLY = 1024;

/**
 * How long a patron that asks before its match is known here gets no answer, in ms. Meanwhile it holds back live frames and asks
 * again, so that the answer that it gets once the match is known comes before those frames.
 */
const SOON = 900;
/** A patron that began to ask longer ago than this, in ms, has usually stopped: if too many ask, a new one takes its place. */
const GONE = 3000;

/** What a patron that has just arrived is given. */
export interface Answer {
  readonly frames: readonly Uint8Array[];
  /** Whether it is the last value from before the match, and not what was brewed since. */
  readonly retained: boolean;
}

/** Sends a patron an answer. `unasked`: the patron takes it even if it does not wait for an answer any more. */
export type Reply = (answer: Answer, unasked: boolean) => void | Promise<void>;

interface Expected {
  /** The number of the first frame that the patron should get. */
  readonly from: number;
  /** What it may have missed over another brew. */
  readonly missed: readonly Uint8Array[];
  timer: Timer | undefined;
}

/** A frame that is not sent yet, because there is no room to keep it for the patrons that are expected. */
interface Waiting {
  readonly frame: Uint8Array;
  readonly send: () => void | Promise<void>;
  readonly sent: Deferred;
}

/**
 * The brewer's side of a patron's arrival. The server tells both ends of a match at about the same time, so the brewer may
 * publish before the patron listens. So this keeps the frames brewed from the match on, or from a lost connection on, until the patron has
 * asked for them and has confirmed the answer: at most 512 frames, 1 MiB, and for 10 s from when the patron can be heard. It also keeps the
 * last value for later patrons. While no patron has arrived, further frames wait here unsent. Once one has, a slower patron may miss the oldest frames.
 */
export class Recent {
  readonly #keepLast: boolean;
  readonly #report: ((error: PubkeeperError) => void) | undefined;
  readonly #expected = new Map<string, Expected>();
  readonly #present = new Set<string>();
  /** Patrons that have asked before their match was known, and when each first did. */
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
   * @param report told (`BREW_FAILED`) when a patron has not come in time for the frames that were kept for it; for brews whose
   * patrons say who they are
   */
  constructor(keepLast: boolean, report?: (error: PubkeeperError) => void) {
    this.#keepLast = keepLast;
    this.#report = report;
  }

  /**
   * Tells whether patrons that ask can be heard. The 10 s for which frames are kept begin only when they can. Patrons that have arrived will
   * ask again if the broker has lost them, too, and may be back later than this end: what is brewed until then is kept for them.
   */
  hear(can: boolean): void {
    this.#hears = can;
    if (!can) for (const patronId of this.#present) if (!this.#expected.has(patronId)) this.#keepFor(patronId);
    for (const [patronId, expected] of this.#expected) {
      cancel(expected.timer);
      expected.timer = this.#limit(patronId);
    }
  }

  /** Whether a matched patron has not arrived yet. */
  get isExpecting(): boolean {
    return this.#expected.size > 0;
  }

  /**
   * A patron was matched, and will ask. Returns what to wait for until the patron has what it may have missed. If the patron asked or
   * arrived before this end was told of the match, it may not ask again: `reply` sends it the answer, kept here until it is confirmed.
   * @param reply sends an answer to the patron, as the answer to its earlier question or unasked
   */
  expect(patronId: string, missed: readonly Uint8Array[] = [], reply?: Reply): void | Promise<void> {
    const isOwed = this.#early.delete(patronId);
    const isKnown = this.#present.has(patronId);
    if (isKnown && !missed.length) return;
    this.#forget(patronId);
    this.#keepFor(patronId, missed);
    const accepted = missed.length && !isKnown ? this.#wait() : undefined;
    if (!isKnown && !isOwed) return accepted;
    return both(reply?.(this.#answer(patronId), missed.length > 0), accepted);
  }

  #keepFor(patronId: string, missed: readonly Uint8Array[] = []): void {
    this.#expected.set(patronId, { from: this.#first + this.#frames.length, missed, timer: this.#limit(patronId) });
  }

  /** Whether a patron that asks before its match is known may wait for that: not if it was here before, nor for long, nor if too many wait. */
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
   * What to give to a patron that asks. It listens by then, so that what is brewed from now on reaches it. Undefined while its match is
   * not known yet: the patron is answered when the match becomes known, or when it still asks after a while.
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

  /** Gives a reader that does not say who it is the answer for the patron that has been expected longest, which then counts as arrived. */
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
   * Sends a frame by `send`. While patrons are expected and none has arrived, returns a promise: until one has, or 10 s are over.
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

  /**
   * A patron has not come in time. Reported once, and not by rejecting the promise of each frame: it is one fault, however much was brewed. One
   * that had arrived, and that nothing is known to be missing, has most probably been there all the time.
   */
  #late(patronId: string): void {
    const { frames, retained } = this.#answer(patronId);
    const count = (retained ? 0 : frames.length) + this.#waiting.length;
    const isHere = this.#present.has(patronId) && !this.#expected.get(patronId)!.missed.length;
    if (count && !isHere) this.#report?.(late(patronId, count));
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

  /** Sends the frames that wait: there is no patron to wait for any more. */
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
