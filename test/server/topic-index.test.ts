import fc from '../fast-check.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { matchTopic } from '../../src/core/topic.js';
import { TopicIndex } from '../../src/server/topic-index.js';
import { worked } from '../helpers.js';
import { vectors } from '../vectors.js';

const segment = fc.constantFrom('a', 'b', 'c', 'constructor', '__proto__');
const topic = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join('.'));
const pattern = fc
  .array(fc.oneof(segment, fc.constantFrom('*', '**')), { minLength: 1, maxLength: 6 })
  .map((segments) => segments.join('.'));

describe('TopicIndex', () => {
  it('finds what matchTopic matches, whatever was added and deleted', () => {
    const step = fc.record({ add: fc.boolean(), topic, value: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(pattern, { minLength: 1, maxLength: 10 }), (steps, patterns) => {
        const index = new TopicIndex<string>();
        const model = new Map<string, [topic: string, value: string]>();
        for (const { add, topic: at, value } of steps) {
          const key = `${at}/${value}`;
          const changed = add ? index.add(at, key) : index.delete(at, key);
          expect(changed).toBe(model.has(key) !== add);
          if (add) model.set(key, [at, key]);
          else model.delete(key);
        }
        expect(index.size).toBe(model.size);
        for (const wanted of patterns) {
          const expected = [...model.values()].filter(([at]) => matchTopic(wanted, at)).map(([, value]) => value);
          expect(index.match(wanted).sort()).toEqual(expected.sort());
          // The result may omit topics that do not match `within`, but no others.
          const within = patterns.slice(0, 2);
          const inside = index.match(wanted, within);
          expect(new Set(inside).size).toBe(inside.length);
          expect(expected).toEqual(expect.arrayContaining(inside));
          const must = [...model.values()].filter(([at]) => matchTopic(wanted, at) && within.some((one) => matchTopic(one, at)));
          expect(inside).toEqual(expect.arrayContaining(must.map(([, value]) => value)));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('agrees with the vectors', () => {
    for (const { pattern: wanted, topic: at, matches } of vectors<{ pattern: string; topic: string; matches: boolean }[]>('topics')) {
      const index = new TopicIndex<string>();
      index.add(at, 'x');
      expect(index.match(wanted), `${wanted} and ${at}`).toEqual(matches ? ['x'] : []);
    }
  });

  it('returns a value once that is stored under two topics, and refuses a malformed topic', () => {
    const index = new TopicIndex<string>();
    index.add('a.b', 'x');
    index.add('a.c', 'x');
    expect(index.match('a.*')).toEqual(['x']);
    expect(() => index.add('a.*', 'x')).toThrow(expect.objectContaining({ code: 'TOPIC_INVALID' }));
    expect(index.match('a..b*')).toEqual([]);
  });

  describe('among 100,000 topics', () => {
    const index = new TopicIndex<number>();
    beforeAll(() => {
      for (let i = 0; i < 100_000; i++) index.add(`site.${i % 997}.${i}.temperature`, i);
      for (const at of ['site.1.7.rare', 'rare.x', 'x.rare.y']) index.add(at, -1);
    }, 60_000);

    // A lookup takes microseconds and a scan some 20 ms: the limit between them leaves room for any machine.
    it.each(['**.rare', 'rare.**', '**.rare.**', '*.rare.*', 'site.**.rare', 'site.*.7.**.rare', '*.*'])(
      'looks up %s without visiting them all',
      (wanted) => {
        const started = worked();
        for (let i = 0; i < 100; i++) expect(index.match(wanted).length).toBeLessThanOrEqual(1);
        expect((worked() - started) / 100).toBeLessThan(5);
      },
    );

    it.each([[[]], [['mine.**']], [['rare.*', '**.rare']], [['site.1.7.rare', 'mine.x']]])('looks up topics within %j without visiting them all', (within) => {
      const started = worked();
      for (const wanted of ['**', '**.temperature', 'site.**', '*.*.*.*']) {
        for (let i = 0; i < 25; i++) expect(index.match(wanted, within).length).toBeLessThanOrEqual(1);
      }
      expect((worked() - started) / 100).toBeLessThan(5);
    });
  });

  it('takes no exponential time for a pattern of many **', () => {
    const index = new TopicIndex<string>();
    const long = Array.from({ length: 200 }, () => 'a').join('.');
    index.add(long, 'x');
    index.add(`${long}.b`, 'y');
    const started = worked();
    expect(index.match(`${'**.'.repeat(30)}a`)).toEqual(['x']);
    expect(index.match(`${'**.'.repeat(30)}c`)).toEqual([]);
    expect(worked() - started).toBeLessThan(200);
  });
});
