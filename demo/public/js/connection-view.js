import { byId, h, icon, setAttribute, setText } from './dom.js';
import { formatDay, formatDuration, formatTime } from './format.js';

/** @typedef {import('./session.js').Session} Session */
/** @typedef {import('./sockets.js').Kind} Kind */

const CUT_MS = 10_000;
const STATES = /** @type {const} */ ({
  connected: ['Connected', 'good'],
  connecting: ['Connecting', 'warn'],
  reconnecting: ['Reconnecting', 'warn'],
  disconnected: ['Disconnected', 'bad'],
});
const NO_SOCKET = { open: 0, dialling: 0, since: 0, cutLeft: 0 };

/** The state and history of the connections, and the buttons that cut them. */
export class ConnectionView {
  #pill = byId('pill');
  #state = byId('state');
  #log = byId('log');
  #toggle = byId('toggle-connection');
  #rows;
  #more = h('span', { class: 'more' });
  #word = document.createTextNode('');
  #drawn = '';
  #session;

  /** @param {{ loop: import('./frame-loop.js').FrameLoop, session: () => Session | undefined, open: () => void, reconnect: () => void, disconnect: () => void, cancel: () => void }} options */
  constructor({ loop, session, open, reconnect, disconnect, cancel }) {
    this.#session = session;
    this.#state.replaceChildren(this.#word, this.#more);
    this.view = loop.add(() => this.#draw(), 100);
    this.#rows = { control: this.#row('control', 'Control', 'matching'), relay: this.#row('relay', 'Relay', 'messages') };
    byId('sockets').append(this.#rows.control.element, this.#rows.relay.element);
    this.#pill.addEventListener('click', open);
    byId('other-server').addEventListener('click', open);
    this.#toggle.addEventListener('click', () => ({ Connect: reconnect, Cancel: cancel, Disconnect: disconnect })[this.#action]());
    // Shown durations grow even without events.
    setInterval(this.view.changed, 1000);
  }

  /** @param {Kind} kind @param {string} name @param {string} purpose */
  #row(kind, name, purpose) {
    const state = h('span', { class: 'socket-state' });
    const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
    const label = h('span');
    const click = () => {
      const session = this.#session();
      if (!session || button.getAttribute('aria-disabled') === 'true') return;
      if (session.socket(kind).cutLeft > 0) session.restore(kind);
      else session.cut(kind, CUT_MS);
      this.view.now();
    };
    const button = h('button', { type: 'button', class: 'button', id: `cut-${kind}`, onclick: click }, icon('cut'), label);
    const element = h('div', { class: 'socket' }, dot, h('div', { class: 'socket-text' }, h('strong', {}, name), ' ', h('span', { class: 'hint' }, purpose), state), button);
    return { element, state, dot, button, label };
  }

  /** What the button under the history does. @returns {'Connect' | 'Cancel' | 'Disconnect'} */
  get #action() {
    const session = this.#session();
    if (!session || session.state === 'disconnected') return 'Connect';
    // If the server is gone, the client keeps connecting until a person disconnects.
    return session.state === 'connecting' && !session.isGone ? 'Cancel' : 'Disconnect';
  }

  #draw() {
    const session = this.#session();
    const state = session?.state ?? 'disconnected';
    const isRelayLost = state === 'connected' && session?.isRelayLost === true;
    const [text, usual] = STATES[state];
    const tone = isRelayLost ? 'warn' : usual;
    setText(this.#word, text);
    setText(this.#more, isRelayLost ? ', relay lost' : state === 'reconnecting' && session?.flows ? ', messages go on' : '');
    if (this.#pill.dataset.tone !== tone) this.#pill.dataset.tone = tone;
    const host = session ? new URL(session.target.server).host : '';
    setText(byId('server'), host);
    // An element with role status is not part of its button's name, and narrow screens have no room for the server.
    setAttribute(this.#pill, 'aria-label', `${this.#state.textContent} ${host}: other server`);
    setText(this.#toggle, this.#action);
    this.#drawSocket(session, 'control');
    this.#drawSocket(session, 'relay');
    if (session) this.#drawLog(session);
  }

  /** @param {Session | undefined} session @param {Kind} kind */
  #drawSocket(session, kind) {
    const { open, dialling, since, cutLeft } = session?.socket(kind) ?? NO_SOCKET;
    const isOver = !session || session.state === 'disconnected';
    const { state, dot, button, label } = this.#rows[kind];
    const cut = cutLeft > 0 && !isOver;
    const seconds = Math.floor((Date.now() - since) / 1000);
    const lasted = seconds < 60 ? `${seconds} s` : formatDuration(seconds * 1000);
    let text = 'closed';
    if (cut) text = `cut, back in ${Math.ceil(cutLeft / 1000)} s`;
    else if (open > 0) text = `open${seconds > 0 ? ` for ${lasted}` : ''}${open > 1 ? `, ${open} relays` : ''}`;
    else if (dialling > 0) text = 'dialling';
    else if (!isOver) text = kind === 'relay' && session.state === 'connected' ? 'not needed yet' : 'waiting to dial';
    setText(state, text);
    dot.dataset.tone = open > 0 ? 'good' : cut || dialling > 0 ? 'warn' : 'plain';
    setText(label, cut ? 'Let it back' : 'Cut');
    button.title = cut ? '' : `Ends the ${kind} connection, and lets none be made for ${CUT_MS / 1000} seconds`;
    button.setAttribute('aria-label', cut ? `Let it back: the ${kind} connection` : `Cut the ${kind} connection for ${CUT_MS / 1000} seconds`);
    const disabled = !cut && open === 0;
    // Not by `disabled`, with which a button that was just pressed would lose the focus.
    if (button.getAttribute('aria-disabled') !== String(disabled)) button.setAttribute('aria-disabled', String(disabled));
  }

  /** @param {Session} session */
  #drawLog({ log }) {
    // Also anew at midnight: then all times need a day.
    const state = `${log.length} ${log[0]?.at ?? 0} ${log[0]?.text ?? ''} ${new Date().toDateString()}`;
    if (state === this.#drawn) return;
    this.#drawn = state;
    this.#log.replaceChildren(
      ...log.map(({ at, tone, text, times }) =>
        h('li', { 'data-tone': tone }, h('span', { class: 'dot', 'aria-hidden': 'true' }), h('time', {}, formatDay(at) + formatTime(at)), h('span', {}, times > 1 ? `${text} (×${times})` : text)),
      ),
    );
  }
}
