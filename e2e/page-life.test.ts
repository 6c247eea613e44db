import puppeteer, { type Browser, type CDPSession, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Brewer, PubkeeperClient } from '../src/index.js';
import type { PubkeeperServer } from '../src/server/index.js';
import { findChromium, quietArgs } from './browsers.js';
import { describeInChromium } from './engines.js';
import { guarded, unguard } from './engines/engine.js';
import { type Remote, remote } from './page-call.js';
import type { Life } from './page/life.js';
import type { Sdk } from './page/sdk.js';
import { inbox, matched, once, peer, serve, TOKEN } from './peer.js';
import { html, sdkPage, serveSite, type Site } from './site.js';
import { layWire, type Wire } from './wire.js';

// What browsers do to pages, tested with a real page. Puppeteer, as Playwright keeps every page visible.

const CYCLES = 1000;

describeInChromium('page life in Chromium', () => {
  let browser: Browser;
  let site: Site;
  beforeAll(async () => {
    browser = await puppeteer.launch({
      executablePath: findChromium()!,
      // Puppeteer's default arguments turn off what these tests are about.
      ignoreDefaultArgs: [
        '--disable-back-forward-cache',
        '--disable-background-timer-throttling',
        '--disable-backgrounding-occluded-windows',
        '--disable-renderer-backgrounding',
      ],
      // Chromium runs the timers of a hidden tab once a minute: here already after one second instead of five minutes.
      args: [...quietArgs, '--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1'],
    });
    site = await serveSite({ files: { '/': sdkPage('sdk', 'life'), '/other': html('Elsewhere') } });
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  let server: PubkeeperServer;
  let wire: Wire;
  let node: PubkeeperClient;
  let page: Page;
  let cover: Page | undefined;
  let devtools: CDPSession;
  let sdk: Remote<Sdk>;
  let life: Remote<Life>;
  beforeEach(async () => {
    server = await serve();
    wire = await layWire(server.port);
    page = await browser.newPage();
    devtools = await page.createCDPSession();
    await page.goto(`${site.url}/`);
    const from = { evaluate: async <T>(expression: string): Promise<T> => unguard(await page.evaluate(guarded(expression)), expression) };
    sdk = remote<Sdk>(from, 'sdk');
    life = remote<Life>(from, 'life');
    // Node's messages also reach the page through the wire.
    node = peer(`ws://127.0.0.1:${wire.port}/ws`);
    await node.connect();
  });
  afterEach(async () => {
    await page.close();
    await cover?.close();
    cover = undefined;
    await node.disconnect();
    await wire.close();
    await server.close();
  });

  /** Messages between the page and Node, both ways. */
  let toPage: Brewer;
  let fromPage: ReturnType<typeof inbox>;
  let there: Brewer;
  async function converse(reconnect = { delayMs: 20, maxDelayMs: 50 }): Promise<void> {
    await sdk.open({ server: `ws://127.0.0.1:${wire.port}/ws`, token: TOKEN, reconnect });
    await sdk.connect();
    await sdk.read('life.to');
    fromPage = inbox();
    node.addPatron('life.back', fromPage.callback);
    await sdk.echo('life.there', 'life.back', 'aes-gcm');
    toPage = node.addBrewer('life.to');
    there = node.addBrewer('life.there');
    await expectConversation();
    await life.events();
    await sdk.passed('connected');
  }
  async function expectConversation(): Promise<void> {
    await Promise.all([matched(toPage), matched(there)]);
    const text = String(Math.random());
    await toPage.brewText(text);
    // After a reconnect, the last value may come again.
    while ((await sdk.take(1))[0]!.text !== text);
    await there.brew(Uint8Array.of(1));
    const { data } = await fromPage.next();
    expect([...data]).toEqual([0xfe]);
    // Patrons and brewers are registered once, and pairs matched once.
    expect(server.stats()).toMatchObject({ clients: 2, patrons: 3, brewers: 3, matches: 3 });
  }
  /** Hides the page behind another tab. */
  async function hide(): Promise<void> {
    cover = await browser.newPage();
    await cover.bringToFront();
    await expect.poll(() => page.evaluate('document.visibilityState')).toBe('hidden');
  }
  const show = (): Promise<void> => page.bringToFront();

  it('offline and online: opens new sockets when the old ones died silently', async () => {
    await converse();
    wire.deaden();
    await page.setOfflineMode(true);
    expect(await life.events()).toEqual(['offline']);
    await page.setOfflineMode(false);
    await sdk.passed('reconnecting', 'connected');
    expect(await life.events()).toEqual(['online']);
    await expectConversation();
    expect(await life.dialled()).toBe(4);
  });

  it('offline and online: keeps its sockets when they are alive', async () => {
    await converse();
    await page.setOfflineMode(true);
    await page.setOfflineMode(false);
    expect(await life.events()).toEqual(['offline', 'online']);
    await expectConversation();
    expect(await life.dialled()).toBe(2);
  });

  it('a hidden tab: receives each message and keeps its sockets, however rarely its timers run', async () => {
    await server.close();
    // A heartbeat so short that throttled timers miss many.
    server = await serve({ port: server.port, heartbeatMs: 500 });
    await once<string>((listener) => node.on('state', listener), (state) => state === 'connected');
    await converse();
    await hide();
    await life.ticks();
    const timers = await life.timersStarted();
    // The test is about time: long enough that timers are throttled for most of it.
    const begun = Date.now();
    while (Date.now() - begun < 8000) {
      const text = String(Date.now());
      await toPage.brewText(text);
      expect(await sdk.take(1)).toMatchObject([{ text }]);
      // This is the pace of the messages, not a wait for an event.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // Timers are throttled: otherwise there would be some 80 ticks.
    expect(await life.ticks()).toBeLessThan(12);
    await show();
    await expectConversation();
    expect(await life.dialled()).toBe(2);
    expect((await life.timersStarted()) - timers).toBeLessThan(100);
  });

  it('back/forward cache: a page closes its sockets, and reconnects without a reload', async () => {
    await converse();
    await page.evaluate('globalThis.mark = 1');
    const alone = Promise.all([toPage, there].map((brewer) => once((listener) => brewer.on('unmatched', listener))));
    await page.goto(`${site.url}/other`);
    await alone;
    await expect.poll(() => server.stats()).toMatchObject({ clients: 1, patrons: 1, brewers: 2, relayConnections: 1 });
    await page.goBack();
    expect(await page.evaluate('globalThis.mark')).toBe(1);
    expect(await life.events()).toEqual(expect.arrayContaining(['pagehide', 'freeze', 'resume', 'pageshow from cache']));
    await sdk.passed('reconnecting', 'connected');
    await expectConversation();
    expect(await life.dialled()).toBe(4);
    expect(await sdk.errors()).toEqual([]);
    expect(await sdk.problems()).toEqual([]);
  });

  it('a frozen tab: closes its sockets, and reconnects when it is resumed', async () => {
    await converse();
    await hide();
    const alone = Promise.all([toPage, there].map((brewer) => once((listener) => brewer.on('unmatched', listener))));
    await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
    await alone;
    await expect.poll(() => server.stats()).toMatchObject({ clients: 1, relayConnections: 1 });
    await devtools.send('Page.setWebLifecycleState', { state: 'active' });
    await show();
    await sdk.passed('reconnecting', 'connected');
    expect(await life.events()).toEqual(['hidden', 'freeze', 'resume', 'visible']);
    await expectConversation();
    expect(await life.dialled()).toBe(4);
    expect(await sdk.problems()).toEqual([]);
  });

  it('a machine that slept: the page notices it by the clock, and replaces sockets that died meanwhile', async () => {
    await converse();
    wire.deaden();
    await life.oversleep(3_600_000);
    await sdk.passed('reconnecting', 'connected');
    await expectConversation();
    expect(await sdk.errors()).toEqual(['CONNECTION_LOST']);
    expect(await life.dialled()).toBe(4);
  });

  it(`${CYCLES.toLocaleString('en')} times connect and disconnect leave no socket, timer or listener behind`, async () => {
    const { before, between, after } = await life.cycle(`ws://127.0.0.1:${server.port}/ws`, TOKEN, CYCLES);
    expect(between.sockets).toBeGreaterThan(0);
    expect(between.listeners).toBeGreaterThan(before.listeners);
    expect(after).toEqual(before);
    await expect.poll(() => server.stats()).toMatchObject({ clients: 1, patrons: 0, brewers: 0 });
  }, 120_000);
});
