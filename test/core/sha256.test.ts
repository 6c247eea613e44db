import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/core/sha256.js';
import { hex } from '../helpers.js';

type Sha256 = typeof sha256;
/** The part of noble that the build keeps. */
const { sha256: lean } = (await import(new URL('../../dist/core/sha256.js', import.meta.url).href)) as { sha256: Sha256 };

describe.each<[string, Sha256]>([
  ['the source', sha256],
  ['dist', lean],
])('SHA-256 of %s', (_, hash) => {
  it('equals that of Node at every length around two blocks', () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = Uint8Array.from({ length }, (__, index) => index * 7 + length);
      expect(hex(hash(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  it('equals that of FIPS 180-4 for "abc", also for a view into a larger buffer', () => {
    const bytes = new TextEncoder().encode('-abc-').subarray(1, 4);
    expect(hex(hash(bytes))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
