import { isFrame, readSeal } from '../../core/frame.js';
import { sameBytes } from './small.js';

/** A brewer sends no more than this many frames again. */
const KEPT = 512;
const TAG = 16;
/** How many messages behind the newest one a patron still accepts (design, "Sealed mode"). */
const WINDOW = 1024;
/** A kept frame that is shorter than this, in bytes, is copied. */
const SHORT = 4096;

/**
 * The last sealed frames that a patron got from a brewer. After a move the patron is sent again what it may have missed, and a
 * relay may repeat an old last value: frames that the patron already has are dropped here silently, so that they do not count as
 * replays. The only new frames that are dropped are older than what the patron has or began with, so whoever forges frames gains
 * little. Of frames without a sequence only a repeated last value is recognised, because equal messages may follow each other.
 */
export class Heard {
  #epoch = new Uint8Array();
  #first = -1;
  #highest = -1;
  /** The tags of the last frames by sequence, lowest first unless `#isMixed`. */
  #tags = new Map<number, string>();
  #isMixed = false;
  #again = -1;
  /** Messages from before `#first` are not meant for this patron. */
  #isBounded = false;
  #isNew: boolean;
  /** The last frame without a sequence. */
  #last: Uint8Array | undefined;

  /** @param isNew the pair begins over a relay, where older messages may be sent again for other patrons; until it moves nothing comes late */
  constructor(isNew = false) {
    this.#isNew = isNew;
  }

  /** The pair begins, or goes on over another brew (`hasMoved`): what comes next may have come before. */
  move(hasMoved = false): void {
    this.#again = this.#highest;
    if (hasMoved) this.#isNew = false;
  }

  /** The pair has ended. Keeps only a little until it begins again. */
  end(): void {
    this.#tags.clear();
    this.#last = undefined;
  }

  isNews(frame: Uint8Array, retained: boolean | undefined): boolean {
    const seal = isFrame(frame) && readSeal(frame);
    if (!seal) return this.#differs(frame) || !retained;
    const { epoch, sequence } = seal;
    if (!sameBytes(this.#epoch, epoch)) {
      this.#epoch = epoch.slice();
      this.#highest = this.#again = -1;
      this.#tags.clear();
    }
    if (retained && sequence < this.#highest) return false;
    const tag = String.fromCharCode(...frame.subarray(-TAG));
    if (this.#highest >= 0 && (this.#isBounded || sequence <= this.#again) && this.#isBefore(sequence)) return false;
    if (sequence <= this.#again && this.#tags.get(sequence) === tag) return false;
    this.#keep(sequence, tag);
    if (this.#highest < 0) {
      this.#first = sequence;
      this.#isBounded = this.#isNew;
    }
    this.#highest = Math.max(this.#highest, sequence);
    return true;
  }

  /** Keeps the tags of the highest sequences, because those frames are sent again. A late frame that fills a gap comes out of order. */
  #keep(sequence: number, tag: string): void {
    this.#tags.set(sequence, tag);
    this.#isMixed ||= sequence < this.#highest;
    if (this.#tags.size <= KEPT) return;
    if (this.#isMixed) this.#tags = new Map([...this.#tags].sort(([one], [other]) => one - other));
    this.#isMixed = false;
    this.#tags.delete(this.#tags.keys().next().value!);
  }

  /**
   * Whether a message is older than the first one: a relay sends to all patrons what one of them may have missed. Looks back one
   * window only, so that a forged first message with a high sequence does no more harm than that.
   */
  #isBefore(sequence: number): boolean {
    return sequence < this.#first && this.#first - sequence <= WINDOW;
  }

  /** Whether a frame without a sequence differs from the last one. */
  #differs(frame: Uint8Array): boolean {
    const last = this.#last;
    // A short frame is copied: a view would keep the whole WebSocket message in memory.
    this.#last = frame.length < SHORT ? frame.slice() : frame;
    return !last || !sameBytes(last, frame);
  }
}
