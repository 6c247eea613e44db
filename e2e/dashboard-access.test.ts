import axe from 'axe-core';
import type { Page } from 'playwright';
import { expect, it } from 'vitest';
import { Dashboard, patient } from './dashboard-kit.js';
import { describeInChromium } from './engines.js';

/**
 * The findings of axe-core, each with its rule and element. The rule for speech input is off: a topic's row shows short numbers
 * ("1.2K") that its accessible name writes out, which the rule takes for a different name.
 */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(`axe.run({ rules: { 'label-content-name-mismatch': { enabled: false } } })`);
  return (found as axe.AxeResults).violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

const screens = [
  ['light', 1440],
  ['dark', 1440],
  ['light', 390],
  ['dark', 390],
] as const;

describeInChromium('the dashboard', () => {
  const dashboard = new Dashboard();

  it.each(screens)('has no violations that axe-core finds, in the %s theme and %i px wide', async (colorScheme, width) => {
    // The page's policy allows only its own scripts, so axe-core needs `bypassCSP`.
    const page = await dashboard.open({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
    await dashboard.expectState('Connected');
    await expect.poll(() => dashboard.messages(), patient).toBeGreaterThan(0);
    expect(await faults(page), 'topics').toEqual([]);
    await dashboard.select(dashboard.memory);
    await page.getByText('Ciphertext').click();
    await page.getByTitle('Chart percent').click();
    await expect.poll(() => page.locator('.chart canvas').isVisible(), patient).toBe(true);
    await dashboard.settled();
    expect(await faults(page), 'a message').toEqual([]);
    await page.locator('#pill').click();
    await expect.poll(() => page.locator('#connect').isVisible()).toBe(true);
    expect(await faults(page), 'the form').toEqual([]);
    await page.locator('#connect-token').fill('not-it');
    await page.locator('#connect-token').press('Enter');
    await expect.poll(() => page.locator('#connect-token').getAttribute('aria-invalid'), patient).toBe('true');
    expect(await faults(page), 'a problem').toEqual([]);
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('#connect').isVisible()).toBe(false);
    expect(await faults(page), 'without a connection').toEqual([]);
  });

  it('draws charts in forced colours, also when a theme was chosen before', async () => {
    const page = await dashboard.open({ colorScheme: 'light' });
    await dashboard.expectState('Connected');
    await page.locator('#theme').click();
    await page.locator('#theme').click();
    expect(await page.locator('#theme').getAttribute('title')).toBe('Theme: dark');
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    /** How many pixels of the chart are black, the colour of text in forced colours. */
    const black = () =>
      page.locator('.chart canvas').evaluate((canvas: HTMLCanvasElement) => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true })!;
        copy.drawImage(canvas, 0, 0);
        const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        return pixels.filter((pixel) => pixel === 0xff000000).length;
      });
    await expect.poll(() => page.locator('.chart canvas').isVisible(), patient).toBe(true);
    expect(await black()).toBe(0);
    await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
    await expect.poll(black, patient).toBeGreaterThan(20);
    await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none' });
    await expect.poll(black, patient).toBe(0);
    expect(dashboard.complaints).toEqual([]);
  });

  it.each(['light', 'dark'] as const)('has fields and switches that stand out from what is around them, and more so for who wants more contrast (%s)', async (colorScheme) => {
    const page = await dashboard.open({ colorScheme });
    await dashboard.select(dashboard.memory);
    // A string, as vitest rewrites functions. The smallest contrast (WCAG 2.2) of a border with the inside and the outside of its field, and of a switch that is off.
    const smallest = `(() => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (one, other) => (Math.max(light(one), light(other)) + 0.05) / (Math.min(light(one), light(other)) + 0.05);
      const behind = (element) => {
        const { backgroundColor } = getComputedStyle(element);
        return /, 0\\)$/.test(backgroundColor) ? behind(element.parentElement) : backgroundColor;
      };
      const of = (element, colour) => Math.min(contrast(colour, behind(element.parentElement)), element.className === 'track' ? Infinity : contrast(colour, behind(element)));
      const fields = [...document.querySelectorAll('#filter, #brew input, #brew select, #brew textarea')].map((field) => of(field, getComputedStyle(field).borderTopColor));
      const track = document.querySelector('.track');
      const knob = contrast(getComputedStyle(track).backgroundColor, getComputedStyle(track, '::after').backgroundColor);
      return Math.min(...fields, knob, of(track, getComputedStyle(track).backgroundColor));
    })()`;
    expect(await page.evaluate(smallest)).toBeGreaterThanOrEqual(3);
    await page.emulateMedia({ contrast: 'more' });
    await expect.poll(() => page.evaluate(smallest)).toBeGreaterThanOrEqual(7);
  });

  it('has targets of 24 px, also for what opens a topic that has topics below it', async () => {
    const client = await dashboard.connect();
    const page = await dashboard.open();
    const brewers = ['large.enough', 'large.enough.below'].map((topic) => client.addBrewer(topic));
    await expect.poll(() => brewers.every(({ isMatched }) => isMatched), patient).toBe(true);
    await Promise.all(brewers.map((brewer) => brewer.brewText('x')));
    await dashboard.select('large.enough');
    for (const target of [dashboard.row('large.enough').locator('.twist'), page.locator('label.switch'), page.locator('#copy-payload')]) {
      const { width, height } = (await target.boundingBox())!;
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(24);
    }
  });
});
