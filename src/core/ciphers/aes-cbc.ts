import { PubkeeperError } from '../errors.js';
import { encodeFrame, FRAME_HEADER } from '../frame.js';
import { randomBytes } from '../host.js';
import { toHex } from '../id.js';
import type { Opener, Sealer } from './cipher.js';
import type { CryptoEngine } from './engine.js';

// Mode 2, AES-CBC (protocol, section 3): a random IV of 16 bytes, then the PKCS#7-padded ciphertext. It hides what is
// said but does not show that somebody changed it: for that there is sealed mode.

const BLOCK = 16;

export function cbcOpener(engine: CryptoEngine, key: Uint8Array): Opener {
  const aes = engine.cbc(key);
  return {
    cipher: 'aes-cbc',
    open(frame) {
      const length = frame.length - FRAME_HEADER;
      if (length < 2 * BLOCK || length % BLOCK) throw cannotOpen();
      return aes.decrypt(frame.subarray(FRAME_HEADER, FRAME_HEADER + BLOCK), frame.subarray(FRAME_HEADER + BLOCK));
    },
  };
}

export function cbcSealer(engine: CryptoEngine, identity: Uint8Array, key = randomBytes(16)): Sealer {
  const aes = engine.cbc(key);
  return {
    cipher: 'aes-cbc',
    config: { mode: 2, key: toHex(key) },
    seal(message) {
      const iv = randomBytes(BLOCK);
      const frame = (ciphertext: Uint8Array) => {
        const payload = new Uint8Array(BLOCK + ciphertext.length);
        payload.set(iv);
        payload.set(ciphertext, BLOCK);
        return encodeFrame(identity, payload);
      };
      const ciphertext = aes.encrypt(iv, message);
      return ciphertext instanceof Uint8Array ? frame(ciphertext) : ciphertext.then(frame);
    },
  };
}

/** All failures look alike. */
export const cannotOpen = (): PubkeeperError =>
  new PubkeeperError('DECRYPT_FAILED', 'This frame cannot be opened with the key its brewer announced.');
