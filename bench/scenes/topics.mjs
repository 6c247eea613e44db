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

/** Lookups a second; `repeated`: of a hundred topics over and over. */
export const lookups = (repeated) => ({
  title: `100,000 patterns, ${repeated ? 'repeated' : 'fresh'} topics`,
  unit: 'lookups/s',
  better: 'more',
  names: Object.keys(kinds),
  run: async (name, { ms }) => {
    const { patterns, topics } = material();
    const match = await kinds[name](patterns);
    let count = 0;
    const start = performance.now();
    // Fresh ones are made longer at each round, so that no cache knows them.
    for (let round = 0; performance.now() - start < ms; round++) {
      for (let i = 0; i < 1000; i++, count++) match(repeated ? topics[i % 100] : topics[(round * 1000 + i) % topics.length]);
    }
    return count / ((performance.now() - start) / 1000);
  },
});
