import { describe, expect, it } from 'vitest';
import fc from '../fast-check.js';
import { LastValues } from '../../src/server/last-values.js';

const text = (values: LastValues, key: string): string | undefined => {
  const frame = values.get(key);
  return frame && Buffer.from(frame).toString();
};

describe('LastValues', () => {
  it('keep the newest frame by its time, whatever comes last, and of the same time the one that comes last', () => {
    const values = new LastValues(10, 1000);
    expect(values.set('a', Buffer.from('two'), 2)).toBe(true);
    expect(values.set('a', Buffer.from('one'), 1)).toBe(false);
    expect([text(values, 'a'), values.stamp('a')]).toEqual(['two', 2]);
    expect(values.set('a', Buffer.from('four'), 4)).toBe(true);
    expect(values.set('a', Buffer.from('three'), 3)).toBe(false);
    expect(values.set('a', Buffer.from('also four'), 4)).toBe(true);
    expect([text(values, 'a'), values.stamp('a')]).toEqual(['also four', 4]);
  });

  it('keep nothing for a topic whose last frame is longer than the limit for all', () => {
    const values = new LastValues(10, 10);
    values.set('a', Buffer.from('old'));
    values.set('b', Buffer.from('other'));
    expect(values.set('a', Buffer.alloc(11))).toBe(true);
    expect([values.get('a'), text(values, 'b'), values.size, values.bytes]).toEqual([undefined, 'other', 1, 5]);
    values.set('a', Buffer.alloc(10));
    expect([values.size, values.bytes]).toEqual([1, 10]);
  });

  it('are copies of the frames, and shrink with them', () => {
    const values = new LastValues(10, 10_000);
    const message = Buffer.from('first');
    values.set('a', message);
    message.fill(0);
    expect(text(values, 'a')).toBe('first');
    values.set('a', Buffer.alloc(4000));
    values.set('a', Buffer.from('short'));
    expect([text(values, 'a'), values.bytes]).toEqual(['short', 5]);
  });

  it('are discarded when they were not used for longest, by the limits on their number and bytes', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const step = fc.oneof(fc.tuple(fc.constant('set' as const), key, fc.nat(40)), fc.tuple(fc.constant('get' as const), key, fc.nat(0)));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const values = new LastValues(3, 100);
        const model = new Map<string, number>();
        for (const [what, at, length] of steps) {
          const known = model.get(at);
          if (what === 'get') {
            expect(values.get(at)?.length).toBe(known);
            if (known === undefined) continue;
          } else values.set(at, new Uint8Array(length));
          model.delete(at);
          model.set(at, what === 'get' ? known! : length);
          // Freed bytes are reused, so that up to twice the needed bytes are held. That may discard more values, but always the least recently used.
          while (model.size > values.size) model.delete(model.keys().next().value!);
          expect(model.size).toBe(values.size);
          expect(values.size).toBeLessThanOrEqual(3);
          expect(values.bytes).toBeLessThanOrEqual(100);
          expect(values.bytes).toBeGreaterThanOrEqual([...model.values()].reduce((sum, one) => sum + one, 0));
          expect(values.bytes).toBeLessThanOrEqual([...model.values()].reduce((sum, one) => sum + 2 * one, 0));
        }
        for (const [at, length] of model) expect(values.get(at)?.length).toBe(length);
      }),
      { numRuns: 300 },
    );
  });
});
