import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { brewSuite } from '../brew-suite.js';
import { HouseBrew } from './house-brew.js';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

/** Delivers bytes to all listeners in this process. */
function house() {
  const listeners = new Map<string, Set<(bytes: Uint8Array) => void>>();
  return {
    send: (address: string, bytes: Uint8Array): void => listeners.get(address)?.forEach((run) => run(bytes)),
    on: (address: string, run: (bytes: Uint8Array) => void): (() => void) => {
      const own = (bytes: Uint8Array): void => run(bytes);
      listeners.set(address, (listeners.get(address) ?? new Set()).add(own));
      return () => void listeners.get(address)!.delete(own);
    },
  };
}

it('house-brew.ts is the example of docs/brews.md', () => {
  const code = read('house-brew.ts').split('\n').slice(1).join('\n').replace("'../../src/index.js'", "'pubkeeper'");
  expect(read('../../docs/brews.md')).toContain(code);
});

brewSuite('the HouseBrew of docs/brews.md', {
  make: () => {
    const shared = house();
    return { brew: () => new HouseBrew(shared) };
  },
});
