import { failure, systemCode } from './exit.js';

/** Data on its way to stdout. What is written in one tick leaves in one piece. */
export class Output {
  readonly #stream: NodeJS.WritableStream & { cork?(): void; uncork?(): void };
  #corked = false;

  /**
   * @param gone called when nobody reads any more (as `head` that has seen enough)
   * @param failed called when it cannot be written for another reason
   */
  constructor(stream: NodeJS.WritableStream, gone: () => void, failed: (error: Error) => void) {
    this.#stream = stream;
    stream.on('error', (error: Error) => {
      const code = systemCode(error);
      if (code === 'EPIPE') gone();
      else failed(failure(`Standard output cannot be written (${code || error.message}).`, error));
    });
  }

  write(chunk: string | Uint8Array): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#stream.cork?.();
      setImmediate(() => this.#uncork());
    }
    this.#stream.write(chunk);
  }

  /** Resolves when everything has left, or never will. */
  flush(): Promise<void> {
    this.#uncork();
    return new Promise((resolve) => this.#stream.write('', () => resolve()));
  }

  #uncork(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#stream.uncork?.();
  }
}
