import { bearsEpoch, blankFrame, FRAME_HEADER, isBundle, sequenceOf } from '../frame.js';
import { randomBytes } from '../host.js';
import { toHex } from '../id.js';
import type { Opener, Sealer } from './cipher.js';
import { type Awaitable, type CryptoEngine, mapped, viewOf } from './engine.js';

// Sealed mode (design, "Sealed mode"): AES-256-GCM over payload and header, with an epoch and a sequence in the header.

/** How much longer what is encrypted is than the text, in bytes. */
export const TAG = 16;

export function gcmOpener(engine: CryptoEngine, key: Uint8Array, epoch: Uint8Array): Opener {
  const aes = engine.gcm(key);
  return {
    cipher: 'aes-gcm',
    isWhole(frame) {
      const { length } = frame;
      // Sequences beyond 2^53 would be inexact and confuse the replay window. A bundle has fewer messages than bytes. Without a sequence the
      // sum is no number, and in no order.
      return length >= FRAME_HEADER + TAG && sequenceOf(frame)! + length <= Number.MAX_SAFE_INTEGER && bearsEpoch(frame, epoch);
    },
    open(frame) {
      const opened = aes.open(nonceOf(sequenceOf(frame)!), frame.subarray(0, FRAME_HEADER), frame.subarray(FRAME_HEADER));
      return isBundle(frame) ? mapped(opened, unbundle) : opened;
    },
  };
}

export function gcmSealer(
  engine: CryptoEngine,
  identity: Uint8Array,
  key = randomBytes(32),
  epoch = randomBytes(8),
): Sealer {
  const aes = engine.gcm(key);
  let next = 0;
  const seal = (plaintext: Uint8Array, bundle: boolean, count: number): Awaitable<Uint8Array<ArrayBuffer>> => {
    const sequence = next;
    next += count;
    const frame = blankFrame(identity, plaintext.length + TAG, { bundle, epoch, sequence });
    return mapped(aes.seal(nonceOf(sequence), frame.subarray(0, FRAME_HEADER), plaintext), (ciphertext) => {
      frame.set(ciphertext, FRAME_HEADER);
      return frame;
    });
  };
  return {
    cipher: 'aes-gcm',
    config: { mode: 'AES-GCM', key: toHex(key), epoch: toHex(epoch) },
    seal: (message) => seal(message, false, 1),
    sealBundle: (bundle, count) => seal(bundle, true, count),
    skip() {
      if (next) next++;
    },
  };
}

/** Four zero bytes and the sequence as a big-endian u64. */
function nonceOf(sequence: number): Uint8Array<ArrayBuffer> {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, sequence / 0x100000000);
  view.setUint32(8, sequence >>> 0);
  return nonce;
}

/** The messages of a bundle, each as a u32 length and its bytes. The bundle is authenticated, so only its brewer can have made it. */
function unbundle(bytes: Uint8Array): Uint8Array[] {
  const view = viewOf(bytes);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + 4;
    const end = start <= bytes.length ? start + view.getUint32(at, true) : Infinity;
    if (end > bytes.length) throw new RangeError('bad bundle');
    messages.push(bytes.subarray(start, end));
    at = end;
  }
  return messages;
}
