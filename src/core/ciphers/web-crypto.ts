import { randomBytes } from '../host.js';
import { BLOCK, type CryptoEngine, divide, join, payloadsOf } from './engine.js';

// The little of WebCrypto that is used here; declared by us, since the core has no DOM types.
interface SubtleKey {
  readonly type: string;
}
interface Subtle {
  importKey(format: 'raw', key: Uint8Array, name: string, extractable: false, uses: string[]): Promise<SubtleKey>;
  encrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
  decrypt(algorithm: object, key: SubtleKey, data: Uint8Array): Promise<ArrayBuffer>;
}

/** `crypto.subtle`, where this page or process has it: secure contexts and Node do, plain-http pages do not. */
export const subtle = (): Subtle | undefined => (globalThis as { readonly crypto?: { readonly subtle?: Subtle } }).crypto?.subtle;

/**
 * WebCrypto: asynchronous. A call costs 7 to 100 µs, by browser, however little there is to do. Chromium knows no 24-byte keys; the
 * first call with one rejects there, so `defaultEngine` keeps those to the other engine.
 */
export function webCryptoEngine(api: Subtle): CryptoEngine {
  const prepare = (key: Uint8Array, name: string) => {
    const imported = api.importKey('raw', key, name, false, ['encrypt', 'decrypt']);
    let ready: SubtleKey | undefined;
    imported.then(
      (handle) => (ready = handle),
      () => undefined, // reported by the call that needs the key, not by itself
    );
    // `done` is called in the same `then`: each one is a turn of the queue of promises, which costs Firefox microseconds.
    return <T = Uint8Array>(
      use: 'encrypt' | 'decrypt',
      algorithm: object,
      data: Uint8Array,
      done = (bytes: Uint8Array): T => bytes as T,
    ): Promise<T> => {
      const run = (handle: SubtleKey, input: Uint8Array) =>
        api[use]({ name, ...algorithm }, handle, input).then((buffer) => done(new Uint8Array(buffer)));
      if (ready) return run(ready, data);
      const copy = data.slice(); // the call copies its input, but it happens later than our return
      return imported.then((handle) => run(handle, copy));
    };
  };
  return {
    name: 'webcrypto',
    cbc(key) {
      const run = prepare(key, 'AES-CBC');
      const open = <T = Uint8Array>(payload: Uint8Array, done = (plain: Uint8Array): T => plain as T) =>
        run('decrypt', { iv: payload.slice(0, BLOCK) }, payload.subarray(BLOCK), (plain) => {
          // WebKitGTK gives back whole blocks where their padding is none.
          if (plain.length + BLOCK < payload.length) return done(plain);
          throw new RangeError('bad padding');
        });
      /**
       * Opens the payloads of frames in one call. The engine checks and removes the padding of the last payload itself. Where that
       * one is bad the call is refused whole, and every payload is tried by itself.
       */
      const openAll = (frames: readonly Uint8Array[], skip: number): Promise<(Uint8Array | undefined)[]> =>
        open(payloadsOf(frames, skip), (plain) => divide(plain, frames, skip)).catch(() =>
          Promise.all(frames.map((frame) => open(frame.subarray(skip)).catch(() => undefined))),
        );
      return {
        seal(plaintext) {
          const iv = randomBytes(BLOCK);
          return run('encrypt', { iv }, plaintext, (ciphertext) => join(iv, ciphertext));
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
