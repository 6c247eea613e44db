// Which pairs are shown. Free of elements, so that it can be tested anywhere.

/** How long the client keeps pairs that the server did not name again after a reconnect, in ms, and a little. */
const GRACE_MS = 31_000;

/** Knows which brewers have come since the connection was lost, so that those of before a restart are not listed beside them. */
export class Arrivals {
  /** Brewers that have been added or heard since the last loss. @type {Set<string>} */
  #since = new Set();
  #until = 0;

  /** The connection was lost. */
  lost() {
    this.#since.clear();
    this.#until = Infinity;
  }

  /** It is back. @param {number} [now] @returns {number} after how many ms the client gives up who has not come back */
  back(now = Date.now()) {
    this.#until = now + GRACE_MS;
    return GRACE_MS;
  }

  /** A brewer was added, or something came from it: it lives. @param {string} brewerId @param {number} [now] */
  came(brewerId, now = Date.now()) {
    // Nobody may ask for what is current: nothing is drawn in a hidden tab.
    if (now < this.#until) this.#since.add(brewerId);
  }

  /**
   * Without the brewers that others of the same topic seem to have followed.
   * @template {{ topic: string, brewerId: string }} Pair
   * @param {readonly Pair[]} pairs @param {number} [now]
   */
  current(pairs, now = Date.now()) {
    if (now >= this.#until) {
      this.#until = 0;
      this.#since.clear();
      return pairs;
    }
    const followed = new Set(pairs.filter(({ brewerId }) => this.#since.has(brewerId)).map(({ topic }) => topic));
    return pairs.filter(({ topic, brewerId }) => !followed.has(topic) || this.#since.has(brewerId));
  }
}
