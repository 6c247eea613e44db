// The dashboard. Messages go into the store and mark views as changed; views read the store when a frame is due.
import { BrewForm } from './brew-form.js';
import { Charts } from './charts.js';
import { ConnectDialog } from './connect-dialog.js';
import { ConnectionView } from './connection-view.js';
import { byId, setHidden, setText } from './dom.js';
import { explain } from './explain.js';
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

const loop = new FrameLoop();
let store = new Store();
/** @type {Session | undefined} */
let session;
let action = () => {};
/** Ends the attempt to connect that is under way. */
let dialling = new AbortController();

const charts = new Charts(loop, {
  changed: () => message.view.now(),
  full: (most) => say('warn', `There are ${most} charts already.`, 'Close one to open another.', 'OK', hideBanner),
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
  },
  waiting: waitingText,
});
const brewForm = new BrewForm({ session: () => session, topics: () => store.topics.keys() });
const matches = new MatchesView(loop, () => session);
const connection = new ConnectionView({
  loop,
  session: () => session,
  open: () => dialog.open(session?.target ?? {}),
  reconnect: () => void reconnect(),
  disconnect: () => void session?.disconnect(),
});
const dialog = new ConnectDialog(connect, () => dialling.abort());

const totals = loop.add(() => {
  store.sample();
  setText(byId('total-rate'), formatRate(store.root.rate));
  setText(byId('total-count'), formatCompact(store.root.count));
  setText(byId('total-topics'), `${formatCount(store.topics.size)}${store.ignored ? '+' : ''}`);
}, 500);

/**
 * Connects to a server; what ran before goes on until that has worked. Of two attempts the later one counts.
 * @param {Target} target
 * @returns {Promise<Explanation | undefined>} what went wrong; nothing also when somebody has ended the attempt
 */
async function connect(target) {
  dialling.abort();
  const { signal } = (dialling = new AbortController());
  const next = new Store();
  const attempt = new Session(target, {
    message: ({ topic, data, brewerId, sequence, retained }, frame, cipher) => {
      next.add(topic, { data, length: data.length, frame, frameLength: frame?.length ?? 0, cipher, brewerId, sequence, retained });
      if (next === store) messageCame(topic);
    },
    changed: () => {
      connection.view.now();
      matches.view.changed();
      tree.view.changed();
    },
    ended: (error) => {
      if (attempt !== session) return;
      const { title, text } = explain(error, target);
      say('bad', title, text, 'Connect…', () => dialog.open(target));
    },
  });
  const shownBefore = session;
  // The first attempt has nothing to keep, and its states should be seen.
  session ??= attempt;
  try {
    await attempt.connect(signal);
  } catch (error) {
    if (!shownBefore) connection.view.now();
    const problem = error instanceof Pubkeeper.PubkeeperError ? error : { code: '', message: String(error) };
    const answers = problem.code === 'CONNECT_FAILED' && !signal.aborted && (await answersOtherwise(target.server));
    return signal.aborted || attempt.ended ? undefined : explain(problem, { server: target.server, answersOtherwise: answers });
  }
  if (shownBefore && shownBefore !== attempt) void shownBefore.disconnect();
  session = attempt;
  store = next;
  hideBanner();
  charts.clear();
  message.select(undefined);
  tree.reset();
  for (const { view } of [connection, matches]) view.now();
  totals.now();
  setTimeout(selectSomething, 1200);
  return undefined;
}

/** @param {string} topic */
function messageCame(topic) {
  tree.view.changed();
  totals.changed();
  if (message.node?.path === topic) message.view.changed();
  charts.view.changed();
}

/** On a wide screen an empty middle would be a waste: shows the first topic, unless somebody has chosen one. */
function selectSomething() {
  if (message.node || matchMedia('(max-width: 760px)').matches) return;
  if (!tree.selectFirst()) setTimeout(selectSomething, 1000);
}

async function reconnect() {
  const target = session?.target;
  if (!target) return dialog.open({});
  const problem = await connect(target);
  if (problem) dialog.open(target, problem);
}

/** Why the tree is empty. */
function waitingText() {
  if (!session || session.state === 'disconnected') return 'Connect to a server to see its topics.';
  if (session.state === 'connecting') return `Connecting to ${new URL(session.target.server).host}…`;
  if (session.matches > 0) return 'Brewers are matched. Their first messages will appear here.';
  return `Nobody brews on ${session.target.pattern} yet. Brew a message on such a topic yourself, and it appears here.`;
}

/** @param {'warn' | 'bad'} tone @param {string} title @param {string} text @param {string} label @param {() => void} run */
function say(tone, title, text, label, run) {
  byId('banner').dataset.tone = tone;
  setText(byId('banner-title'), title);
  setText(byId('banner-text'), text);
  setText(byId('banner-action'), label);
  action = run;
  setHidden(byId('banner'), false);
}

function hideBanner() {
  // What is hidden loses the focus to nothing.
  if (byId('banner').contains(document.activeElement)) byId('pill').focus();
  setHidden(byId('banner'), true);
}

/** On a narrow screen there is one panel at a time. @param {string} name */
function showPanel(name) {
  byId('layout').dataset.panel = name;
  for (const button of byId('tabs').children) {
    if (!(button instanceof HTMLElement)) continue;
    if (button.dataset.panel === name) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
  // Lists measure themselves when they are drawn, and what was hidden had no size.
  for (const { view } of [tree, message, matches, charts]) view.now();
}

/** Where to connect: what the server of this page tells, where it may. @returns {Promise<Partial<Target>>} */
async function ask() {
  const fallback = { server: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws` };
  try {
    const response = await fetch('dashboard.json', { cache: 'no-store' });
    if (!response.ok) return fallback;
    const { server: told, token } = await response.json();
    // Behind a proxy that speaks TLS for it, a server does not know that it is reached by wss://.
    const server = typeof told === 'string' && location.protocol === 'https:' ? told.replace(`ws://${location.host}/`, `wss://${location.host}/`) : told;
    return { ...fallback, ...(typeof server === 'string' && { server }), ...(typeof token === 'string' && { token }) };
  } catch {
    return fallback;
  }
}

async function start() {
  themeButton(byId('theme'), () => charts.restyle());
  byId('banner-action').addEventListener('click', () => action());
  byId('tabs').addEventListener('click', (event) => {
    const name = event.target instanceof Element ? event.target.closest('button')?.dataset.panel : undefined;
    if (name) showPanel(name);
  });
  // Rates sink also when nothing comes any more.
  setInterval(() => {
    totals.changed();
    tree.view.changed();
    message.view.changed();
  }, 1000);
  for (const { view } of [tree, message, connection, matches]) view.now();
  const { server, token } = await ask();
  if (server === undefined || token === undefined) return dialog.open({ ...(server !== undefined && { server }) });
  // A server that was started anew has made a new token: the page then comes back by itself.
  const target = { server, token, pattern: '**', renew: async () => (await ask()).token ?? token };
  const problem = await connect(target);
  if (problem) dialog.open(target, problem);
}

// For the tests: how often it has drawn.
Object.assign(globalThis, { pubkeeperDashboard: { stats: loop.stats } });
void start();
