import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { isTopic, isTopicPattern, matchTopic, TopicTrie } from '../../src/core/topic.js';
import { thrown } from '../helpers.js';
import { vectors } from '../vectors.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const cases = vectors<{ pattern: string; topic: string; matches: boolean }[]>('topics');

/** The table of protocol.md, section 1, as literally as possible, and therefore exponential. */
function reference(pattern: readonly string[], topic: readonly string[]): boolean {
  const [want, ...pattern1] = pattern;
  const [have, ...topic1] = topic;
  if (want === undefined) return have === undefined;
  if (have === undefined) return false;
  if (want === '**') return reference(pattern1, topic1) || reference(pattern, topic1);
  return (want === '*' || want === have) && reference(pattern1, topic1);
}

const topicOf = (segments: readonly string[]) => fc.array(fc.constantFrom(...segments), { minLength: 1, maxLength: 6 });
const topics = topicOf(['a', 'b', '__proto__']);
const patterns = topicOf(['a', 'b', '*', '**', '__proto__']);

describe('matchTopic', () => {
  it.each(cases)('vector: $pattern on $topic is $matches', ({ pattern, topic, matches }) => {
    expect(matchTopic(pattern, topic)).toBe(matches);
  });

  it('a.**.*.*.lab does not match a.b.c.lab: each wildcard takes at least one segment', () => {
    expect(matchTopic('a.**.*.*.lab', 'a.b.c.lab')).toBe(false);
    expect(matchTopic('a.**.*.*.lab', 'a.b.c.d.lab')).toBe(true);
  });

  it('is case-sensitive', () => expect(matchTopic('a.B', 'a.b')).toBe(false));

  it('equals a naive reference', () => {
    fc.assert(
      fc.property(patterns, topics, (pattern, topic) => {
        expect(matchTopic(pattern.join('.'), topic.join('.'))).toBe(reference(pattern, topic));
      }),
      { numRuns: 3000 },
    );
  });

  it.each(['constructor', 'hasOwnProperty', 'toString', '__proto__', 'valueOf'])('treats %s as any other segment', (name) => {
    expect(matchTopic(`${name}.*`, `${name}.x`)).toBe(true);
    expect(matchTopic(`*.${name}`, `x.${name}`)).toBe(true);
    expect(matchTopic('a', name)).toBe(false);
  });

  it('is false for a malformed pattern or topic, and for a pattern in the place of a topic', () => {
    expect(matchTopic('a..b', 'a..b')).toBe(false);
    expect(matchTopic('*', '*')).toBe(false);
    expect(matchTopic('**', '')).toBe(false);
    expect(matchTopic('', '')).toBe(false);
    expect(matchTopic('a*', 'ab')).toBe(false);
  });

  // In steps, not milliseconds: an exponential matcher needs more than 2^40 and does not end within the timeout.
  it.each([
    ['**.**.**.**.a', 60, false],
    [Array(30).fill('**').join('.') + '.z', 200, false],
    [Array(30).fill('**').join('.'), 200, true],
    [Array(50).fill('**.b').join('.') + '.z', 200, false],
    [Array(30).fill('**.*').join('.') + '.z', 200, false],
  ])('ends for the worst patterns: %s on %i segments', { timeout: 2000 }, (pattern, length, expected) => {
    const topic = Array<string>(length).fill('b').join('.');
    for (let i = 0; i < 100; i++) expect(matchTopic(pattern, topic)).toBe(expected);
    const trie = new TopicTrie<number>({ cacheSize: 0 });
    trie.add(pattern, 1);
    for (let i = 0; i < 100; i++) expect(trie.match(topic)).toEqual(expected ? [1] : []);
  });
});

describe('validation', () => {
  const good = ['a', 'a.b', 'A_b-9.x', '__proto__', 'constructor.prototype', 'plant.line_2.nozzle-7.µ', 'größe.ß', '温度.北京', '-', '7'];
  const bad: unknown[] = ['', '.', 'a.', '.a', 'a..b', 'a b', 'a/b', 'a\n', 'a\0', 'ab*', '*a', '***', 'a.***', '#', '+', '🌡', 'a,b'];
  const notText: unknown[] = [undefined, null, 7, {}, [], ['a'], Symbol('a'), () => 'a', Object.create(null)];

  it.each(good)('%s is a topic and a pattern', (text) => {
    expect(isTopic(text)).toBe(true);
    expect(isTopicPattern(text)).toBe(true);
  });
  it.each([...bad, ...notText].map((text) => [text]))('%j is neither a topic nor a pattern', (text) => {
    expect(isTopic(text)).toBe(false);
    expect(isTopicPattern(text)).toBe(false);
  });
  it.each(['*', '**', 'a.*', '**.a.*', '*.*'])('%s is a pattern and no topic', (text) => {
    expect(isTopic(text)).toBe(false);
    expect(isTopicPattern(text)).toBe(true);
  });
  it.each([...bad, ...notText].map((text) => [text]))('a trie refuses %j with PATTERN_INVALID', (text) => {
    thrown(() => new TopicTrie().add(text as string, 1), 'PATTERN_INVALID');
  });
  it('ends for a long topic whose last character is invalid', { timeout: 2000 }, () => {
    expect(isTopic('a.'.repeat(100_000))).toBe(false);
    expect(isTopicPattern('a'.repeat(200_000) + '!')).toBe(false);
  });
});

type Step = { kind: 'add' | 'delete'; pattern: string; value: number } | { kind: 'match'; topic: string };
const pattern = patterns.map((segments) => segments.join('.'));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('add' as const, 'add' as const, 'delete' as const), pattern, value: fc.nat(4) }),
  fc.record({ kind: fc.constant('match' as const), topic: topics.map((segments) => segments.join('.')) }),
);

describe('TopicTrie', () => {
  it.each([0, 1, 3, 4096])('equals a naive list, with a cache of %i topics', (cacheSize) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const trie = new TopicTrie<number>({ cacheSize });
        const list = new Set<string>();
        for (const one of steps) {
          if (one.kind === 'match') {
            const found = [...list].map((item) => item.split(' ')).filter(([wild]) => reference(wild!.split('.'), one.topic.split('.')));
            const expected = new Set(found.map(([, value]) => Number(value)));
            const matched = trie.match(one.topic);
            // One miss in eight is cached: after these calls the topic is, so that the cache must be invalidated in time.
            for (let i = 0; i < 8; i++) trie.match(one.topic);
            expect(matched.length).toBe(expected.size);
            expect(new Set(matched)).toEqual(expected);
          } else {
            const item = `${one.pattern} ${one.value}`;
            const changed = one.kind === 'add' ? !list.has(item) : list.has(item);
            expect(trie[one.kind](one.pattern, one.value)).toBe(changed);
            if (one.kind === 'add') list.add(item);
            else list.delete(item);
          }
          expect(trie.size).toBe(list.size);
        }
        for (const item of list) {
          const [wild, value] = item.split(' ');
          expect(trie.delete(wild!, Number(value))).toBe(true);
        }
        expect(trie.size).toBe(0);
        expect(trie.match('a')).toEqual([]);
        expect(trie.match('a.b.a')).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  it('returns a value once that was added with several matching patterns', () => {
    const trie = new TopicTrie<string>();
    for (const wild of ['a.b', 'a.*', '*.b', '**', '*.*', 'a.**', '**.b', '**.*']) trie.add(wild, 'one');
    expect(trie.match('a.b')).toEqual(['one']);
    trie.delete('a.b', 'one');
    expect(trie.match('a.b')).toEqual(['one']);
  });

  it('keeps a pattern when a longer one with the same beginning is deleted, and the other way round', () => {
    const trie = new TopicTrie<number>();
    trie.add('a.*', 1);
    trie.add('a.*.c', 2);
    expect(trie.delete('a.*.c', 2)).toBe(true);
    expect(trie.match('a.b')).toEqual([1]);
    trie.add('a.*.c', 2);
    expect(trie.delete('a.*', 1)).toBe(true);
    expect(trie.match('a.b.c')).toEqual([2]);
    expect(trie.match('a.b')).toEqual([]);
  });

  it('does not delete a pattern that is only the beginning of another, or was never added', () => {
    const trie = new TopicTrie<number>();
    trie.add('a.*.c', 1);
    expect(trie.delete('a.*', 1)).toBe(false);
    expect(trie.delete('a.*.c', 2)).toBe(false);
    expect(trie.delete('x.*', 1)).toBe(false);
    expect(trie.delete('a', 1)).toBe(false);
    expect(trie.match('a.b.c')).toEqual([1]);
  });

  it('matches nothing for text that is not a topic', () => {
    const trie = new TopicTrie<number>();
    trie.add('**', 1);
    for (const text of ['', 'a..b', '*', '**', 'a b', '.']) expect(trie.match(text)).toEqual([]);
  });

  it('keeps no memory of deleted patterns', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heap = (): number => (collect(), process.memoryUsage().heapUsed);
    const trie = new TopicTrie<number>();
    const round = (from: number): void => {
      for (let i = from; i < from + 20_000; i++) {
        for (const wild of [`a${i}.*.b${i}.**`, `literal.l${i}`]) {
          trie.add(wild, i);
          trie.delete(wild, i);
        }
      }
    };
    round(0);
    const before = heap();
    round(20_000);
    expect((heap() - before) / 1024 / 1024).toBeLessThan(4); // MiB; the nodes of 20,000 patterns take more than 10
  });

  it.each(['', '*.', '**.', 'a.*.'])('finds each of thousands of patterns that are added and deleted, however often its filter is rebuilt (%s…)', (head) => {
    const trie = new TopicTrie<number>({ cacheSize: 0 });
    const filed = (i: number): string => `${head}p${i}.q${i % 7}`;
    const topic = (i: number): string => filed(i).replace(/\*+/, 'x');
    for (let from = 0; from < 5000; from += 1000) {
      for (let i = from; i < from + 1000; i++) trie.add(filed(i), i);
      // Delete two thirds of the round before.
      for (let i = from - 1000; i < from; i++) if (i % 3) trie.delete(filed(i), i);
      for (let i = 0; i < from + 1000; i++) expect(trie.match(topic(i))).toEqual(i >= from || i % 3 === 0 ? [i] : []);
    }
  });

  it('accepts patterns with very many segments', () => {
    const trie = new TopicTrie<number>();
    const long = Array.from({ length: 20_000 }, (_, i) => `s${i}`).join('.');
    trie.add(`${long}.*`, -1);
    // Add until the filter is rebuilt, which walks the whole trie.
    for (let i = 0; i < 100; i++) trie.add(`${long}.*.t${i}`, i);
    expect(trie.match(`${long}.x`)).toEqual([-1]);
    expect(trie.match(`${long}.x.t50`)).toEqual([50]);
  });

  it('finds a few among 20,000 literals and 20,000 wildcards without visiting all of either', { timeout: 5000 }, () => {
    const trie = new TopicTrie<number>({ cacheSize: 0 });
    for (let i = 0; i < 20_000; i++) trie.add(`host.h${i}.cpu`, i);
    for (let i = 0; i < 20_000; i++) trie.add(`host.h${i + 5000}.**`, -i - 1);
    // Visiting all of one kind would take 20,000 × 20,000 steps.
    const found = Array.from({ length: 20_000 }, (_, i) => trie.match(`host.h${i}.cpu`).length);
    expect(found).toEqual(found.map((_, i) => (i < 5000 ? 1 : 2)));
  });
});
