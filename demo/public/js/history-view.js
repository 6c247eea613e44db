import { byId, h, setAttribute, setText } from './dom.js';
import { formatBytes, formatDay, formatExactTime, shortId } from './format.js';
import { preview } from './payload.js';
import { VirtualList } from './virtual-list.js';

/** @typedef {import('./store.js').Entry} Entry */

const ROW = 28;

/** The messages of one topic, newest first, as a listbox. A chosen message stays shown; without a choice, the latest one is shown. */
export class HistoryView {
  #box = byId('history');
  /** @type {VirtualList<Entry>} */
  #list;
  /** @type {Entry | undefined} */
  #chosen;
  /** Whether the messages are of several brewers, so that each is shown with its own. */
  #several = false;
  #choose;

  /** @param {{ choose: (entry: Entry | undefined) => void, scrolled: () => void }} hooks */
  constructor({ choose, scrolled }) {
    this.#choose = choose;
    this.#list = new VirtualList(this.#box, { rowHeight: ROW, create: createRow, update: (row, entry, index) => this.#update(row, entry, index), scrolled });
    this.#box.addEventListener('click', (event) => {
      const entry = this.#list.itemAt(event.target);
      if (entry) choose(entry);
    });
    this.#box.addEventListener('keydown', (event) => this.#key(event));
  }

  /** @param {readonly Entry[]} newestFirst @param {Entry | undefined} chosen @param {boolean} several whether they are of several brewers */
  draw(newestFirst, chosen, several) {
    this.#chosen = chosen;
    this.#several = several;
    this.#list.draw(newestFirst);
    const index = chosen ? newestFirst.indexOf(chosen) : -1;
    setAttribute(this.#box, 'aria-activedescendant', index >= 0 && document.getElementById(`entry-${index}`) ? `entry-${index}` : null);
  }

  /** @param {HTMLElement} row @param {Entry} entry @param {number} index */
  #update(row, entry, index) {
    const [time, text, size] = row.children;
    row.id = `entry-${index}`;
    setAttribute(row, 'aria-selected', String(entry === this.#chosen));
    setAttribute(row, 'aria-posinset', index + 1);
    setAttribute(row, 'aria-setsize', this.#list.items.length);
    if (time) setText(time, formatDay(entry.at) + formatExactTime(entry.at));
    if (text) setText(text, `${this.#several ? `${shortId(entry.brewerId).slice(0, 4)} · ` : ''}${entry.retained ? 'last value: ' : ''}${preview(entry, 120)}`);
    if (size) setText(size, formatBytes(entry.length));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { items } = this.#list;
    const at = this.#chosen ? items.indexOf(this.#chosen) : -1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: this.#list.page, PageUp: -this.#list.page, Home: -items.length, End: items.length };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (event.key === 'Escape' && this.#chosen) this.#choose(undefined);
    else if (step === undefined || items.length === 0) return;
    else {
      const to = Math.min(items.length - 1, Math.max(0, at + step));
      this.#list.scrollTo(to);
      // At once, and not at the next drawing: another key may be pressed before that.
      this.#chosen = items[to];
      this.#choose(items[to]);
    }
    event.preventDefault();
  }
}

const createRow = () =>
  h('div', { class: 'entry', role: 'option' }, h('span', { class: 'time' }), h('span', { class: 'value' }), h('span', { class: 'num' }));
