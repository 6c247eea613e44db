/** How many values a `for await` loop may lag behind before it loses the oldest. */
const LIMIT = 1024;

/**
 * A bounded buffer that is read with `for await`. When it is full, the oldest value is discarded and `lost` is called, so a slow
 * reader gets the newest values and their loss is counted.
 */
export class BoundedStream<T> implements AsyncIterableIterator<T> {
  readonly #lost: () => void;
  readonly #done: () => void;
  #values: T[] = [];
  #readers: ((result: IteratorResult<T>) => void)[] = [];
  #ended = false;

  constructor(lost: () => void, done: () => void) {
    this.#lost = lost;
    this.#done = done;
  }

  /** Adds a value; must not be called after `end`. */
  push(value: T): void {
    const reader = this.#readers.shift();
    if (reader) return reader({ value, done: false });
    if (this.#values.length >= LIMIT) {
      this.#values.shift();
      this.#lost();
    }
    this.#values.push(value);
  }

  /** Ends the stream; buffered values can still be read. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#values.length) return Promise.resolve({ value: this.#values.shift()!, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<T>> {
    this.#values = [];
    this.end();
    this.#done();
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
