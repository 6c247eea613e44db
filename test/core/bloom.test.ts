import { describe, expect, it } from 'vitest';
import { BloomFilter } from '../../src/core/bloom.js';

/** Pseudo-random keys, the same in each run. */
function hashes(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) ^ (state >>> 16));
}

describe('BloomFilter', () => {
  it.each([1, 50, 1000, 100_000])('with room for %i keys knows each of them, and takes less than one in ten other keys for one of them', (count) => {
    const filter = new BloomFilter(count);
    expect(filter.room).toBeGreaterThanOrEqual(count);
    const known = hashes(filter.room, 1);
    for (const hash of known) filter.add(hash);
    expect(known.every((hash) => filter.has(hash))).toBe(true);
    const wrong = hashes(10_000, 2).filter((hash) => filter.has(hash)).length;
    expect(wrong).toBeLessThan(1000);
  });

  it('knows no key at first', () => {
    expect(hashes(1000, 3).some((hash) => new BloomFilter(0).has(hash))).toBe(false);
  });
});
