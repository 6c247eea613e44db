// The nodes of `TopicTrie`, and the hashes for its filter.

/** A node of the trie: a common beginning of patterns, up to a wildcard or on the way to one. */
export interface Node<T> {
  /** Unique; part of its tails' keys in the filter. */
  readonly id: number;
  readonly parent: Node<T> | undefined;
  readonly segment: string;
  /** Whether its segment is `**`, which may consume several. */
  readonly isDeep: boolean;
  /** Values by tail: what follows a pattern's last wildcard, which is this node. Empty, or a dot and the rest. */
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

/** Splits a pattern into the segments up to its last wildcard, and the rest. */
export function divide(pattern: string): [head: string[], tail: string] {
  const cut = pattern.lastIndexOf('*') + 1;
  return [cut ? pattern.slice(0, cut).split('.') : [], pattern.slice(cut)];
}

/** Prepends the character `code` to a hashed text: FNV-1a, from the end to the beginning. */
const hashStep = (hash: number, code: number): number => Math.imul(hash ^ code, 0x01000193);

/** The hashes of what follows each segment of a topic, from the last segment to the first, and then of the whole topic. */
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

/** The filter's key of a tail at a node. */
export const keyOf = <T>(at: Node<T>, tail: string): number => keyOfHash(at, hashesOf(tail).pop()!);

/** Like `keyOf`, given the tail's hash. */
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

/** Removes empty nodes from `leaf` upwards, so that patterns that come and go leave nothing behind. */
export function prune<T>(leaf: Node<T>): void {
  for (let at = leaf; at.parent && !at.tails?.size && !at.children?.size && !at.one && !at.some; at = at.parent) {
    setChild(at.parent, at.segment, undefined);
  }
}

/** Calls `tell` for every tail in the trie. */
export function eachTail<T>(root: Node<T>, tell: (at: Node<T>, tail: string) => void): void {
  for (const pending = [root]; pending.length; ) {
    const at = pending.pop()!;
    for (const tail of at.tails?.keys() ?? []) tell(at, tail);
    for (const child of at.children?.values() ?? []) pending.push(child);
    for (const child of [at.one, at.some]) if (child) pending.push(child);
  }
}
