import { cbc, gcm } from '@noble/ciphers/aes.js';
import { randomBytes } from '../host.js';
import { BLOCK, type CryptoEngine, join } from './engine.js';

/** Plain JavaScript by @noble/ciphers: synchronous, and there on plain-http pages, where `crypto.subtle` is not. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc: (key) => ({
    seal(plaintext) {
      const iv = randomBytes(BLOCK);
      return join(iv, cbc(key, iv).encrypt(plaintext));
    },
    open: (payload) => cbc(key, payload.subarray(0, BLOCK)).decrypt(payload.subarray(BLOCK)),
  }),
  gcm: (key) => ({
    seal: (nonce, data, plaintext) => gcm(key, nonce, data).encrypt(plaintext),
    open: (nonce, data, sealed) => gcm(key, nonce, data).decrypt(sealed),
  }),
};
