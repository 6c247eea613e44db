import { h } from './dom.js';

/** How many rows are kept above and below the visible ones, so that fast scrolling shows no gaps. */
const SPARE = 6;

/**
 * A scrolling list of rows of equal height that has elements only for the visible rows, whatever the length of the list.
 * @template Item
 */
export class VirtualList {
  /** @type {readonly Item[]} */
  items = [];
  #scroller;
  #rowHeight;
  #update;
  #space = h('div', { class: 'rows', role: 'none' });
  /** @type {HTMLElement[]} */
  #rows = [];
  #create;
  #top = 0;
  #height = 0;

  /**
   * @param {HTMLElement} scroller
   * @param {{ rowHeight: number, create: () => HTMLElement, update: (row: HTMLElement, item: Item, index: number) => void, scrolled: () => void }} options
   *   `scrolled`: asks for a draw
   */
  constructor(scroller, { rowHeight, create, update, scrolled }) {
    this.#scroller = scroller;
    this.#rowHeight = rowHeight;
    this.#create = create;
    this.#update = update;
    scroller.append(this.#space);
    // Read position and height only here: reading them at every draw would make the browser lay out the page each time.
    scroller.addEventListener(
      'scroll',
      () => {
        this.#top = scroller.scrollTop;
        scrolled();
      },
      { passive: true },
    );
    new ResizeObserver(() => {
      this.#top = scroller.scrollTop;
      this.#height = scroller.clientHeight;
      scrolled();
    }).observe(scroller);
  }

  /** @param {readonly Item[]} items */
  draw(items) {
    this.items = items;
    const height = `${items.length * this.#rowHeight}px`;
    if (this.#space.style.height !== height) this.#space.style.height = height;
    const first = Math.max(0, Math.floor(this.#top / this.#rowHeight) - SPARE);
    const last = Math.min(items.length, Math.ceil((this.#top + this.#height) / this.#rowHeight) + SPARE);
    const wanted = Math.max(0, last - first);
    while (this.#rows.length > wanted) this.#rows.pop()?.remove();
    while (this.#rows.length < wanted) {
      const row = this.#create();
      this.#rows.push(row);
      this.#space.append(row);
    }
    this.#rows.forEach((row, at) => {
      const index = first + at;
      const transform = `translateY(${index * this.#rowHeight}px)`;
      if (row.style.transform !== transform) row.style.transform = transform;
      row.dataset.index = String(index);
      this.#update(row, /** @type {Item} */ (items[index]), index);
    });
  }

  /** The item whose row this element is in. @param {EventTarget | null} target @returns {Item | undefined} */
  itemAt(target) {
    const row = target instanceof Element ? target.closest('[data-index]') : null;
    return row instanceof HTMLElement && this.#space.contains(row) ? this.items[Number(row.dataset.index)] : undefined;
  }

  /** @param {number} index */
  scrollTo(index) {
    const top = index * this.#rowHeight;
    if (top < this.#top) this.#scroller.scrollTop = top;
    else if (top + this.#rowHeight > this.#top + this.#height) this.#scroller.scrollTop = top + this.#rowHeight - this.#height;
    this.#top = this.#scroller.scrollTop;
  }

  /** How many rows fit, for Page Up and Page Down. */
  get page() {
    return Math.max(1, Math.floor(this.#height / this.#rowHeight) - 1);
  }
}
