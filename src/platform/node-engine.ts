import { createCipheriv, createDecipheriv, createSecretKey, randomFillSync } from 'node:crypto';
import { BLOCK, type CryptoEngine, divide, join, pad, payloadsOf, unpad } from '../core/ciphers/engine.js';

const TAG = 16;
const TAGGED = { authTagLength: TAG };
const ZERO_IV = Buffer.alloc(BLOCK);

/** The size of the random pool, in bytes, enough for 256 messages: a call for random bytes costs more than the bytes. */
const POOL = 256 * BLOCK;

/**
 * AES by `node:crypto`: synchronous at every size, so that messages need no promises.
 *
 * For CBC one cipher and one decipher are kept per key, since making one costs more than a short message. CBC chains
 * from block to block: a decipher that is fed the next IV as if it were ciphertext gives one block of garbage, and then
 * that message's plaintext. Likewise a cipher that is fed a random block puts out what serves as a random IV.
 */
export const nodeEngine: CryptoEngine = {
  name: 'node',
  cbc(key) {
    const name = `aes-${key.length * 8}-cbc`;
    const cipher = createCipheriv(name, key, ZERO_IV).setAutoPadding(false);
    const decipher = createDecipheriv(name, key, ZERO_IV).setAutoPadding(false);
    const pool = Buffer.allocUnsafeSlow(POOL);
    let used = POOL;
    return {
      seal(plaintext) {
        if (used === POOL) {
          randomFillSync(pool);
          used = 0;
        }
        return bytesOf(cipher.update(pad(pool.subarray(used, (used += BLOCK)), plaintext)));
      },
      open: (payload) => unpad(bytesOf(decipher.update(payload)), BLOCK),
      openAll: (frames, skip) => divide(bytesOf(decipher.update(payloadsOf(frames, skip))).subarray(BLOCK), frames, skip),
    };
  },
  gcm(key) {
    const name = `aes-${key.length * 8}-gcm` as 'aes-256-gcm';
    // Given as bytes, the key would be prepared anew for each message, which takes a third of the time of a short message.
    const secret = createSecretKey(key);
    const cipherFor = ahead((nonce) => createCipheriv(name, secret, nonce, TAGGED));
    const decipherFor = ahead((nonce) => createDecipheriv(name, secret, nonce, TAGGED));
    return {
      seal(nonce, data, plaintext) {
        const cipher = cipherFor(nonce);
        cipher.setAAD(data);
        const body = cipher.update(plaintext);
        cipher.final();
        return join(body, cipher.getAuthTag());
      },
      open(nonce, data, sealed) {
        const end = sealed.length - TAG;
        const decipher = decipherFor(nonce);
        decipher.setAAD(data);
        decipher.setAuthTag(sealed.subarray(end));
        const body = decipher.update(sealed.subarray(0, end));
        decipher.final();
        return bytesOf(body);
      },
    };
  },
};

/**
 * Makes ciphers by nonce. While nonces count up one by one, the next one's cipher is made ahead, when there is nothing else to do:
 * making it takes two thirds of the time of a short message. Each cipher is given out once.
 */
function ahead<Cipher>(make: (nonce: Uint8Array) => Cipher): (nonce: Uint8Array) => Cipher {
  let next = Buffer.alloc(0);
  let made: Cipher | undefined;
  let isDue = false;
  const prepare = (): void => {
    isDue = false;
    made ??= make(next);
  };
  return (nonce) => {
    const isNext = next.equals(nonce);
    const cipher = (isNext && made) || make(nonce);
    made = undefined;
    if (next.length !== nonce.length) next = Buffer.alloc(nonce.length);
    next.set(nonce);
    increment(next);
    if (isNext && !isDue) {
      isDue = true;
      setImmediate(prepare);
    }
    return cipher;
  };
}

/** Adds one to a nonce, which is a big-endian number. */
function increment(nonce: Uint8Array): void {
  let at = nonce.length;
  do nonce[--at]!++;
  while (at && !nonce[at]);
}

/** The bytes of a Buffer as a plain Uint8Array: a Buffer behaves differently from what browsers give. */
const bytesOf = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length);
