import { encodeFrame, FRAME_HEADER } from '../frame.js';
import { randomBytes } from '../host.js';
import { toHex } from '../id.js';
import type { Opener, Sealer } from './cipher.js';
import { BLOCK, type CryptoEngine, mapped } from './engine.js';

// Mode 2, AES-CBC (protocol, section 3): a random IV of 16 bytes, then the PKCS#7-padded ciphertext. It provides
// confidentiality but no integrity: sealed mode does both.

export function cbcOpener(engine: CryptoEngine, key: Uint8Array): Opener {
  const aes = engine.cbc(key);
  return {
    cipher: 'aes-cbc',
    isWhole({ length }) {
      return length >= FRAME_HEADER + 2 * BLOCK && (length - FRAME_HEADER) % BLOCK === 0;
    },
    open: (frame) => aes.open(frame.subarray(FRAME_HEADER)),
    openAll: aes.openAll && ((frames) => aes.openAll!(frames, FRAME_HEADER)),
  };
}

export function cbcSealer(engine: CryptoEngine, identity: Uint8Array, key = randomBytes(16)): Sealer {
  const aes = engine.cbc(key);
  return {
    cipher: 'aes-cbc',
    config: { mode: 2, key: toHex(key) },
    seal: (message) => mapped(aes.seal(message), (payload) => encodeFrame(identity, payload)),
  };
}
