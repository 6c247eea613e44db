import { fstatSync, writeSync } from 'node:fs';
import { failure, systemCode } from './exit.js';

const unwritable = (error: Error): Error =>
  failure(`Standard output cannot be written (${systemCode(error) || error.message}).`, error);

/** Writes text to stdout that must not get lost. Rejects if it cannot be written. */
export const print = (text: string): Promise<void> =>
  new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(unwritable(error)) : resolve())));

/** Watches stdout. The returned function gives its first error, but not that the reader has gone: that alone is no failure. */
export function watchOutput(): () => Error | undefined {
  let fault: Error | undefined;
  process.stdout.on('error', (error: Error) => {
    if (systemCode(error) !== 'EPIPE') fault ??= unwritable(error);
  });
  if (fstatSync(1).isFile()) process.stdout._write = writeFile;
  return () => fault;
}

/** Writes to a file until all is written: Node's own function writes once, and ignores what did not fit on the disk. */
function writeFile(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
  try {
    for (let at = 0; at < chunk.length; ) at += writeSync(1, chunk, at);
    done();
  } catch (error) {
    done(error as Error);
  }
}

/** How many bytes are kept for a reader of stdout before further data is refused. */
const MAX_WAITING = 64 * 1024 * 1024;

/** Data on its way to stdout. What is written in one tick leaves in one piece. */
export class Output {
  readonly #stream: NodeJS.WritableStream & { cork?(): void; uncork?(): void; readonly writableLength?: number };
  #corked = false;
  #waiting = 0;
  readonly #left = (): void => void this.#waiting--;

  /**
   * @param gone called when nobody reads any more (such as `head` when it has seen enough)
   * @param failed called when the stream cannot be written for another reason
   */
  constructor(stream: NodeJS.WritableStream, gone: () => void, failed: (error: Error) => void) {
    this.#stream = stream;
    stream.on('error', (error: Error) => {
      if (systemCode(error) === 'EPIPE') {
        this.isGone = true;
        gone();
      } else failed(unwritable(error));
    });
  }

  /** Whether nobody reads any more. */
  isGone = false;

  /** How many written chunks have not left. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Returns whether the chunk was accepted: not while too much waits for a reader that has stopped reading. */
  write(chunk: string | Uint8Array): boolean {
    if ((this.#stream.writableLength ?? 0) > MAX_WAITING) return false;
    if (!this.#corked) {
      this.#corked = true;
      this.#stream.cork?.();
      setImmediate(() => this.#uncork());
    }
    this.#waiting++;
    this.#stream.write(chunk, this.#left);
    return true;
  }

  /**
   * Resolves when everything has left, or never will.
   * @param patience after this many ms it resolves in any case
   */
  flush(patience?: number): Promise<void> {
    this.#uncork();
    return new Promise((resolve) => {
      const timer = patience === undefined ? undefined : setTimeout(resolve, patience);
      this.#stream.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #uncork(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#stream.uncork?.();
  }
}
