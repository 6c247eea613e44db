// The dashboard. Messages go into the store and mark views as changed; views read the store when a frame is due.
import { Banner } from './banner.js';
import { BrewForm } from './brew-form.js';
import { Charts } from './charts.js';
import { ConnectDialog } from './connect-dialog.js';
import { ConnectionView } from './connection-view.js';
import { byId, setText } from './dom.js';
import { explain, ownServer } from './explain.js';
import { formatCompact, formatCount, formatRate } from './format.js';
import { FrameLoop } from './frame-loop.js';
import { MatchesView } from './matches-view.js';
import { MessageView } from './message-view.js';
import { Session, answersOtherwise } from './session.js';
import { Store } from './store.js';
import { themeButton } from './theme.js';
import { TreeView } from './tree-view.js';

/** @typedef {import('./explain.js').Explanation} Explanation */
/** @typedef {import('./session.js').Target} Target */
/** @typedef {{ server: string, token?: string, reason?: string, maxMessageBytes?: number }} Told `reason`: why no token was told */

const { protocol: pageProtocol } = location;
const loop = new FrameLoop();
let store = newStore();
/** The server and the pattern whose messages are in the store. */
let storeKey = '';
/** @type {Session | undefined} */
let session;
/** Ends the current attempt to connect. */
let dialling = new AbortController();
/** What the server of this page has told about itself. @type {Told} */
let own = { server: ownServer(location.href, undefined) };

const banner = new Banner(byId('pill'));
const charts = new Charts(loop, {
  changed: () => {
    banner.hide('full');
    message.view.now();
  },
  full: (most) => banner.say('full', 'warn', `There are ${most} charts already.`, 'Close one to open another.', 'OK', () => banner.hide('full')),
});
const message = new MessageView({
  loop,
  charts,
  brewHere: (topic) => {
    showPanel('brew');
    brewForm.aim(topic);
  },
});
const tree = new TreeView({
  store: () => store,
  loop,
  select: (node) => {
    message.select(node);
    showPanel('message');
    // There the tree, which had the focus, is hidden now.
    if (isNarrow()) message.focus();
  },
  waiting: waitingText,
});
const brewForm = new BrewForm({
  session: () => session,
  topics: () => store.topics.keys(),
  // The limit of other servers is not known: they report themselves when a message is too long.
  most: () => (session?.target.server === own.server ? (own.maxMessageBytes ?? Infinity) : Infinity),
});
const matches = new MatchesView(loop, () => session);
const connection = new ConnectionView({
  loop,
  session: () => session,
  open: () => dialog.open(session?.target ?? {}),
  reconnect: () => void reconnect(),
  disconnect: () => void session?.disconnect(),
  cancel: () => dialling.abort(),
});
const dialog = new ConnectDialog(connect, () => dialling.abort());

const totals = loop.add(() => {
  store.sample();
  setText(byId('total-rate'), formatRate(store.root.rate));
  setText(byId('total-count'), formatCompact(store.root.count));
  setText(byId('total-topics'), `${formatCount(store.topics.size)}${store.dropped ? '+' : ''}`);
}, 500);

/**
 * Connects to a server; the former session goes on until that has worked. Of two attempts, the later one counts.
 * @param {Target} input
 * @returns {Promise<Explanation | undefined>} what went wrong; undefined also if the attempt was cancelled
 */
async function connect(input) {
  dialling.abort();
  const { signal } = (dialling = new AbortController());
  const target = renewing(input);
  const before = session;
  const key = `${target.server} ${target.pattern}`;
  const isSame = key === storeKey;
  // With the same server and pattern, keep what is there.
  const next = isSame ? store : newStore();
  let isUp = false;
  const attempt = new Session(target, {
    message: ({ topic, data, brewerId, sequence, retained }, frame, cipher) => {
      // For a moment two sessions share the store: skip what the old one still gets as well.
      if (attempt.ended || (next === store && attempt !== session && session?.state !== 'disconnected')) return;
      next.add(topic, { data, length: data.length, frame, frameLength: frame?.length ?? 0, cipher, brewerId, sequence, retained });
      if (next === store) messageCame(topic);
    },
    changed: () => {
      connection.view.now();
      matches.view.changed();
      tree.view.changed();
      if (attempt !== session) return;
      tellGone(attempt);
      brewForm.changed();
    },
    ended: (error) => {
      // If the attempt itself fails, its caller is told.
      if (attempt !== session || !isUp) return;
      const { title, text } = explain(error, { server: target.server, pageProtocol });
      banner.say('ended', 'bad', title, text, 'Connect…', () => dialog.open(target));
    },
    tooLong: () => attempt === session && brewForm.tooLong(),
  });
  // If no session is connected there is none to keep: show the states of the attempt.
  const isShown = !before || before.state === 'disconnected';
  if (isShown) {
    if (before) attempt.log = before.log;
    session = attempt;
  }
  try {
    await attempt.connect(signal);
  } catch (error) {
    // Do not come back to a server that cannot be reached: keep the former session as the current one.
    if (session === attempt && before && !isSame) session = before;
    connection.view.now();
    const problem = error instanceof Pubkeeper.PubkeeperError ? error : { code: '', message: String(error) };
    const answers = problem.code === 'CONNECT_FAILED' && !signal.aborted && (await answersOtherwise(target.server));
    return signal.aborted || attempt.ended ? undefined : explain(problem, { server: target.server, pageProtocol, answersOtherwise: answers || attempt.isStrange });
  }
  if (before && !isShown) {
    attempt.log.push(...before.log);
    void before.disconnect();
  }
  isUp = true;
  session = attempt;
  banner.hide('ended', 'gone');
  if (!isSame) {
    if (storeKey) attempt.note('plain', `Now at ${new URL(target.server).host}`);
    store = next;
    storeKey = key;
    charts.clear();
    message.select(undefined);
    tree.reset();
  }
  setTimeout(selectSomething, 1200);
  for (const { view } of [connection, matches]) view.now();
  totals.now();
  return undefined;
}

/**
 * A server that was restarted has generated a new token. The page asks it for that, and so reconnects by itself; but only if the
 * current token also came from the server. A token that a person has typed stays.
 * @param {Target} target
 * @returns {Target}
 */
function renewing({ server, token, pattern }) {
  /** @type {Target} */
  const target = { server, token, pattern };
  if (server === own.server && token === own.token) {
    target.renew = async () => {
      const told = await ask();
      if (told.token !== undefined) own = told;
      return (target.token = told.token ?? target.token);
    };
  }
  return target;
}

/** Whether the page shows that the server is gone. */
let isGone = false;

/** @param {Session} shown */
function tellGone(shown) {
  if (isGone === shown.isGone) return;
  isGone = shown.isGone;
  if (!isGone) return banner.hide('gone');
  const { host } = new URL(shown.target.server);
  banner.say('gone', 'warn', `No server answers at ${host}.`, 'This page reconnects by itself when it is back.', 'Disconnect', () => void shown.disconnect());
}

/** Makes a store that does not drop topics that are shown. */
function newStore() {
  return new Store((node) => node === message.node || charts.shows(node));
}

/** @param {string} topic */
function messageCame(topic) {
  tree.view.changed();
  totals.changed();
  if (message.node?.path === topic) message.view.changed();
  charts.came(topic);
}

/** On a wide screen, shows the first topic, unless one was chosen: the middle would be empty otherwise. */
function selectSomething() {
  if (message.node || isNarrow()) return;
  if (!tree.selectFirst()) setTimeout(selectSomething, 1000);
}

async function reconnect() {
  const target = session?.target;
  if (!target) return dialog.open({ server: own.server });
  const problem = await connect(target);
  if (problem) dialog.open(target, problem);
}

/** Why the tree is empty. */
function waitingText() {
  if (!session || session.state === 'disconnected') return 'Connect to a server to see its topics.';
  if (session.state === 'connecting') return `Connecting to ${new URL(session.target.server).host}…`;
  if (session.refusal) return session.refusal.message;
  if (session.matches > 0) return 'Brewers are matched. Their first messages will appear here.';
  return `Nobody brews on ${session.target.pattern} yet, as far as this token may read. Brew a message on such a topic yourself, and it appears here.`;
}

const isNarrow = () => matchMedia('(max-width: 760px)').matches;

/** On a narrow screen there is one panel at a time. @param {string} name */
function showPanel(name) {
  byId('layout').dataset.panel = name;
  for (const button of byId('tabs').children) {
    if (!(button instanceof HTMLElement)) continue;
    if (button.dataset.panel === name) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
  // Draw at once: lists measure themselves when they are drawn, and had no size while they were hidden.
  for (const { view } of [tree, message, matches, charts]) view.now();
}

/** Asks the server of this page where to connect, and for a token if it may tell one. @returns {Promise<Told>} */
async function ask() {
  /** @type {Record<string, unknown>} */
  let told = {};
  try {
    const response = await fetch('dashboard.json', { cache: 'no-store' });
    if (response.ok) told = await response.json();
  } catch {
    // another web server serves this page, or the server is away
  }
  const { token, reason, maxMessageBytes } = told;
  return {
    server: ownServer(location.href, told.server),
    ...(typeof token === 'string' && { token }),
    ...(typeof reason === 'string' && { reason }),
    ...(typeof maxMessageBytes === 'number' && { maxMessageBytes }),
  };
}

async function start() {
  themeButton(byId('theme'), () => charts.restyle());
  byId('tabs').addEventListener('click', (event) => {
    const name = event.target instanceof Element ? event.target.closest('button')?.dataset.panel : undefined;
    if (name) showPanel(name);
  });
  byId('skip').addEventListener('click', () => showPanel('topics'));
  // Rates must also sink when no more messages come.
  setInterval(() => {
    totals.changed();
    tree.view.changed();
    message.view.changed();
  }, 1000);
  for (const { view } of [tree, message, connection, matches]) view.now();
  own = await ask();
  const { server, token, reason } = own;
  if (token === undefined) return dialog.open({ server }, reason === undefined ? undefined : { title: 'A token is needed here.', text: reason });
  const target = { server, token, pattern: '**' };
  const problem = await connect(target);
  if (problem) dialog.open(target, problem);
}

// For tests: how often the page has drawn.
Object.assign(globalThis, { pubkeeperDashboard: { stats: loop.stats } });
void start();
