// Explains errors in sentences that say what to do. Uses no DOM, so that it can be tested anywhere.

/** @typedef {{ title: string, text: string, field?: 'server' | 'token' | 'pattern' }} Explanation */

/**
 * The URL that was probably meant: people also write `host:9898`, `http://host:9898` or `ws:/host:9898`.
 * @param {string} text
 */
export function completeServer(text) {
  const trimmed = text.trim();
  if (!trimmed) return '';
  const swapped = trimmed.replace(/^(?:http|ws)(s?):\/+/i, 'ws$1://');
  const withScheme = /^[a-z][a-z\d+.-]*:\/\//i.test(swapped) ? swapped : `ws://${swapped}`;
  return /^wss?:\/\/[^/?#]+\/?$/i.test(withScheme) ? `${withScheme.replace(/\/$/, '')}/ws` : withScheme;
}

/**
 * The address of a page's server. A page under a path came through a proxy: the server does not know that path, nor that it must be
 * reached by wss:// if the proxy speaks TLS for it.
 * @param {string} page its address @param {unknown} told what the server says
 */
export function ownServer(page, told) {
  const here = new URL('ws', page);
  here.protocol = here.protocol === 'https:' ? 'wss:' : 'ws:';
  here.search = here.hash = '';
  if (typeof told !== 'string' || here.pathname !== '/ws') return here.href;
  return here.protocol === 'wss:' ? told.replace(`ws://${here.host}/`, `wss://${here.host}/`) : told;
}

/**
 * What is wrong with the input, as far as that is known before connecting; undefined if nothing is.
 * @param {{ server: string, token: string, pattern: string }} input
 * @param {{ pageProtocol: string, isPattern: (text: string) => boolean }} page
 * @returns {Explanation | undefined}
 */
export function checkInput({ server, token, pattern }, { pageProtocol, isPattern }) {
  const url = parse(server);
  // Chromium turns a space in a host name into %20, and looks for a host of that name.
  if (!url || /[\s%]/.test(url.host)) {
    return { field: 'server', title: 'This is not an address.', text: 'Write it like ws://127.0.0.1:9898/ws, or wss://host/ws.' };
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    return { field: 'server', title: `A server is not reached by ${url.protocol}//.`, text: 'Its address begins with ws:// or wss://.' };
  }
  // A client refuses this: the password would appear in messages, and servers authenticate by tokens.
  if (url.username || url.password) return { field: 'server', title: 'A server’s address has no name and password.', text: 'Leave out the part before the “@”: a server knows you by your token.' };
  // Also a # at the end, which `hash` does not show.
  if (url.href.includes('#')) return { field: 'server', title: 'A server’s address has no “#”.', text: 'Leave out that part.' };
  if (pageProtocol === 'https:' && url.protocol === 'ws:' && !isLoopback(url.hostname)) {
    return {
      field: 'server',
      title: 'The browser does not let this page use ws://.',
      text: 'A page loaded over https can only connect to wss:// servers. Use the server’s wss:// address, or open this page over http://.',
    };
  }
  if (!token) return { field: 'token', title: 'A token is missing.', text: 'The server prints one when it starts, or its administrator gives you one.' };
  if (!isPattern(pattern)) {
    return {
      field: 'pattern',
      title: 'This is not a topic pattern.',
      text: 'It is segments of letters, digits, _ and -, joined by dots; * matches one segment, ** one or more.',
    };
  }
  return undefined;
}

/** Browsers let https pages open ws:// on the machine itself. @param {string} host */
const isLoopback = (host) => host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\./.test(host);

/** Close codes by which any server says that it stops, or is too busy now. */
const LATER = [1001, 1006, 1012, 1013];

/**
 * @param {{ code?: string, message: string, details?: Readonly<Record<string, unknown>> }} error
 * @param {{ server: string, pageProtocol?: string, answersOtherwise?: boolean }} context `answersOtherwise`: a WebSocket server is there, but not ours
 * @returns {Explanation}
 */
export function explain({ code, message, details = {} }, { server, pageProtocol = 'http:', answersOtherwise = false }) {
  const where = hostOf(server);
  if (code === 'UNAUTHORIZED') {
    return { field: 'token', title: 'The server refused this token.', text: 'Copy it again, whole, from where the server was started; a restarted server may have made a new one.' };
  }
  if (code === 'SUBPROTOCOL_REFUSED' || answersOtherwise) {
    return { field: 'server', title: `${where} is not a Pubkeeper server.`, text: 'A WebSocket server answers there, but it does not speak Pubkeeper. Check the port and the path; both are usually :9898/ws.' };
  }
  if (code === 'CONNECTION_LOST' && typeof details['code'] === 'number') {
    const reason = details['reason'] ? ` and the reason “${String(details['reason'])}”` : '';
    const how = `with code ${details['code']}${reason}`;
    if (LATER.includes(details['code'])) return { field: 'server', title: `${where} closed the connection at once.`, text: `It did so ${how}. It may be starting or stopping: try again in a moment.` };
    // Our server closes with codes of its own, from 4400 on.
    if (details['code'] < 4000) return { field: 'server', title: `${where} is not a Pubkeeper server.`, text: `It took the connection and closed it ${how}. Check the port and the path; both are usually :9898/ws.` };
    return { field: 'server', title: `${where} closed the connection at once.`, text: `It did so ${how}.` };
  }
  if (code === 'CONNECT_FAILED') {
    const tls = parse(server)?.protocol === 'wss:' ? ' By wss:// it needs a certificate that this browser trusts; a server that has none is reached by ws://.' : '';
    return { field: 'server', title: `No Pubkeeper server answers at ${where}.`, text: 'Check the host, the port and the path (usually /ws), and that the server runs: “pubkeeper serve” starts one.' + tls };
  }
  if (code === 'CONNECT_BLOCKED') {
    const isMixed = pageProtocol === 'https:' && parse(server)?.protocol === 'ws:';
    const text = isMixed
      ? 'A page loaded over https can only connect to wss:// servers. Use the wss:// address, or open this page over http://.'
      : 'Browsers do not let pages connect to some ports, such as 6000, nor to what the page’s security policy forbids. Use another port, or the page that the server itself serves.';
    return { field: 'server', title: 'The browser did not let this page connect.', text };
  }
  if (code === 'TIMEOUT') {
    return { field: 'server', title: `${where} does not answer in time.`, text: 'Something accepts connections there but does not answer. Check that it is a Pubkeeper server, and check any firewall in between.' };
  }
  if (details['patron_id'] !== undefined) return { field: 'pattern', title: 'The server does not take this pattern.', text: message };
  if (code === 'FORBIDDEN') return { title: 'This token may not do that.', text: message };
  return { title: 'Something went wrong.', text: message };
}

/** @param {string} server */
const hostOf = (server) => parse(server)?.host || server;

/** @param {string} url */
function parse(url) {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}
