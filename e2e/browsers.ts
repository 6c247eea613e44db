import { existsSync } from 'node:fs';
import { chromium } from 'playwright';
import type { Browser, LaunchOptions } from 'playwright';
import { INSECURE_NAME } from './engines/engine.js';

// The browser talks to the test's own server and to nobody else.
export const quietArgs: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
  `--host-resolver-rules=MAP ${INSECURE_NAME} 127.0.0.1`,
];

/** The path of a Chromium to drive: CHROMIUM_PATH, Debian's, or Playwright's own; null when there is none. */
export function findChromium(): string | null {
  const named = process.env['CHROMIUM_PATH'];
  if (named) {
    if (!existsSync(named)) throw new Error(`CHROMIUM_PATH names ${named}, which does not exist.`);
    return named;
  }
  return ['/usr/bin/chromium', chromium.executablePath()].find((path) => existsSync(path)) ?? null;
}

/** Launches Chromium; `args` are added to {@link quietArgs}. */
export async function launchChromium({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null) {
    throw new Error('There is no Chromium: install one (Debian: apt-get install chromium) or name it in CHROMIUM_PATH.');
  }
  return chromium.launch({ ...options, executablePath, args: [...quietArgs, ...args] });
}
