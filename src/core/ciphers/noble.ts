import { unsafe } from '@noble/ciphers/aes.js';
import { randomBytes } from '../host.js';
import { BLOCK, type CryptoEngine, join, pad, unpad, viewOf } from './engine.js';

// AES is that of @noble/ciphers. Its `cbc` and `gcm` compute the key schedule and the GHASH tables anew for each message, which takes
// longer than a short message itself. Here they are kept per key, so the modes around AES are our own, and so is GHASH: noble's is
// as fast, but takes 300 bytes more in a page and three times the memory per key.

/** The length of a nonce, in bytes. */
const NONCE = 12;

/** GHASH (NIST SP 800-38D, section 6.4) under one key: hashes parts, each padded with zeros to whole blocks, into four words. */
function hashUnder(key: Uint8Array): (...parts: readonly Uint8Array[]) => readonly number[] {
  // For each of the 32 half-byte positions and each of its 16 values, what that adds: four words. 8 KiB.
  const table = new Int32Array(2048);
  let words = [0, 4, 8, 12].map((at) => viewOf(key).getInt32(at));
  for (let bit = 0; bit < 128; bit++) {
    for (let half = 0; half < 16; half++) if ((half << (bit & 3)) & 8) words.forEach((word, i) => (table[64 * (bit >> 2) + 4 * half + i]! ^= word));
    // Times x: shifted by one bit, and reduced.
    words = words.map((word, i) => (word >>> 1) ^ (i ? words[i - 1]! << 31 : -(words[3]! & 1) & (0xe1 << 24)));
  }
  return (...parts) => {
    let sum = [0, 0, 0, 0];
    for (const part of parts) {
      const view = viewOf(inBlocks(part));
      for (let at = 0; at < part.length; at += BLOCK) {
        let a = 0;
        let b = 0;
        let c = 0;
        let d = 0;
        for (let half = 0; half < 32; half++) {
          const i = half >> 3;
          const from = 64 * half + 4 * (((sum[i]! ^ view.getInt32(at + 4 * i)) >> (28 - 4 * (half & 7))) & 15);
          a ^= table[from]!;
          b ^= table[from + 1]!;
          c ^= table[from + 2]!;
          d ^= table[from + 3]!;
        }
        sum = [a, b, c, d];
      }
    }
    return sum;
  };
}

/** A copy, padded with zeros to whole blocks. */
function inBlocks(bytes: Uint8Array): Uint8Array {
  const blocks = new Uint8Array((bytes.length + BLOCK - 1) & -BLOCK);
  blocks.set(bytes);
  return blocks;
}

/** Plain JavaScript by @noble/ciphers: synchronous, and available on plain-http pages, where `crypto.subtle` is missing. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc(key) {
    const forward = unsafe.expandKeyLE(key);
    const backward = unsafe.expandKeyDecLE(key);
    return {
      seal(plaintext) {
        const bytes = pad(randomBytes(BLOCK), plaintext);
        const view = viewOf(bytes);
        // Noble's words are little-endian on any machine, and views need not be aligned.
        const word = (at: number): number => view.getUint32(at, true) ^ view.getUint32(at - BLOCK, true);
        for (let at = BLOCK; at < bytes.length; at += BLOCK) {
          const { s0, s1, s2, s3 } = unsafe.encrypt(forward, word(at), word(at + 4), word(at + 8), word(at + 12));
          view.setUint32(at, s0, true);
          view.setUint32(at + 4, s1, true);
          view.setUint32(at + 8, s2, true);
          view.setUint32(at + 12, s3, true);
        }
        return bytes;
      },
      open(payload) {
        const from = viewOf(payload);
        const plain = new Uint8Array(payload.length - BLOCK);
        const to = viewOf(plain);
        const word = (at: number): number => from.getUint32(at, true);
        for (let at = 0; at < plain.length; at += BLOCK) {
          const { s0, s1, s2, s3 } = unsafe.decrypt(backward, word(at + 16), word(at + 20), word(at + 24), word(at + 28));
          to.setUint32(at, s0 ^ word(at), true);
          to.setUint32(at + 4, s1 ^ word(at + 4), true);
          to.setUint32(at + 8, s2 ^ word(at + 8), true);
          to.setUint32(at + 12, s3 ^ word(at + 12), true);
        }
        return unpad(plain);
      },
    };
  },
  gcm(key) {
    const schedule = unsafe.expandKeyLE(key);
    const counter = new Uint8Array(BLOCK);
    const next = viewOf(counter);
    const count = (at: number): number => next.getUint32(at, true);
    /** XORs a padded copy of `bytes` with the key stream, which continues where it was. Whole blocks, so that a partial last one is no special case. */
    const stream = (bytes: Uint8Array): Uint8Array => {
      const blocks = inBlocks(bytes);
      const to = viewOf(blocks);
      const word = (at: number): number => to.getUint32(at, true);
      for (let at = 0; at < blocks.length; at += BLOCK) {
        const { s0, s1, s2, s3 } = unsafe.encrypt(schedule, count(0), count(4), count(8), count(12));
        to.setUint32(at, s0 ^ word(at), true);
        to.setUint32(at + 4, s1 ^ word(at + 4), true);
        to.setUint32(at + 8, s2 ^ word(at + 8), true);
        to.setUint32(at + 12, s3 ^ word(at + 12), true);
        next.setUint32(NONCE, next.getUint32(NONCE) + 1);
      }
      return blocks.subarray(0, bytes.length);
    };
    /** Starts the key stream of a nonce and returns its first block, which masks the tag. */
    const start = (nonce: Uint8Array): Uint8Array => {
      // A shorter nonce would be completed with bytes of the one before, and might so be used twice.
      if (nonce.length !== NONCE) throw new RangeError('bad nonce');
      counter.set(nonce);
      counter.set([0, 0, 0, 1], NONCE);
      return stream(new Uint8Array(BLOCK));
    };
    const hash = hashUnder(stream(new Uint8Array(BLOCK)));
    /** Turns a mask into the tag over the ciphertext and the additional authenticated data. */
    const tagOf = (mask: Uint8Array, data: Uint8Array, ciphertext: Uint8Array): Uint8Array => {
      const lengths = new Uint8Array(BLOCK);
      viewOf(lengths).setBigUint64(0, BigInt(data.length * 8));
      viewOf(lengths).setBigUint64(8, BigInt(ciphertext.length * 8));
      const words = viewOf(mask);
      hash(data, ciphertext, lengths).forEach((word, i) => words.setInt32(4 * i, words.getInt32(4 * i) ^ word));
      return mask;
    };
    return {
      seal(nonce, data, plaintext) {
        const mask = start(nonce);
        const ciphertext = stream(plaintext);
        return join(ciphertext, tagOf(mask, data, ciphertext));
      },
      open(nonce, data, sealed) {
        const end = sealed.length - BLOCK;
        const tag = tagOf(start(nonce), data, sealed.subarray(0, end));
        let wrong = end < 0 ? 1 : 0;
        for (let i = 0; i < BLOCK; i++) wrong |= tag[i]! ^ sealed[end + i]!;
        // Decrypt only what is known to be authentic.
        if (wrong) throw new RangeError('bad tag');
        return stream(sealed.subarray(0, end));
      },
    };
  },
};
