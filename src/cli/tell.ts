// Characters that must not get from the network to a terminal or a log: control characters (escape sequences begin with one),
// and those that reorder or break a line.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const UNPRINTABLES = new RegExp(UNPRINTABLE, 'gu');

/** Whether `text` can be shown on one line of a terminal as it is. */
export const isPrintable = (text: string): boolean => !UNPRINTABLE.test(text);

/** `text` with each character that cannot be shown as an escape of JSON. */
export const escapeUnprintable = (text: string): string =>
  text.replace(UNPRINTABLES, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Says everything that is meant for the person at the terminal. It goes to stderr: stdout is for data. */
export class Tell {
  /** Whether notes are left out. Errors are always shown. */
  quiet = false;
  /** Whether details and the stacks of errors are shown too. */
  verbose = false;
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    // That nobody reads stderr any more is no reason to fail.
    stream.on('error', () => undefined);
  }

  /** A note about what goes on. */
  note(sentence: string): void {
    if (!this.quiet) this.#line(sentence);
  }

  /** A detail, for those who look for a fault. */
  detail(sentence: string): void {
    if (this.verbose) this.#line(sentence);
  }

  /** An error: one sentence. `thrown`: what was thrown, if that is something else. */
  error(error: unknown, thrown = error): void {
    this.#line(error instanceof Error ? error.message : String(error));
    if (this.verbose && thrown instanceof Error) for (const line of stacks(thrown).split('\n')) this.#stream.write(`${escapeUnprintable(line)}\n`);
  }

  /** Text of several lines, as it is. */
  text(text: string): void {
    this.#stream.write(text);
  }

  #line(sentence: string): void {
    this.#stream.write(`pubkeeper: ${escapeUnprintable(sentence.trim().replace(/\s*\n\s*/g, ' '))}\n`);
  }
}

function stacks(error: Error): string {
  const own = error.stack ?? error.message;
  if (error.cause === undefined) return own;
  return `${own}\ncaused by: ${error.cause instanceof Error ? stacks(error.cause) : String(error.cause)}`;
}
