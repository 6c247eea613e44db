import type { Browser, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { PubkeeperClient } from '../src/index.js';
import { launchChromium } from './browsers.js';
import { startDemo } from './demo.js';
import type { Demo } from './demo.js';

export const patient = { timeout: 20_000 };

/** Tools for tests of the dashboard. The constructor registers hooks that start a browser and the demo, and end them. */
export class Dashboard {
  browser!: Browser;
  demo!: Demo;
  page!: Page;
  /** Errors and warnings of the page, in its console or uncaught. */
  complaints: string[] = [];
  readonly #clients: PubkeeperClient[] = [];

  constructor() {
    beforeAll(async () => {
      [this.browser, this.demo] = await Promise.all([launchChromium(), startDemo()]);
    });
    afterEach(async () => {
      await this.page?.close();
      await Promise.all(this.#clients.splice(0).map((client) => client.disconnect()));
    });
    afterAll(async () => {
      await this.browser?.close();
      expect(await this.demo?.end('SIGINT')).toBe(0);
    });
  }

  async open(options: Parameters<Browser['newPage']>[0] = {}, url = this.demo.page): Promise<Page> {
    const page = (this.page = await this.browser.newPage({ viewport: { width: 1440, height: 900 }, ...options }));
    const complaints: string[] = (this.complaints = []);
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(url);
    return page;
  }

  /** Connects a client of this process to the demo. */
  async connect(): Promise<PubkeeperClient> {
    const client = new PubkeeperClient({ server: this.demo.server, token: this.demo.token });
    this.#clients.push(client);
    await client.connect();
    return client;
  }

  /** A topic of the demo with several numbers. */
  get memory(): string {
    return this.demo.topics.find((topic) => topic.endsWith('.memory'))!;
  }

  expectState(state: string) {
    return expect.poll(() => this.page.locator('#state').textContent(), patient).toBe(state);
  }

  /** Resolves when the panels have not changed for longer than any view waits before it draws again. */
  async settled(): Promise<void> {
    // A string, as vitest rewrites functions. 15 frames take 250 ms or more; views wait 160 ms.
    await this.page.evaluate(`new Promise((resolve) => {
      const measure = () => {
        const panels = [...document.querySelectorAll('main, .topics, .message, .card, .chart, canvas')];
        return JSON.stringify([innerWidth, panels.map((panel) => panel.getBoundingClientRect())]);
      };
      let last = '';
      let same = 0;
      const look = () => {
        const now = measure();
        same = now === last ? same + 1 : 0;
        last = now;
        if (same < 15) requestAnimationFrame(look);
        else resolve();
      };
      requestAnimationFrame(look);
    })`);
  }

  /** A row of the tree, by its whole topic. */
  row(topic: string) {
    return this.page.locator(`.row[title="${topic}"]`);
  }

  /** How many messages the page has received on topics below a level of the tree. */
  async messages(level = 'host'): Promise<number> {
    const label = await this.row(level).getAttribute('aria-label', { timeout: 5000 }).catch(() => null);
    return Number(/([\d,]+) messages/.exec(label ?? '')?.[1]?.replaceAll(',', '') ?? 0);
  }

  async select(topic: string): Promise<void> {
    await expect.poll(() => this.row(topic).count(), patient).toBe(1);
    await this.row(topic).click();
    await expect.poll(() => this.page.locator('#topic').textContent(), patient).toBe(topic);
  }
}
