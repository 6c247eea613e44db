import { cbc, gcm } from '@noble/ciphers/aes.js';
import type { CryptoEngine } from './engine.js';

/** Plain JavaScript by @noble/ciphers: synchronous, and there on plain-http pages, where `crypto.subtle` is not. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc: (key) => ({
    encrypt: (iv, plaintext) => cbc(key, iv).encrypt(plaintext),
    decrypt: (iv, ciphertext) => cbc(key, iv).decrypt(ciphertext),
  }),
  gcm: (key) => ({
    encrypt: (nonce, data, plaintext) => gcm(key, nonce, data).encrypt(plaintext),
    decrypt: (nonce, data, ciphertext) => gcm(key, nonce, data).decrypt(ciphertext),
  }),
};
