import { ExitCode, ExitError } from './exit.js';
import type { Tell } from './tell.js';

/** One run of a command that goes on until something ends it. The first reason to end counts. */
export class Run {
  /** Resolves to the exit code. */
  readonly ended: Promise<number>;
  readonly tell: Tell;
  #end!: (code: number) => void;
  #over = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param interrupted gives the exit code of a run that a signal ends, from the code that shells use for the signal */
  constructor(tell: Tell, interrupted: (code: number) => number) {
    this.tell = tell;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        // A second signal ends the process without waiting until connections are closed.
        if (this.#over) process.exit(ExitCode[signal]);
        this.end(interrupted(ExitCode[signal]));
      });
    }
  }

  get isOver(): boolean {
    return this.#over;
  }

  end(code: number): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#end(code);
  }

  /** Reports an error, and ends the run with its exit code. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.tell.error(error);
    this.end(error instanceof ExitError ? error.exitCode : ExitCode.FAILURE);
  }

  /** Calls `run` after this many seconds, instead of what was set before; without a number, only cancels that. */
  after(seconds: number | undefined, run?: () => void): void {
    clearTimeout(this.#timer);
    if (seconds !== undefined && run && !this.#over) this.#timer = setTimeout(run, seconds * 1000);
  }
}
