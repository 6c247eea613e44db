import { spawnSync } from 'node:child_process';
import { TopicTrie } from '../../dist/core/index.js';

const PATTERNS = 100_000;

/** 70% exact, 20% with one `*`, 10% with one `**`; topics of 4 to 6 segments of a large vocabulary. */
function material() {
  let state = 1;
  const random = (n) => (state = (state * 48271) % 0x7fffffff) % n;
  const segment = () => `s${random(60)}`;
  const topic = () => Array.from({ length: 4 + random(3) }, segment);
  const patterns = Array.from({ length: PATTERNS }, (_, i) => {
    const segments = topic();
    if (i % 10 >= 7) segments[random(segments.length)] = i % 10 === 9 ? '**' : '*';
    return segments.join('.');
  });
  return { patterns, topics: Array.from({ length: 20_000 }, (_, i) => (i % 2 ? topic().join('.') : patterns[random(PATTERNS)].replace(/\*+/g, segment()))) };
}

const kinds = {
  async TopicTrie(patterns) {
    const trie = new TopicTrie();
    patterns.forEach((pattern, index) => trie.add(pattern, index));
    return (topic) => trie.match(topic);
  },
  async qlobber(patterns) {
    const { Qlobber } = (await import('qlobber')).default;
    const matcher = new Qlobber({ separator: '.', wildcard_one: '*', wildcard_some: '**' });
    patterns.forEach((pattern, index) => matcher.add(pattern, index));
    return (topic) => matcher.match(topic);
  },
};

/** Lookups a second; with `repeated`, of the same hundred topics again and again. */
export const lookups = (which) => ({
  title: `100,000 patterns, ${which} topics`,
  unit: 'lookups/s',
  better: 'more',
  names: Object.keys(kinds),
  run: async (name, { ms }) => {
    const { patterns, topics } = material();
    const match = await kinds[name](patterns);
    for (const topic of topics) match(topic); // so that the code is compiled
    let count = 0;
    const start = performance.now();
    // Fresh topics are more than any cache of ours holds.
    for (let round = 0; performance.now() - start < ms; round++) {
      for (let i = 0; i < 1000; i++, count++) match(which === 'repeated' ? topics[i % 100] : topics[(round * 1000 + i) % topics.length]);
    }
    return count / ((performance.now() - start) / 1000);
  },
});

/** Bytes of heap for each pattern; in a process of its own, in which garbage can be collected on request. */
export const patternMemory = () => ({
  title: '100,000 patterns, memory for each',
  unit: 'B',
  better: 'less',
  names: Object.keys(kinds),
  runs: 1,
  run: async (name) => {
    const code = `const { heapPerPattern } = await import(${JSON.stringify(import.meta.url)}); console.log(await heapPerPattern('${name}')); process.exit();`;
    return Number(spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', code], { encoding: 'utf8' }).stdout);
  },
});

export async function heapPerPattern(name) {
  const { patterns } = material();
  const heap = () => (globalThis.gc(), globalThis.gc(), process.memoryUsage().heapUsed);
  await kinds[name]([]);
  const before = heap();
  const match = await kinds[name](patterns);
  const bytes = (heap() - before) / PATTERNS;
  match('a.b');
  return bytes;
}

/** ms for one lookup of a topic of 200 segments among patterns of 30 times `**`. */
export const worstPattern = () => ({
  title: 'a pattern of 30 ** over 200 segments',
  unit: 'ms',
  better: 'less',
  names: ['TopicTrie'], // qlobber would not finish
  isOurs: true,
  run: async () => {
    const deep = Array(30).fill('**').join('.');
    const trie = new TopicTrie({ cacheSize: 0 });
    [deep, `${deep}.x`, `x.${deep}`].forEach((pattern, index) => trie.add(pattern, index));
    const topic = Array(200).fill('a').join('.');
    const times = Array.from({ length: 50 }, () => {
      const start = performance.now();
      trie.match(topic);
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[25];
  },
});
