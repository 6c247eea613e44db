import { byId, h, icon, setAttribute, setHidden, setText } from './dom.js';
import { formatCompact, formatCount, formatRate } from './format.js';
import { preview } from './payload.js';
import { LIMITS } from './store.js';
import { VirtualList } from './virtual-list.js';

/** @typedef {import('./store.js').TopicNode} TopicNode */
/** @typedef {{ node: TopicNode, position: number, siblings: number }} Row */

const ROW = 30;
/** Nodes with more children than this are closed until a person opens them. */
const MANY = 24;

/** The topics as an ARIA tree: one tab stop, with arrow keys inside. */
export class TreeView {
  /** @type {TopicNode | undefined} */
  selected;
  /** @type {TopicNode | undefined} */
  #active;
  /** The node whose row had the focus when it was drawn last, unless a key was pressed since. @type {TopicNode | undefined} */
  #read;
  #tree = byId('tree');
  #filter = byId('filter', HTMLInputElement);
  #empty = byId('tree-empty');
  #emptyText = byId('tree-empty-text');
  #notice = byId('tree-notice');
  /** @type {VirtualList<Row>} */
  #list;
  /** @type {Row[]} */
  #rows = [];
  #flattened = '';
  #changes = 0;
  #typed = '';
  #typedAt = 0;
  #options;

  /**
   * @param {{ store: () => import('./store.js').Store, loop: import('./frame-loop.js').FrameLoop, select: (node: TopicNode) => void, waiting: () => string }} options
   *   `waiting`: what to say while there is no topic
   */
  constructor(options) {
    this.#options = options;
    this.view = options.loop.add(() => this.#draw(), 250);
    this.#list = new VirtualList(this.#tree, { rowHeight: ROW, create: createRow, update: (row, item) => this.#update(row, item), scrolled: this.view.now });
    this.#filter.addEventListener('input', this.view.now);
    this.#tree.addEventListener('keydown', (event) => this.#key(event));
    this.#tree.addEventListener('focus', () => {
      this.#active ??= this.selected ?? this.#rows[0]?.node;
      this.view.now();
    });
    this.#tree.addEventListener('click', (event) => {
      const row = this.#list.itemAt(event.target);
      if (!row) return;
      this.#active = row.node;
      const onTwist = event.target instanceof Element && event.target.closest('.twist') !== null;
      if (onTwist || !row.node.isTopic) this.#expand(row.node, !this.#isOpen(row.node));
      if (!onTwist && row.node.isTopic) this.#select(row.node);
      this.view.now();
    });
  }

  /** The store is another one: forgets what was selected. */
  reset() {
    this.selected = this.#active = undefined;
    this.#flattened = '';
    this.view.now();
  }

  /** @param {TopicNode} node */
  #select(node) {
    this.selected = node;
    this.#options.select(node);
    this.view.now();
  }

  /** The first topic as the tree shows them. @returns {TopicNode | undefined} */
  selectFirst() {
    this.#flatten();
    const row = this.#rows.find(({ node }) => node.isTopic);
    if (row) this.#select(row.node);
    return row?.node;
  }

  /** With a filter, all nodes that it leaves are shown: there is nothing to open or close. */
  get #isFiltered() {
    return this.#filter.value.trim() !== '';
  }

  /** @param {TopicNode} node */
  #isOpen(node) {
    if (this.#isFiltered) return true;
    return node.expanded ?? node.children.size <= MANY;
  }

  /** @param {TopicNode} node @param {boolean} open */
  #expand(node, open) {
    if (node.children.size === 0 || this.#isFiltered) return;
    node.expanded = open;
    this.#changes += 1;
  }

  /** Makes the rows of the tree anew; called only when its shape has changed. */
  #flatten() {
    const store = this.#options.store();
    const filter = this.#filter.value.trim();
    const state = `${store.root.id} ${store.version} ${this.#changes} ${filter}`;
    if (state === this.#flattened) return;
    this.#flattened = state;
    const shown = filter ? filtered(store, filter) : undefined;
    /** @type {Row[]} */
    const rows = [];
    /** @param {TopicNode} parent */
    const add = (parent) => {
      const children = shown ? parent.sorted.filter((node) => shown.has(node)) : parent.sorted;
      for (const [index, node] of children.entries()) {
        rows.push({ node, position: index + 1, siblings: children.length });
        if (node.children.size > 0 && this.#isOpen(node)) add(node);
      }
    };
    add(store.root);
    this.#rows = rows;
  }

  #draw() {
    const store = this.#options.store();
    this.#flatten();
    this.#list.draw(this.#rows);
    const active = this.#active && document.getElementById(`topic-${this.#active.id}`);
    setAttribute(this.#tree, 'aria-activedescendant', active?.id ?? null);
    setHidden(this.#empty, this.#rows.length > 0);
    setHidden(this.#tree, this.#rows.length === 0);
    const nothing = store.topics.size === 0 ? this.#options.waiting() : `None of ${formatCount(store.topics.size)} topics matches this filter.${store.dropped > 0 ? ' Others were dropped.' : ''}`;
    if (this.#rows.length === 0) {
      setText(byId('tree-empty-title'), store.topics.size === 0 ? 'No messages yet' : 'No such topic');
      setText(this.#emptyText, nothing);
    }
    setHidden(this.#notice, store.dropped === 0);
    const notice = `There are more than ${formatCount(LIMITS.topics)} topics: those that were silent longest are not shown. Connect with a narrower pattern to see them.`;
    if (store.dropped > 0) setText(this.#notice, notice);
  }

  /** @param {HTMLElement} row @param {Row} item */
  #update(row, { node, position, siblings }) {
    const [twist, name, value, count, rate] = /** @type {HTMLElement[]} */ ([...row.children]);
    if (!twist || !name || !value || !count || !rate) return;
    const { latest } = node;
    const text = latest ? preview(latest, 40) : '';
    const isNew = row.id !== `topic-${node.id}`;
    if (isNew) row.id = `topic-${node.id}`;
    setAttribute(row, 'aria-level', node.depth + 1);
    setAttribute(row, 'aria-posinset', position);
    setAttribute(row, 'aria-setsize', siblings);
    setAttribute(row, 'aria-expanded', node.children.size > 0 ? String(this.#isOpen(node)) : null);
    setAttribute(row, 'aria-selected', String(node === this.selected));
    // Screen readers read out each change of what has the focus, and a topic may change several times a second.
    const hasFocus = node === this.#active && document.activeElement === this.#tree;
    if (isNew || !hasFocus || this.#read !== node) {
      setAttribute(row, 'aria-label', `${node.name}${text && `: ${text}`}, ${formatCount(node.count)} messages, ${formatRate(node.rate)} per second`);
    }
    if (hasFocus) this.#read = node;
    row.classList.toggle('active', node === this.#active);
    row.classList.toggle('is-topic', node.isTopic);
    const indent = `${8 + Math.min(node.depth, 3) * 14 + Math.min(Math.max(0, node.depth - 3), 6) * 7 + Math.max(0, node.depth - 9) * 3}px`;
    if (row.style.paddingInlineStart !== indent) row.style.paddingInlineStart = indent;
    setText(name, node.name);
    if (row.title !== node.path) row.title = node.path;
    setText(value, text);
    setText(count, formatCompact(node.count));
    setText(rate, formatRate(node.rate));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.#flatten();
    const rows = this.#rows;
    const at = Math.max(0, rows.findIndex(({ node }) => node === this.#active));
    const node = rows[at]?.node;
    if (!node) return;
    const isBranch = node.children.size > 0;
    let to = at;
    if (event.key === 'ArrowDown') to = at + 1;
    else if (event.key === 'ArrowUp') to = at - 1;
    else if (event.key === 'Home') to = 0;
    else if (event.key === 'End') to = rows.length - 1;
    else if (event.key === 'PageDown') to = at + this.#list.page;
    else if (event.key === 'PageUp') to = at - this.#list.page;
    else if (event.key === 'ArrowRight' && isBranch) {
      if (this.#isOpen(node)) to = at + 1;
      else this.#expand(node, true);
    } else if (event.key === 'ArrowLeft') {
      if (isBranch && this.#isOpen(node) && !this.#isFiltered) this.#expand(node, false);
      // The first level has no parent row.
      else if (node.depth > 0) to = rows.findIndex((row) => row.node === node.parent);
    } else if (event.key === '*') for (const child of node.parent?.children.values() ?? []) this.#expand(child, true);
    else if (event.key === 'Enter' || event.key === ' ') {
      if (node.isTopic) this.#select(node);
      else this.#expand(node, !this.#isOpen(node));
    } else if (event.key.length === 1) to = this.#find(event.key, at);
    else return;
    event.preventDefault();
    const index = Math.min(rows.length - 1, Math.max(0, to));
    this.#active = rows[index]?.node;
    this.#read = undefined;
    this.#list.scrollTo(index);
    this.view.now();
  }

  /** The next row whose name begins with what was typed. @param {string} key @param {number} at */
  #find(key, at) {
    const now = performance.now();
    this.#typed = now - this.#typedAt < 700 ? this.#typed + key.toLowerCase() : key.toLowerCase();
    this.#typedAt = now;
    const from = this.#typed.length === 1 ? at + 1 : at;
    const order = [...this.#rows.keys()].map((index) => (index + from) % this.#rows.length);
    return order.find((index) => this.#rows[index]?.node.name.toLowerCase().startsWith(this.#typed)) ?? at;
  }
}

const createRow = () =>
  h(
    'div',
    { class: 'row', role: 'treeitem' },
    h('span', { class: 'twist' }, icon('chevron')),
    h('span', { class: 'name' }),
    h('span', { class: 'value' }),
    h('span', { class: 'num' }),
    h('span', { class: 'num rate' }),
  );

/** The topics that a filter leaves, with the nodes above them. @param {import('./store.js').Store} store @param {string} filter */
function filtered(store, filter) {
  const isPattern = filter.includes('*') && Pubkeeper.isTopicPattern(filter);
  const text = filter.toLowerCase();
  /** @type {Set<TopicNode>} */
  const shown = new Set();
  for (const node of store.topics.values()) {
    if (!(isPattern ? Pubkeeper.matchTopic(filter, node.path) : node.path.toLowerCase().includes(text))) continue;
    for (let up = /** @type {TopicNode | undefined} */ (node); up; up = up.parent) shown.add(up);
  }
  return shown;
}
