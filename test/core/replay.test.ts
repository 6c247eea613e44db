import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { ReplayWindow } from '../../src/core/replay.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const WINDOW = 1024;

/** The rule of the design with a Set: each sequence once, and none that is more than the window behind the highest. */
class Model {
  readonly seen = new Set<number>();
  highest = -1;
  first = -1;
  has = (sequence: number): boolean => this.seen.has(sequence) || sequence <= this.highest - WINDOW;
  accept(sequence: number): number {
    const { highest } = this;
    this.seen.add(sequence);
    if (highest < 0) this.first = sequence;
    if (sequence < highest) return sequence > this.first ? -1 : 0;
    this.highest = sequence;
    return highest < 0 ? 0 : sequence - highest - 1;
  }
}

const jumps = fc.oneof(fc.integer({ min: -6, max: 6 }), fc.integer({ min: -1100, max: 1100 }), fc.constantFrom(1, 1023, 1024, 1025, -1023, -1024, -1025));

describe('ReplayWindow', () => {
  it('equals a Set in any order of sequences', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.array(jumps, { maxLength: 300 }), (start, steps) => {
        const window = new ReplayWindow();
        const model = new Model();
        let at = start;
        for (const jump of steps) {
          at = Math.max(0, at + jump);
          expect(window.has(at), `has(${at})`).toBe(model.has(at));
          if (!model.has(at)) expect(window.accept(at), `accept(${at})`).toBe(model.accept(at));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is empty at first, and accepts any first sequence without a gap', () => {
    for (const first of [0, 1, 1023, 1024, 5000, 2 ** 40]) {
      const window = new ReplayWindow();
      expect(window.has(first)).toBe(false);
      expect(window.accept(first)).toBe(0);
      expect(window.has(first)).toBe(true);
    }
  });

  it('treats last values that are older than the newest message as known', () => {
    const window = new ReplayWindow();
    window.accept(5);
    window.accept(9);
    expect([7, 9, 10].map((sequence) => [window.has(sequence), window.has(sequence, true)])).toEqual([
      [false, true],
      [true, true],
      [false, false],
    ]);
  });

  it('ends exactly 1,024 sequences back', () => {
    const window = new ReplayWindow();
    window.accept(0);
    expect(window.accept(2000)).toBe(1999);
    expect(window.has(2000 - 1023)).toBe(false);
    expect(window.has(2000 - 1024)).toBe(true);
  });

  it('the gaps that it returns add up to the number of missing messages', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 100 }, (_, i) => i + 50), { minLength: 1 }), (order) => {
        const window = new ReplayWindow();
        const told = order.reduce((sum, sequence) => sum + window.accept(sequence), 0);
        const since = order.filter((sequence) => sequence >= order[0]!);
        expect(told).toBe(Math.max(...since) - order[0]! + 1 - since.length);
      }),
    );
  });

  it('counts exactly far beyond 32 bits', () => {
    const window = new ReplayWindow();
    const base = 2 ** 45;
    window.accept(base);
    expect(window.accept(base + 3)).toBe(2);
    expect(window.has(base + 2)).toBe(false);
    expect(window.accept(base + 1)).toBe(-1);
    expect(window.has(base + 1)).toBe(true);
  });
});
