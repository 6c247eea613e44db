import { Chart } from './chart.js';
import { byId, setHidden } from './dom.js';

/** @typedef {import('./payload.js').Path} Path */
/** @typedef {import('./store.js').TopicNode} TopicNode */

const MOST = 6;

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
