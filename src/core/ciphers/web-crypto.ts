import { randomBytes } from '../host.js';
import { BLOCK, type CryptoEngine, divide, join, payloadsOf } from './engine.js';

// The part of WebCrypto that is used here; declared here, since the core has no DOM types.
interface SubtleKey {
  readonly type: string;
}
interface Subtle {
  importKey(format: 'raw', key: Uint8Array, name: string, extractable: false, uses: string[]): Promise<SubtleKey>;
  encrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
  decrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
}

/** `crypto.subtle` if there is one: in secure contexts and Node, but not on plain-http pages. */
export const subtle = (): Subtle | undefined => (globalThis as { readonly crypto?: { readonly subtle?: Subtle } }).crypto?.subtle;

/**
 * WebCrypto: asynchronous. A call costs 7 to 100 µs, depending on the browser, even for a few bytes. Chromium does not support 24-byte
 * keys: the first call with one rejects, so `defaultEngine` uses plain JavaScript for those.
 */
export function webCryptoEngine(api: Subtle): CryptoEngine {
  const prepare = (key: Uint8Array, name: string) => {
    const imported = api.importKey('raw', key, name, false, ['encrypt', 'decrypt']);
    let ready: SubtleKey | undefined;
    imported.then(
      (handle) => (ready = handle),
      () => undefined, // reported by the call that needs the key, not by itself
    );
    // `done` is called in the same `then`: another one would be one more microtask, which costs microseconds in Firefox.
    return <T = Uint8Array>(
      use: 'encrypt' | 'decrypt',
      algorithm: object,
      data: Uint8Array,
      done = (bytes: Uint8Array): T => bytes as T,
    ): Promise<T> => {
      const run = (handle: SubtleKey, input: Uint8Array) =>
        api[use]({ name, ...algorithm }, handle, input).then((buffer) => done(new Uint8Array(buffer)));
      if (ready) return run(ready, data);
      const copy = data.slice(); // the call copies its input, but only after we have returned
      return imported.then((handle) => run(handle, copy));
    };
  };
  return {
    name: 'webcrypto',
    cbc(key) {
      const run = prepare(key, 'AES-CBC');
      const open = <T = Uint8Array>(payload: Uint8Array, done = (plain: Uint8Array): T => plain as T) =>
        run('decrypt', { iv: payload.slice(0, BLOCK) }, payload.subarray(BLOCK), (plain) => {
          // If the padding is invalid, WebKitGTK returns whole blocks instead of failing.
          if (plain.length + BLOCK < payload.length) return done(plain);
          throw new RangeError('bad padding');
        });
      /**
       * Decrypts the payloads of frames in one call. The engine checks and removes the padding of the last payload. If that padding
       * is bad the whole call fails, and each payload is tried by itself.
       */
      const openAll = (frames: readonly Uint8Array[], skip: number): Promise<(Uint8Array | undefined)[]> =>
        open(payloadsOf(frames, skip), (plain) => divide(plain, frames, skip)).catch(() =>
          Promise.all(frames.map((frame) => open(frame.subarray(skip)).catch(() => undefined))),
        );
      return {
        seal(plaintext) {
          const iv = randomBytes(BLOCK);
          return run('encrypt', { iv }, plaintext.slice(), (ciphertext) => join(iv, ciphertext));
        },
        open,
        openAll,
      };
    },
    gcm(key) {
      const run = prepare(key, 'AES-GCM');
      return {
        seal: (iv, data, plaintext) => run('encrypt', { iv: iv.slice(), additionalData: data.slice() }, plaintext),
        open: (iv, data, sealed) => run('decrypt', { iv: iv.slice(), additionalData: data.slice() }, sealed),
      };
    },
  };
}
