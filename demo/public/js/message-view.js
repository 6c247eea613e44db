import { copyButton } from './copy.js';
import { byId, h, setHidden, setText } from './dom.js';
import { diff } from './diff.js';
import { formatAge, formatBytes, formatCount, formatDay, formatExactTime, formatRate, plural, shortId } from './format.js';
import { HistoryView } from './history-view.js';
import { JsonView } from './json-view.js';
import { HEX_LIMIT, noteOn, TEXT_LIMIT } from './payload-note.js';
import { beginning, hexDump, isRecord, read } from './payload.js';
import { frameParts } from './tap.js';

/** @typedef {import('./store.js').Entry} Entry */
/** @typedef {import('./store.js').TopicNode} TopicNode */
/** @typedef {'json' | 'text' | 'hex'} Format */

/** One topic: its latest message, or a chosen one that is held; what has changed in it; and earlier messages. */
export class MessageView {
  /** @type {TopicNode | undefined} */
  node;
  /** The message that is held, and the history as it was then. @type {{ entry: Entry, history: readonly Entry[], messages: number } | undefined} */
  #held;
  /** The history as it was drawn last, and the number of messages by then. @type {{ history: readonly Entry[], messages: number }} */
  #drawn = { history: [], messages: 0 };
  /** The format that a person has chosen; undefined: the one that fits the payload. @type {Format | undefined} */
  #format;
  #wire = byId('wire-toggle', HTMLInputElement);
  #payload = byId('payload');
  #text = h('pre', { class: 'text' });
  #json;
  #history;
  /** @type {Entry | undefined} */
  #compared;
  /** @type {HTMLElement[]} */
  #facts;
  /** How many bytes fit on a line of a hex dump. */
  #dumpWidth = 16;

  /** @param {{ loop: import('./frame-loop.js').FrameLoop, charts: import('./charts.js').Charts, brewHere: (topic: string) => void }} options */
  constructor({ loop, charts, brewHere }) {
    this.view = loop.add(() => this.#draw(), 120);
    this.#json = new JsonView({
      toggle: (path) => this.node && charts.toggle(this.node, path),
      has: (path) => this.node !== undefined && charts.has(this.node, path),
    });
    this.#history = new HistoryView({ choose: (entry) => this.#hold(entry), scrolled: this.view.now });
    this.#facts = ['Messages', 'Per second', 'Size', 'Cipher', 'Sequence', 'Brewer', 'Received'].map((name) => {
      const value = h('dd');
      byId('facts').append(h('div', {}, h('dt', {}, name), value));
      return value;
    });
    for (const radio of this.#radios()) {
      radio.addEventListener('change', () => {
        this.#format = /** @type {Format} */ (radio.value);
        this.view.now();
      });
    }
    this.#wire.addEventListener('change', this.view.now);
    byId('follow').addEventListener('click', () => {
      this.#hold(undefined);
      // The button is hidden by this, and the focus would be lost with it.
      byId('history').focus({ preventScroll: true });
    });
    byId('brew-here').addEventListener('click', () => this.node && brewHere(this.node.path));
    new ResizeObserver(() => {
      const { clientWidth } = this.#payload;
      this.#dumpWidth = clientWidth >= 560 ? 16 : clientWidth >= 310 ? 8 : 4;
      this.view.changed();
    }).observe(this.#payload);
    copyButton(byId('copy-topic'), byId('topic'), byId('copy-status'));
    copyButton(byId('copy-payload'), this.#payload, byId('copy-payload-status'), () => this.#copied());
  }

  /** The payload as it came, or what is shown where that is not the whole of it, or no text. */
  #copied() {
    const entry = this.#held?.entry ?? this.node?.latest;
    const { text } = entry ? read(entry) : {};
    const isShown = this.#format === 'hex' || text === undefined || entry?.length !== entry?.data.length;
    return isShown ? (this.#text.textContent ?? '') : text;
  }

  /** @param {TopicNode | undefined} node */
  select(node) {
    this.node = node;
    this.#held = undefined;
    this.#format = undefined;
    this.#compared = undefined;
    // Draw everything now, not in the next frame, because the focus may move here.
    this.#draw();
    this.view.now();
  }

  /** Moves the focus here, as on a narrow screen, where the element that had it is hidden now. */
  focus() {
    byId('topic').focus();
  }

  /** @param {Entry | undefined} entry */
  #hold(entry) {
    const { node } = this;
    if (!node) return;
    // A busy topic's history changes in a moment: keep it as it was drawn last, for the person who reads it.
    this.#held = entry && { ...(this.#held ?? this.#drawn), entry };
    this.view.now();
  }

  #draw() {
    const { node } = this;
    setHidden(byId('message-empty'), node !== undefined);
    setHidden(byId('message-body'), node === undefined);
    if (!node) return;
    setText(byId('topic'), node.path);
    if (!this.#held) this.#drawn = { history: [...node.history], messages: node.messages };
    const { history } = this.#held ?? this.#drawn;
    const entry = this.#held?.entry ?? node.latest;
    this.#drawHeld(node);
    if (!entry) return;
    const brewers = new Set(history.map(({ brewerId }) => brewerId)).size;
    const before = messageBefore(history, entry);
    this.#drawFacts(node, entry, brewers);
    this.#drawPayload(entry, before);
    this.#drawWire(entry);
    if (this.#compared !== entry) this.#drawDiff(before, entry, brewers);
    this.#compared = entry;
    this.#history.draw([...history].reverse(), this.#held?.entry, brewers > 1);
  }

  /** @param {TopicNode} node */
  #drawHeld(node) {
    setHidden(byId('held'), !this.#held);
    if (this.#held) setText(byId('held-text'), `Held · ${plural(node.messages - this.#held.messages, 'newer message')}`);
  }

  /** @param {TopicNode} node @param {Entry} entry @param {number} brewers whose messages the history has */
  #drawFacts(node, entry, brewers) {
    const sequence = entry.sequence === undefined ? '–' : formatCount(entry.sequence);
    const id = `${shortId(entry.brewerId)}${brewers > 1 ? `, one of ${brewers}` : ''}`;
    const received = formatDay(entry.at) + formatExactTime(entry.at) + formatAge(entry.at);
    const texts = [formatCount(node.messages), formatRate(node.rate), formatBytes(entry.length), entry.cipher, sequence, id, received];
    texts.forEach((text, index) => this.#facts[index] && setText(this.#facts[index], text));
    const brewer = this.#facts[5];
    if (brewer && brewer.title !== entry.brewerId) brewer.title = entry.brewerId;
  }

  /** @param {Entry} entry @param {Entry | undefined} before */
  #drawPayload(entry, before) {
    const reading = read(entry);
    const { kind, text = '', value } = reading;
    const fitting = kind === 'binary' ? 'hex' : kind;
    const format = this.#format ?? fitting;
    for (const radio of this.#radios()) if (radio.checked !== (radio.value === format)) radio.checked = radio.value === format;
    let hasNumbers = false;
    if (format === 'json' && kind === 'json') {
      this.#show(this.#json.element);
      hasNumbers = this.#json.draw(value, before ? changedPaths(read(before).value, value) : new Set());
    } else if (format === 'hex' || kind === 'binary') {
      this.#show(this.#text);
      setText(this.#text, hexDump(entry.data, HEX_LIMIT, this.#dumpWidth));
    } else {
      this.#show(this.#text);
      setText(this.#text, beginning(text, TEXT_LIMIT) || ' ');
    }
    const note = noteOn(entry, reading, format, { hasNumbers, isCompared: before !== undefined });
    setHidden(byId('payload-note'), !note);
    setText(byId('payload-note'), note);
  }

  /** @param {HTMLElement} element */
  #show(element) {
    if (this.#payload.firstChild !== element) this.#payload.replaceChildren(element);
  }

  /** @param {Entry} entry */
  #drawWire(entry) {
    const on = this.#wire.checked;
    setHidden(byId('wire'), !on);
    byId('panes').classList.toggle('two', on);
    setText(byId('payload-title'), on && entry.cipher !== 'plaintext' ? 'Decrypted' : 'Payload');
    if (!on) return;
    const pane = byId('wire-hex');
    if (!entry.frame) {
      setText(pane, ' ');
      setText(byId('wire-note'), 'The frame of this message was not kept.');
      return;
    }
    const { payload, epoch, sequence, bundle } = frameParts(entry.frame);
    setText(pane, hexDump(payload, HEX_LIMIT, this.#dumpWidth) || ' ');
    const size = `${formatBytes(entry.frameLength - 88)} after an 88-byte header`;
    const notes = {
      'AES-GCM': `AES-GCM, sealed${bundle ? ' in one bundle with messages beside it' : ''}: ${size}. Epoch ${epoch ?? ''}, sequence ${sequence ?? ''}${bundle ? ' and on' : ''}. Only matched patrons have the key; the relay does not.`,
      'AES-CBC': `AES-CBC: ${size}, beginning with its IV. Only matched patrons have the key; the relay does not.`,
      plaintext: `Not encrypted: ${size}. Everyone on its way can read it.`,
    };
    const part = entry.frameLength - 88 > HEX_LIMIT ? `The first ${formatBytes(HEX_LIMIT)} of it. ` : '';
    setText(byId('wire-note'), part + (notes[/** @type {keyof typeof notes} */ (entry.cipher)] ?? `${size}.`));
  }

  /** @param {Entry | undefined} before @param {Entry} entry @param {number} brewers */
  #drawDiff(before, entry, brewers) {
    const place = byId('diff');
    setText(byId('diff-title'), brewers > 1 && before?.brewerId === entry.brewerId ? 'Changed since this brewer’s message before' : 'Changed since the message before');
    if (!before) {
      place.replaceChildren(h('p', { class: 'hint' }, 'There is no message before this one yet.'));
      return;
    }
    const { changes, more, note } = diff(before, entry);
    const rows = changes.map(({ kind, where, before: old, after, delta }) =>
      h(
        'div',
        { class: `change ${kind}` },
        h('span', { class: 'where' }, where),
        h('span', { class: 'values' }, ...(kind === 'added' ? [] : [h('del', {}, old)]), ...(kind === 'changed' ? [' → '] : []), ...(kind === 'removed' ? [] : [h('ins', {}, after)])),
        // Not by colour alone, which not everybody can see.
        h('span', { class: 'delta' }, kind === 'changed' ? delta : kind),
      ),
    );
    if (more) rows.push(h('div', { class: 'hint' }, 'There are more changes.'));
    place.replaceChildren(...(note ? [h('p', { class: 'hint' }, note)] : rows));
  }

  #radios() {
    return /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name="format"]'));
  }
}

/**
 * The message that another one is compared with: the one before of the same brewer, as several brewers of a topic rarely tell of the
 * same thing; or, if there is none, the one before.
 * @param {readonly Entry[]} history oldest first @param {Entry} entry
 */
function messageBefore(history, entry) {
  const earlier = history.slice(0, Math.max(0, history.indexOf(entry)));
  return earlier.findLast(({ brewerId }) => brewerId === entry.brewerId) ?? earlier.at(-1);
}

/** The paths of values that differ, joined by line feeds. @param {unknown} before @param {unknown} after @param {string[]} [path] @param {Set<string>} [found] */
function changedPaths(before, after, path = [], found = new Set()) {
  if (path.length > 12 || found.size > 200) return found;
  if (!isRecord(after) && !Array.isArray(after)) {
    if (!Object.is(before, after)) found.add(path.join('\n'));
    return found;
  }
  for (const [key, value] of Object.entries(after)) {
    const old = typeof before === 'object' && before !== null && Object.hasOwn(before, key) ? /** @type {Record<string, unknown>} */ (before)[key] : undefined;
    changedPaths(old, value, [...path, key], found);
  }
  return found;
}
