import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PubkeeperClient, WebSocketBrew } from 'pubkeeper';
import { NatsBrew } from 'pubkeeper/brews/nats';
import { find, freePort, kill, killAll, startNats, startServer } from './processes.mjs';
import { read } from './reader.mjs';

/** @typedef {import('./tally.mjs').Row} Row */

const here = fileURLToPath(new URL('.', import.meta.url));
/** @param {number} ms */
const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs the demo; returns a sentence when it cannot. @param {readonly string[]} args @returns {Promise<string | undefined>} */
export async function run(args) {
  const { values } = parseArgs({ args: [...args], options: { headless: { type: 'boolean' }, rate: { type: 'string', default: '200' }, seconds: { type: 'string', default: '20' } } });
  const nats = find('nats-server');
  if (!nats) return 'The demo needs nats-server 2.9 or later: install it (Debian: apt-get install nats-server; elsewhere: https://github.com/nats-io/nats-server/releases).';
  let isInterrupted = false;
  for (const [signal, code] of /** @type {const} */ ([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]])) {
    // Ctrl-C may come twice, from the terminal and from npm; the browser ends with this process.
    process.on(signal, () => {
      isInterrupted = true;
      void killAll().then(() => process.exit(code));
    });
  }
  /** @type {(() => unknown)[]} */
  const undo = [];
  try {
    await play(nats, values.headless === true, Number(values.rate), Number(values.seconds), undo);
    return undefined;
  } catch (error) {
    // After an interruption, do not report what fails because it was killed.
    if (isInterrupted) return await new Promise(() => undefined);
    throw error;
  } finally {
    if (!isInterrupted) {
      for (const end of undo.reverse()) await end();
      await killAll();
    }
  }
}

/** @param {string} program @param {boolean} headless @param {number} rate @param {number} seconds @param {(() => unknown)[]} undo what ends what was begun */
async function play(program, headless, rate, seconds, undo) {
  const token = randomBytes(24).toString('base64url');
  console.log('Starting three NATS servers and three pubkeeper serve …');
  const nodes = await startNats(program);
  const turned = (/** @type {number} */ by) => nodes.map((_, index) => /** @type {typeof nodes[0]} */ (nodes[(index + by) % 3]));
  const servers = await Promise.all([0, 1, 2].map((index) => startServer(turned(index).map(({ tcp }) => tcp).join(','), token)));
  const urls = servers.map(({ url }) => url);
  const from = (/** @type {number} */ by) => urls.map((_, index) => /** @type {string} */ (urls[(index + by) % 3]));

  const site = await serveSite({ servers: urls, token });
  undo.push(() => site.close());
  console.log(`The page, at the first server: ${site.url}`);
  const reader = await openReader(site, headless, urls, token);
  undo.push(() => reader.close());

  const relay = new PubkeeperClient({ server: from(1), token, brews: [new WebSocketBrew()], reconnect: { delayMs: 500, maxDelayMs: 2000 } });
  const broker = new NatsBrew({ url: turned(2).map(({ tcp }) => tcp), alternatives: nodes.map(({ ws }) => ws) });
  const other = new PubkeeperClient({ server: from(2), token, brews: [broker, new WebSocketBrew()], reconnect: { delayMs: 500, maxDelayMs: 2000 } });
  undo.push(() => Promise.all([relay.disconnect(), other.disconnect()]));
  const refused = { relay: 0, nats: 0 };
  for (const client of [relay, other]) client.on('error', () => undefined);
  const brewers = { relay: relay.addBrewer('demo.relay'), nats: other.addBrewer('demo.nats') };
  await Promise.all([relay.connect(), other.connect()]);
  await until(() => brewers.relay.isMatched && brewers.nats.isMatched, 'the matches', headless ? undefined : Infinity);
  const sent = { relay: 0, nats: 0 };
  const say = (/** @type {'relay' | 'nats'} */ name) => void brewers[name].brew(Buffer.from(`${sent[name]++} ${'x'.repeat(200)}`)).catch(() => refused[name]++);
  const batch = Math.max(1, Math.round(rate / 50));
  const timer = setInterval(() => {
    for (let i = 0; i < batch; i++) for (const name of /** @type {const} */ (['relay', 'nats'])) say(name);
  }, 20);
  console.log(`Brewers at the second (websocket) and the third server (nats) say ${batch * 50} messages a second each.`);

  await until(async () => Object.keys(await reader.rows()).length === 2, 'messages of both', 60_000);
  await pass(3000);
  const killed = Date.now();
  console.log('Killing the second server and the second NATS server …');
  await Promise.all([servers[1], nodes[1]].map((one) => one && kill(one.child)));
  const fresh = other.addBrewer('demo.fresh');
  const matched = new Promise((resolve) => fresh.on('matched', () => resolve(Date.now() - killed)));
  await pass(seconds * 500);
  const matchedAfter = await Promise.race([matched, pass(30_000)]);
  await pass(seconds * 500);
  clearInterval(timer);
  await pass(1500);
  report(await reader.rows(), sent, refused, killed, matchedAfter);
  if (!headless) {
    console.log('The servers that are left go on until Ctrl-C.');
    await new Promise(() => undefined);
  }
}

/** @param {Record<string, Row>} rows @param {Record<string, number>} sent @param {Record<string, number>} refused @param {number} killed @param {unknown} matchedAfter */
function report(rows, sent, refused, killed, matchedAfter) {
  let whole = 0;
  const lines = Object.entries(rows).filter(([topic]) => topic !== 'demo.fresh').map(([topic, row]) => {
    const name = topic.slice(5);
    const pauses = row.pauses.filter(({ to }) => to > killed);
    const ended = Math.max(0, ...pauses.map(({ to }) => to - killed));
    whole = Math.max(whole, ended);
    return { topic, brewed: sent[name], delivered: row.delivered, missing: row.missing, 'reported missing': row.reported, 'refused by brew()': refused[name], twice: row.twice, 'silent until (ms)': ended };
  });
  console.table(lines);
  console.log(`A brewer that came with the failure was matched after ${matchedAfter === undefined ? 'more than 30,000' : String(matchedAfter)} ms.`);
  console.log(`Messages of both flowed again ${whole} ms after the failure: whole after ${Math.max(whole, Number(matchedAfter ?? Infinity))} ms.`);
}

/** @param {() => boolean | Promise<boolean>} look @param {string} what */
async function until(look, what, ms = 30_000) {
  for (const end = Date.now() + ms; !(await look()); await pass(50)) if (Date.now() > end) throw new Error(`It did not come: ${what}.`);
}

/** @typedef {{ url: string, rows: Record<string, Row>, close(): void }} Site */

/** Serves the page, and receives the counts that it reports. @param {{ servers: string[], token: string }} setup @returns {Promise<Site>} */
async function serveSite(setup) {
  const { build } = await import('vite');
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-page-'));
  await build({
    root: here,
    configFile: false,
    logLevel: 'error',
    define: { global: 'globalThis' },
    build: { lib: { entry: join(here, 'page.mjs'), formats: ['es'], fileName: () => 'page.js' }, outDir: directory, target: 'esnext', rolldownOptions: { output: { codeSplitting: false } } },
  });
  /** @type {Record<string, [type: string, body: string]>} */
  const files = {
    '/': ['text/html; charset=utf-8', readFileSync(join(here, 'page.html'), 'utf8')],
    '/page.js': ['text/javascript', readFileSync(join(directory, 'page.js'), 'utf8')],
    '/setup': ['application/json', JSON.stringify(setup)],
  };
  rmSync(directory, { recursive: true });
  /** @type {Site} */
  const site = { url: '', rows: {}, close: () => (server.close(), server.closeAllConnections()) };
  const server = createServer((request, response) => {
    if (request.method === 'POST' && request.url === '/tally') {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        site.rows = JSON.parse(body);
        response.end();
      });
      return;
    }
    const [type, body] = files[request.url ?? ''] ?? [];
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type ?? 'text/plain' }).end(body);
  });
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  site.url = `http://127.0.0.1:${port}/`;
  return site;
}

/**
 * Opens the reader that counts: the page that a person opens, a page in a headless browser, or without a browser a patron in Node.
 * @param {Site} site @param {boolean} headless @param {string[]} urls @param {string} token
 */
async function openReader(site, headless, urls, token) {
  if (!headless) {
    console.log('Open it; the demo goes on when it listens.');
    return { rows: async () => site.rows, close: async () => undefined };
  }
  const browser = await openBrowser(site.url);
  if (browser) {
    console.log('Chromium has opened it.');
    return { rows: async () => site.rows, close: () => browser.close() };
  }
  console.log('There is no Chromium (Debian: apt-get install chromium): a patron in Node listens instead.');
  const { client, tally } = await read(urls, token, () => undefined);
  return { rows: async () => tally.toJSON(), close: () => client.disconnect() };
}

/** @param {string} url */
async function openBrowser(url) {
  const executablePath = process.env.CHROMIUM_PATH ?? find('chromium') ?? find('google-chrome');
  if (!executablePath) return undefined;
  const { chromium } = await import('playwright');
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false });
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(`The page: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && console.error(`The page: ${message.text()}`));
  await page.goto(url);
  return browser;
}
