/** Bits for each key at the least, which keeps wrong answers below one in ten; and words to begin with. */
const BITS = 8;
const LEAST_WORDS = 8;

/**
 * A Bloom filter of 32-bit hashes: what it says no to was never added. A look costs one read from an array that is small enough for the
 * processor's cache, where a `Map` that has not got a key costs several from memory that is not.
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

/** Two bits of a word. The top ten bits of the hash say which: only a filter of more than four million words finds its words by them, too. */
const bitsOf = (hash: number): number => (1 << (hash >>> 27)) | (1 << (hash >>> 22));
