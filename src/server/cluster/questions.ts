import { after, cancel } from '../../core/host.js';
import type { Timer } from '../../core/host.js';

/** How long other relays have to say what last values they have, in ms. */
const ANSWER_MS = 500;

interface Question {
  readonly keys: readonly string[];
  /** The servers that have not answered. */
  readonly servers: Set<string>;
  readonly timer: Timer;
}

/** Questions to other relays for last values, each of which is open until all relays have answered or the time is over. */
export class Questions {
  readonly #answered: (keys: readonly string[]) => void;
  readonly #open = new Map<number, Question>();
  #last = 0;

  /** @param answered called with the topics for whose last values nobody has to wait any more */
  constructor(answered: (keys: readonly string[]) => void) {
    this.#answered = answered;
  }

  /** Asks all `servers` for the last values of topics; returns the number of the question, from 1 on. */
  ask(keys: readonly string[], servers: Iterable<string>): number {
    const number = (this.#last = (this.#last % 0xffff_fffe) + 1);
    const question: Question = { keys, servers: new Set(servers), timer: after(ANSWER_MS, () => this.#end(number, question)) };
    this.#open.set(number, question);
    if (!question.servers.size) this.#end(number, question);
    return number;
  }

  /** A server has answered. */
  told(number: number, server: string): void {
    const question = this.#open.get(number);
    if (question?.servers.delete(server) && !question.servers.size) this.#end(number, question);
  }

  /** A server will not answer any more. */
  gone(server: string): void {
    for (const number of this.#open.keys()) this.told(number, server);
  }

  /** Nobody will answer. */
  giveUp(): void {
    for (const [number, question] of this.#open) this.#end(number, question);
  }

  /** Forgets all, and tells nobody. */
  close(): void {
    for (const { timer } of this.#open.values()) cancel(timer);
    this.#open.clear();
  }

  #end(number: number, { keys, timer }: Question): void {
    cancel(timer);
    this.#open.delete(number);
    this.#answered(keys);
  }
}
