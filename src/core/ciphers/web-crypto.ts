import type { CryptoEngine } from './engine.js';

// The little of WebCrypto that is used here; declared by us, since the core has no DOM types.
interface SubtleKey {
  readonly type: string;
}
interface Subtle {
  importKey(format: 'raw', key: Uint8Array, name: string, extractable: false, uses: string[]): Promise<SubtleKey>;
  encrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
  decrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
}
declare const crypto: { readonly subtle?: Subtle } | undefined;

/** `crypto.subtle`, where this page or process has it: secure contexts and Node do, plain-http pages do not. */
export const subtle = (): Subtle | undefined => (typeof crypto === 'object' ? crypto.subtle : undefined);

/**
 * WebCrypto: asynchronous, a few microseconds a call whatever the size. Chromium knows no 24-byte keys; the first call
 * with one rejects there, so `defaultEngine` keeps those to the other engine.
 */
export function webCryptoEngine(api: Subtle): CryptoEngine {
  const prepare = (key: Uint8Array, name: string) => {
    // The caller may overwrite its key once this returns; importKey has copied it by then.
    const imported = api.importKey('raw', key, name, false, ['encrypt', 'decrypt']);
    imported.catch(() => undefined); // reported by the call that needs the key, not by itself
    let ready: SubtleKey | undefined;
    void imported.then(
      (handle) => (ready = handle),
      () => undefined,
    );
    return (use: 'encrypt' | 'decrypt', algorithm: object, data: Uint8Array): Promise<Uint8Array> => {
      if (ready) return api[use]({ name, ...algorithm }, ready, data).then(asBytes);
      const copy = data.slice(); // the call copies its input, but it happens later than our return
      return imported.then((handle) => api[use]({ name, ...algorithm }, handle, copy)).then(asBytes);
    };
  };
  return {
    name: 'webcrypto',
    cbc(key) {
      const run = prepare(key, 'AES-CBC');
      return {
        encrypt: (iv, plaintext) => run('encrypt', { iv: iv.slice() }, plaintext),
        decrypt: (iv, ciphertext) => run('decrypt', { iv: iv.slice() }, ciphertext),
      };
    },
    gcm(key) {
      const run = prepare(key, 'AES-GCM');
      return {
        encrypt: (iv, data, plaintext) => run('encrypt', { iv: iv.slice(), additionalData: data.slice() }, plaintext),
        decrypt: (iv, data, sealed) => run('decrypt', { iv: iv.slice(), additionalData: data.slice() }, sealed),
      };
    },
  };
}

const asBytes = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer);
