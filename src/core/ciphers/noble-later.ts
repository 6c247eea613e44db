import type { CryptoEngine } from './engine.js';

// What Node has in the place of `noble.ts` (package.json, `imports`). That takes a while to load, and in Node `platform/` hands in
// `node:crypto`: only a core that is used by itself has a use for plain JavaScript.

/** What is not bytes must not become zeros on the way. */
function copyOf(bytes: Uint8Array): Uint8Array {
  if ((bytes as unknown) instanceof Uint8Array) return Uint8Array.from(bytes);
  throw new TypeError('expected Uint8Array');
}

/** Calls a key that is being made; what the inputs hold when the call is made counts. */
function whenLoaded<Key>(make: (engine: CryptoEngine) => Key) {
  let ready: Key | undefined;
  const loading = import('./noble.js').then(({ nobleEngine: engine }) => (ready = make(engine)));
  loading.catch(() => undefined); // told by the call that needs it, not by itself
  return (run: (key: Key, ...inputs: Uint8Array[]) => Uint8Array | Promise<Uint8Array>, ...inputs: Uint8Array[]) => {
    if (ready) return run(ready, ...inputs);
    const copies = inputs.map(copyOf);
    return loading.then((key) => run(key, ...copies));
  };
}

/** As `nobleEngine` of `noble.ts`, which is loaded with the first key. Until it is there, calls wait. */
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
