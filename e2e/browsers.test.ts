import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium } from './browsers.js';
import { describeInChromium } from './engines.js';

const bundle = (name: string) => readFileSync(new URL(`../dist/${name}`, import.meta.url), 'utf8');

describeInChromium('the bundles in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  it('the UMD bundle, as a classic script, defines Pubkeeper and nothing else', async () => {
    const page = await browser.newPage();
    const before = await page.evaluate(() => Object.getOwnPropertyNames(window));
    await page.addScriptTag({ content: bundle('pubkeeper.umd.min.js') });
    const added = await page.evaluate((names) => Object.getOwnPropertyNames(window).filter((name) => !names.includes(name)), before);
    expect(added).toEqual(['Pubkeeper']);
  });

  it('the ESM bundle has the names of the UMD bundle', async () => {
    const page = await browser.newPage();
    await page.addScriptTag({ content: bundle('pubkeeper.umd.min.js') });
    const umd = await page.evaluate('Object.keys(Pubkeeper).sort()');
    const url = `data:text/javascript;base64,${Buffer.from(bundle('pubkeeper.esm.min.js')).toString('base64')}`;
    // A string, as vitest rewrites import() in a function to a helper that does not exist in the page.
    const esm = await page.evaluate(`import(${JSON.stringify(url)}).then((module) => Object.keys(module).sort())`);
    expect(umd).toContain('PubkeeperClient');
    expect(esm).toEqual(umd);
  });
});
