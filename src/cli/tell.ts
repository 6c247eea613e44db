// What a terminal or a log must not be handed from a network: control characters (escape sequences begin with one), and
// those that reorder a line or break it.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const UNPRINTABLES = new RegExp(UNPRINTABLE, 'gu');

/** Whether `text` can be shown on one line of a terminal as it is. */
export const isPrintable = (text: string): boolean => !UNPRINTABLE.test(text);

/** `text` with each character that cannot be shown as an escape of JSON. */
export const escapeUnprintable = (text: string): string =>
  text.replace(UNPRINTABLES, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Everything that is said to the person at the terminal. It goes to stderr: stdout is for data. */
export class Tell {
  /** Whether notes are left out. Errors are told all the same. */
  quiet = false;
  /** Whether details and the stacks of errors are told too. */
  verbose = false;
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    // A stderr that nobody reads any more is no reason to fail.
    stream.on('error', () => undefined);
  }

  /** What goes on. */
  note(sentence: string): void {
    if (!this.quiet) this.#line(sentence);
  }

  /** What only those want to know who look for a fault. */
  detail(sentence: string): void {
    if (this.verbose) this.#line(sentence);
  }

  /** What went wrong: one sentence, and what was thrown where that is not the same. */
  error(error: unknown, thrown = error): void {
    this.#line(error instanceof Error ? error.message : String(error));
    if (this.verbose && thrown instanceof Error) for (const line of stacks(thrown).split('\n')) this.#stream.write(`${escapeUnprintable(line)}\n`);
  }

  /** As it is, for text of several lines. */
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
