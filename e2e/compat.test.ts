import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { type Engine, engineKinds, type EnginePage, titleOf, warnOfMissing } from './engines.js';
import { ResultTable } from './table.js';

// The dashboard of demo/compat: the same page in each engine, once with the script tag of the old SDK, and once with the published
// ES modules, connected only by an import map.

warnOfMissing();
const table = new ResultTable('old dashboard');

const read = (path: string): Buffer => readFileSync(new URL(`../${path}`, import.meta.url));
const SCRIPT_TAG = '<script src="pubkeeper-compat.umd.min.js"></script>\n  <script src="app.js"></script>';
// What a bundler reads in the package.json of each package.
const IMPORTS = {
  'pubkeeper/compat': '/dist/compat/index.js',
  '#platform': '/dist/platform/browser.js',
  '#noble': '/dist/core/ciphers/noble.js',
  'isomorphic-ws': '/node_modules/isomorphic-ws/browser.js',
};
const MODULES = `<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
  <script type="module">
    import * as compat from 'pubkeeper/compat';
    Object.assign(globalThis, compat);
    const script = document.createElement('script');
    script.src = 'app.js';
    document.body.append(script);
  </script>`;
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const TOKEN = 'end-to-end';

function bodyOf(path: string, loading: string): string | Buffer | undefined {
  if (path === '/dashboard.json') return undefined;
  if (path === '/') return String(read('demo/compat/public/index.html')).replace(SCRIPT_TAG, loading);
  if (path === '/pubkeeper-compat.umd.min.js') return read(`dist${path}`);
  if (/^\/(dist|node_modules)\//.test(path)) return read(path.slice(1));
  return read(`demo/compat/public${path}`);
}

const settings = engineKinds.map((kind) => ({ kind, title: titleOf(kind) }));

describe.each(settings)('the old dashboard in $title', ({ kind }) => {
  const isMissing = kind.missing() !== null;
  // Hooks do not run for skipped tests: fill the table here.
  if (isMissing) table.set('ALL OF THEM', kind.name, 'SKIPPED');
  let engine: Engine | undefined;
  const clean: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    if (!isMissing) engine = await kind.launch();
  });
  afterEach(async ({ task }) => {
    const row = [task.suite?.name, task.name].filter((name) => name && !name.startsWith('the old dashboard')).join(': ');
    table.set(row, kind.name, 'FAILED');
    for (const run of clean.splice(0).reverse()) await run();
    if (task.result?.state === 'pass') table.set(row, kind.name, 'ok');
  });
  afterAll(() => engine?.close());

  async function serve(loading: string, port = 0, token = TOKEN): Promise<PubkeeperServer> {
    const server: PubkeeperServer = await createServer({
      port,
      tokens: { [token]: [{ topic: '**', read: true, write: true }] },
      http(request: IncomingMessage, response: ServerResponse) {
        const path = new URL(request.url ?? '/', 'http://any').pathname;
        // The import map is an inline script.
        if (loading === MODULES) response.removeHeader('Content-Security-Policy');
        const type = path === '/' ? '.html' : extname(path);
        response.setHeader('Content-Type', TYPES[type] ?? 'application/json');
        response.end(bodyOf(path, loading) ?? JSON.stringify({ server: server.url, token }));
      },
    });
    clean.push(() => server.close());
    return server;
  }

  async function peerOf(server: PubkeeperServer, token = TOKEN): Promise<PubkeeperClient> {
    const client = new PubkeeperClient({ server: server.url, token });
    client.on('error', () => undefined);
    clean.push(() => client.disconnect());
    await client.connect();
    return client;
  }

  /** A page in a new tab. The tab is closed before its server, so that it does not reconnect to a later server. */
  async function open(server: PubkeeperServer): Promise<EnginePage> {
    const page = await engine!.open(`http://127.0.0.1:${server.port}/`);
    clean.push(() => page.close());
    return page;
  }

  /** Waits in the page, at each change of it, until an expression is true. */
  const until = (page: EnginePage, expression: string): Promise<boolean> =>
    page.evaluate(`new Promise((resolve) => {
      const look = () => (${expression}) && (observer.disconnect(), resolve(true));
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    })`);
  const status = (name: string): string => `document.getElementById('status').dataset.status === '${name}'`;
  const valueOf = (topic: string): string => `document.querySelector('[data-topic="${topic}"] td:nth-child(2)')?.textContent`;
  const matched = (brewer: { isMatched: boolean; on(name: 'matched', run: () => void): unknown }): Promise<void> =>
    brewer.isMatched ? Promise.resolve() : new Promise((resolve) => void brewer.on('matched', resolve));

  describe.each([
    ['by script tag', SCRIPT_TAG],
    ['as ES modules', MODULES],
  ])('%s', (_name, loading) => {
    it.skipIf(isMissing)('connects, shows messages, brews, and reconnects', async () => {
      const server = await serve(loading);
      const page = await open(server);
      await until(page, status('connected'));
      // Hidden as soon as the page has read of its own brewer.
      expect(await page.evaluate(`document.getElementById('nothing').textContent`)).toBe('Nobody brews on demo.** yet.');

      const peer = await peerOf(server);
      const brewer = peer.addBrewer('demo.test.level', { cipher: 'aes-cbc' });
      await matched(brewer);
      for (const value of [1, 5, 42.5]) await brewer.brewJSON(value);
      await until(page, `${valueOf('demo.test.level')} === '42.5'`);
      expect(await page.evaluate(`document.querySelector('[data-topic="demo.test.level"] polyline').getAttribute('points').split(' ').length`)).toBe(3);

      const noted = new Promise<string>((resolve) => peer.addPatron('demo.note', (_data, message) => resolve(message.text())));
      await until(page, `!document.getElementById('send').disabled`);
      await page.evaluate(`document.getElementById('note').value = 'grüezi', document.getElementById('form').requestSubmit()`);
      // The page reads this topic too, so its brewer is matched at first with the page itself.
      expect(await noted).toBe('grüezi');
      await until(page, `${valueOf('demo.note')} === 'grüezi'`);

      peer.removeBrewer(brewer);
      await until(page, `!document.querySelector('[data-topic="demo.test.level"]')`);

      await server.close();
      await until(page, status('reconnecting'));
      // The restarted server has a new token, as with `npm start`.
      const again = await serve(loading, server.port, 'anew');
      await until(page, status('connected'));
      const second = await peerOf(again, 'anew');
      const back = second.addBrewer('demo.test.back', { cipher: 'aes-cbc' });
      await matched(back);
      await back.brewText('back');
      await until(page, `${valueOf('demo.test.back')} === 'back'`);

      await page.evaluate(`document.getElementById('toggle').click()`);
      await until(page, `${status('disconnected')} && document.getElementById('nothing').checkVisibility() && document.getElementById('nothing').textContent === 'Not connected.' && !document.querySelector('[data-topic]')`);
      await page.evaluate(`document.getElementById('toggle').click()`);
      await until(page, status('connected'));
    });
  });

  it.skipIf(isMissing)('the script tag defines the two globals of the old SDK, and nothing else', async () => {
    const server = await serve('');
    const page = await open(server);
    const added = await page.evaluate(`(() => {
      const names = () => Reflect.ownKeys(window).map(String);
      const before = names();
      return fetch('/pubkeeper-compat.umd.min.js').then(() => new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = '/pubkeeper-compat.umd.min.js';
        script.onload = () => resolve([...names().filter((name) => !before.includes(name)).sort(), String(window)]);
        script.onerror = reject;
        document.head.append(script);
      }));
    })()`);
    expect(added).toEqual(['PubkeeperClient', 'WebSocketBrew', '[object Window]']);
  });
});

afterAll(() => console.log(`\n${table.toString()}\n`));
