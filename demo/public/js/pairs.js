// Which pairs are shown. Uses no DOM, so that it can be tested anywhere.

/** A little longer than the client keeps pairs that the server has not announced again after a reconnect, in ms. */
const GRACE_MS = 31_000;

/** Knows which brewers have come since the connection was lost, so that brewers from before a restart are not listed beside them. */
export class Arrivals {
  /** Brewers that have been added or heard since the last loss. @type {Set<string>} */
  #since = new Set();
  #until = 0;

  /** The connection was lost. */
  lost() {
    this.#since.clear();
    this.#until = Infinity;
  }

  /** The connection is back. @param {number} [now] @returns {number} after how many ms the client gives up brewers that have not come back */
  back(now = Date.now()) {
    this.#until = now + GRACE_MS;
    return GRACE_MS;
  }

  /** A brewer was added, or a message came from it: it is alive. @param {string} brewerId @param {number} [now] */
  came(brewerId, now = Date.now()) {
    // Stop here by time, because a hidden tab draws nothing and so never calls `current`.
    if (now < this.#until) this.#since.add(brewerId);
  }

  /**
   * Leaves out brewers that another brewer of the same topic seems to have replaced.
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
