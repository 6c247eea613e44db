import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/core/sha256.js';
import { hex } from '../helpers.js';

describe('SHA-256', () => {
  it.each([0, 1 << 16])('is that of Node at every length around two blocks, and from %i bytes on', (from) => {
    for (let length = from; length <= from + 200; length++) {
      const bytes = Uint8Array.from({ length }, (__, index) => index * 7 + length);
      expect(hex(sha256(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  it('is that of FIPS 180-4 for "abc", also of a view into a larger buffer', () => {
    const bytes = new TextEncoder().encode('-abc-').subarray(1, 4);
    expect(hex(sha256(bytes))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
