import { expect, it } from 'vitest';
import { Dashboard, patient } from './dashboard-kit.js';
import { startDemo } from './demo.js';
import { describeInChromium } from './engines.js';

describeInChromium('the dashboard', () => {
  const dashboard = new Dashboard();
  const messages = () => dashboard.messages();

  it('shows encrypted live values of this machine without any input', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await dashboard.select(dashboard.memory);
    const seen = () => page.locator('#message-body').textContent();
    const first = await seen();
    await expect.poll(seen, patient).not.toBe(first);
    expect(await page.locator('#payload').textContent()).toMatch(/"used":\s*\d+/);
    expect(await page.locator('#facts').textContent()).toContain('AES-GCM');
    const known = await page.locator('.row.is-topic').evaluateAll((rows) => rows.map((element) => element.getAttribute('title') ?? ''));
    expect(known).toEqual(expect.arrayContaining([...dashboard.demo.topics]));
    expect(dashboard.complaints).toEqual([]);
  });

  it('shows the ciphertext beside the plaintext', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await page.getByText('Ciphertext').click();
    await expect.poll(() => page.locator('#wire-note').textContent(), patient).toMatch(/AES-GCM, sealed: \d+ B after an 88-byte header/);
    const hex = (await page.locator('#wire-hex').textContent())!;
    expect(hex).toMatch(/^0000 {2}([0-9a-f]{2} ){8}/);
    expect(Buffer.from(hex.match(/(?<=^[0-9a-f]{4} {2})([0-9a-f]{2} )+/gm)!.join(''), 'hex').toString('latin1')).not.toContain('used');
    await page.locator('.segmented').getByText('Hex').click();
    // The decrypted bytes of {"used
    await expect.poll(() => page.locator('#payload').textContent(), patient).toContain('7b 22 75 73 65 64 22');
    expect(dashboard.complaints).toEqual([]);
  });

  it('receives messages while the control connection is cut, and reconnects by itself', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await page.getByRole('button', { name: 'Cut the control connection' }).click();
    await dashboard.expectState('Reconnecting, messages go on');
    const before = await messages();
    await expect.poll(messages, patient).toBeGreaterThan(before + 10);
    await dashboard.expectState('Connected');
    const log = await page.locator('#log').textContent();
    expect(log).toContain('Control connection cut for 10 s');
    expect(log).toMatch(/Connected again, after \d/);
    const after = await messages();
    await expect.poll(messages, patient).toBeGreaterThan(after + 10);
    expect(dashboard.complaints).toEqual([]);
  });

  it('reconnects by itself to a restarted server that has a new token', async () => {
    const first = await startDemo();
    await dashboard.open({}, first.page);
    await dashboard.expectState('Connected');
    expect(await first.end('SIGTERM')).toBe(0);
    await dashboard.expectState('Reconnecting');
    const second = await startDemo(Number(new URL(first.page).port));
    try {
      expect(second.token).not.toBe(first.token);
      await dashboard.expectState('Connected');
      const before = await messages();
      await expect.poll(messages, patient).toBeGreaterThan(before);
      // The matches of the former server are still kept, but not listed beside those of the new one.
      const matched = () => dashboard.page.locator('#matches .name').allTextContents();
      const names = await matched();
      expect(names).toEqual([...new Set(names)]);
      expect(names.length).toBeGreaterThan(4);
    } finally {
      expect(await second.end('SIGINT')).toBe(0);
    }
  });

  it('gets no messages while the relay is cut, and gets new ones when the user lets it back', async () => {
    const client = await dashboard.connect();
    let elsewhere = 0;
    client.addPatron(dashboard.memory, (_data, message) => void (elsewhere += message.retained ? 0 : 1));
    /** Waits until another client has got that many messages, one a second. */
    const rounds = async (count: number) => {
      const before = elsewhere;
      await expect.poll(() => elsewhere, patient).toBeGreaterThanOrEqual(before + count);
    };
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await expect.poll(messages, patient).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Cut the relay connection' }).click();
    await expect.poll(() => page.locator('#sockets').textContent()).toContain('cut, back in');
    // By then, the page has drawn the messages that came before the cut.
    await rounds(2);
    const before = await messages();
    await rounds(3);
    expect(await messages()).toBe(before);
    await page.getByRole('button', { name: 'Let it back: the relay connection' }).click();
    await expect.poll(messages, patient).toBeGreaterThan(before);
    expect(await page.locator('#state').textContent()).toBe('Connected');
    expect(dashboard.complaints).toEqual([]);
  });

  it('brews a message to any topic, and shows the result', async () => {
    const client = await dashboard.connect();
    const received: string[] = [];
    client.addPatron('workshop.**', (_data, message) => void received.push(`${message.topic} ${message.text()}`));
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await page.locator('#brew-topic').fill('workshop.bench-1');
    await page.locator('#brew-payload').fill('{"drill": "on"}');
    await page.getByRole('button', { name: 'Brew', exact: true }).click();
    await expect.poll(() => page.locator('#brew-status').textContent(), patient).toBe('Brewed 15 B for 2 patrons.');
    await expect.poll(() => received, patient).toEqual(['workshop.bench-1 {"drill": "on"}']);
    await dashboard.select('workshop.bench-1');
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
    expect(dashboard.complaints).toEqual([]);
  });

  it('shows topics and payloads as text, also when they look like HTML or have special names', async () => {
    const client = await dashboard.connect();
    const nasty = '<img src=x onerror="document.title=\'owned\'">';
    const brewers = ['__proto__.constructor', 'a.ünïcode_-', 'a.text', 'a.keys', 'a.null', 'a.cbc'].map((topic) =>
      client.addBrewer(topic, { cipher: topic === 'a.cbc' ? 'aes-cbc' : 'aes-gcm' }),
    );
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await expect.poll(() => brewers.every(({ isMatched }) => isMatched), patient).toBe(true);
    const payloads = [`{"__proto__": {"x": 1}}`, nasty, nasty, JSON.stringify({ [nasty]: nasty, constructor: [null, { deep: -0.5e-7 }] }), 'null', nasty];
    await Promise.all(brewers.map((brewer, index) => brewer.brewText(payloads[index]!)));
    await Promise.all(brewers.map((brewer, index) => brewer.brewText(payloads[index]!)));
    for (const { topic, brewerId } of brewers) {
      await dashboard.select(topic);
      // All parts of a message are drawn at once.
      await expect.poll(() => page.locator('#facts dd').nth(5).getAttribute('title'), patient).toBe(brewerId);
      expect(await page.locator('img').count()).toBe(0);
    }
    expect(await page.locator('#facts').textContent()).toContain('AES-CBC');
    expect(await page.locator('#payload').textContent()).toBe(nasty);
    expect(await page.title()).toBe('Pubkeeper');
    expect(dashboard.complaints).toEqual([]);
  });

  it('copies the payload as it came, or what is shown of one that is no text', async () => {
    const client = await dashboard.connect();
    const brewer = client.addBrewer('copy.me');
    const page = await dashboard.open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    const copied = async () => {
      await page.getByRole('button', { name: 'Copy the payload' }).click();
      await expect.poll(() => page.locator('#copy-payload-status').textContent()).toBe('Copied');
      return page.evaluate(() => navigator.clipboard.readText());
    };
    await brewer.brewText('{"id": 12345678901234567890,\n "b":1}');
    await dashboard.select('copy.me');
    expect(await copied()).toBe('{"id": 12345678901234567890,\n "b":1}');
    await page.getByText('Hex', { exact: true }).and(page.locator('.segmented *')).click();
    await expect.poll(copied).toMatch(/^0000 {2}7b 22 69 64/);
    await page.getByText('Text', { exact: true }).and(page.locator('.segmented *')).click();
    await brewer.brew(new Uint8Array([0xff, 0xfe]));
    await expect.poll(() => page.locator('#payload').textContent(), patient).toContain('ff fe');
    expect(await copied()).toMatch(/^0000 {2}ff fe /);
    expect(dashboard.complaints).toEqual([]);
  });

  it('copies the payload as it came also where browsers have no clipboard for pages, as on http: pages of other machines', async () => {
    const client = await dashboard.connect();
    const brewer = client.addBrewer('copy.me');
    const page = await dashboard.open({ permissions: ['clipboard-read'] });
    await page.evaluate(`Object.defineProperty(navigator.clipboard, 'writeText', { value: undefined })`);
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    await brewer.brewText('{"id": 12345678901234567890}');
    await dashboard.select('copy.me');
    await page.getByRole('button', { name: 'Copy the payload' }).click();
    await expect.poll(() => page.locator('#copy-payload-status').textContent()).toBe('Copied');
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('{"id": 12345678901234567890}');
    expect(dashboard.complaints).toEqual([]);
  });

  it('opens a chart of a number with one click', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    const chart = page.getByRole('figure', { name: `Chart of ${dashboard.memory} › percent` });
    await chart.locator('canvas').waitFor();
    await expect.poll(() => chart.locator('.chart-value').textContent()).toMatch(/^\d/);
    expect(await page.getByTitle('Chart percent').getAttribute('aria-pressed')).toBe('true');
    await chart.getByRole('button').click();
    expect(await page.locator('canvas').count()).toBe(0);
    expect(dashboard.complaints).toEqual([]);
  });

  it('draws a chart as soon as it is opened, before the next message comes', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    // A string, as vitest rewrites functions. The first frame makes room for the chart, the second draws it.
    const drawn = await page.evaluate(`(async () => {
      const drawn = [];
      const number = document.querySelector('[title="Chart percent"]');
      for (let times = 0; times < 6; times++) {
        number.click();
        for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);
        drawn.push(document.querySelectorAll('.chart canvas').length);
        number.click();
      }
      return drawn;
    })()`);
    expect(drawn).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('draws charts also if Intl does not know the browser\'s language, as with WebKitGTK without a locale', async () => {
    const page = await dashboard.open({}, 'about:blank');
    await page.addInitScript(`Object.defineProperty(Navigator.prototype, 'language', { get: () => 'C' })`);
    await page.goto(dashboard.demo.page);
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    await page.locator('.chart canvas').waitFor();
    expect(dashboard.complaints).toEqual([]);
  });
});
