/** Takes items that are to be sent. */
export type Pass<T> = (items: readonly T[]) => void;

/** After this many pairs, what is to be sent about them is passed on. */
export const MOST_AT_ONCE = 10_000;

/**
 * Gathers items that are to be sent, and passes them on whenever they are about many pairs. A client may have ten million pairs, and what
 * there is to send about all of them would not fit into memory.
 */
export class Parts<T> {
  readonly #pass: Pass<T> | undefined;
  #pairs = 0;
  /** The items that have not been passed on. */
  rest: T[] = [];

  /** @param pass takes the items; without it, all of them stay in `rest` */
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
