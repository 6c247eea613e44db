import { findChromium, launchChromium } from '../browsers.js';
import type { Engine, EngineKind } from './engine.js';
import { openTab } from './tab.js';

export const chromiumKind: EngineKind = {
  name: 'Chromium',
  missing: () => (findChromium() ? null : 'install Chromium (Debian: apt-get install chromium), or name one in CHROMIUM_PATH'),
  async launch(): Promise<Engine> {
    const browser = await launchChromium();
    return {
      version: `Chromium ${browser.version()}`,
      async open(url) {
        const context = await browser.newContext({ ignoreHTTPSErrors: true });
        const page = await context.newPage();
        return openTab(page, url, (on) => page.on('console', on.console).on('pageerror', on.pageerror), () => context.close());
      },
      close: () => browser.close(),
    };
  },
};
