// Counts what became of numbered messages; the same in the page and in Node.

/** A longer silence counts as an interruption, in ms. */
const SILENCE_MS = 300;

/** @typedef {{ delivered: number, twice: number, missing: number, reported: number, first: number, last: number, lastAt: number, pauses: { from: number, to: number }[] }} Row */

export class Tally {
  /** @type {Map<string, Row & { seen: Set<number> }>} */
  #rows = new Map();

  /** @param {string} topic @param {number} number @param {number} at in ms since 1970 */
  take(topic, number, at) {
    const row = this.#row(topic);
    if (row.seen.has(number)) {
      row.twice++;
      return;
    }
    row.seen.add(number);
    if (row.delivered++ === 0) row.first = number;
    else if (at - row.lastAt > SILENCE_MS) row.pauses.push({ from: row.lastAt, to: at });
    row.last = Math.max(row.last, number);
    row.lastAt = at;
  }

  /** The SDK reports messages that are missing; -1: one came after all. @param {string} topic @param {number} missing */
  gap(topic, missing) {
    this.#row(topic).reported += missing;
  }

  /** @returns {Record<string, Row>} */
  toJSON() {
    return Object.fromEntries(
      [...this.#rows].map(([topic, { seen, ...row }]) => [topic, { ...row, missing: row.delivered ? row.last - row.first + 1 - seen.size : 0 }]),
    );
  }

  /** @param {string} topic */
  #row(topic) {
    let row = this.#rows.get(topic);
    if (!row) {
      /** @type {Row & { seen: Set<number> }} */
      const made = { delivered: 0, twice: 0, missing: 0, reported: 0, first: 0, last: -1, lastAt: 0, pauses: [], seen: new Set() };
      this.#rows.set(topic, (row = made));
    }
    return row;
  }
}
