import type { CryptoEngine } from './engine.js';
import { nobleEngine } from './noble.js';
import { subtle, webCryptoEngine } from './web-crypto.js';

/** From this many bytes on, a call into WebCrypto costs less than plain JavaScript (see bench/). */
const WEB_CRYPTO_FROM = 1024;

/**
 * The engine for a page: WebCrypto for large payloads and for bursts where `crypto.subtle` exists, plain JavaScript for
 * small ones and where it does not. Looked at when it is called, never at import.
 */
export function defaultEngine(): CryptoEngine {
  const api = subtle();
  if (!api) return nobleEngine;
  const web = webCryptoEngine(api);
  return {
    name: 'webcrypto+noble',
    cbc(key) {
      const small = nobleEngine.cbc(key);
      // Chromium's WebCrypto has no 192-bit keys.
      if (key.length === 24) return small;
      const large = web.cbc(key);
      return {
        seal: (plaintext) => pick(plaintext, small, large).seal(plaintext),
        open: (payload) => pick(payload, small, large).open(payload),
        openAll: large.openAll!,
      };
    },
    gcm(key) {
      const small = nobleEngine.gcm(key);
      const large = web.gcm(key);
      return {
        seal: (nonce, data, plaintext) => pick(plaintext, small, large).seal(nonce, data, plaintext),
        open: (nonce, data, sealed) => pick(sealed, small, large).open(nonce, data, sealed),
      };
    },
  };
}

const pick = <Key>(data: Uint8Array, small: Key, large: Key): Key => (data.length < WEB_CRYPTO_FROM ? small : large);
