import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { type Engine, type EngineKind, INSECURE_NAME, SCRIPT_TIMEOUT } from './engine.js';
import { openTab } from './tab.js';

const find = (): string | undefined =>
  [process.env['FIREFOX_PATH'], '/usr/bin/firefox-esr', '/usr/bin/firefox'].find((path) => path && existsSync(path));

/** Driven by WebDriver BiDi. */
export const firefoxKind: EngineKind = {
  name: 'Firefox',
  missing: () => (find() ? null : 'install Firefox (Debian: apt-get install firefox-esr), or name one in FIREFOX_PATH'),
  async launch(): Promise<Engine> {
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath: find()!,
      headless: true,
      acceptInsecureCerts: true,
      protocolTimeout: SCRIPT_TIMEOUT,
      extraPrefsFirefox: {
        'network.dns.localDomains': INSECURE_NAME,
        // A page that asks for http gets http.
        'dom.security.https_first': false,
        // The browser talks to the test's own server and to nobody else.
        'network.captive-portal-service.enabled': false,
        'network.connectivity-service.enabled': false,
      },
    });
    return {
      version: (await browser.version()).replace('/', ' ').replace(/^firefox/, 'Firefox'),
      async open(url) {
        const page = await browser.newPage();
        return openTab(page, url, (on) => page.on('console', on.console).on('pageerror', on.pageerror), () => page.close());
      },
      close: () => browser.close(),
    };
  },
};
