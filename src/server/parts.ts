/** Takes what is to be told. */
export type Pass<T> = (items: readonly T[]) => void;

/** How many pairs are told of at once. */
export const MOST_AT_ONCE = 10_000;

/**
 * Gathers what is to be told, and passes it on whenever it is about many pairs. A client may have ten million, and what there is to tell of
 * all of them would take more memory than there is.
 */
export class Parts<T> {
  readonly #pass: Pass<T> | undefined;
  #pairs = 0;
  /** What was not passed on. */
  rest: T[] = [];

  /** @param pass without it, all is gathered */
  constructor(pass?: Pass<T>) {
    this.#pass = pass;
  }

  /** @param pairs how many pairs the items are about */
  add(items: readonly T[], pairs = items.length): void {
    for (const item of items) this.rest.push(item);
    this.#pairs += pairs;
    if (!this.#pass || this.#pairs < MOST_AT_ONCE) return;
    this.#pass(this.rest);
    this.rest = [];
    this.#pairs = 0;
  }
}
