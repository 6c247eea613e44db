// A client with one patron for all topics, and the history of its connections.
import { formatDuration, plural } from './format.js';
import { Arrivals } from './pairs.js';
import { Sockets, TOO_LONG } from './sockets.js';
import { TapBrew } from './tap.js';

/** @typedef {{ server: string, token: string, pattern: string, renew?: () => Promise<string> }} Target `renew`: gets the token anew, for each connection */
/** @typedef {'good' | 'warn' | 'bad' | 'plain'} Tone */
/** @typedef {{ at: number, tone: Tone, text: string, times: number }} LogItem */
/** @typedef {import('./sockets.js').Kind} Kind */

const LOG = 100;
const NAMES = { control: 'Control connection', relay: 'Relay connection' };

export class Session {
  /** @type {import('pubkeeper').ClientState} */
  state = 'disconnected';
  /** Newest first. @type {LogItem[]} */
  log = [];
  /** Counts the changes of matches. */
  matches = 0;
  /** Whether this page has ended the session. */
  ended = false;
  /** @type {Set<import('pubkeeper').Brewer>} */
  brewers = new Set();
  #sockets;
  #brew = new TapBrew();
  #client;
  #patron;
  #hooks;
  #stateSince = Date.now();
  #wasConnected = false;
  /** Whether a packet came, before this client was authenticated, that no server of ours would send. */
  isStrange = false;
  #messageAt = 0;
  #relayLost = false;
  /** Brewers from which more than a last value has come. @type {Set<string>} */
  #live = new Set();
  /** Why the server has refused the pattern. @type {import('pubkeeper').PubkeeperError | undefined} */
  refusal;
  #arrivals = new Arrivals();

  /**
   * @param {Target} target
   * @param {{ message: (message: import('pubkeeper').Message, frame: Uint8Array | undefined, cipher: string) => void, changed: () => void, ended: (error: { code?: string, message: string }) => void, tooLong: () => void }} hooks
   *   `tooLong`: the relay has closed its connection because of what this page sent
   */
  constructor(target, hooks) {
    this.target = target;
    this.#hooks = hooks;
    this.#sockets = new Sockets((kind, what, why, code) => this.#socketChanged(kind, what, why, code));
    this.#client = new Pubkeeper.PubkeeperClient({
      server: target.server,
      token: target.renew ?? target.token,
      brews: [this.#brew],
      WebSocket: this.#sockets.WebSocket,
      reconnect: { delayMs: 500, maxDelayMs: 2500 },
      connectTimeoutMs: 6000,
    });
    this.#patron = this.#client.addPatron(target.pattern, (_data, message) => {
      const { frame, cipher } = this.#brew.take(message);
      this.#messageAt = Date.now();
      this.#arrivals.came(message.brewerId);
      if (!message.retained) this.#live.add(message.brewerId);
      hooks.message(message, frame, cipher);
    });
    this.#listen();
  }

  /** Connects. Rejects also if the server accepts everything but the pattern. @param {AbortSignal} signal */
  async connect(signal) {
    await this.#client.connect({ signal });
    const { refusal } = this;
    if (!refusal) return;
    await this.#client.disconnect();
    throw refusal;
  }

  disconnect() {
    this.ended = true;
    return this.#client.disconnect();
  }

  /** Whether messages are coming in. */
  get flows() {
    return this.#sockets.state('relay').open > 0 && Date.now() - this.#messageAt < 2500;
  }

  /** Whether the server has been away for so long that its pairs are given up. */
  get isGone() {
    return this.#wasConnected && this.state === 'connecting';
  }

  /** Whether there are pairs, but no relay connection for their messages. */
  get isRelayLost() {
    const isMatched = this.#patron.isMatched || [...this.brewers].some((brewer) => brewer.isMatched);
    return isMatched && (this.#sockets.isCut('relay') || (this.#relayLost && this.#sockets.state('relay').open === 0));
  }

  /** @param {Kind} kind */
  socket(kind) {
    return this.#sockets.state(kind);
  }

  /** @param {Kind} kind @param {number} ms */
  cut(kind, ms) {
    this.note('warn', `${NAMES[kind]} cut for ${formatDuration(ms)}`);
    this.#sockets.cut(kind, ms);
  }

  /** @param {Kind} kind */
  restore(kind) {
    this.#sockets.allow(kind);
    // The event that a browser fires when the network is back: on it, the client connects at once instead of after its wait.
    window.dispatchEvent(new Event('online'));
  }

  /** The pairs that have this client at one end or both. */
  pairs() {
    const { patronId, topic: pattern } = this.#patron;
    const read = [...this.#patron.brewers].map(([brewerId, { topic, brew }]) => ({ topic, brewerId, patronId, brew, way: 'in', pattern }));
    const written = [...this.brewers].flatMap(({ topic, brewerId, patrons }) =>
      [...patrons].map(([id, { brew }]) => ({ topic, brewerId, patronId: id, brew, way: 'out', pattern: '' })),
    );
    // If this page reads its own brewer, that is one pair, which is seen here from both ends.
    const own = new Set(written.map(({ brewerId, patronId: id }) => `${brewerId}${id}`));
    const foreign = read.filter(({ brewerId }) => !own.has(`${brewerId}${patronId}`));
    const loops = written.map((pair) => (pair.patronId === patronId ? { ...pair, way: 'loop' } : pair));
    return [...loops, ...this.#arrivals.current(foreign)];
  }

  /**
   * A brewer on this topic, made for the first message and kept for the next.
   * @param {string} topic @param {import('pubkeeper').CipherName} cipher
   */
  brewer(topic, cipher) {
    for (const known of this.brewers) if (known.topic === topic && known.cipher === cipher) return known;
    if (this.brewers.size >= 16) {
      const [oldest] = this.brewers;
      if (oldest) this.removeBrewer(oldest);
    }
    const brewer = this.#client.addBrewer(topic, { cipher });
    for (const name of /** @type {const} */ (['added', 'removed'])) brewer.on(name, () => this.#matched());
    this.brewers.add(brewer);
    return brewer;
  }

  /** @param {import('pubkeeper').Brewer} brewer */
  removeBrewer(brewer) {
    this.brewers.delete(brewer);
    this.#client.removeBrewer(brewer);
    this.#matched();
  }

  /** Calls `listener` with errors that happen outside of any call. @param {(error: import('pubkeeper').PubkeeperError) => void} listener */
  onError(listener) {
    return this.#client.on('error', listener);
  }

  #listen() {
    const client = this.#client;
    client.on('state', (state) => this.#setState(state));
    client.on('matched', () => this.#matched());
    this.#patron.on('removed', ({ brewerId }) => {
      this.#live.delete(brewerId);
      this.#matched();
    });
    this.#patron.on('added', ({ brewerId }) => this.#arrivals.came(brewerId));
    client.on('error', (error) => {
      if (error.details['patron_id'] === this.#patron.patronId) this.refusal = error;
      if (!this.#wasConnected && /^(PROTOCOL_ERROR|PACKET_INVALID)$/.test(error.code)) this.isStrange = true;
      // Lost connections have their lines in the log already; and a connection that was cut is meant to fail.
      const isCut = this.#sockets.isCut('control') || this.#sockets.isCut('relay');
      if (error.code !== 'CONNECTION_LOST' && !(isCut && error.code === 'CONNECT_FAILED')) this.note('bad', error.message);
      if (client.state === 'disconnected') this.#hooks.ended(error);
    });
    client.on('dropped', ({ reason, count }) => {
      // The relay keeps a last value even after its brewer has ended.
      if (reason === 'unknown-brewer') this.note('plain', `${plural(count, 'frame')} of unmatched brewers ignored`);
      else this.note('warn', `${plural(count, 'frame')} dropped: ${reason}`);
    });
    let missed = 0;
    this.#patron.on('gap', ({ brewerId, missing }) => {
      // What was brewed between the last value and the first live message was not meant for this page.
      if (!this.#live.has(brewerId)) return;
      // After an outage there is a gap for each brewer, all at about the same time: write one line for all.
      if (missed === 0) {
        setTimeout(() => {
          if (missed > 0) this.note('warn', `${plural(missed, 'message')} missed in between`);
          missed = 0;
        }, 500);
      }
      missed += missing;
    });
  }

  /** @param {import('pubkeeper').ClientState} state */
  #setState(state) {
    const before = this.state;
    const lasted = formatDuration(Date.now() - this.#stateSince);
    this.state = state;
    if (state !== 'connected') this.refusal = undefined;
    this.#stateSince = Date.now();
    if (state === 'connected') {
      const again = this.#wasConnected && before !== 'connected';
      this.note('good', again ? `Connected again, after ${lasted}` : `Connected in ${lasted}`);
      // Draw again at that time, when only current pairs are left.
      if (again) setTimeout(() => this.#matched(), this.#arrivals.back());
      this.#wasConnected = true;
      this.isStrange = false;
    } else if (state === 'reconnecting') {
      this.#arrivals.lost();
      this.note('warn', 'Reconnecting');
    }
    else if (state === 'disconnected') this.note(before === 'connecting' ? 'bad' : 'plain', before === 'connecting' ? 'Could not connect' : 'Disconnected');
    else this.note('plain', 'Connecting');
    this.#hooks.changed();
  }

  /** @param {Kind} kind @param {'open' | 'lost'} what @param {string} why @param {number} code */
  #socketChanged(kind, what, why, code) {
    if (kind === 'relay') {
      // 1000: the connection is not needed any more.
      this.#relayLost = what === 'lost' && code !== 1000;
      if (code === TOO_LONG) this.#hooks.tooLong();
    }
    this.note(what === 'open' ? 'good' : 'warn', `${NAMES[kind]} ${what === 'open' ? 'open' : 'closed'}${why && ` (${why})`}`);
    this.#hooks.changed();
  }

  #matched() {
    this.matches += 1;
    this.#hooks.changed();
  }

  /** @param {Tone} tone @param {string} text */
  note(tone, text) {
    const last = this.log[0];
    if (last?.text === text) {
      last.times += 1;
      last.at = Date.now();
    } else {
      this.log.unshift({ at: Date.now(), tone, text, times: 1 });
      this.log.length = Math.min(this.log.length, LOG);
    }
    this.#hooks.changed();
  }
}

/**
 * Whether a WebSocket server accepts a connection without our subprotocols: then it is not ours. This must be tried, because
 * browsers do not tell scripts why a connection failed.
 * @param {string} server
 * @returns {Promise<boolean>}
 */
export const answersOtherwise = (server) =>
  new Promise((resolve) => {
    let socket;
    try {
      socket = new WebSocket(server);
    } catch {
      return resolve(false);
    }
    const probe = socket;
    const end = (/** @type {boolean} */ answer) => {
      clearTimeout(timer);
      resolve(answer);
      if (answer) probe.close();
    };
    const timer = setTimeout(() => end(false), 2000);
    probe.onopen = () => end(true);
    probe.onerror = () => end(false);
  });
