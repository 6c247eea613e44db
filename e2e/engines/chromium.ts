import { findChromium, launchChromium } from '../browsers.js';
import { type Engine, type EngineKind, type EnginePage, guarded, unguard } from './engine.js';

export const chromiumKind: EngineKind = {
  name: 'Chromium',
  missing: () => (findChromium() ? null : 'install Chromium (Debian: apt-get install chromium), or name one in CHROMIUM_PATH'),
  async launch(): Promise<Engine> {
    const browser = await launchChromium();
    return {
      version: `Chromium ${browser.version()}`,
      async open(url): Promise<EnginePage> {
        const context = await browser.newContext({ ignoreHTTPSErrors: true });
        const page = await context.newPage();
        let problems: string[] = [];
        page.on('console', (message) => {
          if (message.type() === 'warning' || message.type() === 'error') problems.push(`${message.type()}: ${message.text()}`);
        });
        page.on('pageerror', (error) => problems.push(`uncaught: ${String(error)}`));
        await page.goto(url);
        return {
          evaluate: async (expression) => unguard(await page.evaluate(guarded(expression)), expression),
          async go(next) {
            problems = [];
            await page.goto(next);
          },
          problems: () => problems,
          close: () => context.close(),
        };
      },
      close: () => browser.close(),
    };
  },
};
