// Helpers for a map of sets that never holds an empty set.

/** Adds `value` to the set of `key`. */
export function file<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set) set.add(value);
  else sets.set(key, new Set([value]));
}

/** Removes `value` from the set of `key`. */
export function unfile<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  if (set?.delete(value) && !set.size) sets.delete(key);
}
