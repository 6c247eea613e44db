import { GHASH } from '@noble/ciphers/_polyval.js';
import { unsafe } from '@noble/ciphers/aes.js';
import { randomBytes } from '../host.js';
import { BLOCK, type CryptoEngine, join, pad, unpad, viewOf } from './engine.js';

// AES and GHASH are those of @noble/ciphers. Its `cbc` and `gcm` make the key schedule and the tables of GHASH anew for each
// message, which takes longer than a short message does. Here they are kept for each key, so the modes around them are ours.

/** The length of a nonce, in bytes. */
const NONCE = 12;

/** GHASH whose tables are kept from message to message. */
class KeptHash extends GHASH {
  /** Makes `tag`, which holds its mask, the tag of what was encrypted and what was authenticated besides. */
  apply(tag: Uint8Array, data: Uint8Array, ciphertext: Uint8Array): void {
    const block = new Uint8Array(BLOCK);
    const lengths = viewOf(block);
    lengths.setBigUint64(0, BigInt(data.length * 8));
    lengths.setBigUint64(8, BigInt(ciphertext.length * 8));
    this.s0 = this.s1 = this.s2 = this.s3 = 0;
    this.update(data).update(ciphertext).update(block);
    const mask = viewOf(tag);
    [this.s0, this.s1, this.s2, this.s3].forEach((word, i) => mask.setUint32(4 * i, mask.getUint32(4 * i, true) ^ word, true));
  }
}

/** Plain JavaScript by @noble/ciphers: synchronous, and there on plain-http pages, where `crypto.subtle` is not. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc(key) {
    const forward = unsafe.expandKeyLE(key);
    const backward = unsafe.expandKeyDecLE(key);
    return {
      seal(plaintext) {
        const bytes = pad(randomBytes(BLOCK), plaintext);
        const view = viewOf(bytes);
        // What noble computes with is little-endian on any machine; and views need not be aligned.
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
    /** Combines a copy of `bytes` with the key stream, from where it was. In whole blocks: a last part of one needs no way of its own then. */
    const stream = (bytes: Uint8Array): Uint8Array => {
      const blocks = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK);
      blocks.set(bytes);
      return unsafe.ctr32(schedule, false, counter, blocks, blocks).subarray(0, bytes.length);
    };
    /** The first block of a nonce's key stream, which masks the tag. */
    const start = (nonce: Uint8Array): Uint8Array => {
      // A shorter one would be as good as another nonce.
      if (nonce.length !== NONCE) throw new RangeError('bad nonce');
      counter.set(nonce);
      counter.set([0, 0, 0, 1], NONCE);
      return stream(new Uint8Array(BLOCK));
    };
    // For as many bytes its tables take 24 KiB, and half the time that small ones take.
    const hash = new KeptHash(stream(new Uint8Array(BLOCK)), 2048);
    return {
      seal(nonce, data, plaintext) {
        const tag = start(nonce);
        const ciphertext = stream(plaintext);
        hash.apply(tag, data, ciphertext);
        return join(ciphertext, tag);
      },
      open(nonce, data, sealed) {
        const end = sealed.length - BLOCK;
        const tag = start(nonce);
        hash.apply(tag, data, sealed.subarray(0, end));
        let wrong = end < 0 ? 1 : 0;
        for (let i = 0; i < BLOCK; i++) wrong |= tag[i]! ^ sealed[end + i]!;
        // Nothing is decrypted before it is known to be authentic.
        if (wrong) throw new RangeError('bad tag');
        return stream(sealed.subarray(0, end));
      },
    };
  },
};
