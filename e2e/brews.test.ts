import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright';
import puppeteer from 'puppeteer-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MqttBrew } from '../src/brews/mqtt.js';
import { NatsBrew } from '../src/brews/nats.js';
import { PubkeeperClient, type Brew } from '../src/index.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { findProgram, mosquitto, nats, type Running } from '../test/brews/processes.js';
import { FaultProxy } from '../test/faults/proxy.js';
import { findChromium, launchChromium, quietArgs } from './browsers.js';
import { describeInChromium } from './engines.js';
import { STRICT_POLICY } from './site.js';

// The brews for browsers in a browser, bundled as in an application: messages between tabs, and from Node to a tab.

const root = fileURLToPath(new URL('..', import.meta.url));
const natsServer = findProgram('nats-server');
const mosquittoServer = findProgram('mosquitto');

let browser: Browser;
let http: Server;
let origin: string;
let server: PubkeeperServer;
const running: Running[] = [];

beforeAll(async () => {
  const directory = mkdtempSync(join(root, 'dist/.e2e-brews-'));
  try {
    const names = ['pubkeeper', ...['broadcast-channel', 'mqtt', 'nats', 'local'].map((name) => `pubkeeper/brews/${name}`)];
    const entry = join(directory, 'entry.js');
    writeFileSync(entry, names.map((name) => `export * from '${name}';`).join('\n'));
    const lib = { entry, formats: ['es' as const], fileName: 'bundle' };
    const outDir = join(directory, 'out');
    await build({
      root: directory,
      configFile: false,
      logLevel: 'error',
      build: { lib, outDir, minify: false, rolldownOptions: { output: { codeSplitting: false } } },
      // Libraries that were written for Node expect these, which browsers do not have.
      define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    });
    const code = readFileSync(join(outDir, 'bundle.js'));
    http = createHttpServer((request, response) => {
      const isCode = request.url === '/bundle.js';
      if (request.url === '/strict') response.setHeader('content-security-policy', STRICT_POLICY);
      if (request.url === '/control-only') response.setHeader('content-security-policy', `default-src 'self'; connect-src ${new URL(server.url).origin}`);
      response.setHeader('content-type', isCode ? 'text/javascript' : 'text/html');
      response.end(isCode ? code : '<!doctype html><title>brews</title>');
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
  browser = await launchChromium();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  http?.close();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.kill()));
});

/** Runs `script`, which may await, in a page of the origin. `script` can use `pk` (the bundle) and `server`. */
async function inPage(page: Page, script: string): Promise<unknown> {
  if (page.url() === 'about:blank') await page.goto(origin);
  return page.evaluate(`(async () => { const pk = await import('/bundle.js'); const server = '${server.url}'; ${script} })()`);
}

const listen = (brew: string, topic: string): string => `
  globalThis.client = new pk.PubkeeperClient({ server, token: 'secret', brews: [${brew}] });
  globalThis.got = [];
  client.addPatron('${topic}', (data, message) => got.push(message.text()));
  await client.connect();`;
const say = (brew: string, topic: string): string => `
  globalThis.client = new pk.PubkeeperClient({ server, token: 'secret', brews: [${brew}] });
  const brewer = client.addBrewer('${topic}');
  await client.connect();
  if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve));
  for (let i = 0; i < 100; i++) brewer.brewText(String(i));
  return brewer.patrons.values().next().value.brew;`;
const all = Array.from({ length: 100 }, (_, i) => String(i));
const gotAll = async (page: Page): Promise<unknown> => {
  // waitForFunction() evaluates code in the page, which a strict policy forbids.
  await expect.poll(() => page.evaluate('got.length'), { timeout: 20_000 }).toBeGreaterThanOrEqual(100);
  return page.evaluate('got');
};

describeInChromium('in Chromium', () => {
  it('BroadcastChannelBrew delivers messages between two tabs of one origin', async () => {
    const context = await browser.newContext();
    const [one, two] = [await context.newPage(), await context.newPage()];
    const brew = 'new pk.BroadcastChannelBrew()';
    await inPage(one, listen(brew, 'tabs.one'));
    expect(await inPage(two, say(brew, 'tabs.one'))).toMatch(/^broadcast-[\da-f]{32}$/);
    expect(await gotAll(one)).toEqual(all);
    await context.close();
  });

  it('BroadcastChannelBrew in a worker needs the scope of its page, and then has the same name', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await inPage(
      page,
      `const brew = new pk.BroadcastChannelBrew();
       const code = 'import("${origin}/bundle.js").then((pk) => { try { new pk.BroadcastChannelBrew(); } catch (error) { postMessage(error.message); } ' +
         'self.onmessage = ({ data }) => postMessage(new pk.BroadcastChannelBrew({ scope: data }).name); postMessage("ready"); });';
       globalThis.worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), { type: 'module' });
       globalThis.said = [];
       worker.onmessage = ({ data }) => { said.push(data); if (data === 'ready') worker.postMessage(brew.scope); };
       globalThis.own = brew.name;`,
    );
    await page.waitForFunction('said.length === 3');
    expect(await page.evaluate('said')).toEqual([expect.stringMatching(/workers get that of their page's brew/), 'ready', await page.evaluate('own')]);
    await context.close();
  });

  describe('a page that comes back from the back/forward cache', () => {
    // Puppeteer, as Playwright disables that cache.
    let cached: Awaited<ReturnType<typeof puppeteer.launch>>;
    beforeAll(async () => {
      cached = await puppeteer.launch({ executablePath: findChromium()!, ignoreDefaultArgs: ['--disable-back-forward-cache'], args: [...quietArgs] });
    });
    afterAll(async () => {
      await cached?.close();
    });
    const run = async (page: Awaited<ReturnType<typeof cached.newPage>>, script: string): Promise<unknown> => {
      if (page.url() === 'about:blank') await page.goto(origin);
      return page.evaluate(`(async () => { const pk = await import('/bundle.js'); const server = '${server.url}'; ${script} })()`);
    };

    it('BroadcastChannelBrew: the page stays in the cache while others brew, and then gets the last value', async () => {
      const writes = `const say = async (text) => { brewer.brewText(text); while (!got.includes(text)) await new Promise((resolve) => setTimeout(resolve)); };`;
      const [one, two] = [await cached.newPage(), await cached.newPage()];
      await run(one, listen('new pk.BroadcastChannelBrew()', 'cache.*'));
      // This page reads its own topic, so that it can brew when the other page is in the cache.
      await run(two, `${listen('new pk.BroadcastChannelBrew()', 'cache.*')}
        globalThis.brewer = client.addBrewer('cache.two');
        while (brewer.patrons.size < 2) await new Promise((resolve) => brewer.on('added', resolve));
        ${writes} await say('before');`);
      await one.waitForFunction('got.length');
      await run(two, `globalThis.left = new Promise((resolve) => brewer.on('removed', resolve));`);
      await one.goto(`${origin}/other`);
      await run(two, `await left; ${writes} for (let i = 0; i < 50; i++) await say('meanwhile ' + i);
        globalThis.back = new Promise((resolve) => brewer.on('added', resolve));`);
      await one.goBack();
      expect(await one.evaluate('globalThis.got?.[0]')).toBe('before');
      await run(two, `await back; ${writes} await say('after');`);
      await one.waitForFunction(`got.includes('after')`);
      expect(await one.evaluate('got')).toEqual(['before', 'meanwhile 49', 'after']);
    });

    it.each([
      ['NatsBrew', 'lastValue: false', natsServer, () => nats(natsServer!), (url: string) => new NatsBrew({ url, lastValue: false })],
      ['MqttBrew', 'lastValue: false, qos: 0', mosquittoServer, () => mosquitto(mosquittoServer!), (url: string) => new MqttBrew({ url, lastValue: false })],
      ['MqttBrew', 'lastValue: false, qos: 1', mosquittoServer, () => mosquitto(mosquittoServer!), (url: string) => new MqttBrew({ url, qos: 1, lastValue: false })],
    ] as const)('%s with %s: what the page brews last arrives, and it goes on without an error', async (name, options, program, start, make) => {
      if (!program) return;
      const broker = await start();
      running.push(broker);
      const wire = await FaultProxy.listen(() => broker.ports[1]);
      const node = new PubkeeperClient({ server: server.url, token: 'secret', brews: [make(broker.tcp)] });
      const page = await cached.newPage();
      try {
        const texts: string[] = [];
        const arrived = async (text: string): Promise<void> => void (await expect.poll(() => texts, { timeout: 10_000 }).toContain(text));
        node.addPatron('cache.out', (_, message) => void texts.push(message.text()));
        const brewer = node.addBrewer('cache.in');
        const once = (event: 'matched' | 'unmatched') => new Promise<void>((resolve) => brewer.on(event, () => resolve()));
        const began = once('matched');
        await node.connect();
        await run(page, `
          globalThis.got = [];
          globalThis.errors = [];
          const options = { url: '${broker.tcp.replace(/^\w+/, 'ws').replace(/\d+$/, '') + String(wire.port)}', alternatives: ['${broker.tcp}'], ${options} };
          globalThis.client = new pk.PubkeeperClient({ server, token: 'secret', brews: [new pk.${name}(options)] });
          client.on('error', ({ code, message }) => errors.push(code + ' ' + message));
          client.addPatron('cache.in', (_, message) => got.push(message.text()));
          // Without a cipher it is carried at once, also while the page is being put away.
          globalThis.brewer = client.addBrewer('cache.out', { cipher: 'none' });
          addEventListener('pagehide', () => { for (const text of ['a'.repeat(30000), 'last words']) brewer.brewText(text); });
          const matched = new Promise((resolve) => brewer.on('matched', resolve));
          await client.connect();
          await matched;
          await brewer.brewText('from the page');`);
        await Promise.all([began, arrived('from the page')]);
        await brewer.brewText('before');
        await page.waitForFunction(`got.includes('before')`);
        expect(wire.connections).toBe(1);
        const [gone, back] = [once('unmatched'), once('matched')];
        await page.goto(`${origin}/other`);
        await Promise.all([gone, arrived('last words')]);
        await expect.poll(() => wire.connections).toBe(0);
        await page.goBack();
        expect(await page.evaluate('globalThis.got?.[0]')).toBe('before');
        await back;
        await brewer.brewText('after');
        await page.waitForFunction(`got.includes('after')`);
        await run(page, `if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve)); await brewer.brewText('and back');`);
        await arrived('and back');
        expect(await page.evaluate('errors')).toEqual([]);
        expect(await page.evaluate('got')).toEqual(['before', 'after']);
        // With QoS 1, messages that the broker had not confirmed are sent again, and these have no sequence numbers.
        const distinct = options.endsWith('qos: 1') ? [...new Set(texts)] : texts;
        expect(distinct.map((text) => text.slice(0, 20))).toEqual(['from the page', 'a'.repeat(20), 'last words', 'and back']);
        expect(wire.dials).toHaveLength(2);
      } finally {
        await page.close();
        await node.disconnect();
        await wire.close();
      }
    });
  });

  const withNode = async (page: Page, topic: string, inBrowser: string, inNode: Brew): Promise<void> => {
    await inPage(page, listen(inBrowser, topic));
    const client = new PubkeeperClient({ server: server.url, token: 'secret', brews: [inNode] });
    try {
      const brewer = client.addBrewer(topic);
      await client.connect();
      if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve));
      for (const text of all) void brewer.brewText(text);
      expect(await gotAll(page)).toEqual(all);
    } finally {
      await client.disconnect();
    }
  };

  it.skipIf(!natsServer)('NatsBrew delivers messages from Node over TCP to a page over WebSocket', async () => {
    const broker = await nats(natsServer!);
    running.push(broker);
    const node = new NatsBrew({ url: broker.tcp, alternatives: [broker.ws] });
    await withNode(await browser.newPage(), 'nats.one', 'new pk.NatsBrew()', node);
  });

  it.skipIf(!mosquittoServer)('MqttBrew delivers messages from Node over TCP to a page over WebSocket', async () => {
    const broker = await mosquitto(mosquittoServer!);
    running.push(broker);
    const node = new MqttBrew({ url: broker.tcp, alternatives: [broker.ws] });
    await withNode(await browser.newPage(), 'mqtt.one', 'new pk.MqttBrew()', node);
  });

  it.skipIf(!natsServer || !mosquittoServer)('NatsBrew and MqttBrew deliver messages to a page whose content security policy is strict, and violate nothing of it', async () => {
    const [one, two] = [await nats(natsServer!), await mosquitto(mosquittoServer!)];
    running.push(one, two);
    for (const [name, inPage, inNode] of [
      ['nats', `new pk.NatsBrew({ url: '${one.ws}' })`, new NatsBrew({ url: one.tcp, alternatives: [one.ws] })],
      ['mqtt', `new pk.MqttBrew({ url: '${two.ws}' })`, new MqttBrew({ url: two.tcp, alternatives: [two.ws] })],
    ] as const) {
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on('console', (message) => void problems.push(message.text())).on('pageerror', (error) => void problems.push(error.message));
      await page.goto(`${origin}/strict`);
      await withNode(page, `strict.${name}`, inPage, inNode);
      expect(problems).toEqual([]);
      await page.close();
    }
  });

  it.skipIf(!natsServer || !mosquittoServer)('NatsBrew and MqttBrew report CONNECT_FAILED in a page whose content security policy forbids the broker', async () => {
    const [one, two] = [await nats(natsServer!), await mosquitto(mosquittoServer!)];
    running.push(one, two);
    for (const [name, url, what, why] of [['NatsBrew', one.ws, 'NATS', 'connection refused'], ['MqttBrew', two.ws, 'the MQTT broker', 'no answer']] as const) {
      const page = await browser.newPage();
      await page.goto(`${origin}/control-only`);
      const said = await inPage(
        page,
        `globalThis.client = new pk.PubkeeperClient({ server, token: 'secret', brews: [new pk.${name}({ url: '${url}' })] });
         const error = new Promise((resolve) => client.on('error', resolve));
         const begun = performance.now();
         client.addBrewer('forbidden.${name}');
         await client.connect();
         const { code, message } = await error;
         return [code, message, performance.now() - begun < 10_000];`,
      );
      // At once, not only when the 10 s that opening may take are over.
      expect(said).toEqual(['CONNECT_FAILED', expect.stringContaining(`Cannot connect to ${what} at ${url} (${why}): check `), true]);
      await page.close();
    }
  });

  it.skipIf(!mosquittoServer)('MqttBrew makes brew() wait in a page when more is brewed than the socket has sent, and rejects when more than 16 MiB wait', async () => {
    const broker = await mosquitto(mosquittoServer!);
    running.push(broker);
    const reader = new PubkeeperClient({ server: server.url, token: 'secret', brews: [new MqttBrew({ url: broker.tcp })] });
    const page = await browser.newPage();
    try {
      let received = 0;
      reader.addPatron('mqtt.much', () => void received++);
      await reader.connect();
      const outcomes = await inPage(
        page,
        `globalThis.client = new pk.PubkeeperClient({ server, token: 'secret', brews: [new pk.MqttBrew({ url: '${broker.ws}', alternatives: ['${broker.tcp}'] })] });
         const brewer = client.addBrewer('mqtt.much', { cipher: 'none' });
         await client.connect();
         if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve));
         await brewer.brewText('first');
         const message = new Uint8Array(512 * 1024);
         const all = Array.from({ length: 60 }, () => brewer.brew(message));
         return (await Promise.allSettled(all)).map(({ reason }) => reason?.code ?? 'taken');`,
      );
      const taken = (outcomes as string[]).filter((outcome) => outcome === 'taken').length;
      expect(new Set(outcomes as string[])).toEqual(new Set(['taken', 'BUFFER_FULL']));
      // What was taken arrives.
      await expect.poll(() => received, { timeout: 20_000 }).toBe(1 + taken);
    } finally {
      await page.close();
      await reader.disconnect();
    }
  });

  it('LocalBrew throws an error that says that it needs Node', async () => {
    const page = await browser.newPage();
    const said = await inPage(page, 'try { new pk.LocalBrew(); } catch (error) { return [error.code, error.message]; }');
    expect(said).toEqual(['OPTION_INVALID', expect.stringMatching(/^LocalBrew needs Node/)]);
  });
});
