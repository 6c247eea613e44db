import { _SHA256 } from '@noble/hashes/sha2.js';

/** SHA-256 by @noble/hashes, which is synchronous, and there on plain-http pages: `crypto.subtle` is neither. 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const digest = new Uint8Array(32);
  new _SHA256().update(bytes).digestInto(digest);
  return digest;
}
