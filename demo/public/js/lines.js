// The lines of a chart: one for each brewer of its topic. Uses no DOM, so that it can be tested anywhere.
import { Series, SET_BACK } from './series.js';

/** How many brewers have a line of their own; all further ones share another line. */
export const MOST_LINES = 5;

/** @typedef {{ brewerId: string, slot: number, series: Series }} Line `brewerId`: empty for the line that further brewers share; `slot`: its colour, from 0 */

/** The numbers of several brewers over time. One line through all of them would jump between values that have nothing to do with each other. */
export class Lines {
  /** @type {Map<string, Line>} */
  #lines = new Map();
  #latest = -Infinity;

  /** @param {string} brewerId @param {number} time @param {number | null} value null: a message without this number */
  add(brewerId, time, value) {
    // The clock was set back: lines of brewers that are silent now would stand in the future.
    if (time < this.#latest - SET_BACK) this.forget(Infinity);
    this.#latest = time;
    // A brewer whose messages never have this number needs no line.
    const line = this.#lines.get(brewerId) ?? (value === null ? undefined : this.#open(brewerId));
    line?.series.add(time, value);
  }

  /** Forgets values that are older, and lines that have no others, also while messages without this number come. @param {number} time */
  forget(time) {
    for (const [key, { series }] of this.#lines) {
      series.forget(time);
      if (series.values.every((value) => value === null)) this.#lines.delete(key);
    }
    const [only, another] = this.#lines.values();
    if (only && !another) only.slot = 0;
  }

  /** In the order of their slots. @returns {Line[]} */
  get all() {
    return [...this.#lines.values()].sort((a, b) => a.slot - b.slot);
  }

  /** The time of the first value. */
  get first() {
    return this.all.reduce((first, { series }) => Math.min(first, series.times[0] ?? Infinity), Infinity);
  }

  /** The smallest and the largest of all values since then; undefined if there are none. @param {number} since */
  range(since) {
    const ranges = this.all.flatMap(({ series }) => series.range(since) ?? []);
    return ranges.length === 0 ? undefined : { min: Math.min(...ranges.map(({ min }) => min)), max: Math.max(...ranges.map(({ max }) => max)) };
  }

  /** A line for another brewer: its own, or the shared one. @param {string} brewerId @returns {Line} */
  #open(brewerId) {
    const taken = new Set([...this.#lines.values()].map(({ slot }) => slot));
    let slot = 0;
    while (slot < MOST_LINES && taken.has(slot)) slot += 1;
    const key = slot < MOST_LINES ? brewerId : '';
    const line = this.#lines.get(key) ?? { brewerId: key, slot, series: new Series() };
    this.#lines.set(key, line);
    return line;
  }
}
