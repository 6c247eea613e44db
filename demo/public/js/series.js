// The points of a chart. Uses no DOM, so that it can be tested anywhere.

/** The shortest time between two points, in seconds: closer points would be less than a pixel apart. */
const STEP = 0.1;
/** If the clock is set back by less than this, in seconds, a chart goes on: the clock soon catches up. */
export const SET_BACK = 1;

/** One number over time, in points that stand for all values of a moment: the last, the smallest and the largest of them. */
export class Series {
  /** @type {number[]} in seconds */
  times = [];
  /** @type {(number | null)[]} */
  values = [];
  /** @type {(number | null)[]} */
  lows = [];
  /** @type {(number | null)[]} */
  highs = [];
  /** The usual time between two points, in seconds. */
  #usual = 0;

  /** @param {number} time @param {number | null} value null: a message without this number */
  add(time, value) {
    // The clock was set back: earlier values cannot be shown on the same time axis.
    if (time < (this.times.at(-1) ?? time) - SET_BACK) this.forget(Infinity);
    const last = this.times.length - 1;
    const begun = this.times[last];
    if (begun === undefined || time - begun >= STEP) {
      this.#breakAt(time);
      this.#push(time, value);
      return;
    }
    if (value === null) return;
    this.values[last] = value;
    this.lows[last] = Math.min(this.lows[last] ?? value, value);
    this.highs[last] = Math.max(this.highs[last] ?? value, value);
  }

  /** Forgets values that are older. @param {number} time */
  forget(time) {
    const first = this.times.findIndex((each) => each >= time);
    const gone = first < 0 ? this.times.length : first;
    for (const list of [this.times, this.values, this.lows, this.highs]) list.splice(0, gone);
  }

  /** The smallest and the largest of all values since then; undefined if there are none. @param {number} since */
  range(since) {
    let min = Infinity;
    let max = -Infinity;
    for (const [index, time] of this.times.entries()) {
      if (time < since) continue;
      min = Math.min(min, this.lows[index] ?? Infinity);
      max = Math.max(max, this.highs[index] ?? -Infinity);
    }
    return min <= max ? { min, max } : undefined;
  }

  /** Interrupts the line where nothing came for a time that is several times the usual time between two messages. @param {number} time */
  #breakAt(time) {
    const last = this.times.at(-1);
    if (last === undefined) return;
    const gap = time - last;
    if (this.#usual > 0 && gap > Math.max(3, 4 * this.#usual)) this.#push(last + gap / 2, null);
    else this.#usual += (gap - this.#usual) * (this.#usual ? 0.1 : 1);
  }

  /** @param {number} time @param {number | null} value */
  #push(time, value) {
    this.times.push(time);
    this.values.push(value);
    this.lows.push(value);
    this.highs.push(value);
  }
}

/**
 * The indices of values that no line reaches, because there is no value before or after them.
 * @param {readonly (number | null | undefined)[]} values undefined: another line has a value at that time, and this line goes on
 */
export function alone(values) {
  const own = [...values.keys()].filter((at) => values[at] !== undefined);
  const isNone = (/** @type {number} */ index) => (values[own[index] ?? -1] ?? null) === null;
  return own.filter((_, index) => !isNone(index) && isNone(index - 1) && isNone(index + 1));
}
