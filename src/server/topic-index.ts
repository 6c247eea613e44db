import { assertTopic, isTopicPattern } from '../core/topic.js';

/** A topic and what is filed under it. Both tries and the postings share this object. */
interface Entry<T> {
  readonly segments: readonly string[];
  readonly values: Set<T>;
}

interface Branch<T> {
  /** Made with the first child, because most branches have none. */
  children: Map<string, Branch<T>> | undefined;
  entry: Entry<T> | undefined;
  /** How many topics end in this branch or below it. */
  count: number;
}

/**
 * Literal topics and the values filed under them; one lookup per pattern. The other direction of `TopicTrie`.
 *
 * The cost of a lookup grows with the number of topics that the most selective part of the pattern leaves, not with all that is filed.
 * There are three ways in, and each lookup takes the narrowest: a trie of the topics (for `a.b.**`), one of the
 * reversed topics (for `**.temperature`), and lists of the topics that hold a segment anywhere or have a length (for
 * `**.b.**`, `*.*`).
 */
export class TopicIndex<T> {
  readonly #exact = new Map<string, Entry<T>>();
  readonly #forward: Branch<T> = branch();
  readonly #backward: Branch<T> = branch();
  // By segment, and by number of segments as `.3`: no segment holds a dot, so the two kinds of key never collide.
  readonly #postings = new Map<string, Set<Entry<T>>>();
  #size = 0;

  /** How many pairs of topic and value are filed. */
  get size(): number {
    return this.#size;
  }

  /**
   * Files `value` under `topic`; false when that pair was filed already.
   * @throws {PubkeeperError} `TOPIC_INVALID`
   */
  add(topic: string, value: T): boolean {
    let entry = this.#exact.get(topic);
    if (entry?.values.has(value)) return false;
    if (!entry) {
      assertTopic(topic);
      entry = { segments: topic.split('.'), values: new Set() };
      this.#exact.set(topic, entry);
      grow(this.#forward, entry.segments, entry);
      grow(this.#backward, reversed(entry.segments), entry);
      for (const key of postingKeys(entry)) {
        const posting = this.#postings.get(key);
        if (posting) posting.add(entry);
        else this.#postings.set(key, new Set([entry]));
      }
    }
    entry.values.add(value);
    this.#size++;
    return true;
  }

  /** Removes `value` from under `topic`; false when it was not filed there. */
  delete(topic: string, value: T): boolean {
    const entry = this.#exact.get(topic);
    if (!entry?.values.delete(value)) return false;
    this.#size--;
    if (entry.values.size) return true;
    this.#exact.delete(topic);
    shrink(this.#forward, entry.segments);
    shrink(this.#backward, reversed(entry.segments));
    for (const key of postingKeys(entry)) {
      const posting = this.#postings.get(key);
      posting?.delete(entry);
      if (posting?.size === 0) this.#postings.delete(key);
    }
    return true;
  }

  /**
   * The values of all topics that `pattern` matches, each once; empty when it is no pattern.
   * @param within topics that none of these patterns matches may be left out: where these are narrower, the lookup uses them, so that
   * a client that may see little cannot make it look at everything
   */
  match(pattern: string, within?: readonly string[]): T[] {
    const found = new Set<T>();
    const collect = (entry: Entry<T>): void => {
      for (const value of entry.values) found.add(value);
    };
    if (!isTopicPattern(pattern)) return [];
    const want = pattern.split('.');
    const ways = within?.includes('**') ? undefined : within?.map((one) => one.split('.'));
    if (ways && this.#boundOf(ways) < this.#bound(want)) {
      for (const way of ways) this.#each(way, (entry) => void (matches(want, entry.segments) && collect(entry)));
    } else {
      this.#each(want, collect);
    }
    return [...found];
  }

  #each(want: readonly string[], collect: (entry: Entry<T>) => void): void {
    if (!want.some(isWild)) {
      const entry = this.#exact.get(want.join('.'));
      if (entry) collect(entry);
      return;
    }
    const ahead = descend(this.#forward, want);
    const backwards = reversed(want);
    const behind = descend(this.#backward, backwards);
    const posting = this.#narrowest(want);
    if (!ahead || !behind || !posting) return;
    if (posting.size < ahead.branch.count && posting.size < behind.branch.count) {
      for (const entry of posting) if (matches(want, entry.segments)) collect(entry);
    } else if (ahead.branch.count <= behind.branch.count) {
      walk(ahead.branch, want, ahead.depth, collect);
    } else {
      walk(behind.branch, backwards, behind.depth, collect);
    }
  }

  /** How many topics a lookup has to look at, at most. */
  #bound(want: readonly string[]): number {
    if (!want.some(isWild)) return 1;
    const counts = [descend(this.#forward, want)?.branch.count, descend(this.#backward, reversed(want))?.branch.count, this.#narrowest(want)?.size];
    return Math.min(...counts.map((count) => count ?? 0));
  }

  #boundOf(ways: readonly (readonly string[])[]): number {
    let sum = 0;
    for (const way of ways) sum += this.#bound(way);
    return sum;
  }

  /** The shortest list that holds every match of a pattern; undefined when a segment has no list: then nothing matches. */
  #narrowest(want: readonly string[]): { readonly size: number; [Symbol.iterator](): Iterator<Entry<T>> } | undefined {
    let best: Set<Entry<T>> | undefined;
    const keys = want.filter((segment) => !isWild(segment));
    if (!want.includes('**')) keys.push(`.${want.length}`);
    for (const key of keys) {
      const posting = this.#postings.get(key);
      if (!posting) return undefined;
      if (!best || posting.size < best.size) best = posting;
    }
    // Only wildcards, and a `**` among them: there is no list to use, so a trie has to be walked.
    return best ?? { size: Infinity, [Symbol.iterator]: () => ([] as Entry<T>[]).values() };
  }
}

const reversed = (segments: readonly string[]): string[] => [...segments].reverse();

const isWild = (segment: string): boolean => segment === '*' || segment === '**';

const branch = <T>(): Branch<T> => ({ children: undefined, entry: undefined, count: 0 });

const postingKeys = <T>(entry: Entry<T>): Set<string> => new Set([...entry.segments, `.${entry.segments.length}`]);

function grow<T>(root: Branch<T>, segments: readonly string[], entry: Entry<T>): void {
  let at = root;
  at.count++;
  for (const segment of segments) {
    const children: Map<string, Branch<T>> = (at.children ??= new Map());
    let child = children.get(segment);
    if (!child) children.set(segment, (child = branch()));
    at = child;
    at.count++;
  }
  at.entry = entry;
}

function shrink<T>(root: Branch<T>, segments: readonly string[]): void {
  let at = root;
  at.count--;
  for (const segment of segments) {
    const child = at.children?.get(segment);
    if (!child) return;
    // The last topic of a branch takes the whole branch with it.
    if (--child.count === 0) {
      at.children?.delete(segment);
      return;
    }
    at = child;
  }
  at.entry = undefined;
}

/** Follows the literal segments that `want` begins with; undefined where there is no such branch. */
function descend<T>(
  root: Branch<T>,
  want: readonly string[],
): { readonly branch: Branch<T>; readonly depth: number } | undefined {
  let at = root;
  let depth = 0;
  for (; depth < want.length && !isWild(want[depth]!); depth++) {
    const child = at.children?.get(want[depth]!);
    if (!child) return undefined;
    at = child;
  }
  return { branch: at, depth };
}

/**
 * Finds every match of `want` below `start`, which its first `depth` segments have led to. Each branch is visited once,
 * with all the places in the pattern that it may stand for, so that the cost grows only linearly with the number of `**`.
 */
function walk<T>(start: Branch<T>, want: readonly string[], depth: number, collect: (entry: Entry<T>) => void): void {
  const open: { branch: Branch<T>; places: readonly number[] }[] = [{ branch: start, places: [depth] }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { branch: at, places } = next;
    if (at.entry && places[places.length - 1] === want.length) collect(at.entry);
    if (!at.children) continue;
    if (places.some((place) => isWild(want[place] ?? '') || want[place - 1] === '**')) {
      for (const [segment, child] of at.children) visit(child, step(want, places, segment));
    } else {
      for (const place of places) {
        const segment = want[place];
        const child = segment === undefined ? undefined : at.children.get(segment);
        if (child) visit(child, step(want, places, segment!));
      }
    }
  }

  function visit(child: Branch<T>, places: readonly number[]): void {
    if (places.length) open.push({ branch: child, places });
  }
}

/** The places in a pattern that are possible after one more segment: ascending, each place once. */
function step(want: readonly string[], places: readonly number[], segment: string): number[] {
  const after: number[] = [];
  for (const place of places) {
    // `**` that has taken a segment may take the next one too.
    if (want[place - 1] === '**' && after[after.length - 1] !== place) after.push(place);
    const wanted = want[place];
    if (wanted === '*' || wanted === '**' || wanted === segment) after.push(place + 1);
  }
  return after;
}

function matches(want: readonly string[], have: readonly string[]): boolean {
  let places: readonly number[] = [0];
  for (const segment of have) {
    places = step(want, places, segment);
    if (!places.length) return false;
  }
  return places[places.length - 1] === want.length;
}
