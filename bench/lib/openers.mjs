// AES-CBC by other libraries, for comparison: `opener(key)` gives `open(payload)`, where a payload is the IV and the ciphertext.
import { unsafe } from '@noble/ciphers/aes.js';
import CryptoJS from 'crypto-js';

/** One call into WebCrypto for each message. */
export async function webCrypto(key) {
  const imported = await crypto.subtle.importKey('raw', key, 'AES-CBC', false, ['decrypt']);
  return async (payload) =>
    new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-CBC', iv: payload.subarray(0, 16) }, imported, payload.subarray(16)));
}

/** The inner loop of @noble/ciphers, with one key schedule for all messages. */
export function nobleKept(key) {
  const schedule = unsafe.expandKeyDecLE(key);
  return (payload) => {
    const words = new Uint32Array(payload.slice().buffer);
    const out = new Uint32Array(words.length - 4);
    for (let i = 0; i < out.length; i += 4) {
      const { s0, s1, s2, s3 } = unsafe.decrypt(schedule, words[i + 4], words[i + 5], words[i + 6], words[i + 7]);
      out[i] = s0 ^ words[i];
      out[i + 1] = s1 ^ words[i + 1];
      out[i + 2] = s2 ^ words[i + 2];
      out[i + 3] = s3 ^ words[i + 3];
    }
    const plain = new Uint8Array(out.buffer);
    return plain.subarray(0, plain.length - plain[plain.length - 1]);
  };
}

/** crypto-js, as the abandoned client used it. */
export function cryptoJs(key) {
  const words = (bytes) => CryptoJS.lib.WordArray.create(bytes);
  const secret = words(key);
  return (payload) => {
    const ciphertext = words(payload.subarray(16));
    const { words: plain, sigBytes } = CryptoJS.AES.decrypt({ ciphertext }, secret, { iv: words(payload.subarray(0, 16)) });
    const bytes = new Uint8Array(sigBytes);
    for (let i = 0; i < sigBytes; i++) bytes[i] = plain[i >>> 2] >>> (24 - (i % 4) * 8);
    return bytes;
  };
}
