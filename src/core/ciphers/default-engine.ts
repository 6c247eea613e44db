import type { CryptoEngine } from './engine.js';
import { nobleEngine } from './noble.js';
import { subtle, webCryptoEngine } from './web-crypto.js';

/** From this many bytes on, a call into WebCrypto costs less than plain JavaScript (see bench/). */
const WEB_CRYPTO_FROM = 1024;

/**
 * The engine for a page: WebCrypto for large payloads where `crypto.subtle` exists, plain JavaScript for small ones
 * and where it does not. Looked at when it is called, never at import.
 */
export function defaultEngine(): CryptoEngine {
  const api = subtle();
  if (!api) return nobleEngine;
  const web = webCryptoEngine(api);
  return {
    name: 'webcrypto+noble',
    cbc(key) {
      const pick = bySize(key, nobleEngine.cbc(key), () => web.cbc(key));
      return {
        encrypt: (iv, plaintext) => pick(plaintext).encrypt(iv, plaintext),
        decrypt: (iv, ciphertext) => pick(ciphertext).decrypt(iv, ciphertext),
      };
    },
    gcm(key) {
      const pick = bySize(key, nobleEngine.gcm(key), () => web.gcm(key));
      return {
        encrypt: (nonce, data, plaintext) => pick(plaintext).encrypt(nonce, data, plaintext),
        decrypt: (nonce, data, sealed) => pick(sealed).decrypt(nonce, data, sealed),
      };
    },
  };
}

function bySize<Key>(raw: Uint8Array, small: Key, makeLarge: () => Key): (data: Uint8Array) => Key {
  // Chromium's WebCrypto has no 192-bit keys.
  if (raw.length === 24) return () => small;
  let large: Key | undefined;
  return (data) => (data.length < WEB_CRYPTO_FROM ? small : (large ??= makeLarge()));
}
