import { cancel, type Timer, wait } from '../../core/host.js';
import { sameBytes } from './small.js';

/** When it is asked again, counted from the first time, in ms: the brewer may not be listening yet. */
const ASK_AGAIN = [50, 150, 400, 900, 1900] as const;
/** Then it goes on without an answer, in ms. */
const GIVE_UP = 3000;
/** More is not held back, in bytes. */
const MAX_HELD = 16 * 1024 * 1024;

interface Held {
  readonly frame: Uint8Array;
  readonly retained: boolean;
}

export interface JoiningOptions {
  /** Asks the brewer for what it has. Called again while no answer comes. */
  ask(): void;
  /** Says that the answer has come. */
  got(): void;
  deliver(frame: Uint8Array, retained: boolean): void;
  /** Called once, when frames flow directly from now on. `answered` is false when nobody did. */
  done(answered: boolean): void;
  /** The last frame that was delivered before, if this is a return. */
  readonly last: Uint8Array | undefined;
}

/**
 * The patron's side of its arrival: holds live frames back until the brewer's answer is there, and delivers both in the
 * order in which they were brewed, each once. The answer travels by the same way as live frames, so whatever it holds
 * that was not held back is older than what was.
 */
export class Joining {
  readonly #options: JoiningOptions;
  readonly #answer: Held[] = [];
  /** What came before the answer: live frames, and the last value that the broker has kept. */
  #held: Held[] = [];
  #bytes = 0;
  #timers: Timer[] = [];
  #over = false;

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  /** The subscription is confirmed: asks. */
  begin(): void {
    if (this.#over || this.#timers.length) return;
    this.#timers = ASK_AGAIN.map((ms) => wait(ms, () => this.#options.ask()));
    this.#timers.push(wait(GIVE_UP, () => this.#finish(false)));
    this.#options.ask();
  }

  live(frame: Uint8Array, retained: boolean): void {
    this.#held.push({ frame, retained });
    this.#bytes += frame.length;
    if (this.#bytes > MAX_HELD) this.#finish(false);
  }

  /** @param more whether another part of the answer follows */
  answer(frames: readonly Uint8Array[], retained: boolean, more: boolean): void {
    for (const frame of frames) this.#answer.push({ frame, retained });
    if (!more) this.#finish(true);
  }

  stop(): void {
    this.#over = true;
    for (const timer of this.#timers.splice(0)) cancel(timer);
  }

  #finish(answered: boolean): void {
    if (this.#over) return;
    this.stop();
    const { last, deliver, done } = this.#options;
    const live = this.#held.filter(({ retained }) => !retained);
    const answer = this.#answer.filter(({ frame }) => !live.some((other) => sameBytes(other.frame, frame)));
    // What the broker has kept may be newer than live frames that are still to come; so it counts only if it is all there is.
    const all = live.length || answer.length ? [...answer, ...live] : this.#held;
    this.#held = [];
    // What was delivered before the return, and what came before that, is not delivered again.
    let seen = last ? all.length - 1 : -1;
    while (seen >= 0 && !sameBytes(all[seen]!.frame, last!)) seen--;
    done(answered);
    for (const { frame, retained } of all.slice(seen + 1)) deliver(frame, retained);
    if (answered) this.#options.got();
  }
}
