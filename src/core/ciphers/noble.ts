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
    this.finished = false;
    this.update(data).update(ciphertext).update(block).digestInto(block);
    for (let i = 0; i < BLOCK; i++) tag[i]! ^= block[i]!;
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
        for (let at = BLOCK; at < bytes.length; at += BLOCK) {
          for (let i = at; i < at + BLOCK; i++) bytes[i]! ^= bytes[i - BLOCK]!;
          unsafe.encryptBlock(forward, bytes.subarray(at, at + BLOCK));
        }
        return bytes;
      },
      open(payload) {
        const from = viewOf(payload);
        const plain = new Uint8Array(payload.length - BLOCK);
        const to = viewOf(plain);
        // What noble computes with is little-endian on any machine; and views need not be aligned.
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
    /** Combines `bytes`, which are aligned, with the key stream, from where it was. */
    const stream = (bytes: Uint8Array): Uint8Array => unsafe.ctr32(schedule, false, counter, bytes, bytes);
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
        const ciphertext = stream(new Uint8Array(plaintext));
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
        return stream(new Uint8Array(sealed.subarray(0, end)));
      },
    };
  },
};
