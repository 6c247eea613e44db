import { PubkeeperError } from './errors.js';
import { show } from './id.js';

// Letters and digits of any script (with the marks that some scripts write them with), and `_` and `-`, which deployed
// systems use. Wildcards are whole segments.
const TOPIC = /^[\p{L}\p{M}\p{N}_-]+(?:\.[\p{L}\p{M}\p{N}_-]+)*$/u;
const PATTERN = /^(?:[\p{L}\p{M}\p{N}_-]+|\*\*?)(?:\.(?:[\p{L}\p{M}\p{N}_-]+|\*\*?))*$/u;

/** Whether `text` is a literal topic: dot-separated segments of letters, digits, `_` and `-`. */
export const isTopic = (text: unknown): text is string => typeof text === 'string' && TOPIC.test(text);

/** Whether `text` is a topic pattern: a topic in which a whole segment may be `*` or `**`. */
export const isTopicPattern = (text: unknown): text is string => typeof text === 'string' && PATTERN.test(text);

/** @throws {PubkeeperError} `TOPIC_INVALID` */
export function assertTopic(text: unknown): asserts text is string {
  if (isTopic(text)) return;
  const hint = isTopicPattern(text) ? 'a brewer publishes one literal topic; wildcards are for patrons' : RULE;
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
  // After the last `**`: where the pattern goes on, and up to which segment that `**` has eaten. It is enough to go
  // back to the last one: whatever an earlier `**` could eat more of, the later one can.
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

interface Node<T> {
  readonly parent: Node<T> | undefined;
  readonly segment: string;
  readonly children: Map<string, Node<T>>;
  values: Set<T> | undefined;
  /** The lookup that this node was last made active in, so that no state is followed twice. */
  seen: number;
}

const NONE: readonly never[] = Object.freeze([]);

/**
 * Patterns and the values filed under them; one lookup per topic, whose cost grows with the topic's segments and what
 * matches, not with how many patterns are filed. The same value may be filed under many patterns; a lookup returns it once.
 *
 * Literal patterns are kept in a map, wildcards in a trie that is walked over the set of active states (no recursion, no
 * regular expression, so no pattern can blow up). Results of the last `cacheSize` topics (default 4,096; 0: none) are kept.
 */
export class TopicTrie<T> {
  readonly #exact = new Map<string, Set<T>>();
  readonly #root: Node<T> = node(undefined, '');
  readonly #cache = new Map<string, readonly T[]>();
  readonly #cacheSize: number;
  #size = 0;
  #lookup = 0;

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
    const values = pattern.includes('*') ? this.#grow(pattern) : this.#literal(pattern);
    if (values.has(value)) return false;
    values.add(value);
    this.#size++;
    this.#forget(pattern);
    return true;
  }

  /** Takes `value` back from under `pattern`; false when it was not filed there. */
  delete(pattern: string, value: T): boolean {
    const wild = pattern.includes('*');
    const found = wild ? this.#find(pattern) : undefined;
    const values = wild ? found?.values : this.#exact.get(pattern);
    if (!values?.delete(value)) return false;
    this.#size--;
    if (!values.size) {
      if (found) prune(found);
      else this.#exact.delete(pattern);
    }
    this.#forget(pattern);
    return true;
  }

  /** The values of all patterns that match `topic`, each once; empty when it is no topic. Not to be changed. */
  match(topic: string): readonly T[] {
    const known = this.#cache.get(topic);
    if (known) return known;
    if (!isTopic(topic)) return NONE;
    const result = this.#search(topic);
    if (this.#cacheSize) {
      // A map remembers insertion order, so its first key is the oldest.
      if (this.#cache.size >= this.#cacheSize) this.#cache.delete(this.#cache.keys().next().value as string);
      this.#cache.set(topic, result);
    }
    return result;
  }

  #search(topic: string): readonly T[] {
    const exact = this.#exact.get(topic);
    if (!this.#root.children.size) return exact ? [...exact] : NONE;
    let active: Node<T>[] = [this.#root];
    let next: Node<T>[] = [];
    let start = 0;
    while (start <= topic.length && active.length) {
      const dot = topic.indexOf('.', start);
      const end = dot < 0 ? topic.length : dot;
      const segment = topic.slice(start, end);
      const lookup = ++this.#lookup;
      for (const state of active) {
        follow(state.children.get(segment), lookup, next);
        follow(state.children.get('*'), lookup, next);
        follow(state.children.get('**'), lookup, next);
        // `**` that has eaten a segment may eat the next one too.
        if (state.segment === '**') follow(state, lookup, next);
      }
      [active, next] = [next, active];
      next.length = 0;
      start = end + 1;
    }
    const found = active.filter((state) => state.values);
    if (!found.length) return exact ? [...exact] : NONE;
    const result = new Set(exact);
    for (const state of found) for (const value of state.values!) result.add(value);
    return [...result];
  }

  #literal(topic: string): Set<T> {
    let values = this.#exact.get(topic);
    if (!values) this.#exact.set(topic, (values = new Set()));
    return values;
  }

  #grow(pattern: string): Set<T> {
    let at = this.#root;
    for (const segment of pattern.split('.')) {
      let child = at.children.get(segment);
      if (!child) at.children.set(segment, (child = node(at, segment)));
      at = child;
    }
    return (at.values ??= new Set());
  }

  #find(pattern: string): Node<T> | undefined {
    let at: Node<T> | undefined = this.#root;
    for (const segment of pattern.split('.')) at = at?.children.get(segment);
    return at;
  }

  /** A literal pattern can change the result of its own topic only; a wildcard that of any. */
  #forget(pattern: string): void {
    if (pattern.includes('*')) this.#cache.clear();
    else this.#cache.delete(pattern);
  }
}

function node<T>(parent: Node<T> | undefined, segment: string): Node<T> {
  return { parent, segment, children: new Map(), values: undefined, seen: 0 };
}

function follow<T>(state: Node<T> | undefined, lookup: number, next: Node<T>[]): void {
  if (!state || state.seen === lookup) return;
  state.seen = lookup;
  next.push(state);
}

/** Removes what holds nothing any more, from `leaf` upwards, so that patterns that come and go leave no trace. */
function prune<T>(leaf: Node<T>): void {
  leaf.values = undefined;
  for (let at: Node<T> = leaf; at.parent && !at.values && !at.children.size; at = at.parent) {
    at.parent.children.delete(at.segment);
  }
}
