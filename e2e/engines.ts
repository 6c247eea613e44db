import { describe } from 'vitest';
import { chromiumKind } from './engines/chromium.js';
import type { EngineKind } from './engines/engine.js';
import { firefoxKind } from './engines/firefox.js';
import { webkitKind } from './engines/webkit.js';

export { INSECURE_NAME, type Engine, type EngineKind, type EnginePage } from './engines/engine.js';

/** The three engines, installed or not. */
export const engineKinds: readonly EngineKind[] = [chromiumKind, firefoxKind, webkitKind];

/** The engine's name for titles of tests, which says when the engine is skipped. */
export const titleOf = (kind: EngineKind): string => kind.name + (kind.missing() ? ' (SKIPPED: not installed)' : '');

/** Warns of each missing engine. Call it once in a file, while its tests are collected. */
export function warnOfMissing(kinds = engineKinds): void {
  for (const kind of kinds) {
    const missing = kind.missing();
    if (missing) console.warn(`\n!!! ${kind.name} IS SKIPPED: ${missing}.\n`);
  }
}

/** `describe` for tests in Chromium only; skipped with a warning if there is none. */
export function describeInChromium(title: string, body: () => void): void {
  warnOfMissing([chromiumKind]);
  const isMissing = chromiumKind.missing() !== null;
  describe.skipIf(isMissing)(isMissing ? `${title} (SKIPPED: no Chromium)` : title, body);
}
