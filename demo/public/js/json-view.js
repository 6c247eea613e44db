import { h, setAttribute, setText } from './dom.js';
import { jsonLines, nameOf, quoted } from './payload.js';

const LIMIT = 300;

/** @typedef {import('./payload.js').Path} Path */

/**
 * A JSON value as text, line by line; every number is a button. Elements of lines stay in place while values change, so that the
 * focus and a selection survive the next message.
 */
export class JsonView {
  element = h('div', { class: 'json' });
  #more = h('p', { class: 'hint' }, 'The rest is not shown.');
  /** @type {{ element: HTMLElement, shape: string }[]} */
  #lines = [];
  #charts;

  /** @param {{ toggle: (path: Path) => void, has: (path: Path) => boolean }} charts */
  constructor(charts) {
    this.#charts = charts;
  }

  /** @param {unknown} value @param {ReadonlySet<string>} changed paths, joined by line feeds @returns {boolean} whether it has numbers */
  draw(value, changed) {
    const { lines, more } = jsonLines(value, LIMIT);
    lines.forEach((line, index) => {
      const shape = JSON.stringify([line.path, line.key ?? null, line.open, line.close, typeof line.value]);
      let known = this.#lines[index];
      if (known?.shape !== shape) {
        const element = this.#create(line);
        if (known) known.element.replaceWith(element);
        else this.element.append(element);
        known = this.#lines[index] = { element, shape };
      }
      const value = known.element.querySelector('.v');
      if (value) {
        // A number that is too large for JavaScript is Infinity, which JSON would write as null.
        setText(value, typeof line.value === 'number' ? written(line.value) : quoted(line.value));
        value.classList.toggle('changed', changed.has(line.path.join('\n')));
        if (typeof line.value === 'number') setAttribute(value, 'aria-pressed', String(this.#charts.has(line.path)));
      }
      const comma = known.element.querySelector('.p-end');
      if (comma) setText(comma, `${line.close}${line.last || (line.open && !line.close) ? '' : ','}`);
    });
    for (const { element } of this.#lines.splice(lines.length)) element.remove();
    if (!more) this.#more.remove();
    else if (this.element.lastChild !== this.#more) this.element.append(this.#more);
    return lines.some(({ value }) => typeof value === 'number');
  }

  /** @param {import('./payload.js').Line} line */
  #create({ depth, key, value, open, close, path }) {
    const element = h('div', { class: 'line' });
    element.style.paddingInlineStart = `${Math.min(depth, 12) * 18}px`;
    if (key !== undefined) element.append(h('span', { class: 'k' }, quoted(key)), ': ');
    if (open) element.append(h('span', { class: 'p' }, open));
    else if (typeof value === 'number') {
      // The number is the name of its button, and the action is the description: otherwise a screen reader would not read numbers.
      const button = h('button', { type: 'button', class: 'v number', title: `Chart ${nameOf(path) || 'value'}`, onclick: () => this.#charts.toggle(path) });
      // While it has the focus, the name stays: screen readers read out each change of it, and there may be eight a second.
      button.addEventListener('focus', () => setAttribute(button, 'aria-label', button.textContent));
      button.addEventListener('blur', () => setAttribute(button, 'aria-label', null));
      element.append(button);
    } else if (!close) element.append(h('span', { class: `v ${value === null ? 'null' : typeof value}` }));
    element.append(h('span', { class: 'p p-end' }));
    return element;
  }
}

/** Every digit; a zero may be negative. @param {number} number */
const written = (number) => (Object.is(number, -0) ? '-0' : String(number));
