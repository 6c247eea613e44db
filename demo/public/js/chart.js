import { h, icon, setAttribute, setHidden, setText } from './dom.js';
import { formatNumber, formatTicks, formatTime, shortId } from './format.js';
import { Lines } from './lines.js';
import { nameOf, read, valueAt } from './payload.js';
import { alone } from './series.js';
import { LIMITS } from './store.js';

/** @typedef {import('./payload.js').Path} Path */
/** @typedef {import('./store.js').TopicNode} TopicNode */
/** @typedef {import('./lines.js').Line} Line */

/** The period that a chart shows, in seconds. */
const WINDOW = 120;
/** Larger values cannot be drawn: an axis around them would end beyond the largest number. */
const LARGEST = 1e300;
/** The smallest range of an axis, relative to its values. If ticks are as close as neighbouring numbers, uPlot counts them for ever. */
const FINEST = 1e-9;
/** How many columns of a plot's data a line has: its values, the smallest and the largest ones. */
const COLUMNS = 3;
/** The strokes of lines, by slot: not everybody can tell their colours apart. As in the icons line-1 to line-6 of index.html. */
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3], [4, 2], [1, 2]];

/** A chart of one number of one topic over time. Reads from the topic's history what has come since the last drawing. */
export class Chart {
  #lines = new Lines();
  /** The number of the last message that was read. */
  #seen = 0;
  /** @type {uPlot | undefined} */
  #plot;
  /** The lines that the plot has, by their slots. */
  #plotted = '';
  // Not an <output>: screen readers read that out whenever it changes.
  #value = h('span', { class: 'chart-value' });
  #range = h('span', { class: 'chart-range' });
  #legend = h('ul', { class: 'chart-legend', 'aria-label': 'Brewers', hidden: true });
  #body = h('div', { class: 'chart-body' });
  #width = 0;
  #height = 0;
  #observer;

  /** @param {TopicNode} node @param {Path} path @param {() => void} close @param {() => void} sized asks for a draw: nothing is drawn before the width is known */
  constructor(node, path, close, sized) {
    this.node = node;
    this.path = path;
    const field = nameOf(path);
    const name = `${node.path}${field ? ` › ${field}` : ''}`;
    const button = h('button', { type: 'button', class: 'icon-button small', 'aria-label': `Close the chart of ${name}`, onclick: close }, icon('close'));
    const title = h('h3', { class: 'chart-title', title: name }, h('span', {}, node.path.split('.').slice(-2).join('.')), ...(field ? [' ', h('b', {}, field)] : []));
    this.element = h('figure', { class: 'chart', 'aria-label': `Chart of ${name}` }, h('figcaption', {}, title, this.#value, button), this.#body, h('div', { class: 'chart-foot' }, this.#legend, this.#range));
    this.#observer = new ResizeObserver(() => {
      this.#width = this.#body.clientWidth;
      this.#height = this.#body.clientHeight;
      this.#plot?.setSize({ width: this.#width, height: this.#height });
      sized();
    });
    this.#observer.observe(this.#body);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot?.destroy();
    this.element.remove();
  }

  /** Colours have changed: makes the plot anew at the next drawing. */
  restyle() {
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  draw() {
    this.#read();
    const now = Date.now() / 1000;
    this.#lines.forget(now - WINDOW - 5);
    if (this.#width === 0) return;
    const lines = this.#lines.all;
    const data = dataOf(lines);
    const slots = lines.map(({ slot }) => slot);
    if (this.#plotted !== slots.join()) this.restyle();
    this.#plotted = slots.join();
    this.#plot ??= new uPlot(this.#options(slots), data, this.#body);
    this.#plot.setData(data, false);
    // Until there are values of two minutes, the chart shows the time for which there are any.
    const from = Math.max(now - WINDOW, Math.min(this.#lines.first, now - 20));
    this.#plot.setScale('x', { min: from, max: now });
    this.#describe(from, lines, data);
  }

  /** Reads messages that the history may drop before the next drawing, in a burst or in a hidden tab. */
  keepUp() {
    if (this.node.messages - this.#seen < LIMITS.history) return;
    this.#read();
    // Needed here too, because a hidden tab may draw nothing for days.
    this.#lines.forget(Date.now() / 1000 - WINDOW - 5);
  }

  #read() {
    const { history, messages } = this.node;
    const fresh = Math.min(history.length, messages - this.#seen);
    for (const entry of history.slice(history.length - fresh)) {
      const value = valueAt(read(entry).value, this.path);
      this.#lines.add(entry.brewerId, entry.at / 1000, typeof value === 'number' && Math.abs(value) < LARGEST ? value : null);
    }
    this.#seen = messages;
  }

  /** @param {number} from the time at the left edge @param {readonly Line[]} lines @param {uPlot.AlignedData} data */
  #describe(from, lines, data) {
    const { latest } = this.node;
    const index = this.#plot?.cursor.idx;
    const pointed = typeof index === 'number' && data[0][index] !== undefined ? index : undefined;
    const shown = lines.map((line, at) => valueBefore(data[1 + COLUMNS * at], pointed ?? data[0].length - 1));
    const several = lines.length > 1;
    // The latest message may be that of a brewer without this number, and so without a line.
    const isOfLine = !lines[0] || lines[0].brewerId === latest?.brewerId;
    const value = pointed === undefined && isOfLine ? latest && valueAt(read(latest).value, this.path) : shown[0];
    setText(this.#value, several ? '' : typeof value === 'number' ? formatNumber(value) : '–');
    setHidden(this.#legend, !several);
    if (several) this.#drawLegend(lines, shown);
    const at = pointed === undefined ? '' : `${formatTime(Number(data[0][pointed]) * 1000)} · `;
    const range = this.#lines.range(from);
    const nothing = typeof value === 'number' && Math.abs(value) >= LARGEST ? 'Too large to be drawn.' : '';
    setText(this.#range, range ? `${at}min ${formatNumber(range.min)} · max ${formatNumber(range.max)}` : nothing);
  }

  /** @param {readonly Line[]} lines @param {readonly (number | null)[]} values */
  #drawLegend(lines, values) {
    const items = this.#legend.children;
    while (items.length > lines.length) items[items.length - 1]?.remove();
    while (items.length < lines.length) this.#legend.append(h('li', {}, icon('line-1'), h('span'), ' ', h('b')));
    lines.forEach(({ brewerId, slot }, index) => {
      const [swatch, name, value] = items[index]?.children ?? [];
      if (!swatch || !name || !value) return;
      setAttribute(/** @type {Element} */ (swatch.firstElementChild), 'href', `#icon-line-${slot + 1}`);
      setAttribute(swatch, 'class', `icon swatch-${slot + 1}`);
      // As in the history.
      setText(name, brewerId ? shortId(brewerId).slice(0, 4) : 'further ones');
      setAttribute(name, 'title', brewerId || null);
      const number = values[index];
      setText(value, typeof number === 'number' ? formatNumber(number) : '–');
    });
  }

  /** @param {readonly number[]} slots of the lines @returns {uPlot.Options} */
  #options(slots) {
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour('--axis'), font: `11px ${colour('--sans')}`, grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false } };
    // The range of values that a point stands for: bounds without lines, with a light fill between them.
    const bound = { points: { show: false } };
    const fill = colour('--curve-wash');
    const series = (slots.length > 0 ? slots : [0]).flatMap((slot, index) => {
      const stroke = colour(slot === 0 ? '--curve' : `--curve-${slot + 1}`);
      const points = { show: false, filter: (/** @type {uPlot} */ plot) => alone([...(plot.data[1 + COLUMNS * index] ?? [])]), size: 5, fill: stroke };
      // Areas under several lines would hide each other.
      return [{ stroke, width: 1.75, dash: DASHES[slot] ?? [], points, ...(slots.length < 2 && { fill }) }, bound, bound];
    });
    const bands = slots.length < 2 ? [{ series: /** @type {[number, number]} */ ([3, 2]), fill }] : [];
    return {
      width: this.#width,
      height: this.#height,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: (_plot, min, max) => rangeOf(min, max) } },
      series: [{}, ...series],
      bands,
      axes: [
        { ...axis, size: 24, gap: 4, space: 70, values: timesOf },
        { ...axis, size: (_plot, labels) => widthOf(labels), gap: 6, space: 24, values: (_plot, splits) => formatTicks(splits) },
      ],
    };
  }
}

/** What is plotted: common times, and the columns of each line. @param {readonly Line[]} lines @returns {uPlot.AlignedData} */
function dataOf(lines) {
  const tables = lines.map(({ series: { times, values, lows, highs } }) => /** @type {uPlot.AlignedData} */ ([times, values, lows, highs]));
  const [only = [[], [], [], []], another] = tables;
  return another ? uPlot.join(tables) : only;
}

/** A line's value at an index: the one before, where only other lines have one; null if there is none. @param {ArrayLike<number | null | undefined> | undefined} values @param {number} index */
function valueBefore(values, index) {
  for (let at = index; values && at >= 0; at--) {
    const value = values[at];
    if (value !== undefined) return value;
  }
  return null;
}

/** The width that an axis needs for its longest label, in pixels, assuming 6.8 for a digit of this font size. @param {readonly string[] | null} labels */
const widthOf = (labels) => Math.max(46, 14 + 6.8 * Math.max(0, ...(labels ?? []).map(({ length }) => length)));

/** Labels of the time axis, but none that the edge would cut. @param {uPlot} plot @param {number[]} splits */
const timesOf = (plot, splits) => splits.map((time) => (plot.bbox.width / devicePixelRatio - plot.valToPos(time, 'x') < 30 ? '' : formatTime(time * 1000)));

/** The range of an axis: from zero if zero is near, so that small changes do not look large. @param {number | null} min @param {number | null} max @returns {[number, number]} */
export function rangeOf(min, max) {
  if (min === null || max === null) return [0, 1];
  if (min === max) return min === 0 ? [0, 1] : [Math.min(0, min * 2), Math.max(0, min * 2)];
  const room = Math.max((max - min) * 0.12, FINEST * Math.max(Math.abs(min), Math.abs(max)));
  return [min >= 0 && min < max * 0.6 ? 0 : min - room, max + room];
}
