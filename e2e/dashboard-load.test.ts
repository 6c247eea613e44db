import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { RELAY_1 } from '../src/core/relay.js';
import { Dashboard, patient } from './dashboard-kit.js';
import { describeInChromium } from './engines.js';

// UPDATE_SCREENSHOTS=1 makes the screenshots in docs.
const picture = process.env['UPDATE_SCREENSHOTS'] === '1';

describeInChromium('the dashboard under load', () => {
  const dashboard = new Dashboard();
  const screenshot = async (name: string) => {
    // After that many messages the charts have something to show.
    const before = await dashboard.messages('plant');
    await expect.poll(() => dashboard.messages('plant'), { timeout: 40_000 }).toBeGreaterThan(before + 16_000);
    const directory = fileURLToPath(new URL('../docs/', import.meta.url));
    mkdirSync(directory, { recursive: true });
    await dashboard.page.screenshot({ path: `${directory}${name}` });
  };

  it.each(['light', 'dark'] as const)('draws smoothly and keeps its size at 2,000 messages a second (%s)', { timeout: 120_000 }, async (colorScheme) => {
    const client = await dashboard.connect();
    const topics = ['press', 'paint', 'weld', 'pack'].flatMap((hall) => Array.from({ length: 20 }, (_, index) => `plant.${hall}.robot-${index + 1}`));
    const brewers = topics.map((topic) => client.addBrewer(topic));
    const page = await dashboard.open({ colorScheme });
    await expect.poll(() => brewers.every(({ isMatched }) => isMatched), patient).toBe(true);
    const value = (at: number) => ({
      temperature: Math.round(100 * (61 + 9 * Math.sin(at / 3) + Math.random())) / 100,
      torque: Math.round(1000 * (4 + Math.sin(at))) / 1000,
      cycle: Math.floor(at * 4),
      state: at % 6 < 0.5 ? 'waiting' : 'running',
    });
    // A brewer may be matched shortly before its patron has joined the relay: measure when all topics have come.
    const arrived = async () => {
      await Promise.all(brewers.map((brewer) => brewer.brewJSON(value(0))));
      return Number(await page.locator('#total-topics').textContent());
    };
    await expect.poll(arrived, { ...patient, interval: 1000 }).toBeGreaterThanOrEqual(topics.length);
    await dashboard.select('plant.pack.robot-1');
    for (const name of ['temperature', 'torque']) await page.getByTitle(`Chart ${name}`, { exact: true }).click();
    await page.getByText('Ciphertext').click();
    const total = () => dashboard.messages('plant');
    let settled = -1;
    await expect.poll(async () => settled === (settled = await total()), { ...patient, interval: 1500 }).toBe(true);
    const nodes = () => page.locator('*').count();
    const before = await nodes();

    const start = performance.now();
    let brewed = 0;
    const timer = setInterval(() => {
      // No more than the relay keeps for a reader that is slow on a busy machine.
      const due = Math.min(2 * (performance.now() - start), picture ? Infinity : 20_000);
      for (; brewed < due; brewed++) void brewers[brewed % brewers.length]!.brewJSON(value(brewed / 2000));
    }, 5);
    try {
      // A string, as vitest rewrites functions. Counts the browser's frames, to compare with the dashboard's count of those that it drew.
      const measured = (await page.evaluate(`new Promise((resolve) => {
        const { stats } = pubkeeperDashboard;
        const from = stats.frames;
        const start = performance.now();
        let frames = 0;
        const tick = (now) => {
          frames += 1;
          if (now - start < 8000) requestAnimationFrame(tick);
          else resolve({ frames, drawn: stats.frames - from });
        };
        requestAnimationFrame(tick);
      })`)) as { frames: number; drawn: number };
      expect(measured.drawn).toBeGreaterThan(5);
      expect(measured.drawn).toBeLessThanOrEqual(measured.frames + 1);
      const after = await nodes();
      expect(after).toBeLessThan(1500);
      expect(after - before).toBeLessThan(250);
      if (picture) return await screenshot(`dashboard-${colorScheme}.png`);
      // No message is lost: all have come as soon as the flood is over.
      await expect.poll(() => brewed, patient).toBe(20_000);
      await expect.poll(total, { timeout: 40_000 }).toBe(settled + brewed);
      expect(await page.locator('#payload').textContent()).toContain('"torque"');
      expect(dashboard.complaints).toEqual([]);
    } finally {
      clearInterval(timer);
    }
  });

  it('keeps little of frames that it cannot decrypt, as from a stranger at the relay', { timeout: 60_000 }, async () => {
    const client = await dashboard.connect();
    const page = await dashboard.open();
    const brewer = client.addBrewer('junk.here');
    await expect.poll(() => brewer.isMatched, patient).toBe(true);
    const seen = async () => {
      await brewer.brewText('genuine');
      return dashboard.row('junk.here').count();
    };
    await expect.poll(seen, patient).toBe(1);

    // Anybody who reaches an open relay may publish in a brewer's name, but has no key.
    const stranger = new WebSocket(dashboard.demo.server.replace(/ws$/, 'brew'), [RELAY_1]);
    await new Promise((resolve) => stranger.once('open', resolve));
    const frame = Buffer.alloc(88 + 500_000);
    const hash = createHash('sha256').update('junk.here').digest();
    frame[0] = 1;
    hash.copy(frame, 2);
    Buffer.from(brewer.brewerId.replaceAll('-', ''), 'hex').copy(frame, 34);
    frame[50] = 1; // sealed
    frame.writeUInt32LE(500_000, 84);
    const header = Buffer.alloc(40);
    header.writeUInt16LE(2, 0);
    hash.copy(header, 4);
    header.writeUInt32LE(frame.length, 36);
    const dropped = () =>
      page.locator('#log').evaluate((log) => [...log.querySelectorAll('li > span:last-child')].reduce((sum, { textContent }) => {
        const [, count, times] = /^(\d+) frames? dropped.*?(?:\(×(\d+)\))?$/.exec(textContent) ?? [];
        return sum + Number(count ?? 0) * Number(times ?? 1);
      }, 0));
    for (let sent = 0; sent < 120; sent += 10) {
      for (let i = 0; i < 10; i++) stranger.send(Buffer.concat([header, frame]));
      await expect.poll(dropped, patient).toBe(sent + 10);
    }
    stranger.close();

    const tools = await page.context().newCDPSession(page);
    await tools.send('HeapProfiler.collectGarbage');
    const { backingStorageSize } = (await tools.send('Runtime.getHeapUsage')) as unknown as { backingStorageSize: number };
    expect(backingStorageSize).toBeLessThan(30_000_000);
    expect(dashboard.complaints).toEqual([]);
  });
});
