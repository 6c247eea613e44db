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

// An application in React's StrictMode, which mounts, unmounts and remounts each component at first, except those that it hydrates.

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
  const open = (token = TOKEN, how = 'hydrate') => page.goto(`${site.url}/?${new URLSearchParams({ server: server.url, token, [how]: '' }).toString()}`);
  /** Opens the page, waits until it is connected, and returns a brewer of the other client that the page reads. */
  const started = async (topic: string) => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const brewer = node.addBrewer(topic);
    await matched(brewer);
    return brewer;
  };
  const texts = () => page.locator('#messages li').allTextContents();
  const registered = () => {
    const { clients, patrons, brewers } = server.stats();
    return { clients, patrons, brewers };
  };

  it.each(['hydrate', 'mount'])('registers each hook once, renders messages, brews, and removes all when it is unmounted (%s)', async (how) => {
    const box = inbox();
    node.addPatron('react.from.*', box.callback);
    await open(TOKEN, how);
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    await page.locator('#brew:enabled').waitFor();
    expect(registered()).toEqual({ clients: 2, patrons: 3, brewers: 1 });
    expect(await page.locator('#latest').textContent()).toBe('nothing yet');
    expect(await page.evaluate(() => app.states())).toEqual(['connecting', 'connected']);

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
    const brewer = await started('react.a.bad');
    for (const text of ['of no use', 'of use']) await brewer.brewText(text);
    await expect.poll(texts).toEqual(['of no use', 'of use']);
    expect(await page.evaluate(() => app.errors())).toEqual(['CALLBACK_FAILED']);
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('renders at most once a frame, however many messages come', async () => {
    const brewer = await started('react.a.burst');
    const before = await page.evaluate(() => app.counts());
    for (let i = 0; i < 3000; i++) await brewer.brewText(String(i));
    await expect.poll(texts).toEqual(['2997', '2998', '2999']);
    const after = await page.evaluate(() => app.counts());
    expect(await page.evaluate(() => app.heard())).toBe(3000);
    // StrictMode renders everything twice.
    expect(after.renders - before.renders).toBeLessThanOrEqual(2 * (after.frames - before.frames + 1));
    expect(after.renders - before.renders).toBeLessThan(3000);
    // Although two components show them.
    expect(await page.evaluate(() => app.mostCommits())).toBe(1);
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('keeps the newest messages when keep becomes smaller, and all of them when it becomes larger', async () => {
    const brewer = await started('react.a.keep');
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

  it('forgets messages when keep becomes one', async () => {
    const brewer = await started('react.a.one');
    await page.click('#more');
    for (const text of ['1', '2', '3', '4', '5', '6', '7', '8']) await brewer.brewText(text);
    await expect.poll(texts).toEqual(['5', '6', '7', '8']);
    await page.click('#one');
    for (const text of ['9', '10']) await brewer.brewText(text);
    await expect.poll(texts).toEqual(['10']);
    await page.click('#more');
    await brewer.brewText('11');
    await expect.poll(texts).toEqual(['9', '10', '11']);
  });

  it('renders nothing, and makes no new array, when a further brewer is matched, and no new array when all have left', async () => {
    const first = await started('react.a.first');
    await first.brewText('1');
    await expect.poll(texts).toEqual(['1']);
    await page.click('#part');
    await expect.poll(texts).toEqual([]);
    const before = await page.evaluate(() => app.counts());
    const second = node.addBrewer('react.a.second');
    await matched(second);
    await second.brewText('2');
    await expect.poll(() => page.evaluate(() => app.heard())).toBe(2);
    // Two, as the frame that was asked for last comes after this one.
    const after = await page.evaluate(() => new Promise<{ renders: number }>((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(app.counts())))));
    expect(after.renders).toBe(before.renders);

    await page.click('#more');
    await first.brewText('3');
    await expect.poll(texts).toEqual(['1', '3']);
    const { arrays, renders } = await page.evaluate(() => app.counts());
    // A message of another topic renders only who reads it.
    const other = node.addBrewer('react.other');
    await matched(other);
    await other.brewText('for another');
    await page.locator('#latest', { hasText: 'for another' }).waitFor();
    expect(await page.evaluate(() => app.counts())).toMatchObject({ arrays, renders });
    node.removeBrewer(first);
    node.removeBrewer(second);
    await page.locator('#messages[data-matched=false]').waitFor();
    expect(await page.evaluate(() => app.counts())).toMatchObject({ arrays });
  });

  it('shows a message that came right before it was hidden when it is shown again, though the brewer has left', async () => {
    const brewer = await started('react.a.late');
    await brewer.brewText('before');
    await expect.poll(texts).toEqual(['before']);
    await page.evaluate(() => app.hideAt('last'));
    const { patrons } = registered();
    await brewer.brewText('last');
    await expect.poll(() => registered().patrons).toBe(patrons - 1);
    // The other component that waits for this frame gets it.
    await page.locator('#latest', { hasText: 'last' }).waitFor();
    node.removeBrewer(brewer);
    await page.click('#hide');
    await expect.poll(() => registered().patrons).toBe(patrons);
    await expect.poll(texts).toEqual(['before', 'last']);
    expect(await page.locator('#messages').getAttribute('data-matched')).toBe('false');
  });

  it('reads and writes nothing while pattern and topic are null', async () => {
    await open();
    await page.locator('#status', { hasText: /^connected$/ }).waitFor();
    const box = inbox();
    const patron = node.addPatron('react.from.page', box.callback);
    const a = node.addBrewer('react.a.x');
    await matched(a);
    await page.locator('#brew:enabled').waitFor();
    await a.brewText('read');
    await expect.poll(texts).toEqual(['read']);
    await page.click('#nothing');
    await expect.poll(texts).toEqual([]);
    await expect.poll(() => patron.isMatched).toBe(false);
    expect(registered()).toEqual({ clients: 2, patrons: 2, brewers: 1 });
    expect(await page.locator('#brew').isDisabled()).toBe(true);
    expect(await page.locator('#brew').getAttribute('title')).toBe('no topic');
    await page.click('#other');
    await page.click('#brew');
    expect((await box.next()).text()).toBe('clicked');
    expect(registered()).toEqual({ clients: 2, patrons: 3, brewers: 2 });
    expect(await page.evaluate(() => probe.problems)).toEqual([]);
  });

  it('stays connected when another provider takes the place of the first', async () => {
    const brewer = await started('react.a.route');
    // The patron of the first leaves before that of the second comes: what is brewed in between is for nobody.
    await Promise.all([once((listener) => brewer.on('added', listener)), page.evaluate(() => app.replace())]);
    await brewer.brewText('to the new one');
    await expect.poll(texts).toEqual(['to the new one']);
    expect(await page.evaluate(() => app.states())).toEqual(['connecting', 'connected']);
    await page.evaluate(() => app.unmount());
    await expect.poll(registered).toEqual({ clients: 1, patrons: 0, brewers: 1 });
  });

  it('hydrates a late part of a page without a mismatch when connecting has failed meanwhile', async () => {
    await server.close();
    await open();
    for (const id of ['#status', '#late']) await page.locator(id, { hasText: 'disconnected: CONNECT_FAILED' }).waitFor();
    const problems = await page.evaluate(() => probe.problems);
    expect(problems.filter((problem) => /hydrat/i.test(problem))).toEqual([]);
    // Where there is no `onError`.
    expect(problems.filter((problem) => problem.startsWith('error: PubkeeperError'))).toHaveLength(1);
  });

  it('shows a last value only once in a component that was hidden and is shown again', async () => {
    const brewer = await started('react.a.hide');
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
    const brewer = await started('react.a.hidden');
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
