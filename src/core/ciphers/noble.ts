import { cbc, gcm } from '@noble/ciphers/aes.js';
import { randomBytes } from '../host.js';
import { BLOCK, bursts, type CryptoEngine, divide, join } from './engine.js';

/** Plain JavaScript by @noble/ciphers: synchronous, and there on plain-http pages, where `crypto.subtle` is not. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc: (key) => ({
    seal(plaintext) {
      const iv = randomBytes(BLOCK);
      return join(iv, cbc(key, iv).encrypt(plaintext));
    },
    open: (payload) => cbc(key, payload.subarray(0, BLOCK)).decrypt(payload.subarray(BLOCK)),
    // The key is expanded at each call, which takes longer than a short message.
    openAll: (payloads) =>
      bursts(payloads).flatMap((burst) => divide(cbc(key, new Uint8Array(BLOCK), { disablePadding: true }).decrypt(join(...burst)).subarray(BLOCK), burst)),
  }),
  gcm: (key) => ({
    seal: (nonce, data, plaintext) => gcm(key, nonce, data).encrypt(plaintext),
    open: (nonce, data, sealed) => gcm(key, nonce, data).decrypt(sealed),
  }),
};
