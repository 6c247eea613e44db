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
export function warnOfMissing(): void {
  for (const kind of engineKinds) {
    const missing = kind.missing();
    if (missing) console.warn(`\n!!! ${kind.name} IS SKIPPED: ${missing}.\n`);
  }
}
