import { randomBytes } from '../host.js';
import { BLOCK, bursts, type CryptoEngine, divide, join } from './engine.js';

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
    const imported = api.importKey('raw', key, name, false, ['encrypt', 'decrypt']);
    let ready: SubtleKey | undefined;
    imported.then(
      (handle) => (ready = handle),
      () => undefined, // reported by the call that needs the key, not by itself
    );
    return (use: 'encrypt' | 'decrypt', algorithm: object, data: Uint8Array): Promise<Uint8Array> => {
      const run = (handle: SubtleKey, input: Uint8Array) => api[use]({ name, ...algorithm }, handle, input).then(asBytes);
      if (ready) return run(ready, data);
      const copy = data.slice(); // the call copies its input, but it happens later than our return
      return imported.then((handle) => run(handle, copy));
    };
  };
  return {
    name: 'webcrypto',
    cbc(key) {
      const run = prepare(key, 'AES-CBC');
      const open = (payload: Uint8Array) =>
        run('decrypt', { iv: payload.slice(0, BLOCK) }, payload.subarray(BLOCK)).then((plain) => {
          // WebKitGTK gives back whole blocks where their padding is none.
          if (plain.length + BLOCK < payload.length) return plain;
          throw new RangeError('bad padding');
        });
      return {
        seal(plaintext) {
          const iv = randomBytes(BLOCK);
          return run('encrypt', { iv }, plaintext).then((ciphertext) => join(iv, ciphertext));
        },
        open,
        openAll: (payloads) => Promise.all(bursts(payloads).map((burst) => openBurst(burst, open))).then((all) => all.flat()),
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

/**
 * Opens payloads in one call. The engine checks and removes the padding of the last payload itself. Where that one is bad
 * the call is refused whole, and every payload is tried by itself.
 */
async function openBurst(
  payloads: readonly Uint8Array[],
  open: (payload: Uint8Array) => Promise<Uint8Array>,
): Promise<(Uint8Array | undefined)[]> {
  const each = (payload: Uint8Array) => open(payload).catch(() => undefined);
  if (payloads.length === 1) return [await each(payloads[0]!)];
  const plain = await open(join(...payloads)).catch(() => undefined);
  if (!plain) return Promise.all(payloads.map(each));
  const others = payloads.slice(0, -1);
  const start = others.reduce((sum, { length }) => sum + length, 0);
  return [...divide(plain, others), plain.subarray(start)];
}

const asBytes = (buffer: ArrayBuffer): Uint8Array => new Uint8Array(buffer);
