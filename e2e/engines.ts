import { describe } from 'vitest';
import { chromiumKind } from './engines/chromium.js';
import type { EngineKind } from './engines/engine.js';
import { firefoxKind } from './engines/firefox.js';
import { webkitKind } from './engines/webkit.js';

export { INSECURE_NAME, type Engine, type EngineKind, type EnginePage } from './engines/engine.js';

/** The three engines, whether they can be had here or not. */
export const engineKinds: readonly EngineKind[] = [chromiumKind, firefoxKind, webkitKind];

/** The names in the titles of tests: what is skipped says why. */
export const titleOf = (kind: EngineKind): string => kind.name + (kind.missing() ? ' (SKIPPED: not installed)' : '');

/** Says loudly which engines are missing. To be called once a file, when its tests are collected. */
export function warnOfMissing(kinds = engineKinds): void {
  for (const kind of kinds) {
    const missing = kind.missing();
    if (missing) console.warn(`\n!!! ${kind.name} IS SKIPPED: ${missing}.\n`);
  }
}

/** `describe` of what is tried in Chromium only; skipped loudly where there is none. */
export function describeInChromium(title: string, body: () => void): void {
  warnOfMissing([chromiumKind]);
  const isMissing = chromiumKind.missing() !== null;
  describe.skipIf(isMissing)(isMissing ? `${title} (SKIPPED: no Chromium)` : title, body);
}
