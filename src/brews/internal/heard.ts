import { isFrame, readSeal } from '../../core/frame.js';
import { sameBytes } from './small.js';

/** A brewer sends no more than this many frames again. */
const KEPT = 512;
const TAG = 16;

/**
 * The last sealed frames that came to a patron from a brewer. After a move it is sent again what it may have missed, and a
 * relay may repeat a last value of before: what it has is left out here, without a word, so that it does not count as a
 * replay. Nothing that has not come before is left out but old last values, and whoever can forge those can do no more.
 */
export class Heard {
  #epoch = new Uint8Array();
  #highest = -1;
  /** The tags of the last frames, by their sequences, oldest first. */
  readonly #tags = new Map<number, string>();
  #again = -1;

  /** The pair has been moved to another brew. */
  move(): void {
    this.#again = this.#highest;
  }

  isNews(frame: Uint8Array, retained: boolean | undefined): boolean {
    const seal = isFrame(frame) && readSeal(frame);
    if (!seal) return true;
    const { epoch, sequence } = seal;
    if (!sameBytes(this.#epoch, epoch)) {
      this.#epoch = epoch.slice();
      this.#highest = this.#again = -1;
      this.#tags.clear();
    }
    if (retained && sequence < this.#highest) return false;
    const tag = String.fromCharCode(...frame.subarray(-TAG));
    if (sequence <= this.#again && this.#tags.get(sequence) === tag) return false;
    this.#tags.set(sequence, tag);
    if (this.#tags.size > KEPT) this.#tags.delete(this.#tags.keys().next().value!);
    this.#highest = Math.max(this.#highest, sequence);
    return true;
  }
}
