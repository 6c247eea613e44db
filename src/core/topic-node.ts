// The trie of `TopicTrie`: its nodes, and the hashes by which its filter knows what is filed there.

/** A place in the trie: what patterns begin with, up to a wildcard or on the way to one. */
export interface Node<T> {
  /** A number of its own, by which the filter knows its tails. */
  readonly id: number;
  readonly parent: Node<T> | undefined;
  readonly segment: string;
  /** Whether its segment is `**`, which may eat more than one. */
  readonly isDeep: boolean;
  /** By what patterns end with after their last wildcard, which is here: nothing, or a dot and the rest. */
  tails: Map<string, Set<T>> | undefined;
  children: Map<string, Node<T>> | undefined;
  /** The child of `*`. */
  one: Node<T> | undefined;
  /** The child of `**`. */
  some: Node<T> | undefined;
  /** The step in which this node was last made active, so that no state is followed twice. */
  seen: number;
}

const DOT = 46;

export const node = <T>(id: number, parent: Node<T> | undefined, segment: string): Node<T> => ({
  id,
  parent,
  segment,
  isDeep: segment === '**',
  tails: undefined,
  children: undefined,
  one: undefined,
  some: undefined,
  seen: 0,
});

/** The segments of a pattern up to its last wildcard, and what follows. */
export function divide(pattern: string): [head: string[], tail: string] {
  const cut = pattern.lastIndexOf('*') + 1;
  return [cut ? pattern.slice(0, cut).split('.') : [], pattern.slice(cut)];
}

/** The hash of a text whose first character is `code`, from that of the others (FNV-1a, from the end to the beginning). */
const hashStep = (hash: number, code: number): number => Math.imul(hash ^ code, 0x01000193);

/** The hashes of what follows each segment of a topic, the last one's first; and at the end that of the whole topic. */
export function hashesOf(topic: string): number[] {
  let hash = 0;
  const hashes = [hash];
  for (let i = topic.length; i--; ) {
    const code = topic.charCodeAt(i);
    hash = hashStep(hash, code);
    if (code === DOT) hashes.push(hash);
  }
  hashes.push(hash);
  return hashes;
}

/** A tail at a node, as the filter knows it. */
export const keyOf = <T>(at: Node<T>, tail: string): number => keyOfHash(at, hashesOf(tail).pop()!);

/** As `keyOf`, with the tail's hash. */
export function keyOfHash<T>({ id }: Node<T>, hash: number): number {
  const key = Math.imul(hash ^ Math.imul(id + 1, 0x9e3779b1), 0x85ebca6b);
  return key ^ (key >>> 15);
}

export const childOf = <T>(at: Node<T>, segment: string): Node<T> | undefined =>
  segment === '*' ? at.one : segment === '**' ? at.some : at.children?.get(segment);

export function setChild<T>(at: Node<T>, segment: string, child: Node<T> | undefined): void {
  if (segment === '*') at.one = child;
  else if (segment === '**') at.some = child;
  else if (child) (at.children ??= new Map()).set(segment, child);
  else at.children?.delete(segment);
}

/** Removes what holds nothing any more, from `leaf` upwards, so that patterns that come and go leave no trace. */
export function prune<T>(leaf: Node<T>): void {
  for (let at = leaf; at.parent && !at.tails?.size && !at.children?.size && !at.one && !at.some; at = at.parent) {
    setChild(at.parent, at.segment, undefined);
  }
}

/** Tells of every tail in the trie. */
export function eachTail<T>(root: Node<T>, tell: (at: Node<T>, tail: string) => void): void {
  for (const pending = [root]; pending.length; ) {
    const at = pending.pop()!;
    for (const tail of at.tails?.keys() ?? []) tell(at, tail);
    for (const child of at.children?.values() ?? []) pending.push(child);
    for (const child of [at.one, at.some]) if (child) pending.push(child);
  }
}
