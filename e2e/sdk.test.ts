import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PubkeeperClient } from '../src/index.js';
import type { PubkeeperServer, ServerOptions } from '../src/server/index.js';
import { type Engine, engineKinds, type EnginePage, INSECURE_NAME, titleOf, warnOfMissing } from './engines.js';
import { byAddress, byName, type InsecureOrigin } from './insecure-origin.js';
import { type Remote, remote } from './page-call.js';
import type { Sdk } from './page/sdk.js';
import { inbox, inState, matched, once, peer, serve, TOKEN } from './peer.js';
import { sdkPage, serveSite, type Site } from './site.js';
import { ResultTable } from './table.js';
import { makeCertificate } from './certificate.js';

// One suite, run in each engine: on a page that is a secure context, and on one that came by plain http.

warnOfMissing();
const table = new ResultTable('case');

const LOOPBACK: InsecureOrigin = { name: '127.0.0.1', address: '127.0.0.1' };
const settings = engineKinds.flatMap((kind) => [
  { kind, title: titleOf(kind), column: kind.name, secure: true, origin: LOOPBACK },
  // Not for WebKitGTK: it has no switch that maps a host name to this machine, and treats a page from an address as the other two do.
  ...(kind.name === 'WebKit' ? [] : [{ kind, title: `${titleOf(kind)}, plain http`, column: `${kind.name} http`, secure: false, origin: byAddress ?? byName }]),
]);

const BURST = 10_000;

const certificate = makeCertificate();
if (!certificate) console.warn('\n!!! MIXED CONTENT IS SKIPPED: there is no openssl to make a certificate with.\n');

describe.each(settings)('$title', ({ kind, column, secure, origin }) => {
  const isMissing = kind.missing() !== null;
  // Hooks do not run for skipped tests: fill the table here.
  if (isMissing) table.set('ALL OF THEM', column, 'SKIPPED');
  let engine: Engine;
  let site: Site;
  let page: EnginePage;
  let sdk: Remote<Sdk>;
  const clean: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    if (isMissing) return;
    engine = await kind.launch();
    site = await serveSite({ host: origin.address, name: origin.name, files: { '/': sdkPage('sdk') } });
    page = await engine.open(`${site.url}/`);
    sdk = remote<Sdk>(page, 'sdk');
  });
  afterAll(async () => {
    await engine?.close();
    await site?.close();
  });
  beforeEach(async () => {
    if (isMissing) return;
    // A new page for each case in the same tab, which is ten times faster than a new tab.
    await page.go(`${site.url}/`);
  });
  afterEach(async ({ task }) => {
    table.set(task.name, column, 'FAILED');
    await sdk.end();
    for (const run of clean.splice(0).reverse()) await run();
    if (task.result?.state === 'pass') table.set(task.name, column, 'ok');
  });

  async function start(options: ServerOptions = {}): Promise<PubkeeperServer> {
    const server = await serve({ host: origin.address, ...options });
    clean.push(() => server.close());
    return server;
  }
  /** The server's URL with the host name that the page was loaded from. */
  const urlOf = ({ port }: PubkeeperServer): string => `ws://${origin.name}:${port}/ws`;

  async function peerOf(server: PubkeeperServer): Promise<PubkeeperClient> {
    const client = peer(server.url);
    clean.push(() => client.disconnect());
    await client.connect();
    return client;
  }
  /** A separate tab for cases in which the browser itself logs errors: they may come late, and would count for the next page. */
  async function openTab(url = `${site.url}/`): Promise<{ tab: EnginePage; sdk: Remote<Sdk> }> {
    const tab = await engine.open(url);
    const there = remote<Sdk>(tab, 'sdk');
    clean.push(() => tab.close(), () => there.end());
    return { tab, sdk: there };
  }
  /** Expects that neither the SDK nor the browser has refused, warned of or thrown anything. */
  async function expectSilence(): Promise<void> {
    expect(await sdk.problems()).toEqual([]);
    expect(page.problems() ?? []).toEqual([]);
  }

  const test = it.skipIf(isMissing);

  test('the page is what this column says it is', async () => {
    expect(await sdk.environment()).toEqual({
      isSecureContext: secure,
      subtle: secure ? 'object' : 'undefined',
      randomUUID: secure ? 'function' : 'undefined',
      getRandomValues: 'function',
    });
    await expectSilence();
  });

  test('connects, and tells of each state on the way', async () => {
    const server = await start();
    await sdk.open({ server: urlOf(server), token: TOKEN });
    expect(await sdk.connect()).toEqual({ state: 'connected' });
    expect(server.stats()).toMatchObject({ clients: 1 });
    expect(await sdk.passed('connecting', 'connected')).toEqual(['connecting', 'connected']);
    await expectSilence();
  });

  test('a wrong token is refused, and the error does not show it', async () => {
    const server = await start();
    await sdk.open({ server: urlOf(server), token: 'not-the-right-one' });
    const outcome = await sdk.connect();
    expect(outcome).toMatchObject({ code: 'UNAUTHORIZED', message: expect.stringContaining('token') as string });
    expect(JSON.stringify(outcome)).not.toContain('not-the-right-one');
    expect(await sdk.state()).toBe('disconnected');
    await expectSilence();
  });

  test('where no server is running, the error says so, and the page can show it', async () => {
    const server = await start();
    const url = urlOf(server);
    await server.close();
    const { tab, sdk } = await openTab();
    await sdk.open({ server: url, token: TOKEN });
    expect(await sdk.connect()).toMatchObject({ code: 'CONNECT_FAILED', message: `Cannot connect to ${url}: check that a Pubkeeper server runs there.` });
    expect(await tab.evaluate('document.body.textContent')).toContain('check that a Pubkeeper server runs there');
  });

  test('a malformed URL is refused when the client is made', async () => {
    await expect(sdk.open({ server: 'http://127.0.0.1:9898', token: TOKEN })).rejects.toThrow('server must be a URL like ws://127.0.0.1:9898/ws or wss://..., not "http://127.0.0.1:9898".');
  });

  // Browsers tell a page very little: it can tell only a server that selects another subprotocol from a server that is not running.
  test.each([
    ['speaks another protocol', (): string | false => 'mqtt'],
    ['speaks none', (): string | false => false],
    ['has no WebSockets', undefined],
  ])('a server that is not a Pubkeeper server is reported: it %s', async (_, handleProtocols) => {
    const other = createHttpServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => other.listen(0, origin.address, resolve));
    const sockets = handleProtocols && new WebSocketServer({ server: other, handleProtocols });
    clean.push(async () => {
      for (const socket of sockets?.clients ?? []) socket.terminate();
      other.closeAllConnections();
      await new Promise((resolve) => other.close(resolve));
    });
    const url = `ws://${origin.name}:${(other.address() as AddressInfo).port}/ws`;
    const { sdk } = await openTab();
    await sdk.open({ server: url, token: TOKEN });
    const outcome = await sdk.connect();
    expect(outcome).toMatchObject({
      code: expect.stringMatching(/^(CONNECT_FAILED|SUBPROTOCOL_REFUSED)$/) as string,
      message: expect.stringMatching(/Pubkeeper server/) as string,
    });
    expect(await sdk.state()).toBe('disconnected');
  });

  test('a connection that the policy of the page forbids is reported as blocked', async () => {
    const strict = await serveSite({ host: origin.address, name: origin.name, files: { '/': sdkPage('sdk') }, policy: "default-src 'self'" });
    clean.push(() => strict.close());
    const { sdk } = await openTab(`${strict.url}/`);
    const server = await start();
    await sdk.open({ server: urlOf(server), token: TOKEN });
    expect(await sdk.connect()).toMatchObject({ code: 'CONNECT_BLOCKED', message: expect.stringContaining("a page's policy must allow it") as string });
  });

  // Only in the secure columns: a page that came by http may open ws: anyway.
  const testSecure = secure ? it.skipIf(isMissing || !certificate) : () => undefined;
  testSecure('ws: from an https: page is reported as blocked (mixed content)', async () => {
    const https = await serveSite({ files: { '/': sdkPage('sdk') }, tls: certificate! });
    clean.push(() => https.close());
    const { sdk } = await openTab(`${https.url}/`);
    await sdk.open({ server: `ws://${INSECURE_NAME}:9898/ws`, token: TOKEN });
    expect(await sdk.connect()).toMatchObject({ code: 'CONNECT_BLOCKED', message: expect.stringContaining('an https page reaches wss:// only') as string });
  });

  test('a patron with wildcards is matched with the topics of its pattern, and no others', async () => {
    const server = await start();
    const writer = await peerOf(server);
    await sdk.open({ server: urlOf(server), token: TOKEN });
    await sdk.connect();
    await sdk.read('wild.*.end');
    await sdk.read('deep.**');
    for (const topic of ['wild.a.end', 'deep.a', 'deep.a.b.ç']) {
      const brewer = writer.addBrewer(topic);
      await matched(brewer);
      await brewer.brewText(topic);
      expect(await sdk.take(1)).toEqual([expect.objectContaining({ topic, text: topic, brewerId: brewer.brewerId })]);
    }
    const unread = ['wild.end', 'wild.a.b.end', 'deep', 'other.a.end'].map((topic) => writer.addBrewer(topic));
    // The server answers in order: when this brewer is matched, the others have been answered too.
    await matched(writer.addBrewer('deep.last'));
    expect(unread.map(({ isMatched }) => isMatched)).toEqual([false, false, false, false]);
    expect(server.stats()).toMatchObject({ brewers: 8, patrons: 2, matches: 4 });
    await expectSilence();
  });

  test.each(['aes-gcm', 'aes-cbc', 'none'] as const)('text, JSON and bytes arrive unchanged, in the page and in Node (%s)', async (cipher) => {
    const server = await start();
    const node = await peerOf(server);
    const text = 'Grüezi, 世界 🌍\u0000';
    const json = { list: [1, null, true], nested: { 'ключ': '値' } };
    const bytes = Array.from({ length: 256 }, (_, value) => value);

    await sdk.open({ server: urlOf(server), token: TOKEN });
    await sdk.connect();
    await sdk.read('to.page');
    const brewer = node.addBrewer('to.page', { cipher });
    await matched(brewer);
    await brewer.brewText(text);
    await brewer.brewJSON(json);
    await brewer.brew(Uint8Array.from(bytes));
    const [first, second, third] = await sdk.take(3);
    expect(first).toMatchObject({ topic: 'to.page', text, brewerId: brewer.brewerId });
    expect(JSON.parse(second!.text)).toEqual(json);
    expect(third!.bytes).toEqual(bytes);

    const box = inbox();
    node.addPatron('from.*', box.callback, { crypto: cipher === 'none' ? true : 'required' });
    const brewerId = await sdk.brewAll('from.page', cipher, text, json, bytes);
    const messages = [await box.next(), await box.next(), await box.next()];
    expect(messages.map(({ topic, brewerId: id }) => [topic, id])).toEqual(Array(3).fill(['from.page', brewerId]));
    expect(messages[0]!.text()).toBe(text);
    expect(messages[1]!.json()).toEqual(json);
    expect([...messages[2]!.data]).toEqual(bytes);
    await expectSilence();
  });

  test.each(['aes-gcm', 'aes-cbc'] as const)('1 MiB arrives unchanged, there and back (%s)', async (cipher) => {
    const server = await start();
    const node = await peerOf(server);
    await sdk.open({ server: urlOf(server), token: TOKEN });
    await sdk.connect();
    const box = inbox();
    node.addPatron('mib.back', box.callback);
    await sdk.echo('mib.there', 'mib.back', cipher);
    const brewer = node.addBrewer('mib.there', { cipher });
    await matched(brewer);
    const payload = randomBytes(1024 * 1024);
    await brewer.brew(payload);
    const { data } = await box.next();
    expect(Buffer.from(data.map((byte) => byte ^ 0xff)).equals(payload)).toBe(true);
    await expectSilence();
  });

  test.each(['aes-gcm', 'aes-cbc'] as const)(`${BURST.toLocaleString('en')} messages arrive in order, both ways (%s)`, async (cipher) => {
    const server = await start();
    const node = await peerOf(server);
    await sdk.open({ server: urlOf(server), token: TOKEN });
    await sdk.connect();

    await sdk.expectOrder('order.to.*', BURST);
    const brewer = node.addBrewer('order.to.page', { cipher });
    await matched(brewer);
    for (let i = 0; i < BURST; i++) {
      const accepted = brewer.brewText(String(i).padEnd(i % 7 ? 16 : 1500));
      if (i % 100 === 0) await accepted;
    }
    expect(await sdk.ordered()).toEqual({ received: BURST, wrongAt: -1, dropped: {} });

    const numbers: number[] = [];
    const all = new Promise<void>((resolve) =>
      node.addPatron('order.from.*', (_, message) => {
        if (numbers.push(Number(message.text())) === BURST) resolve();
      }),
    );
    await sdk.brewNumbers('order.from.page', cipher, BURST);
    await all;
    expect(numbers).toEqual(Array.from({ length: BURST }, (_, i) => i));
    await expectSilence();
  });

  test('reconnects to a restarted server, and each patron and brewer is registered once', async () => {
    const first = await start();
    const { port } = first;
    const node = await peerOf(first);
    const { sdk } = await openTab();
    await sdk.open({ server: urlOf(first), token: TOKEN });
    await sdk.connect();
    await sdk.passed('connected');
    await sdk.read('life.to');
    const box = inbox();
    node.addPatron('life.back', box.callback);
    await sdk.echo('life.there', 'life.back', 'aes-gcm');
    const brewer = node.addBrewer('life.to');
    await matched(brewer);
    await brewer.brewText('before');
    expect(await sdk.take(1)).toMatchObject([{ text: 'before' }]);

    await first.close();
    await Promise.all([sdk.passed('reconnecting'), inState(node, 'reconnecting')]);
    const second = await start({ port });
    await inState(node, 'connected');
    if ((await sdk.state()) !== 'connected') await sdk.passed('connected');

    // A closing server disconnects one client before the other, so their pair may end and begin again: wait until the brewer is matched.
    await matched(brewer);
    await brewer.brewText('after');
    expect(await sdk.take(1)).toMatchObject([{ text: 'after' }]);
    const there = node.addBrewer('life.there');
    await matched(there);
    let echoed: number[] | undefined;
    void box.next().then(({ data }) => (echoed = [...data]));
    await expect
      .poll(async () => {
        await there.brew(Uint8Array.of(0xff, 0x00));
        return echoed;
      }, { timeout: 10_000 })
      .toEqual([0x00, 0xff]);
    // Patrons and brewers are registered once each, also after the reconnect.
    expect(second.stats()).toMatchObject({ clients: 2, patrons: 3, brewers: 3, matches: 3 });
  });

  test('disconnect() leaves no socket, timer or listener behind, and ends all matches', async () => {
    const server = await start();
    const node = await peerOf(server);
    await sdk.open({ server: urlOf(server), token: TOKEN });
    const before = await sdk.counts();
    await sdk.connect();
    await sdk.read('gone.to');
    const brewer = node.addBrewer('gone.to');
    const box = inbox();
    node.addPatron('gone.from', box.callback);
    await matched(brewer);
    await brewer.brewText('here');
    await sdk.take(1);
    await sdk.brewAll('gone.from', 'aes-gcm', 'there', null, []);
    await box.next();
    expect(await sdk.counts()).toMatchObject({ sockets: 2 });

    const unmatched = once((listener) => brewer.on('unmatched', listener));
    expect(await sdk.disconnect()).toBe('disconnected');
    expect(await sdk.counts()).toEqual(before);
    await unmatched;
    expect(server.stats()).toMatchObject({ clients: 1, patrons: 1, brewers: 1, matches: 0 });
    await expectSilence();
  });
});

it.skipIf(engineKinds[0]!.missing())('a page from a host name other than localhost is not a secure context, even if the name leads to loopback', async () => {
  const site = await serveSite({ host: byName.address, name: byName.name, files: { '/': sdkPage('sdk') } });
  const engine = await engineKinds[0]!.launch();
  try {
    const sdk = remote<Sdk>(await engine.open(`${site.url}/`), 'sdk');
    expect(await sdk.environment()).toMatchObject({ isSecureContext: false, subtle: 'undefined' });
  } finally {
    await engine.close();
    await site.close();
  }
});

afterAll(() => console.log(`\n${table.toString()}\n`));
