import { BloomFilter } from './bloom.js';
import { PubkeeperError } from './errors.js';
import { show } from './id.js';
import { childOf, divide, eachTail, hashesOf, keyOf, keyOfHash, type Node, node, prune, setChild } from './topic-node.js';

// Letters and digits of any script (with the marks that some scripts write them with), and `_` and `-`, which deployed
// systems use. Wildcards are whole segments.
const grammar = (segment: string): RegExp => new RegExp(`^(?:${segment})(?:\\.(?:${segment}))*$`, 'u');
/** Matches topics, and patterns, of ASCII characters. */
const grammars = (character: string): readonly RegExp[] => [grammar(`${character}+`), grammar(`${character}+|\\*\\*?`)];

const ASCII = /* @__PURE__ */ grammars('[\\w-]');
/** Made when it is needed: to read each `\p{…}` takes a page about as long as a tenth of this library, and most topics are ASCII. */
let words: readonly RegExp[] | undefined;

const fits = (text: unknown, kind: 0 | 1): text is string =>
  typeof text === 'string' &&
  (ASCII[kind]!.test(text) || (words ??= grammars('[\\p{L}\\p{M}\\p{N}_-]'))[kind]!.test(text));

/** Whether `text` is a literal topic: dot-separated segments of letters, digits, `_` and `-`. */
export const isTopic = (text: unknown): text is string => fits(text, 0);

/** Whether `text` is a topic pattern: a topic in which a whole segment may be `*` or `**`. */
export const isTopicPattern = (text: unknown): text is string => fits(text, 1);

/** @throws {PubkeeperError} `TOPIC_INVALID` */
export function assertTopic(text: unknown): asserts text is string {
  if (isTopic(text)) return;
  const hint = isTopicPattern(text) ? 'wildcards are for patrons' : RULE;
  throw new PubkeeperError('TOPIC_INVALID', `${show(text)} is not a topic: ${hint}.`, { topic: text });
}

/** @throws {PubkeeperError} `PATTERN_INVALID` */
export function assertTopicPattern(text: unknown): asserts text is string {
  if (isTopicPattern(text)) return;
  const hint = `${RULE}, or * or ** as a whole segment`;
  throw new PubkeeperError('PATTERN_INVALID', `${show(text)} is not a topic pattern: ${hint}.`, { topic: text });
}

const RULE = 'use dot-separated segments of letters, digits, _ and -';

/**
 * Whether the topic `topic` matches `pattern` (protocol, section 1): a literal segment matches itself, `*` exactly one
 * segment, `**` one or more. False when either is malformed. Takes at most segments × segments steps, whatever the pattern.
 */
export function matchTopic(pattern: string, topic: string): boolean {
  if (!isTopicPattern(pattern) || !isTopic(topic)) return false;
  if (pattern === topic) return true;
  const want = pattern.split('.');
  const have = topic.split('.');
  let at = 0;
  // After the last `**`: where the pattern continues, and up to which segment that `**` has consumed. Backtracking to the last
  // one is enough: whatever an earlier `**` could consume in addition, the later one can.
  let resume = -1;
  let eaten = 0;
  for (let i = 0; i < have.length; ) {
    const segment = want[at];
    if (segment === '**') {
      resume = ++at;
      eaten = ++i;
    } else if (segment === '*' || (segment !== undefined && segment === have[i])) {
      at++;
      i++;
    } else if (resume >= 0) {
      at = resume;
      i = ++eaten;
    } else {
      return false;
    }
  }
  return at === want.length;
}

const NONE: readonly never[] = Object.freeze([]);

/** One in this many cache misses is cached: topics that come again get in soon, and topics that do not cost little. */
const CACHE_EVERY = 8;

/**
 * Patterns and the values filed under them; one lookup per topic, whose cost grows with the topic's segments and what
 * matches, not with how many patterns are filed. The same value may be filed under many patterns; a lookup returns it once.
 *
 * Patterns are kept in a trie up to their last wildcard, and the rest (all of a literal pattern) as a key in a map at that node. A lookup
 * walks the set of active nodes, without recursion or regular expressions, so no pattern can blow up. Most nodes that a topic reaches lack
 * the key for its rest; a Bloom filter in front of all maps tells so at less cost. Results for up to `cacheSize` topics (default
 * 4,096; 0: none) are cached.
 */
export class TopicTrie<T> {
  #nodes = 0;
  readonly #root: Node<T> = node(this.#nodes++, undefined, '');
  #filter = new BloomFilter(0);
  /** How many tails all nodes hold, and how many were added to the filter since it was made. */
  #tails = 0;
  #filtered = 0;
  readonly #cache = new Map<string, readonly T[]>();
  readonly #cacheSize: number;
  #size = 0;
  #steps = 0;
  #misses = 0;

  constructor({ cacheSize = 4096 }: { cacheSize?: number } = {}) {
    this.#cacheSize = cacheSize;
  }

  /** How many pairs of pattern and value are filed. */
  get size(): number {
    return this.#size;
  }

  /**
   * Files `value` under `pattern`; false when that pair was filed already.
   * @throws {PubkeeperError} `PATTERN_INVALID`
   */
  add(pattern: string, value: T): boolean {
    assertTopicPattern(pattern);
    const [head, tail] = divide(pattern);
    let at = this.#root;
    for (const segment of head) {
      let next = childOf(at, segment);
      if (!next) setChild(at, segment, (next = node(this.#nodes++, at, segment)));
      at = next;
    }
    const tails = (at.tails ??= new Map());
    let values = tails.get(tail);
    if (!values) {
      tails.set(tail, (values = new Set()));
      this.#tails++;
      this.#note(at, tail);
    }
    if (values.has(value)) return false;
    values.add(value);
    this.#size++;
    this.#forget(pattern);
    return true;
  }

  /** Takes `value` back from under `pattern`; false when it was not filed there. */
  delete(pattern: string, value: T): boolean {
    if (typeof pattern !== 'string') return false;
    const [head, tail] = divide(pattern);
    let at: Node<T> | undefined = this.#root;
    for (const segment of head) at = at && childOf(at, segment);
    const values = at?.tails?.get(tail);
    if (!values?.delete(value)) return false;
    this.#size--;
    if (!values.size) {
      at!.tails!.delete(tail);
      this.#tails--;
      prune(at!);
    }
    this.#forget(pattern);
    return true;
  }

  /** The values of all patterns that match `topic`, each once; empty if it is not a topic. Do not change the list. */
  match(topic: string): readonly T[] {
    const known = this.#cache.get(topic);
    if (known) return known;
    if (typeof topic !== 'string') return NONE;
    const sets = this.#search(topic);
    // Checked late, since most topics match nothing and need no check.
    const result = !sets.length || !isTopic(topic) ? NONE : sets.length === 1 ? [...sets[0]!] : [...union(sets)];
    if (this.#cacheSize && ++this.#misses % CACHE_EVERY === 0) {
      if (this.#cache.size >= this.#cacheSize) this.#cache.clear();
      this.#cache.set(topic, result);
    }
    return result;
  }

  #search(topic: string): readonly Set<T>[] {
    const sets: Set<T>[] = [];
    const hashes = hashesOf(topic);
    this.#collect(this.#root, topic, 0, hashes.pop()!, sets);
    let active: Node<T>[] = [this.#root];
    let next: Node<T>[] = [];
    for (let start = 0; start <= topic.length && active.length; ) {
      const dot = topic.indexOf('.', start);
      const end = dot < 0 ? topic.length : dot;
      const segment = topic.slice(start, end);
      const hash = hashes.pop()!;
      const step = ++this.#steps;
      /** A wildcard has consumed the segment: collects what ends here, and goes on with what may follow. */
      const enter = (state: Node<T>): void => {
        state.seen = step;
        this.#collect(state, topic, end, hash, sets);
        if (state.isDeep || state.children || state.one || state.some) next.push(state);
      };
      for (const state of active) {
        const { children, one, some } = state;
        const child = children?.get(segment);
        if (child) next.push(child);
        if (one) enter(one);
        // Only a `**` node can be reached in two ways; do not enter it twice in one step.
        if (some && some.seen !== step) enter(some);
        if (state.isDeep && state.seen !== step) enter(state);
      }
      [active, next] = [next, active];
      next.length = 0;
      start = end + 1;
    }
    return sets;
  }

  /** Collects the values filed at `state` under the rest of `topic`, which begins at `from` and has this hash. */
  #collect(state: Node<T>, topic: string, from: number, hash: number, sets: Set<T>[]): void {
    if (!state.tails || !this.#filter.has(keyOfHash(state, hash))) return;
    const values = state.tails.get(topic.slice(from));
    if (values) sets.push(values);
  }

  /** Adds a new tail to the filter. A full filter, which may hold tails that are gone, is made anew. */
  #note(at: Node<T>, tail: string): void {
    if (++this.#filtered <= this.#filter.room) this.#filter.add(keyOf(at, tail));
    else {
      this.#filtered = this.#tails;
      // With room for as many more.
      this.#filter = new BloomFilter(2 * this.#tails);
      eachTail(this.#root, (node, known) => this.#filter.add(keyOf(node, known)));
    }
  }

  /** Drops cached results: a literal pattern affects only its own topic, a wildcard any topic. */
  #forget(pattern: string): void {
    if (pattern.includes('*')) this.#cache.clear();
    else this.#cache.delete(pattern);
  }
}

function union<T>(sets: readonly Set<T>[]): Set<T> {
  const all = new Set<T>();
  for (const values of sets) for (const value of values) all.add(value);
  return all;
}
