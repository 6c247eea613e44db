import { afterEach, expect, it } from 'vitest';
import { dashboardHandler } from '../dist/dashboard/handler.js';
import { PubkeeperClient } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { Dashboard, patient } from './dashboard-kit.js';
import { describeInChromium } from './engines.js';

describeInChromium('the dashboard shows', () => {
  const dashboard = new Dashboard();
  const text = (id: string) => dashboard.page.locator(`#${id}`).textContent();
  const says = (id: string) => expect.poll(() => text(id), patient);
  const later: (() => unknown)[] = [];
  afterEach(async () => {
    for (const run of later.splice(0).reverse()) await run();
  });

  /** A server with a dashboard and one client, which nobody else uses. */
  async function quiet() {
    const server = await createServer({ port: 0, http: dashboardHandler({ token: () => server.token }) });
    later.push(() => server.close());
    const client = new PubkeeperClient({ server: server.url, token: server.token! });
    later.push(() => client.disconnect());
    await client.connect();
    return { client, url: `http://127.0.0.1:${server.port}/` };
  }

  const connectWith = async (pattern: string) => {
    const { page } = dashboard;
    if (!(await page.locator('#connect').isVisible())) await page.locator('#other-server').click();
    await page.locator('#connect-pattern').fill(pattern);
    await page.locator('#connect-submit').click();
  };

  it('an error and not an empty list when a server refuses a pattern, and keeps its former session', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await connectWith(Array(9).fill('**').join('.'));
    await says('connect-error').toContain('A pattern has at most 8 times "**" here, not 9: use fewer.');
    expect(await page.locator('#connect-pattern').getAttribute('aria-invalid')).toBe('true');
    await page.locator('#connect-cancel').click();
    // The former session continues.
    const before = await dashboard.messages();
    await expect.poll(() => dashboard.messages(), patient).toBeGreaterThan(before);
    expect(await page.locator('#state').textContent()).toBe('Connected');
    expect(dashboard.complaints).toEqual([]);
  });

  it('how many messages it missed, without those that were brewed before it subscribed', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.one');
    const matched = () => expect.poll(() => brewer.isMatched, patient);
    let page = await dashboard.open({}, url);
    await matched().toBe(true);
    await brewer.brewText('first');
    await says('payload').toBe('first');
    await page.close();
    await matched().toBe(false);
    for (let i = 0; i < 5; i++) await brewer.brewText('for nobody');

    page = await dashboard.open({}, url);
    await matched().toBe(true);
    await says('history').toContain('last value: first');
    await brewer.brewText('second');
    await says('payload').toBe('second');
    await page.locator('#cut-relay').click();
    await expect.poll(() => page.locator('#sockets').textContent()).toContain('cut, back in');
    // One by one: messages of one tick travel in one frame, and all of them would be the last value.
    let heard = '';
    client.addPatron('quiet.one', (_data, message) => void (heard = message.text()));
    for (const text of ['second', 'lost', 'lost too', 'last']) {
      if (text !== 'second') await brewer.brewText(text);
      await expect.poll(() => heard, patient).toBe(text);
    }
    await page.locator('#cut-relay').click();
    await says('payload').toBe('last');
    await says('log').toContain('missed in between');
    expect((await page.locator('#log li').allTextContents()).filter((line) => line.includes('missed'))).toEqual([expect.stringContaining('2 messages missed in between')]);
  });

  it('messages of several brewers apart, each compared with the message before of its own brewer', async () => {
    const { client, url } = await quiet();
    const [one, two] = [client.addBrewer('quiet.shared'), client.addBrewer('quiet.shared')];
    const page = await dashboard.open({}, url);
    await expect.poll(() => one.isMatched && two.isMatched, patient).toBe(true);
    const changes = () => page.locator('#diff .change').allTextContents();
    await one.brewJSON({ v: 0.3654114847983001 });
    await says('payload').toContain('0.3654114847983001');
    await one.brewJSON({ v: 0.5343535127639976 });
    await expect.poll(changes, patient).toEqual(['v0.3654114847983001 → 0.5343535127639976+0.168942']);
    expect(await text('diff-title')).toBe('Changed since the message before');
    // Numbers are on one line each.
    expect(await page.locator('#diff del, #diff ins').evaluateAll((values) => values.map((value) => value.getClientRects().length))).toEqual([1, 1]);
    await two.brewJSON({ v: 100 });
    await expect.poll(changes, patient).toEqual(['v0.5343535127639976 → 100+99.4656']);
    await one.brewJSON({ v: 1.5343535127639978 });
    await expect.poll(changes, patient).toEqual(['v0.5343535127639976 → 1.5343535127639978+1']);
    expect(await text('diff-title')).toBe('Changed since this brewer’s message before');
    await expect.poll(() => page.locator('#facts dd').nth(5).textContent()).toBe(`${one.brewerId.slice(0, 8)}, one of 2`);
    await expect.poll(() => page.locator('.entry .value').allTextContents()).toEqual(
      [[one, '1.53435'], [two, '100'], [one, '0.534354'], [one, '0.365411']].map(([brewer, value]) => `${(brewer as typeof one).brewerId.slice(0, 4)} · ${value as string}`),
    );
    expect(dashboard.complaints).toEqual([]);
  });

  it('how old a message is, and of which day', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.stops');
    const page = await dashboard.open({}, 'about:blank');
    await page.clock.install();
    await page.goto(url);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('the last one');
    await says('payload').toBe('the last one');
    const received = () => page.locator('#facts dd').last().textContent();
    expect(await received()).toMatch(/^[\d:]+\.\d{3}$/);
    await page.clock.fastForward(12_000);
    await expect.poll(received, patient).toMatch(/^[\d:]+\.\d{3}, 1\d s ago$/);
    await page.clock.fastForward(24 * 3_600_000);
    await expect.poll(received, patient).toMatch(/^[A-Z][a-z]{2} \d+ [\d:]+\.\d{3}, 24 h 0 min ago$/);
    await expect.poll(() => page.locator('.entry .time').last().textContent(), patient).toMatch(/^[A-Z][a-z]{2} \d+ [\d:]+\.\d{3}$/);
    await expect.poll(() => page.locator('#log time').last().textContent(), patient).toMatch(/^[A-Z][a-z]{2} \d+ [\d:]+$/);
  });

  it('what became of a message with its topic, also of one that waited on a connection that was replaced', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await connectWith('only.this');
    await expect.poll(() => page.locator('#connect').isVisible()).toBe(false);
    const brew = async (topic: string) => {
      await page.locator('#brew-topic').fill(topic);
      await page.locator('#brew-submit').click();
    };
    await brew('nobody.reads');
    await says('brew-status').toBe('Waiting for a patron…');
    await brew('only.this');
    await says('brew-status').toMatch(/^Brewed .* for 1 patron\.$/);
    await says('brew-status').toContain('Nobody subscribes to nobody.reads, so nothing was sent');
    await brew('nobody.either');
    await says('brew-status').toBe('Waiting for a patron…');
    await connectWith('only.that');
    await says('brew-status').toBe('Nothing was sent on nobody.either: this page has connected anew meanwhile.');
    await dashboard.expectState('Connected');
  });

  it('in a chart also a single value between messages without it, and says when a value is too large to draw', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.turns');
    const page = await dashboard.open({}, url);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('{"v": 5, "large": 1e308}');
    await page.getByTitle('Chart v').click();
    await page.getByTitle('Chart large').click();
    await expect.poll(() => page.locator('.chart-range').allTextContents()).toEqual(['min 5 · max 5', 'Too large to be drawn.']);
    // One by one, so that each message has its own point in time.
    for (let turn = 1; turn <= 3; turn++) {
      await brewer.brewText(`{"w": ${turn}}`);
      await expect.poll(() => page.locator('#payload').textContent(), patient).toContain(`"w": ${turn}`);
    }
    await expect.poll(() => page.locator('.chart-value').first().textContent(), patient).toBe('–');
    // A string, as vitest rewrites functions. Counts the pixels that have the colour of the line.
    const coloured = `(() => {
      const canvas = document.querySelector('.chart canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) count += Number(Math.hypot(data[at] - 0x55, data[at + 1] - 0x46, data[at + 2] - 0xd6) < 40 && data[at + 3] > 100);
      return count;
    })()`;
    await expect.poll(() => page.evaluate(coloured), patient).toBeGreaterThan(8);
    expect(dashboard.complaints).toEqual([]);
  });

  it('in a chart each brewer of a topic by a line of its own, with a legend while there are several', async () => {
    const { client, url } = await quiet();
    const [one, two] = [client.addBrewer('quiet.shared'), client.addBrewer('quiet.shared')];
    const page = await dashboard.open({ colorScheme: 'light' }, url);
    await expect.poll(() => one.isMatched && two.isMatched, patient).toBe(true);
    await one.brewText('{"v": 20}');
    await page.getByTitle('Chart v').click();
    await expect.poll(() => page.locator('.chart-value').textContent(), patient).toBe('20');
    expect(await page.locator('.chart-legend').isVisible()).toBe(false);
    // Values by turns, some of which are no numbers: one line through all of them would go up and down between 20 and 80.
    await two.brewText('{"v": 80}');
    await one.brewText('{"v": 21}');
    const legend = () => page.locator('.chart-legend li').evaluateAll((items) => items.map((item) => `${item.querySelector('use')?.getAttribute('href')} ${item.textContent}`));
    // Again, as messages that come within the same moment share a point, which shows the number.
    const afterBroken = async () => {
      await two.brewText('{"v": "broken"}');
      return legend();
    };
    await expect.poll(afterBroken, patient).toEqual([`#icon-line-1 ${one.brewerId.slice(0, 4)} 21`, `#icon-line-2 ${two.brewerId.slice(0, 4)} –`]);
    await two.brewText('{"v": 81}');
    await expect.poll(legend, patient).toEqual([`#icon-line-1 ${one.brewerId.slice(0, 4)} 21`, `#icon-line-2 ${two.brewerId.slice(0, 4)} 81`]);
    expect(await page.locator('.chart-value').textContent()).toBe('');
    expect(await page.locator('.chart-range').textContent()).toBe('min 20 · max 81');
    // A string, as vitest rewrites functions. Whether there are pixels of the second line's colour.
    const second = `(() => {
      const canvas = document.querySelector('.chart canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) if (Math.hypot(data[at] - 0xb4, data[at + 1] - 0x53, data[at + 2] - 0x09) < 40 && data[at + 3] > 100) return true;
      return false;
    })()`;
    await expect.poll(() => page.evaluate(second), patient).toBe(true);
    expect(dashboard.complaints).toEqual([]);
  });

  it('the minimum and maximum of a chart, also when more values come at once than a history keeps', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.burst');
    const page = await dashboard.open({}, url);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('{"v": 5}');
    await page.getByTitle('Chart v').click();
    await expect.poll(() => page.locator('.chart-range').textContent(), patient).toBe('min 5 · max 5');
    await Promise.all(Array.from({ length: 1000 }, (_, i) => brewer.brewText(`{"v": ${i === 100 ? 99 : i === 300 ? -7 : 5}}`)));
    await expect.poll(() => page.locator('#facts dd').first().textContent(), patient).toBe('1,001');
    await expect.poll(() => page.locator('.chart-range').textContent()).toBe('min -7 · max 99');
  });

  it('the message beside many charts, and always the bar at the top, on screens of each size', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.numbers');
    const page = await dashboard.open({ viewport: { width: 1280, height: 800 } }, url);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    // Values that differ only in the last of many digits need wide labels.
    for (const a of [1_601_700_000, 1_601_720_000]) await brewer.brewJSON({ a, b: 2, c: 3, d: 4 });
    for (const name of ['a', 'b', 'c', 'd']) await page.getByTitle(`Chart ${name}`, { exact: true }).click();
    await expect.poll(() => page.locator('.chart canvas').count(), patient).toBe(4);
    const axis = '[...document.querySelectorAll(".u-over")].map(({ offsetLeft }) => offsetLeft)';
    await expect.poll(() => page.evaluate(axis)).toEqual([expect.toSatisfy((width: number) => width > 60), 46, 46, 46]);
    for (const [width, height] of [[1280, 800], [768, 800], [360, 740], [320, 640], [1280, 300], [900, 300], [360, 300]] as const) {
      await page.setViewportSize({ width, height });
      if (width < 761) await page.locator('.tabs').getByRole('button', { name: 'Message' }).click();
      await dashboard.settled();
      await page.locator('.message, #layout').evaluateAll((panels) => panels.forEach((panel) => panel.scrollTo(0, 0)));
      const top = await page.locator('#wire-toggle').evaluate((toggle) => toggle.getBoundingClientRect().top);
      if (height > 300) expect(top, String(width)).toBeLessThan(height - 80);
      await page.locator('#wire-toggle').focus();
      const found = await page.evaluate(() => ({ bar: document.querySelector('.bar')!.getBoundingClientRect().top, scrolls: document.scrollingElement!.scrollHeight > innerHeight }));
      expect(found, `${width} × ${height}`).toEqual({ bar: 0, scrolls: false });
    }
    expect(dashboard.complaints).toEqual([]);
  });

  it('sizes on one line, and the texts of its fields in full', async () => {
    const { client, url } = await quiet();
    const brewer = client.addBrewer('quiet.large');
    const page = await dashboard.open({ viewport: { width: 820, height: 1180 } }, url);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brew(new Uint8Array(1_048_000));
    const size = page.locator('.entry .num').first();
    await expect.poll(() => size.textContent(), patient).toBe('1,023.4 KiB');
    const lines = `(() => { const num = document.querySelector('.entry .num'); return [num.offsetHeight < num.closest('.entry').offsetHeight, num.scrollWidth <= num.clientWidth]; })()`;
    expect(await page.evaluate(lines)).toEqual([true, true]);
    const cut = `[...document.querySelectorAll('select, #filter, #connect-token')].filter((field) => {
      if (!field.offsetParent) return false;
      const style = getComputedStyle(field);
      const context = document.createElement('canvas').getContext('2d');
      context.font = style.font;
      const text = field.selectedOptions ? field.selectedOptions[0].textContent : field.placeholder;
      return context.measureText(text).width > field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    }).map(({ id }) => id)`;
    expect(await page.evaluate(cut)).toEqual([]);
    for (const width of [360, 320]) {
      await page.setViewportSize({ width, height: 640 });
      for (const panel of ['Topics', 'Brew']) {
        await page.getByRole('button', { name: panel, exact: true }).and(page.locator('.tabs *')).click();
        expect(await page.evaluate(cut), `${panel}, ${width} px wide`).toEqual([]);
      }
    }
    await page.locator('#pill').click();
    await page.locator('#connect').waitFor();
    expect(await page.evaluate(cut), 'the form').toEqual([]);
  });
});
