import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { PubkeeperClient } from '../src/index.js';
import { launchChromium } from './browsers.js';
import { startDemo } from './demo.js';
import type { Demo } from './demo.js';

const patient = { timeout: 20_000 };

describe('the dashboard', () => {
  let browser: Browser;
  let demo: Demo;
  let page: Page;
  /** What the console of the page said that it should not. */
  let complaints: string[];
  const clients: PubkeeperClient[] = [];

  beforeAll(async () => {
    [browser, demo] = await Promise.all([launchChromium(), startDemo()]);
  });
  afterAll(async () => {
    await browser?.close();
    expect(await demo?.end('SIGINT')).toBe(0);
  });
  afterEach(async () => {
    await page?.close();
    await Promise.all(clients.splice(0).map((client) => client.disconnect()));
  });

  const open = async (options: Parameters<Browser['newPage']>[0] = {}, url = demo.page) => {
    page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
    complaints = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(url);
    return page;
  };
  const connect = async () => {
    const client = new PubkeeperClient({ server: demo.server, token: demo.token });
    clients.push(client);
    await client.connect();
    return client;
  };
  const expectState = (state: string) => expect.poll(() => page.locator('#state').textContent(), patient).toBe(state);
  const row = (title: string) => page.locator(`.row[title="${title}"]`);
  const messagesOf = async (locator = row('host').locator('.num').first()) => Number((await locator.textContent())?.replaceAll(',', ''));
  const select = async (topic: string) => {
    await expect.poll(() => row(topic).count(), patient).toBe(1);
    await row(topic).click();
    await expect.poll(() => page.locator('#topic').textContent(), patient).toBe(topic);
  };
  const memory = () => demo.topics.find((topic) => topic.endsWith('.memory'))!;

  it('shows live values of this machine without a form to fill, encrypted', async () => {
    await open();
    await expectState('Connected');
    await select(memory());
    const seen = () => page.locator('#message-body').textContent();
    const first = await seen();
    await expect.poll(seen, patient).not.toBe(first);
    expect(await page.locator('#payload').textContent()).toMatch(/"used":\s*\d+/);
    expect(await page.locator('#facts').textContent()).toContain('AES-GCM');
    const known = await page.locator('.row.is-topic').evaluateAll((rows) => rows.map((element) => element.getAttribute('title') ?? ''));
    expect(known).toEqual(expect.arrayContaining([...demo.topics]));
    expect(complaints).toEqual([]);
  });

  it('shows the ciphertext beside the plaintext', async () => {
    await open();
    await select(memory());
    await page.getByText('Ciphertext').click();
    await expect.poll(() => page.locator('#wire-note').textContent(), patient).toMatch(/AES-GCM, sealed: \d+ B after an 88-byte header/);
    const hex = (await page.locator('#wire-hex').textContent())!;
    expect(hex).toMatch(/^0000 {2}([0-9a-f]{2} ){8}/);
    expect(Buffer.from(hex.match(/(?<=^[0-9a-f]{4} {2})([0-9a-f]{2} )+/gm)!.join(''), 'hex').toString('latin1')).not.toContain('used');
    await page.locator('.segmented').getByText('Hex').click();
    // The same bytes, opened: {"used
    await expect.poll(() => page.locator('#payload').textContent(), patient).toContain('7b 22 75 73 65 64 22');
    expect(complaints).toEqual([]);
  });

  it('goes on while the control connection is cut, and comes back by itself', async () => {
    await open();
    await expectState('Connected');
    await page.getByRole('button', { name: 'Cut the control connection' }).click();
    await expectState('Reconnecting, messages go on');
    const before = await messagesOf();
    await expect.poll(messagesOf, patient).toBeGreaterThan(before + 10);
    await expectState('Connected');
    const log = await page.locator('#log').textContent();
    expect(log).toContain('Control connection cut for 10 s');
    expect(log).toMatch(/Connected again, after \d/);
    const after = await messagesOf();
    await expect.poll(messagesOf, patient).toBeGreaterThan(after + 10);
    expect(complaints).toEqual([]);
  });

  it('comes back by itself when the server was started anew, with its new token', async () => {
    const first = await startDemo();
    await open({}, first.page);
    await expectState('Connected');
    expect(await first.end('SIGTERM')).toBe(0);
    await expectState('Reconnecting');
    const second = await startDemo(Number(new URL(first.page).port));
    try {
      expect(second.token).not.toBe(first.token);
      await expectState('Connected');
      const before = await messagesOf();
      await expect.poll(messagesOf, patient).toBeGreaterThan(before);
    } finally {
      expect(await second.end('SIGINT')).toBe(0);
    }
  });

  it('gets no messages while the relay is cut, and those after it once it may come back', async () => {
    await open();
    await expectState('Connected');
    await expect.poll(messagesOf, patient).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Cut the relay connection' }).click();
    await expect.poll(() => page.locator('#sockets').textContent()).toContain('cut, back in');
    await page.waitForTimeout(500);
    const before = await messagesOf();
    await page.waitForTimeout(2500);
    expect(await messagesOf()).toBe(before);
    await page.getByRole('button', { name: 'Let the relay connection come back' }).click();
    await expect.poll(messagesOf, patient).toBeGreaterThan(before);
    expect(await page.locator('#state').textContent()).toBe('Connected');
    expect(complaints).toEqual([]);
  });

  it('brews a message to any topic, and shows what came of it', async () => {
    const client = await connect();
    const received: string[] = [];
    client.addPatron('workshop.**', (_data, message) => void received.push(`${message.topic} ${message.text()}`));
    await open();
    await expectState('Connected');
    await page.locator('#brew-topic').fill('workshop.bench-1');
    await page.locator('#brew-payload').fill('{"drill": "on"}');
    await page.getByRole('button', { name: 'Brew', exact: true }).click();
    await expect.poll(() => page.locator('#brew-status').textContent(), patient).toBe('Brewed 15 B for 2 patrons.');
    await expect.poll(() => received, patient).toEqual(['workshop.bench-1 {"drill": "on"}']);
    await select('workshop.bench-1');
    expect(await page.locator('#payload').textContent()).toContain('"drill": "on"');
    await page.locator('#brew-format').selectOption('hex');
    await page.locator('#brew-cipher').selectOption('none');
    await page.locator('#brew-payload').fill('00 ff 10');
    await page.getByRole('button', { name: 'Brew', exact: true }).click();
    await expect.poll(() => page.locator('#facts').textContent(), patient).toContain('plaintext');
    await expect.poll(() => page.locator('#payload').textContent(), patient).toContain('00 ff 10');
    await expect.poll(() => page.locator('#matches').textContent(), patient).toContain('this page → patron');
    await page.locator('#brew-topic').fill('workshop.*');
    await page.getByRole('button', { name: 'Brew', exact: true }).click();
    await expect.poll(() => page.locator('#brew-status').textContent()).toContain('Wildcards are for patrons');
    expect(complaints).toEqual([]);
  });

  it('takes topics and payloads for text, whatever they are', async () => {
    const client = await connect();
    const nasty = '<img src=x onerror="document.title=\'owned\'">';
    const brewers = ['__proto__.constructor', 'a.ünïcode_-', 'a.text', 'a.keys', 'a.null', 'a.cbc'].map((topic) =>
      client.addBrewer(topic, { cipher: topic === 'a.cbc' ? 'aes-cbc' : 'aes-gcm' }),
    );
    await open();
    await expectState('Connected');
    await expect.poll(() => brewers.every(({ isMatched }) => isMatched), patient).toBe(true);
    const payloads = [`{"__proto__": {"x": 1}}`, nasty, nasty, JSON.stringify({ [nasty]: nasty, constructor: [null, { deep: -0.5e-7 }] }), 'null', nasty];
    await Promise.all(brewers.map((brewer, index) => brewer.brewText(payloads[index]!)));
    await Promise.all(brewers.map((brewer, index) => brewer.brewText(payloads[index]!)));
    for (const { topic } of brewers) {
      await select(topic);
      await page.waitForTimeout(200);
    }
    expect(await page.locator('#facts').textContent()).toContain('AES-CBC');
    expect(await page.locator('#payload').textContent()).toBe(nasty);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.title()).toBe('Pubkeeper');
    expect(complaints).toEqual([]);
  });

  it('makes a chart of a number with one click', async () => {
    await open();
    await select(memory());
    await page.getByRole('button', { name: 'Chart percent' }).click();
    const chart = page.getByRole('figure', { name: `Chart of ${memory()} › percent` });
    await chart.locator('canvas').waitFor();
    await expect.poll(() => chart.locator('.chart-value').textContent()).toMatch(/^\d/);
    expect(await page.getByRole('button', { name: 'Chart percent' }).getAttribute('aria-pressed')).toBe('true');
    await chart.getByRole('button').click();
    expect(await page.locator('canvas').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('can be walked with the keyboard', async () => {
    await open();
    await expectState('Connected');
    await select(memory());
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    await page.keyboard.press('Tab');
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('tree');
    const active = () => page.locator('.row.active').getAttribute('title');
    await page.keyboard.press('Home');
    await expect.poll(active).toBe('host');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(() => row('host').getAttribute('aria-expanded')).toBe('false');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await expect.poll(active).toMatch(/^host\.[^.]+\.cpu$/);
    await page.keyboard.type('up');
    await expect.poll(active).toMatch(/\.uptime$/);
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('#topic').textContent()).toMatch(/\.uptime$/);
    expect(await page.locator('#tree').getAttribute('aria-activedescendant')).toBe(await page.locator('.row.active').getAttribute('id'));
    // On from the tree: every stop shows where it is.
    const stops: string[] = [];
    for (let i = 0; i < 14; i++) {
      await page.keyboard.press('Tab');
      stops.push(await focused());
      const outlined = await page.evaluate(() => {
        const element = document.activeElement!;
        const shown = [element, element.nextElementSibling].filter((each) => each !== null);
        return shown.some((each) => getComputedStyle(each).outlineStyle !== 'none');
      });
      expect(outlined, stops.at(-1)).toBe(true);
    }
    expect(stops).toEqual(expect.arrayContaining(['copy-topic', 'brew-here', 'wire-toggle', 'payload', 'history', 'cut-control', 'cut-relay']));
    await expect.poll(() => page.locator('.entry').count(), patient).toBeGreaterThan(2);
    await page.locator('#history').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => page.locator('#held').isVisible()).toBe(true);
    await expect.poll(() => page.locator('.entry[aria-selected="true"]').getAttribute('aria-posinset')).toBe('2');
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('#held').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('fits a phone', async () => {
    await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await expectState('Connected');
    await select(memory());
    await page.getByRole('button', { name: 'Chart percent' }).click();
    await page.getByText('Ciphertext').click();
    for (const name of ['Topics', 'Message', 'Brew', 'Network']) {
      await page.locator('#tabs').getByRole('button', { name }).click();
      await page.waitForTimeout(300);
      const { scroll, wide } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        wide: [...document.querySelectorAll('main *, header *')].filter((element) => element.getBoundingClientRect().right > 361 && element.closest('pre, .payload, .sr-only') === null).map((element) => element.className),
      }));
      expect({ name, scroll, wide }).toEqual({ name, scroll: 360, wide: [] });
    }
    expect(complaints).toEqual([]);
  });

  it('has the theme that somebody chooses', async () => {
    await open({ colorScheme: 'dark' });
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await ground();
    await page.getByRole('button', { name: 'Theme: system' }).click();
    expect(await ground()).not.toBe(dark);
    await page.reload();
    await page.getByRole('button', { name: 'Theme: light' }).click();
    expect(await ground()).toBe(dark);
  });

  describe('says what is wrong, and what to do', () => {
    const form = async (fill: { server?: string; token?: string; pattern?: string }) => {
      if (fill.server !== undefined) await page.locator('#connect-server').fill(fill.server);
      if (fill.token !== undefined) await page.locator('#connect-token').fill(fill.token);
      if (fill.pattern !== undefined) await page.locator('#connect-pattern').fill(fill.pattern);
      await page.locator('#connect-submit').click();
    };
    const problem = () => page.locator('#connect-error').textContent();
    /** The page as a server would give it that has no token to tell. */
    const openWithoutToken = async () => {
      page = await browser.newPage();
      await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server: demo.server } }));
      await page.goto(demo.page);
      await page.locator('#connect').waitFor();
    };

    it('a token that is missing, one that is refused, and then the right one', async () => {
      await openWithoutToken();
      expect(await page.locator('#connect-server').inputValue()).toBe(demo.server);
      await form({});
      await expect.poll(problem).toContain('A token is missing.');
      await form({ token: 'not-it' });
      await expect.poll(problem, patient).toContain('The server refused this token.');
      expect(await page.locator('#connect-token').getAttribute('aria-invalid')).toBe('true');
      await form({ token: demo.token, pattern: 'host.*.memory' });
      await expectState('Connected');
      await expect.poll(() => page.locator('#connect').isVisible()).toBe(false);
      await expect.poll(() => page.locator('.row.is-topic').count(), patient).toBe(1);
    });

    it('an address that is none, a port where nobody is, and a server of another kind', async () => {
      const strangers = createServer((_request, response) => response.end('hello'));
      const other = new WebSocketServer({ server: strangers, handleProtocols: () => false });
      await new Promise<void>((resolve) => void strangers.listen(0, '127.0.0.1', resolve));
      const { port } = strangers.address() as AddressInfo;
      try {
        await openWithoutToken();
        await form({ server: 'ws://no where', token: 't' });
        await expect.poll(problem).toContain('This is not an address.');
        await form({ server: 'ws://127.0.0.1:1/ws' });
        await expect.poll(problem, patient).toContain('No Pubkeeper server answers at 127.0.0.1:1.');
        await form({ server: `127.0.0.1:${port}` });
        await expect.poll(problem, patient).toContain(`127.0.0.1:${port} is not a Pubkeeper server.`);
      } finally {
        for (const client of other.clients) client.terminate();
        strangers.close();
      }
    });

    it('ws:// from an https page', async () => {
      page = await browser.newPage();
      await page.route('https://dashboard.example/**', async (route) => {
        const { pathname } = new URL(route.request().url());
        if (pathname === '/dashboard.json') await route.fulfill({ json: {} });
        else await route.fulfill({ response: await route.fetch({ url: new URL(pathname, demo.page).href }) });
      });
      await page.goto('https://dashboard.example/');
      await page.locator('#connect').waitFor();
      expect(await page.locator('#connect-server').inputValue()).toBe('wss://dashboard.example/ws');
      await form({ server: 'ws://plant.example:9898/ws', token: 't' });
      await expect.poll(problem).toContain('The browser does not let this page use ws://.');
    });
  });

  it.each(['light', 'dark'] as const)('stays smooth and bounded at 2,000 messages a second (%s)', async (colorScheme) => {
    const client = await connect();
    const topics = ['press', 'paint', 'weld', 'pack'].flatMap((hall) => Array.from({ length: 20 }, (_, index) => `plant.${hall}.robot-${index + 1}`));
    const brewers = topics.map((topic) => client.addBrewer(topic));
    await open({ colorScheme });
    await expect.poll(() => brewers.every(({ isMatched }) => isMatched), patient).toBe(true);
    const start = performance.now();
    let brewed = 0;
    const timer = setInterval(() => {
      for (const due = (performance.now() - start) * 2; brewed < due; brewed++) {
        const at = brewed / 2000;
        const value = { temperature: Math.round(100 * (61 + 9 * Math.sin(at / 3) + Math.random())) / 100, torque: Math.round(1000 * (4 + Math.sin(at))) / 1000, cycle: Math.floor(at * 4), state: at % 6 < 0.5 ? 'waiting' : 'running' };
        void brewers[brewed % brewers.length]!.brewJSON(value);
      }
    }, 5);
    try {
      await expect.poll(() => row('plant.pack.robot-1').count(), patient).toBe(1);
      await row('plant.pack.robot-1').evaluate((element: HTMLElement) => element.click());
      for (const name of ['temperature', 'torque']) await page.locator(`[aria-label="Chart ${name}"]`).evaluate((element: HTMLElement) => element.click());
      await page.locator('#wire-toggle').evaluate((element: HTMLElement) => element.click());
      const counted = async () => ({ nodes: await page.locator('*').count(), count: await messagesOf(row('plant').locator('.num').first()) });
      await page.waitForTimeout(1000);
      const before = await counted();
      // A string: vitest rewrites functions. Frames are counted beside the dashboard's own count of what it drew.
      const measured = (await page.evaluate(`new Promise((resolve) => {
        const { stats } = pubkeeperDashboard;
        const from = stats.frames;
        const start = performance.now();
        let frames = 0;
        const tick = (now) => {
          frames += 1;
          if (now - start < 5000) requestAnimationFrame(tick);
          else resolve({ frames, drawn: stats.frames - from });
        };
        requestAnimationFrame(tick);
      })`)) as { frames: number; drawn: number };
      const after = await counted();
      expect(measured.drawn).toBeGreaterThan(5);
      expect(measured.drawn).toBeLessThanOrEqual(measured.frames + 1);
      expect(after.nodes).toBeLessThan(1500);
      expect(after.nodes - before.nodes).toBeLessThan(150);
      // Nothing is left behind: what was brewed has come, as soon as the flood is over.
      if (process.env['UPDATE_SCREENSHOTS']) await screenshot(`dashboard-${colorScheme}.png`);
      clearInterval(timer);
      await expect.poll(async () => page.locator('.row[title="plant"]').getAttribute('aria-label'), patient).toContain(`${brewed.toLocaleString('en')} messages`);
      expect(complaints).toEqual([]);
    } finally {
      clearInterval(timer);
    }
  });

  const screenshot = async (name: string) => {
    await page.waitForTimeout(6000);
    const directory = fileURLToPath(new URL('../docs/', import.meta.url));
    mkdirSync(directory, { recursive: true });
    await page.screenshot({ path: `${directory}${name}` });
  };
});
