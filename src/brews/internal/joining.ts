import { sequenceOf } from '../../core/frame.js';
import { cancel, type Timer, wait } from '../../core/host.js';
import { sameBytes } from './small.js';

/**
 * How long to wait for an answer, in ms, before asking again: the brewer may not be listening yet. After the last wait, 3 s after
 * the first question, the patron goes on without an answer.
 */
const WAITS = [50, 100, 250, 500, 1000, 1100] as const;
/** No single wait is extended beyond this, in ms: there are six of them, and a brewer keeps what a patron missed for 10 s only. */
const LONGEST = 1500;
/** How many bytes of live frames are held back at most, and how many of an answer. */
const MAX_HELD = 16 * 1024 * 1024;

interface Held {
  readonly frame: Uint8Array;
  readonly retained: boolean;
}

/** What a brewer has for a patron, or a part of it. */
export interface Answered {
  readonly frames: readonly Uint8Array[];
  /** The frames are a last value. */
  readonly retained: boolean;
  /** Another part follows. */
  readonly more: boolean;
  /** Sent without a question, because the brewer heard of the match only after the patron had asked. */
  readonly unasked: boolean;
}

export interface JoiningOptions {
  /** Asks the brewer for what it has. Called again while no answer comes. */
  ask(): void;
  /** Confirms to the brewer that the answer has come. */
  got(): void;
  deliver(frame: Uint8Array, retained: boolean): void;
  /** Called once if nobody answered in time. From then on frames flow through. */
  unanswered?(): void;
  /** The last frame that was delivered before a reconnect, if there was one. */
  readonly last: Uint8Array | undefined;
}

/**
 * The patron's side of its arrival: holds live frames back until the brewer's answer is there, and delivers both in the
 * order in which they were brewed, each once. The answer travels the same way as live frames, so its frames are older than
 * those held back, except for those that are among both. But brokers drop frames for slow readers, so sealed frames are also
 * sorted by sequence. After that, frames flow through.
 */
export class Joining {
  readonly #options: JoiningOptions;
  readonly #answer: Held[] = [];
  /** What arrived before the answer: live frames, and the broker's last value. */
  #held: Held[] = [];
  #heldBytes = 0;
  #answerBytes = 0;
  #timer: Timer | undefined;
  #over = false;
  #flows = false;
  /** The brewer has answered, or is not asked any more. Frames may flow before that, if too many are held back. */
  #settled = false;
  #last: Uint8Array | undefined;
  /** The first frame that was delivered when frames began to flow, or after. */
  #first: Uint8Array | undefined;
  /** `#first` was found among the frames that the brewer sends unasked. */
  #met = false;

  constructor(options: JoiningOptions) {
    this.#options = options;
    this.#last = options.last;
  }

  /** The last frame that was delivered, apart from those that came after newer ones. */
  get last(): Uint8Array | undefined {
    return this.#last;
  }

  /**
   * The subscription is confirmed: asks.
   * @param took how long the confirmation took, in ms: an answer takes as long, and asking again in the meantime would delay it further
   */
  begin(took = 0): void {
    if (this.#over || this.#settled || this.#timer !== undefined) return;
    this.#ask(WAITS.map((ms) => Math.max(ms, Math.min(took, LONGEST))));
  }

  /** Whether frames are delivered as they come. */
  get flows(): boolean {
    return this.#flows;
  }

  /**
   * The connection is lost, on which nobody can answer any more: asks no more until `begin`. Live frames that are held back stay, but what the
   * broker and the brewer give at the next arrival comes again.
   */
  interrupt(): void {
    cancel(this.#timer);
    this.#timer = undefined;
    this.#held = this.#held.filter(({ retained }) => !retained);
    this.#heldBytes = this.#held.reduce((sum, { frame }) => sum + frame.length, 0);
    this.#answer.length = this.#answerBytes = 0;
  }

  live(frame: Uint8Array, retained: boolean): void {
    if (this.#flows) {
      if (retained && this.#last && sameBytes(this.#last, frame)) return;
      this.#first ??= frame;
      return this.#deliver(frame, retained);
    }
    this.#held.push({ frame, retained });
    this.#heldBytes += frame.length;
    // Asks on: the brewer waits until the patron says that it has come.
    if (this.#heldBytes > MAX_HELD) this.#flow();
  }

  answer({ frames, retained, more, unasked }: Answered): void {
    if (this.#flows) {
      if (unasked) this.#catchUp(frames, more);
      // Any other answer is to a question that was asked more than once.
      else if (!this.#settled) this.#late(frames, retained, more);
      return;
    }
    for (const frame of frames) {
      this.#answer.push({ frame, retained });
      this.#answerBytes += frame.length;
    }
    // No brewer answers with more than this, but the broker may let others write to this address.
    if (!more || this.#answerBytes > MAX_HELD) this.#finish(true);
  }

  /** The brewer has begun the pair again, and waits for this patron, which has been here all the time. */
  again(): void {
    if (this.#flows) this.#options.got();
  }

  /** Goes on without an answer. */
  flow(): void {
    this.#finish(false);
  }

  /** Delivers and sends nothing more. The receiver may call this while it is given a frame. */
  stop(): void {
    this.#over = true;
    cancel(this.#timer);
  }

  /** One timer after the other, not all at once: what has arrived is read between two waits, however long that takes. */
  #ask([ms, ...further]: readonly number[]): void {
    this.#timer = wait(ms!, () => (further.length ? this.#ask(further) : this.flow()));
    this.#options.ask();
  }

  /** Frames sent unasked, after all that has arrived so far: so from `#first` on, each of them has been delivered already. */
  #catchUp(frames: readonly Uint8Array[], more: boolean): void {
    for (const frame of frames) {
      this.#met ||= this.#first !== undefined && sameBytes(this.#first, frame);
      if (!this.#met) this.#deliver(frame, false, this.#first !== undefined);
    }
    if (more) return;
    this.#met = false;
    this.#say();
  }

  /** The answer comes after frames have begun to flow: it may have older ones, such as those of another brew. Without sequences, none can be told. */
  #late(frames: readonly Uint8Array[], retained: boolean, more: boolean): void {
    const first = numberOf(this.#first);
    for (const frame of frames) if (!retained && numberOf(frame) < first) this.#deliver(frame, false, true);
    if (!more) this.#finish(true);
  }

  #finish(answered: boolean): void {
    if (this.#over || this.#settled) return;
    this.#settled = true;
    cancel(this.#timer);
    if (!this.#flows) this.#flow(answered ? undefined : this.#options.unanswered);
    if (answered) this.#say();
  }

  /** @param first called before anything is delivered */
  #flow(first?: () => void): void {
    if (this.#over) return;
    const live = this.#held.filter(({ retained }) => !retained);
    const answer = missing(this.#answer, live);
    // The broker's last value may be newer than live frames that are still to come: use it only if there is nothing else.
    const all = live.length || answer.length ? [...answer, ...live].sort(bySequence) : this.#held;
    this.#held = [];
    this.#answer.length = 0;
    // Do not deliver the last frame from before the return again, nor any frame before that one.
    let seen = this.#last ? all.length - 1 : -1;
    while (seen >= 0 && !sameBytes(all[seen]!.frame, this.#last!)) seen--;
    this.#flows = true;
    first?.();
    this.#first = all[seen + 1]?.frame;
    for (const { frame, retained } of all.slice(seen + 1)) this.#deliver(frame, retained);
  }

  #say(): void {
    if (!this.#over) this.#options.got();
  }

  /** @param isOlder newer frames have been delivered */
  #deliver(frame: Uint8Array, retained: boolean, isOlder = false): void {
    if (this.#over) return;
    if (!isOlder) this.#last = frame;
    this.#options.deliver(frame, retained);
  }
}

const isSame = ({ frame: a }: Held, { frame: b }: Held): boolean => sameBytes(a, b);

/**
 * The frames of an answer that have not also come live. Without sequences, equal messages may follow each other, so the two lists
 * are compared by position: as a rule they end at the same moment. If a broker has dropped some, equal frames count as the same.
 */
function missing(answer: readonly Held[], live: readonly Held[]): readonly Held[] {
  /** Whether the answer from index `from` on equals the live frames from index `at` on. */
  const isAt = (at: number, from: number): boolean => {
    for (let i = from; i < answer.length; i++) if (!isSame(answer[i]!, live[at + i - from]!)) return false;
    return true;
  };
  for (let at = live.length - answer.length; at >= 0; at--) if (isAt(at, 0)) return [];
  for (let from = Math.max(0, answer.length - live.length); from < answer.length; from++) if (isAt(0, from)) return answer.slice(0, from);
  return answer.filter((held) => !live.some((other) => isSame(other, held)));
}

/** NaN for a frame without a sequence. */
const numberOf = (frame: Uint8Array | undefined): number => (frame && sequenceOf(frame)) ?? NaN;

const bySequence = ({ frame: a }: Held, { frame: b }: Held): number => {
  const order = numberOf(a) - numberOf(b);
  return order || 0; // a frame without a sequence stays where it is
};
