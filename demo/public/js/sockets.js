// The page's own WebSocket class, given to the client by its option `WebSocket`: it tells the control connection and
// the relay connections apart by the subprotocols that they offer, and can cut either.

/** @typedef {'control' | 'relay'} Kind */
/** @typedef {{ open: number, dialling: number, since: number, url: string, cutLeft: number }} SocketState `cutLeft`: for how many ms more it is cut */

const REASON = 'cut by this page';
/** The close code 1009 (RFC 6455, section 7.4.1). Our server gives a reason with it, which other relays may leave out. */
export const TOO_LONG = 1009;

/** Counts a client's sockets by kind, and can cut them. */
export class Sockets {
  /** @type {Record<Kind, Set<WebSocket>>} */
  #sockets = { control: new Set(), relay: new Set() };
  /** @type {Record<Kind, number>} */
  #cutUntil = { control: 0, relay: 0 };
  /** @type {Record<Kind, number>} */
  #since = { control: Date.now(), relay: Date.now() };
  #changed;

  /** @param {(kind: Kind, what: 'open' | 'lost', why: string, code: number) => void} changed `why`: the reason that the other side gave */
  constructor(changed) {
    this.#changed = changed;
  }

  /** The class to give to the client. */
  get WebSocket() {
    const sockets = this;
    return class extends WebSocket {
      /** @param {string} url @param {string | string[]} [protocols] */
      constructor(url, protocols = []) {
        const kind = kindOf(protocols);
        // Not a real socket: one that is opened and closed at once makes the browser complain in its console.
        if (sockets.isCut(kind)) return /** @type {never} */ (new RefusedSocket());
        super(url, protocols);
        sockets.#add(kind, this);
      }
    };
  }

  /** @param {Kind} kind @returns {SocketState} */
  state(kind) {
    const all = [...this.#sockets[kind]];
    const open = all.filter((socket) => socket.readyState === WebSocket.OPEN);
    return {
      open: open.length,
      dialling: all.length - open.length,
      since: this.#since[kind],
      url: (open[0] ?? all[0])?.url ?? '',
      cutLeft: this.#cutLeft(kind),
    };
  }

  /** @param {Kind} kind */
  isCut(kind) {
    return this.#cutLeft(kind) > 0;
  }

  /** How long a cut still lasts, in ms; by a monotonic clock, because the system's clock may be set back. @param {Kind} kind */
  #cutLeft(kind) {
    return Math.max(0, this.#cutUntil[kind] - performance.now());
  }

  /** Ends the connections of a kind, and refuses new ones for a time. @param {Kind} kind @param {number} ms */
  cut(kind, ms) {
    this.#cutUntil[kind] = performance.now() + ms;
    for (const socket of this.#sockets[kind]) socket.close(4001, REASON);
  }

  /** @param {Kind} kind */
  allow(kind) {
    this.#cutUntil[kind] = 0;
  }

  /** @param {Kind} kind @param {WebSocket} socket */
  #add(kind, socket) {
    this.#sockets[kind].add(socket);
    socket.addEventListener('open', () => {
      this.#since[kind] = Date.now();
      this.#changed(kind, 'open', '', 0);
    });
    let opened = false;
    socket.addEventListener('open', () => (opened = true));
    socket.addEventListener('close', ({ code, reason }) => {
      this.#sockets[kind].delete(socket);
      if (!opened) return;
      this.#since[kind] = Date.now();
      const byUs = reason === REASON || code === 1000;
      this.#changed(kind, 'lost', byUs ? '' : reason || (code === TOO_LONG ? 'message too long' : `code ${code}`), code);
    });
  }
}

/** @param {string | string[]} protocols @returns {Kind} */
const kindOf = (protocols) => ([protocols].flat().some((name) => /^pubkeeper-1\.\d$/.test(name)) ? 'control' : 'relay');

/** Fails like a socket that cannot connect. */
class RefusedSocket {
  binaryType = 'arraybuffer';
  protocol = '';
  readyState = 0;
  bufferedAmount = 0;
  onopen = null;
  onmessage = null;
  /** @type {((event: { message: string }) => void) | null} */
  onerror = null;
  /** @type {((event: { code: number, reason: string }) => void) | null} */
  onclose = null;

  constructor() {
    setTimeout(() => {
      this.readyState = 3;
      this.onerror?.({ message: REASON });
      this.onclose?.({ code: 1006, reason: '' });
    });
  }

  send() {}
  close() {}
}
