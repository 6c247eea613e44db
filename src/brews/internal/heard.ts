import { isFrame, readSeal } from '../../core/frame.js';
import { sameBytes } from './small.js';

/** A brewer sends no more than this many frames again. */
const KEPT = 512;
const TAG = 16;
/** So many messages back a patron takes what comes late (design, "Sealed mode"). */
const WINDOW = 1024;
/** In bytes. */
const SHORT = 4096;

/**
 * The last sealed frames that came to a patron from a brewer. After a move it is sent again what it may have missed, and a
 * relay may repeat a last value of before: what it has is left out here, without a word, so that it does not count as a
 * replay. Nothing that has not come before is left out but old last values, and whoever can forge those can do no more. Without
 * a sequence it is the last frame alone that is known again, as a last value: equal messages may follow each other.
 */
export class Heard {
  #epoch = new Uint8Array();
  #first = -1;
  #highest = -1;
  /** The tags of the last frames, by their sequences, lowest first unless they are mixed. */
  #tags = new Map<number, string>();
  #isMixed = false;
  #again = -1;
  /** Nothing of before the first one is meant for it. */
  #isBounded = false;
  #isNew: boolean;
  /** The last frame without a sequence. */
  #last: Uint8Array | undefined;

  /** @param isNew the pair begins over a relay, where others may have missed what was brewed before; until it moves nothing comes late */
  constructor(isNew = false) {
    this.#isNew = isNew;
  }

  /** The pair begins, here or over another brew (`hasMoved`): what comes next may have come before. */
  move(hasMoved = false): void {
    this.#again = this.#highest;
    if (hasMoved) this.#isNew = false;
  }

  /** The pair has ended. What is kept until it begins anew is little. */
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

  /** Those of the highest sequences are kept, for these are what is sent again: what fills an earlier gap comes late. */
  #keep(sequence: number, tag: string): void {
    this.#tags.set(sequence, tag);
    this.#isMixed ||= sequence < this.#highest;
    if (this.#tags.size <= KEPT) return;
    if (this.#isMixed) this.#tags = new Map([...this.#tags].sort(([one], [other]) => one - other));
    this.#isMixed = false;
    this.#tags.delete(this.#tags.keys().next().value!);
  }

  /**
   * Whether a message of before the first one comes now: a relay gives to all what one of them may have missed. A first one
   * that is forged, far ahead, is to cost no more than a window.
   */
  #isBefore(sequence: number): boolean {
    return sequence < this.#first && this.#first - sequence <= WINDOW;
  }

  /** Whether a frame without a sequence is not the last one once more. */
  #differs(frame: Uint8Array): boolean {
    const last = this.#last;
    // What is short is copied: it would keep the whole message of the relay alive.
    this.#last = frame.length < SHORT ? frame.slice() : frame;
    return !last || !sameBytes(last, frame);
  }
}
