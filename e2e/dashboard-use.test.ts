import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { dashboardHandler } from '../dist/dashboard/handler.js';
import { createServer as createPubkeeper } from '../src/server/index.js';
import { makeCertificate } from './certificate.js';
import { Dashboard, patient } from './dashboard-kit.js';
import { describeInChromium } from './engines.js';

const certificate = makeCertificate();

describeInChromium('the dashboard for all users', () => {
  const dashboard = new Dashboard();

  it('can be used with the keyboard', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await dashboard.select(dashboard.memory);
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    await page.keyboard.press('Tab');
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('tree');
    const active = () => page.locator('.row.active').getAttribute('title');
    await page.keyboard.press('Home');
    await expect.poll(active).toBe('host');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(() => dashboard.row('host').getAttribute('aria-expanded')).toBe('false');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await expect.poll(active).toMatch(/^host\.[^.]+\.cpu$/);
    await page.keyboard.type('up');
    await expect.poll(active).toMatch(/\.uptime$/);
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('#topic').textContent()).toMatch(/\.uptime$/);
    expect(await page.locator('#tree').getAttribute('aria-activedescendant')).toBe(await page.locator('.row.active').getAttribute('id'));
    // On a closed row of the first level the left arrow does nothing, as there is no row above.
    const client = await dashboard.connect();
    const brewer = client.addBrewer('zone.last');
    await new Promise<void>((resolve) => brewer.on('matched', () => resolve()));
    await brewer.brewText('x');
    await dashboard.row('zone.last').waitFor();
    await page.keyboard.press('End');
    const isOpen = () => dashboard.row('zone').getAttribute('aria-expanded');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(active).toBe('zone');
    await page.keyboard.press('ArrowLeft');
    await expect.poll(isOpen).toBe('false');
    await page.keyboard.press('ArrowLeft');
    // The next key shows that the row is still selected.
    await page.keyboard.press('ArrowRight');
    await expect.poll(isOpen).toBe('true');
    expect(await active()).toBe('zone');
    await page.locator('#tree').press('Home');
    // After the tree, each tab stop has a visible focus.
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
    expect(dashboard.complaints).toEqual([]);
  });

  it('moves the focus to a neighbour when an element is removed, and has no live regions for changing values', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id);
    await page.getByTitle('Chart percent').click();
    await page.getByTitle('Chart used').click();
    expect(await page.locator('main').locator('output, [aria-live], [role=log]').count()).toBe(0);
    await page.locator('.chart button').first().focus();
    await page.keyboard.press('Enter');
    await expect.poll(focused).toMatch(/^Close the chart of .* used$/);
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('payload');
    await page.locator('#history').focus();
    await page.keyboard.press('ArrowDown');
    await page.locator('#follow').focus();
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('history');
    // With a filter all rows are open, so the left arrow moves to the parent.
    await page.locator('#filter').fill(dashboard.memory);
    await expect.poll(() => page.locator('.row').count()).toBe(3);
    await page.locator('#tree').focus();
    await page.keyboard.press('End');
    for (const level of [dashboard.memory.replace(/\.\w+$/, ''), 'host']) {
      await page.keyboard.press('ArrowLeft');
      await expect.poll(() => page.locator('.row.active').getAttribute('title')).toBe(level);
    }
    expect(dashboard.complaints).toEqual([]);
  });

  it('does not change the name of what has the focus, which a screen reader would read out', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await page.locator('#tree').focus();
    const active = page.locator('.row.active');
    const label = () => active.getAttribute('aria-label');
    const count = () => active.locator('.num').first().textContent();
    const [name, before] = [await label(), await count()];
    await expect.poll(async () => Number(await count()), patient).toBeGreaterThan(Number(before) + 1);
    expect(await label()).toBe(name);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowDown');
    await expect.poll(label, patient).not.toBe(name);

    const number = page.getByTitle('Chart used');
    await number.focus();
    const value = await number.getAttribute('aria-label');
    expect(value).toMatch(/^\d+$/);
    await expect.poll(() => number.textContent(), patient).not.toBe(value);
    expect(await number.getAttribute('aria-label')).toBe(value);
    await page.locator('#history').focus();
    expect(await number.getAttribute('aria-label')).toBeNull();
  });

  it('shows selection and states also in forced colours', async () => {
    const page = await dashboard.open({ forcedColors: 'active' });
    await dashboard.select(dashboard.memory);
    const ground = (selector: string) => page.locator(selector).first().evaluate((element) => getComputedStyle(element).backgroundColor);
    expect(await ground('.row[aria-selected="true"]')).not.toBe(await ground('.row[aria-selected="false"]'));
    expect(await ground('.segmented input:checked + span')).not.toBe(await ground('.segmented input:not(:checked) + span'));
    expect(await ground('.socket .dot')).not.toBe(await ground('.socket'));
    const off = await ground('.track');
    await page.getByText('Ciphertext').click();
    expect(await ground('.track')).not.toBe(off);
  });

  it('marks added and removed values in words, and has numbers far enough apart to be clicked', async () => {
    const client = await dashboard.connect();
    const page = await dashboard.open();
    const brewer = client.addBrewer('changes.in.words');
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewJSON({ kept: [1, 2, 3], gone: 'x' });
    await brewer.brewJSON({ kept: [1, 2, 4], come: 'y' });
    await dashboard.select('changes.in.words');
    await expect.poll(() => page.locator('#diff .change').evaluateAll((rows) => rows.map((row) => row.textContent)), patient).toEqual(['kept[2]3 → 4+1', 'gone"x"removed', 'come"y"added']);
    // WCAG 2.2: circles of 24 px around the centres of two targets must not overlap.
    const middles = await page.locator('.v.number').evaluateAll((numbers) => numbers.map((number) => number.getBoundingClientRect()).map(({ top, height }) => top + height / 2));
    expect(middles).toHaveLength(3);
    expect(Math.min(...middles.slice(1).map((middle, index) => middle - middles[index]!))).toBeGreaterThanOrEqual(24);
  });

  it('shows the numbers of a topic however long its name is', async () => {
    const client = await dashboard.connect();
    const topic = `long.${'n'.repeat(200)}`;
    const page = await dashboard.open();
    const brewer = client.addBrewer(topic);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('1');
    await expect.poll(() => dashboard.row(topic).count(), patient).toBe(1);
    const edge = await page.locator('.row').evaluateAll((rows) => rows.map((row) => Math.round(row.lastElementChild!.getBoundingClientRect().right)));
    expect(new Set(edge).size).toBe(1);
  });

  it('shows twenty levels, each further in than the one above', async () => {
    const client = await dashboard.connect();
    const topic = Array.from({ length: 20 }, (_, level) => `deep-${level}`).join('.');
    const page = await dashboard.open({ viewport: { width: 1440, height: 1200 } });
    const brewer = client.addBrewer(topic);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('1');
    await page.locator('#filter').fill('deep-19');
    await expect.poll(() => page.locator('.row').count(), patient).toBe(20);
    const [lefts, widths] = await page.locator('.row .name').evaluateAll((names) => [names.map((name) => name.getBoundingClientRect().left), names.map((name) => name.clientWidth)]);
    expect(lefts!.slice(1).every((left, index) => left > lefts![index]!)).toBe(true);
    expect(Math.min(...widths!)).toBeGreaterThan(40);
  });

  it('fits a phone', async () => {
    const page = await dashboard.open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await dashboard.expectState('Connected');
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    await page.getByText('Ciphertext').click();
    for (const name of ['Topics', 'Message', 'Brew', 'Network']) {
      await page.locator('#tabs').getByRole('button', { name }).click();
      await dashboard.settled();
      const { scroll, wide } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        wide: [...document.querySelectorAll('main *, header *')].filter((element) => element.getBoundingClientRect().right > 361 && element.closest('pre, .payload, .sr-only') === null).map((element) => element.className),
      }));
      expect({ name, scroll, wide }).toEqual({ name, scroll: 360, wide: [] });
    }
    expect(dashboard.complaints).toEqual([]);
  });

  it('has room for topics on a small screen at 400 % zoom', async () => {
    const page = await dashboard.open({ viewport: { width: 320, height: 256 } });
    await expect.poll(() => page.locator('.row').count(), patient).toBeGreaterThan(4);
    expect(await page.locator('#tree').evaluate((tree) => tree.clientHeight)).toBeGreaterThanOrEqual(90);
    const lowest = await page.locator('.tabs button').evaluateAll((buttons) => buttons.map((button) => Math.round(button.getBoundingClientRect().height)));
    expect(Math.min(...lowest)).toBeGreaterThanOrEqual(24);
    expect(await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight])).toEqual([320, 256]);
  });

  it('has lines as high as their text, also when the browser makes all text larger', async () => {
    // The page's policy allows only its own styles, so the larger text needs `bypassCSP`.
    const page = await dashboard.open({ bypassCSP: true });
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    await page.addStyleTag({ content: '* { font-size: 28px !important; }' });
    const low = await page.locator('body *').evaluateAll((all) =>
      all.filter((element) => {
        const { lineHeight, fontSize } = getComputedStyle(element);
        // Rows of long lists have a fixed height, whatever is in them.
        const isShort = parseFloat(lineHeight) < parseFloat(fontSize) && element.closest('.rows') === null;
        return isShort && [...element.childNodes].some(({ nodeType, textContent }) => nodeType === Node.TEXT_NODE && textContent?.trim());
      }).map(({ tagName, id, className }) => `${tagName} ${id} ${String(className)}`),
    );
    expect(low).toEqual([]);
  });

  it('places its panels side by side, without overlap', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    for (const width of [1920, 1200, 1180, 1000, 761]) {
      await page.setViewportSize({ width, height: 900 });
      await dashboard.settled();
      const boxes = await page.locator('.topics, .message, .card').evaluateAll((elements) => elements.map((element) => element.getBoundingClientRect().toJSON() as DOMRect));
      // All panels are visible, and the first two are in a row.
      expect(boxes.filter(({ width, height }) => width > 100 && height > 100)).toHaveLength(5);
      expect([boxes[1]!.top, Math.round(boxes[1]!.left)]).toEqual([boxes[0]!.top, Math.round(boxes[0]!.right)]);
      // Where there is room, the topics show more of their values.
      if (width === 1920) expect(boxes[0]!.width).toBe(480);
      const overlaps = boxes.flatMap((a, index) => boxes.slice(index + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
      expect({ width, overlaps, scroll: await page.evaluate(() => document.documentElement.scrollWidth) }).toEqual({ width, overlaps: [], scroll: width });
    }
    expect(dashboard.complaints).toEqual([]);
  });

  it('has the theme that the user chooses, also after a reload', async () => {
    const page = await dashboard.open({ colorScheme: 'dark' });
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await ground();
    await page.getByRole('button', { name: 'Theme: system' }).click();
    expect(await ground()).not.toBe(dark);
    await page.reload();
    await page.getByRole('button', { name: 'Theme: light' }).click();
    expect(await ground()).toBe(dark);
  });

  it('has one connection, however often and quickly the user connects, and none after a cancel', async () => {
    const other = await createPubkeeper({ port: 0, tokens: { t: [{ topic: '**', read: true }] } });
    try {
      const page = await dashboard.open();
      await dashboard.expectState('Connected');
      const fill = async (server: string, token: string) => {
        await page.locator('#other-server').click();
        await page.locator('#connect-server').fill(server);
        await page.locator('#connect-token').fill(token);
      };
      await fill(other.url, 't');
      await page.evaluate(`for (const name of ['submit', 'cancel']) document.getElementById('connect-' + name).click()`);
      await fill(other.url, 't');
      await page.locator('#connect-submit').click();
      await expect.poll(() => page.locator('#server').textContent(), patient).toBe(new URL(other.url).host);
      expect(other.stats().clients).toBe(1);
      await page.locator('#toggle-connection').click();
      await expect.poll(() => other.stats().clients, patient).toBe(0);
      await page.evaluate(`for (let i = 0; i < 3; i++) document.getElementById('toggle-connection').click()`);
      await dashboard.expectState('Connected');
      // A late connection would have come by the time that another session has come.
      await fill(dashboard.demo.server, dashboard.demo.token);
      await page.locator('#connect-submit').click();
      await expect.poll(() => page.locator('#server').textContent(), patient).toBe(new URL(dashboard.demo.server).host);
      await expect.poll(() => other.stats().clients, patient).toBe(0);
    } finally {
      await other.close();
    }
  });

  it('does not give a token to another server than that for which it was given', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await page.locator('#other-server').click();
    expect(await page.locator('#connect-token').inputValue()).toBe(dashboard.demo.token);
    await page.locator('#connect-server').fill('ws://127.0.0.1:1/ws');
    await page.locator('#connect-submit').click();
    await expect.poll(() => page.locator('#connect-error').textContent()).toContain('A token is missing.');
    // One that was typed stays.
    await page.locator('#connect-token').fill('typed');
    await page.locator('#connect-server').fill('ws://127.0.0.1:2/ws');
    expect(await page.locator('#connect-token').inputValue()).toBe('typed');
  });

  describe('the form', () => {
    let page: Page;
    const form = async (fill: { server?: string; token?: string; pattern?: string }) => {
      if (fill.server !== undefined) await page.locator('#connect-server').fill(fill.server);
      if (fill.token !== undefined) await page.locator('#connect-token').fill(fill.token);
      if (fill.pattern !== undefined) await page.locator('#connect-pattern').fill(fill.pattern);
      await page.locator('#connect-submit').click();
    };
    const problem = () => page.locator('#connect-error').textContent();
    /** Opens the page as a server serves it that does not give its token. */
    const openWithoutToken = async (reason?: string, viewport = { width: 1280, height: 720 }) => {
      page = dashboard.page = await dashboard.browser.newPage({ viewport });
      await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server: dashboard.demo.server, reason } }));
      await page.goto(dashboard.demo.page);
      await page.locator('#connect').waitFor();
    };

    it('reports a missing and a refused token, and then connects with the right one', async () => {
      await openWithoutToken();
      expect(await page.locator('#connect-server').inputValue()).toBe(dashboard.demo.server);
      await form({});
      await expect.poll(problem).toContain('A token is missing.');
      await form({ token: 'not-it' });
      await expect.poll(problem, patient).toContain('The server refused this token.');
      expect(await page.locator('#connect-token').getAttribute('aria-invalid')).toBe('true');
      await form({ token: dashboard.demo.token, pattern: 'host.*.memory' });
      await dashboard.expectState('Connected');
      await expect.poll(() => page.locator('#connect').isVisible()).toBe(false);
      await expect.poll(() => page.locator('.row.is-topic').count(), patient).toBe(1);
    });

    it('shows what is wrong also in a window that has no room for the whole form, as at 400 % zoom', async () => {
      await openWithoutToken('Ask for one.', { width: 320, height: 256 });
      for (const wrong of [undefined, { server: 'ws://no where' }, { server: dashboard.demo.server, token: '' }, { token: 't', pattern: 'no pattern' }]) {
        if (wrong) await form(wrong);
        await expect.poll(() => page.locator('#connect-error').isVisible()).toBe(true);
        await expect
          .poll(() => page.locator('#connect-error').evaluate((error) => [error.getBoundingClientRect().top >= 0, error.getBoundingClientRect().bottom <= innerHeight]))
          .toEqual([true, true]);
        expect(await page.locator('#connect-error').evaluate((error) => error.contains(document.elementFromPoint(160, error.getBoundingClientRect().top + 12)))).toBe(true);
      }
    });

    it('reports a malformed address, a server that is not running, and a server of another kind', async () => {
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

    it.runIf(certificate)('does not appear on an https page, also when a proxy ends TLS and the server names a ws:// address', async () => {
      const handler = dashboardHandler({ token: () => server.token });
      const server = await createPubkeeper({ port: 0, tls: certificate!, http: handler });
      try {
        page = await dashboard.open({ ignoreHTTPSErrors: true }, `https://127.0.0.1:${server.port}/`);
        await dashboard.expectState('Connected');
        await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server: `ws://127.0.0.1:${server.port}/ws`, token: server.token } }));
        await page.reload();
        await dashboard.expectState('Connected');
        expect(dashboard.complaints).toEqual([]);
      } finally {
        await server.close();
      }
    });

    it('reports a ws:// address on an https page', async () => {
      page = dashboard.page = await dashboard.browser.newPage();
      await page.route('https://dashboard.example/**', async (route) => {
        const { pathname } = new URL(route.request().url());
        if (pathname === '/dashboard.json') await route.fulfill({ json: {} });
        else await route.fulfill({ response: await route.fetch({ url: new URL(pathname, dashboard.demo.page).href }) });
      });
      await page.goto('https://dashboard.example/');
      await page.locator('#connect').waitFor();
      expect(await page.locator('#connect-server').inputValue()).toBe('wss://dashboard.example/ws');
      await form({ server: 'ws://plant.example:9898/ws', token: 't' });
      await expect.poll(problem).toContain('The browser does not let this page use ws://.');
    });
  });
});
