import { byId, h, setAttribute, setHidden, setText } from './dom.js';
import { formatCount, shortId } from './format.js';
import { VirtualList } from './virtual-list.js';

/** @typedef {ReturnType<import('./session.js').Session['pairs']>[number]} Pair */

const ROW = 46;

/** The pairs that have this page at one end: which brewer is matched with which patron, over which brew. */
export class MatchesView {
  #box = byId('matches');
  /** @type {VirtualList<Pair>} */
  #list;
  /** @type {unknown} */
  #drawn;
  /** @type {readonly Pair[]} */
  #pairs = [];

  /** @param {import('./frame-loop.js').FrameLoop} loop @param {() => import('./session.js').Session | undefined} session */
  constructor(loop, session) {
    this.view = loop.add(() => this.#draw(session()), 500);
    this.#list = new VirtualList(this.#box, { rowHeight: ROW, create: createRow, update: (row, pair, index) => this.#update(row, pair, index), scrolled: this.view.now });
  }

  /** @param {import('./session.js').Session | undefined} session */
  #draw(session) {
    const state = session ? `${session.target.server} ${session.matches}` : '';
    if (state !== this.#drawn) {
      this.#pairs = session ? session.pairs().sort((a, b) => order.compare(a.topic, b.topic)) : [];
      setText(byId('matches-count'), this.#pairs.length ? formatCount(this.#pairs.length) : '');
      setHidden(byId('matches-empty'), this.#pairs.length > 0);
      setHidden(this.#box, this.#pairs.length === 0);
      this.#drawn = state;
    }
    this.#list.draw(this.#pairs);
  }

  /** @param {HTMLElement} row @param {Pair} pair @param {number} index */
  #update(row, { topic, brewerId, patronId, brew, way }, index) {
    const [first, second] = row.children;
    setAttribute(row, 'aria-posinset', index + 1);
    setAttribute(row, 'aria-setsize', this.#pairs.length);
    row.title = `brewer ${brewerId}\npatron ${patronId}`;
    if (first) setText(first, topic);
    const brewer = way === 'in' ? `brewer ${shortId(brewerId)}` : 'this page';
    const patron = way === 'out' ? `patron ${shortId(patronId)}` : 'this page';
    if (second) setText(second, `${brewer} → ${patron} · ${brew}`);
  }
}

const order = new Intl.Collator('en', { numeric: true });

const createRow = () => h('div', { class: 'match', role: 'listitem' }, h('span', { class: 'name' }), h('span', { class: 'value' }));
