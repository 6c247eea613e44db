import { byId, h, icon, setHidden, setText } from './dom.js';
import { formatNumber, formatTicks, formatTime } from './format.js';
import { nameOf, read, valueAt } from './payload.js';
import { Series } from './series.js';
import { LIMITS } from './store.js';

/** @typedef {import('./payload.js').Path} Path */
/** @typedef {import('./store.js').TopicNode} TopicNode */

const MOST = 6;
/** The period that a chart shows, in seconds. */
const WINDOW = 120;
/** Larger values cannot be drawn: an axis around them would end beyond the largest number. */
const LARGEST = 1e300;
/** The smallest range of an axis, relative to its values. If ticks are as close as neighbouring numbers, uPlot counts them for ever. */
const FINEST = 1e-9;

/** A chart of one number of one topic over time. Reads from the topic's history what has come since the last drawing. */
class Chart {
  #series = new Series();
  /** The number of the last message that was read. */
  #seen = 0;
  /** @type {uPlot | undefined} */
  #plot;
  // Not an <output>: screen readers read that out whenever it changes.
  #value = h('span', { class: 'chart-value' });
  #range = h('span', { class: 'chart-range' });
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
    this.element = h('figure', { class: 'chart', 'aria-label': `Chart of ${name}` }, h('figcaption', {}, title, this.#value, button), this.#body, this.#range);
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
    const { times, values, lows, highs } = this.#series;
    this.#series.forget(now - WINDOW - 5);
    if (this.#width === 0) return;
    const data = /** @type {uPlot.AlignedData} */ ([times, values, lows, highs]);
    this.#plot ??= new uPlot(this.#options(), data, this.#body);
    this.#plot.setData(data, false);
    // Until there are values of two minutes, the chart shows the time for which there are any.
    const from = Math.max(now - WINDOW, Math.min(times[0] ?? now, now - 20));
    this.#plot.setScale('x', { min: from, max: now });
    this.#describe(from);
  }

  /** Reads messages that the history may drop before the next drawing, in a burst or in a hidden tab. */
  keepUp() {
    if (this.node.messages - this.#seen < LIMITS.history) return;
    this.#read();
    // Needed here too, because a hidden tab may draw nothing for days.
    this.#series.forget(Date.now() / 1000 - WINDOW - 5);
  }

  #read() {
    const { history, messages } = this.node;
    const fresh = Math.min(history.length, messages - this.#seen);
    for (const entry of history.slice(history.length - fresh)) {
      const value = valueAt(read(entry).value, this.path);
      this.#series.add(entry.at / 1000, typeof value === 'number' && Math.abs(value) < LARGEST ? value : null);
    }
    this.#seen = messages;
  }

  /** @param {number} from the time at the left edge */
  #describe(from) {
    const { latest } = this.node;
    const index = this.#plot?.cursor.idx;
    const { times, values } = this.#series;
    const pointed = typeof index === 'number' && values[index] !== undefined;
    const value = pointed ? values[index] : latest && valueAt(read(latest).value, this.path);
    setText(this.#value, typeof value === 'number' ? formatNumber(value) : '–');
    const at = pointed ? `${formatTime(Number(times[index]) * 1000)} · ` : '';
    const range = this.#series.range(from);
    const nothing = typeof value === 'number' && Math.abs(value) >= LARGEST ? 'Too large to be drawn.' : '';
    setText(this.#range, range ? `${at}min ${formatNumber(range.min)} · max ${formatNumber(range.max)}` : nothing);
  }

  /** @returns {uPlot.Options} */
  #options() {
    const style = getComputedStyle(document.documentElement);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour('--axis'), font: `11px ${colour('--sans')}`, grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false } };
    const points = { show: false, filter: () => this.#series.alone, size: 5, fill: colour('--curve') };
    // The range of values that a point stands for: bounds without lines, with a light fill between them.
    const bound = { points: { show: false } };
    return {
      width: this.#width,
      height: this.#height,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: (_plot, min, max) => rangeOf(min, max) } },
      series: [{}, { stroke: colour('--curve'), width: 1.75, fill: colour('--curve-wash'), points }, bound, bound],
      bands: [{ series: [3, 2], fill: colour('--curve-wash') }],
      axes: [
        { ...axis, size: 24, gap: 4, space: 70, values: timesOf },
        { ...axis, size: (_plot, labels) => widthOf(labels), gap: 6, space: 24, values: (_plot, splits) => formatTicks(splits) },
      ],
    };
  }
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

/** The charts that a person has opened, above whatever topic is shown. */
export class Charts {
  /** @type {Map<string, Chart>} */
  #charts = new Map();
  #container = byId('charts');
  #changed;
  #full;

  /** @param {import('./frame-loop.js').FrameLoop} loop @param {{ changed: () => void, full: (most: number) => void }} hooks */
  constructor(loop, { changed, full }) {
    this.view = loop.add(() => {
      for (const chart of this.#charts.values()) chart.draw();
    }, 160);
    this.#changed = changed;
    this.#full = full;
    // Draw when the pointer moves, to show the value there; and every second, because time passes even without messages.
    this.#container.addEventListener('pointermove', this.view.changed);
    setInterval(() => this.#charts.size > 0 && this.view.changed(), 1000);
  }

  /** @param {TopicNode} node @param {Path} path */
  has(node, path) {
    return this.#charts.has(keyOf(node, path));
  }

  /** Whether there is any chart of a topic. @param {TopicNode} node */
  shows(node) {
    return [...this.#charts.values()].some((chart) => chart.node === node);
  }

  /** A message has come. @param {string} topic */
  came(topic) {
    for (const chart of this.#charts.values()) if (chart.node.path === topic) chart.keepUp();
    this.view.changed();
  }

  /** @param {TopicNode} node @param {Path} path */
  toggle(node, path) {
    const key = keyOf(node, path);
    const known = this.#charts.get(key);
    if (known) {
      const hadFocus = known.element.contains(document.activeElement);
      known.destroy();
      this.#charts.delete(key);
      if (hadFocus) (this.#container.querySelector('button') ?? byId('payload')).focus();
    } else if (this.#charts.size >= MOST) {
      this.#full(MOST);
      return;
    } else {
      const chart = new Chart(node, path, () => this.toggle(node, path), this.view.now);
      this.#charts.set(key, chart);
      this.#container.append(chart.element);
    }
    setHidden(this.#container, this.#charts.size === 0);
    // On a phone the charts are far above the number that was tapped.
    const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth';
    if (!known) this.#charts.get(key)?.element.scrollIntoView({ block: 'nearest', behavior });
    this.view.now();
    this.#changed();
  }

  clear() {
    for (const { node, path } of [...this.#charts.values()]) this.toggle(node, path);
  }

  restyle() {
    for (const chart of this.#charts.values()) chart.restyle();
    this.view.now();
  }
}

/** @param {TopicNode} node @param {Path} path */
const keyOf = (node, path) => JSON.stringify([node.id, ...path]);
