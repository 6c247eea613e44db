/** A value, or the promise of one: engines that need not wait do not make anybody wait. */
export type Awaitable<T> = T | Promise<T>;

/** AES-CBC with PKCS#7 padding under one key. */
export interface CbcKey {
  encrypt(iv: Uint8Array, plaintext: Uint8Array): Awaitable<Uint8Array>;
  /** Throws or rejects when the padding is wrong. `ciphertext`: one or more whole blocks. */
  decrypt(iv: Uint8Array, ciphertext: Uint8Array): Awaitable<Uint8Array>;
}

/** AES-GCM with a 16-byte tag behind the ciphertext, under one key. */
export interface GcmKey {
  encrypt(nonce: Uint8Array, data: Uint8Array, plaintext: Uint8Array): Awaitable<Uint8Array>;
  /** Throws or rejects when the tag is wrong. `data` is what was authenticated besides. */
  decrypt(nonce: Uint8Array, data: Uint8Array, ciphertext: Uint8Array): Awaitable<Uint8Array>;
}

/**
 * What computes AES. Keys are 16, 24 or 32 bytes, and prepared once per brewer session. The inputs of a call may be
 * views into larger buffers; they are not changed, and no longer looked at once the call has returned.
 */
export interface CryptoEngine {
  readonly name: string;
  cbc(key: Uint8Array): CbcKey;
  gcm(key: Uint8Array): GcmKey;
}
