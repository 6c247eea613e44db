import type { CryptoEngine } from './engine.js';

// Node gets this instead of `noble.ts` (package.json, `imports`), which takes a while to load. In Node `platform/` passes an engine by
// `node:crypto`, so plain JavaScript is needed only if the core is used by itself.

/** A copy of `bytes`. Throws for anything else, which would otherwise become zeros. */
function copyOf(bytes: Uint8Array): Uint8Array {
  if ((bytes as unknown) instanceof Uint8Array) return Uint8Array.from(bytes);
  throw new TypeError('expected Uint8Array');
}

/** Calls a key once it is loaded, with copies of the inputs as they are now. */
function whenLoaded<Key>(make: (engine: CryptoEngine) => Key) {
  let ready: Key | undefined;
  const loading = import('./noble.js').then(({ nobleEngine: engine }) => (ready = make(engine)));
  loading.catch(() => undefined); // reported by the call that needs the key, not as an unhandled rejection
  return (run: (key: Key, ...inputs: Uint8Array[]) => Uint8Array | Promise<Uint8Array>, ...inputs: Uint8Array[]) => {
    if (ready) return run(ready, ...inputs);
    const copies = inputs.map(copyOf);
    return loading.then((key) => run(key, ...copies));
  };
}

/** Like `nobleEngine` of `noble.ts`, which is loaded with the first key. Until then calls wait. */
export const nobleEngine: CryptoEngine = {
  name: 'noble',
  cbc(key) {
    const own = copyOf(key);
    const call = whenLoaded((engine) => engine.cbc(own));
    return {
      seal: (plaintext) => call((aes, bytes) => aes.seal(bytes!), plaintext),
      open: (payload) => call((aes, bytes) => aes.open(bytes!), payload),
    };
  },
  gcm(key) {
    const own = copyOf(key);
    const call = whenLoaded((engine) => engine.gcm(own));
    return {
      seal: (...inputs) => call((aes, nonce, data, bytes) => aes.seal(nonce!, data!, bytes!), ...inputs),
      open: (...inputs) => call((aes, nonce, data, bytes) => aes.open(nonce!, data!, bytes!), ...inputs),
    };
  },
};
