/** The least number of bits per key, which keeps false positives below one in ten; and the initial number of words. */
const BITS = 8;
const LEAST_WORDS = 8;

/**
 * A Bloom filter of 32-bit hashes: a key that it does not know was never added. A lookup costs one read from an array that fits into the
 * processor's cache, while a `Map` that lacks a key costs several reads from memory outside of it.
 */
export class BloomFilter {
  readonly #words: Uint32Array;

  /** @param keys how many it has room for */
  constructor(keys: number) {
    let words = LEAST_WORDS;
    while (words * 32 < keys * BITS) words *= 2;
    this.#words = new Uint32Array(words);
  }

  /** How many keys it has room for. */
  get room(): number {
    return (this.#words.length * 32) / BITS;
  }

  add(hash: number): void {
    const words = this.#words;
    words[hash & (words.length - 1)]! |= bitsOf(hash);
  }

  has(hash: number): boolean {
    const words = this.#words;
    const bits = bitsOf(hash);
    return (words[hash & (words.length - 1)]! & bits) === bits;
  }
}

/** Two bits of a word, chosen by the top ten bits of the hash. Only a filter of more than four million words uses these for its word index, too. */
const bitsOf = (hash: number): number => (1 << (hash >>> 27)) | (1 << (hash >>> 22));
