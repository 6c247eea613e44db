import { _SHA256 } from '@noble/hashes/sha2.js';
import { viewOf } from './ciphers/engine.js';

/** SHA-256 of @noble/hashes, with our own padding: input here is short and in one piece, so noble's buffering is not needed. */
class Sha256 extends _SHA256 {
  digestOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    // FIPS 180-4, section 5.1.1: a one, zeros, and the length in bits, up to whole blocks of 64 bytes.
    const blocks = new Uint8Array((bytes.length + 72) & ~63);
    const view = viewOf(blocks);
    blocks.set(bytes);
    blocks[bytes.length] = 0x80;
    view.setUint32(blocks.length - 4, bytes.length * 8);
    for (let at = 0; at < blocks.length; at += 64) this.process(view, at);
    const digest = new Uint8Array(32);
    this.get().forEach((word, i) => viewOf(digest).setInt32(4 * i, word));
    return digest;
  }
}

/** SHA-256 by @noble/hashes: synchronous, and available on plain-http pages, unlike `crypto.subtle`. 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Sha256().digestOf(bytes);
