import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { CryptoEngine } from '../core/index.js';

const TAG = 16;

/** AES by `node:crypto`: synchronous at every size, so that messages need no promises. */
export const nodeEngine: CryptoEngine = {
  name: 'node',
  cbc(key) {
    const name = `aes-${key.length * 8}-cbc`;
    return {
      encrypt(iv, plaintext) {
        const cipher = createCipheriv(name, key, iv);
        return join(cipher.update(plaintext), cipher.final());
      },
      decrypt(iv, ciphertext) {
        const decipher = createDecipheriv(name, key, iv);
        return join(decipher.update(ciphertext), decipher.final());
      },
    };
  },
  gcm(key) {
    const name = `aes-${key.length * 8}-gcm` as 'aes-256-gcm';
    return {
      encrypt(nonce, data, plaintext) {
        const cipher = createCipheriv(name, key, nonce);
        cipher.setAAD(data);
        const body = cipher.update(plaintext);
        return join(body, cipher.final(), cipher.getAuthTag());
      },
      decrypt(nonce, data, ciphertext) {
        const end = ciphertext.length - TAG;
        const decipher = createDecipheriv(name, key, nonce, { authTagLength: TAG });
        decipher.setAAD(data);
        decipher.setAuthTag(ciphertext.subarray(end));
        return join(decipher.update(ciphertext.subarray(0, end)), decipher.final());
      },
    };
  },
};

/** The parts in one piece of their own, as plain bytes: a pooled Buffer shares its memory with strangers. */
function join(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
