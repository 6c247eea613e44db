import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page, Browser } from 'playwright';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { PubkeeperClient } from 'pubkeeper';
import type { PubkeeperServer } from '../src/server/index.js';
import { launchChromium } from './browsers.js';
import { describeInChromium } from './engines.js';
import type { Probe } from './page/probe.js';
import { inbox, matched, once, peer, serve, TOKEN } from './peer.js';
import { App } from './react-app/app.js';
import type * as main from './react-app/main.js';
import { html, serveSite, type Site } from './site.js';

// An application in React's StrictMode, which mounts, unmounts and remounts each component at first.

declare const probe: Probe;
declare const app: typeof main.app;

describeInChromium('pubkeeper/react in Chromium', () => {
  let directory: string;
  let browser: Browser;
  let site: Site;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pubkeeper-react-'));
    const dist = (path: string) => fileURLToPath(new URL(`../dist/${path}`, import.meta.url));
    await build({
      configFile: false,
      logLevel: 'error',
      // StrictMode does its work in development only.
      mode: 'development',
      define: { 'process.env.NODE_ENV': '"development"' },
      resolve: { alias: { 'pubkeeper/react': dist('react/index.js'), pubkeeper: dist('index.js') } },
      build: {
        outDir: directory,
        emptyOutDir: true,
        lib: { entry: fileURLToPath(new URL('react-app/main.ts', import.meta.url)), formats: ['es'], fileName: () => 'app.js' },
      },
    });
    const client = new PubkeeperClient({ server: 'ws://unused/ws', token: 'unused' });
    const markup = renderToString(createElement(App, { client }));
    site = await serveSite({
      directory,
      files: { '/': html('<script src="/page/probe.js"></script>', `<div id="root">${markup}</div>`, '<script type="module" src="/app.js"></script>') },
    });
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  let server: PubkeeperServer;
  let node: PubkeeperClient;
  let page: Page;
  beforeEach(async () => {
    server = await serve();
    node = peer(server.url);
    await node.connect();
    page = await browser.newPage();
  });
  afterEach(async () => {
    await page.close();
    await node.disconnect();
    await server.close();
  });
  const open = (token = TOKEN) => page.goto(`${site.url}/?${new URLSearchParams({ server: server.url, token }).toString()}`);
  const texts = () => page.locator('#messages li').allTextContents();
  const registered = () => {
    const { clients, patrons, brewers } = server.stats();
    return { clients, patrons, brewers };
  };

  it('registers each hook once, renders messages, brews, and removes all when it is unmounted', async () => {
    const box = inbox();
    node.addPatron('react.from.*', box.callback);
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    await page.locator('#brew:enabled').waitFor();
    expect(registered()).toEqual({ clients: 2, patrons: 3, brewers: 1 });
    expect(await page.locator('#latest').textContent()).toBe('nothing yet');

    const a = node.addBrewer('react.a.x');
    await matched(a);
    for (const text of ['one', 'two', 'three', 'four']) await a.brewText(text);
    await expect.poll(texts).toEqual(['two', 'three', 'four']);
    expect(await page.evaluate(() => app.heard())).toBe(4);
    expect(await page.locator('#messages').getAttribute('data-matched')).toBe('true');
    await page.locator('#latest', { hasText: 'four' }).waitFor();

    await page.click('#brew');
    expect((await box.next()).text()).toBe('clicked');

    // Another pattern makes another patron, and the former one is removed.
    await page.click('#other');
    await expect.poll(texts).toEqual([]);
    const b = node.addBrewer('react.b.x');
    await matched(b);
    await b.brewText('five');
    await expect.poll(texts).toEqual(['five']);
    expect(registered()).toEqual({ clients: 2, patrons: 3, brewers: 3 });

    await page.click('#stop');
    await expect.poll(registered).toEqual({ clients: 2, patrons: 3, brewers: 2 });
    await page.evaluate(() => app.unmount());
    await expect.poll(registered).toEqual({ clients: 1, patrons: 1, brewers: 2 });
    await expect.poll(() => page.evaluate(() => probe.counts())).toMatchObject({ sockets: 0, timers: 0 });
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('keeps one brewer although its cipher is a new function at each render', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    await page.click('#encrypt');
    await page.locator('#own', { hasText: 'matched' }).waitFor();
    const before = registered();
    const told: string[] = [];
    for (const event of ['matched', 'unmatched'] as const) server.on(event, ({ topic }) => void (topic === 'react.own' && told.push(event)));
    // Each click renders the parent, and this component with it.
    for (const button of ['#fewer', '#more', '#other']) await page.click(button);
    expect(await page.locator('#own').textContent()).toBe('matched');
    // The server handles packets in order: when it knows of the other pattern, it has told of all changes before.
    const b = node.addBrewer('react.b.x');
    await expect.poll(() => b.patrons.size).toBe(2);
    expect(told).toEqual([]);
    expect(registered()).toEqual({ ...before, brewers: before.brewers + 1 });
  });

  it('renders a message although onMessage rejects, and emits an error event', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer('react.a.bad');
    await matched(brewer);
    for (const text of ['of no use', 'of use']) await brewer.brewText(text);
    await expect.poll(texts).toEqual(['of no use', 'of use']);
    expect(await page.evaluate(() => app.errors())).toEqual(['CALLBACK_FAILED']);
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('renders at most once a frame, however many messages come', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer('react.a.burst');
    await matched(brewer);
    const before = await page.evaluate(() => app.counts());
    for (let i = 0; i < 3000; i++) await brewer.brewText(String(i));
    await expect.poll(texts).toEqual(['2997', '2998', '2999']);
    const after = await page.evaluate(() => app.counts());
    expect(await page.evaluate(() => app.heard())).toBe(3000);
    // StrictMode renders everything twice.
    expect(after.renders - before.renders).toBeLessThanOrEqual(2 * (after.frames - before.frames + 1));
    expect(after.renders - before.renders).toBeLessThan(3000);
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('keeps the newest messages when keep becomes smaller, and all of them when it becomes larger', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer('react.a.keep');
    await matched(brewer);
    for (const text of ['1', '2', '3', '4']) await brewer.brewText(text);
    await expect.poll(texts).toEqual(['2', '3', '4']);
    const { patrons } = registered();
    await page.click('#fewer');
    await expect.poll(texts).toEqual(['3', '4']);
    await page.click('#more');
    await brewer.brewText('5');
    await expect.poll(texts).toEqual(['2', '3', '4', '5']);
    await page.click('#part');
    await expect.poll(texts).toEqual([]);
    await brewer.brewText('6');
    await expect.poll(() => page.evaluate(() => app.heard())).toBe(6);
    await page.click('#more');
    await brewer.brewText('7');
    await expect.poll(texts).toEqual(['3', '4', '5', '7']);
    expect(registered().patrons).toBe(patrons);
  });

  it('shows a last value only once in a component that was hidden and is shown again', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer('react.a.hide');
    await matched(brewer);
    await brewer.brewText('before');
    await expect.poll(texts).toEqual(['before']);
    const { patrons } = registered();
    await page.click('#hide');
    await expect.poll(() => registered().patrons).toBe(patrons - 1);
    await page.click('#hide');
    // The patron is registered again, and gets the last value again, as the calls of onMessage show.
    await expect.poll(() => page.evaluate(() => app.heard())).toBe(2);
    await brewer.brewText('after');
    await expect.poll(texts).toEqual(['before', 'after']);
  });

  it('shows the last values of several brewers in the order in which an earlier hook received them', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const [first, second] = [node.addBrewer('react.b.shared'), node.addBrewer('react.b.shared')];
    await Promise.all([matched(first), matched(second)]);
    const latest = page.locator('#latest');
    for (const [brewer, text] of [[second, 'older'], [first, 'newer']] as const) {
      await brewer.brewText(text);
      await latest.filter({ hasText: text }).waitFor();
    }
    await page.click('#other');
    await expect.poll(texts).toEqual(['older', 'newer']);
    // A message that no hook has received before comes last.
    await second.brewText('newest');
    await expect.poll(texts).toEqual(['older', 'newer', 'newest']);
  });

  it('renders also without animation frames, as in a hidden tab', async () => {
    await page.addInitScript(() => {
      globalThis.requestAnimationFrame = () => 0;
    });
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer('react.a.hidden');
    await matched(brewer);
    await brewer.brewText('while nobody looks');
    await page.locator('#latest', { hasText: 'while nobody looks' }).waitFor();
  });

  it('stays connected while any provider has the client', async () => {
    await open();
    const status = page.locator('#status');
    await status.filter({ hasText: /^connected$/ }).waitFor();
    const states = await page.evaluate(async () => {
      const seen: string[] = [];
      app.client.on('state', (state) => seen.push(state));
      const unmount = app.island();
      await new Promise((frame) => setTimeout(frame)); // effects have run
      unmount();
      await app.client.connect();
      return seen;
    });
    expect(states).toEqual([]);
    await page.evaluate(() => app.unmount());
    await expect.poll(registered).toEqual({ clients: 1, patrons: 0, brewers: 0 });
  });

  it('shows why connecting failed until it succeeds, and no other error when it is disconnected', async () => {
    await server.close();
    const { port } = server;
    await open();
    const status = page.locator('#status');
    await status.filter({ hasText: 'disconnected: CONNECT_FAILED' }).waitFor();
    // The application may try again, for example by a button: the reason of that failure is shown as well.
    expect(await page.evaluate(() => app.client.connect().catch(({ code }: { code: string }) => code))).toBe('CONNECT_FAILED');
    await status.filter({ hasText: 'disconnected: CONNECT_FAILED' }).waitFor();
    server = await serve({ port });
    await page.evaluate(() => app.client.connect());
    await status.filter({ hasText: /^connected$/ }).waitFor();
    await page.evaluate(() => app.client.disconnect());
    await status.filter({ hasText: /^disconnected$/ }).waitFor();
    await page.evaluate(() => app.client.addBrewer('react.stray').brewText(undefined as unknown as string).catch(() => undefined));
    await page.evaluate(() => new Promise((frame) => requestAnimationFrame(frame)));
    expect(await status.textContent()).toBe('disconnected');
    expect(await page.evaluate(() => app.errors())).toContain('DATA_INVALID');
  });

  it('reconnects to a restarted server, and shows when its token is refused', async () => {
    await open();
    const status = page.locator('#status');
    await status.filter({ hasText: /^connected$/ }).waitFor();
    const { port } = server;
    await server.close();
    await status.filter({ hasText: 'reconnecting' }).waitFor();
    server = await serve({ port });
    await once<string>((listener) => node.on('state', listener), (state) => state === 'connected');
    await status.filter({ hasText: /^connected$/ }).waitFor();
    await expect.poll(registered).toEqual({ clients: 2, patrons: 2, brewers: 1 });

    // The token is refused only at the reconnect.
    const { port: same } = server;
    await server.close();
    await status.filter({ hasText: 'reconnecting' }).waitFor();
    server = await serve({ port: same, tokens: { another: [{ topic: '**', read: true, write: true }] } });
    await status.filter({ hasText: 'disconnected: UNAUTHORIZED' }).waitFor();
    await server.close();
    server = await serve({ port: same });

    await open('wrong');
    await status.filter({ hasText: 'disconnected: UNAUTHORIZED' }).waitFor();
  });
});
