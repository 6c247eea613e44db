import { byId, h, setText } from './dom.js';
import { formatBytes, formatLimit, plural } from './format.js';
import { parseHex } from './payload.js';

/** How long a brewer waits for its first patron before the form says that nobody subscribes, in ms. */
const PATIENCE = 4000;
const REFUSED = 'Not delivered: the message is longer than this server accepts, and the relay has closed the connection.';

/** The form that brews what is typed. */
export class BrewForm {
  #topic = byId('brew-topic', HTMLInputElement);
  #payload = byId('brew-payload', HTMLTextAreaElement);
  #format = byId('brew-format', HTMLSelectElement);
  #cipher = byId('brew-cipher', HTMLSelectElement);
  #status = byId('brew-status');
  #options;

  /** Counts messages that a relay found too long. */
  #refused = 0;
  /** Whether the status is about a message that was sent: the relay may still refuse it. */
  #sent = false;
  /** What waits for the relay, if the status is about that. */
  #waiting = '';

  /**
   * @param {{ session: () => import('./session.js').Session | undefined, topics: () => Iterable<string>, most: () => number }} options
   *   `most`: how many bytes the server accepts in one message
   */
  constructor(options) {
    this.#options = options;
    byId('brew').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#brew();
    });
    this.#payload.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void this.#brew();
    });
    this.#topic.addEventListener('focus', () => this.#suggest());
  }

  /** @param {string} topic */
  aim(topic) {
    this.#topic.value = topic;
    this.#payload.focus();
    this.#payload.select();
  }

  /** The relay may be back: then what waited for it was sent. */
  changed() {
    if (this.#waiting && this.#options.session()?.isRelayLost === false) this.#say(`Brewed ${this.#waiting}.`, 'good');
  }

  /** The relay has closed its connection, because the message is longer than it accepts. */
  tooLong() {
    this.#refused += 1;
    if (this.#sent) this.#say(REFUSED, 'bad');
  }

  #suggest() {
    const topics = [...this.#options.topics()].slice(-100).reverse();
    byId('known-topics').replaceChildren(...topics.map((value) => h('option', { value })));
  }

  async #brew() {
    const session = this.#options.session();
    const topic = this.#topic.value.trim();
    const bytes = this.#format.value === 'hex' ? parseHex(this.#payload.value) : new TextEncoder().encode(this.#payload.value);
    if (!session || session.state === 'disconnected' || session.state === 'connecting') return this.#say('Not connected: connect first.', 'bad');
    if (!Pubkeeper.isTopic(topic)) {
      this.#topic.focus();
      return this.#say('A topic is segments of letters, digits, _ and -, joined by dots. Wildcards are for patrons.', 'bad');
    }
    if (!bytes) {
      this.#payload.focus();
      return this.#say('Hex is digits 0–9 and a–f in pairs.', 'bad');
    }
    const most = this.#options.most();
    if (bytes.length > most) return this.#say(`Not sent: this server accepts messages up to ${formatLimit(most)}.`, 'bad');
    const cipher = /** @type {import('pubkeeper').CipherName} */ (this.#cipher.value);
    try {
      const brewer = session.brewer(topic, cipher);
      if (!brewer.isMatched) this.#say('Waiting for a patron…', 'plain');
      const refusal = await matched(session, brewer);
      // The result of an earlier connection says nothing about the connection that the page has by now.
      if (session !== this.#options.session()) return this.#say(`Nothing was sent on ${topic}: this page has connected anew meanwhile.`, 'bad');
      if (refusal) {
        session.removeBrewer(brewer);
        return this.#say(refusal, 'bad');
      }
      if (!brewer.isMatched && session.state !== 'connected') return this.#say(`Nothing was sent on ${topic}: the control connection is lost, so no patron can be found. Try again when it is back.`, 'bad');
      if (!brewer.isMatched) return this.#say(`Nobody subscribes to ${topic}, so nothing was sent: a brewer sends only while a patron is matched.`, 'bad');
      const refused = this.#refused;
      const waits = () => session.isRelayLost;
      const what = `${formatBytes(bytes.length)} for ${plural(brewer.patrons.size, 'patron')}`;
      if (waits()) {
        this.#say(`The relay cannot be reached: ${what} will be sent when it is back.`, 'warn');
        this.#waiting = what;
      }
      await brewer.brew(bytes);
      if (this.#refused > refused) return this.#say(REFUSED, 'bad');
      if (!waits()) this.#say(`Brewed ${what}.`, 'good');
      this.#sent = true;
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error), 'bad');
    }
  }

  /** @param {string} text @param {'good' | 'warn' | 'bad' | 'plain'} tone */
  #say(text, tone) {
    this.#sent = false;
    this.#waiting = '';
    this.#status.dataset.tone = tone;
    setText(this.#status, text);
  }
}

/**
 * Waits for a brewer's first patron. Resolves to the server's message if it refuses the brewer.
 * @param {import('./session.js').Session} session @param {import('pubkeeper').Brewer} brewer
 * @returns {Promise<string | undefined>}
 */
function matched(session, brewer) {
  if (brewer.isMatched) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const end = (/** @type {string | undefined} */ refusal) => {
      clearTimeout(timer);
      for (const off of undo) off();
      resolve(refusal);
    };
    const timer = setTimeout(() => end(undefined), PATIENCE);
    const undo = [
      brewer.on('matched', () => end(undefined)),
      session.onError((error) => {
        if (error.details['brewer_id'] === brewer.brewerId) end(error.message);
      }),
    ];
  });
}
