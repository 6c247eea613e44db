import { type BrewerConfig, type CipherName, encodeFrame, FRAME_HEADER, type MakeSealer, type Opener, PubkeeperError } from '../core/index.js';
import { randomBytes } from '../core/host.js';
import { fromHex, toHex } from '../core/id.js';

/** A cipher of a third party: made for one brewer and one session of it. */
export interface Cipher {
  /** Encrypts: returns what goes into a brew frame instead of `data`. */
  encrypt(data: Uint8Array): Uint8Array | PromiseLike<Uint8Array>;
  /** Decrypts. If it throws, the frame is dropped, which is a `dropped` event of the client. */
  decrypt(data: Uint8Array): Uint8Array | PromiseLike<Uint8Array>;
}

/** The class of a {@link Cipher}: constructed with the key, as bytes. */
export interface CipherConstructor {
  new (key: Uint8Array): Cipher;
  /** How many random bytes a brewer's key has; default 16. */
  readonly keyLength?: number | undefined;
}

/** The option `crypto`: ciphers by the mode under which brewers announce them. */
export type CryptoMap = ReadonlyMap<unknown, CipherConstructor>;

/**
 * The option `cipher` of a brewer: a mode of the `crypto` map; else 2 or `'aes-cbc'`, which deployed peers read,
 * `'aes-gcm'`, which they do not, or `'none'`.
 */
export type CipherOption = CipherName | number | (string & {});

/** For patrons: the opener for a brewer whose mode is in the map; undefined for the SDK's own ciphers. */
export function openerFrom(crypto: CryptoMap, { cipher }: BrewerConfig): Opener | undefined {
  const Made = crypto.get(cipher?.mode);
  if (!Made) return;
  const key = fromHex(cipher?.key ?? '');
  if (!key) throw new PubkeeperError('KEY_INVALID', 'A brewer announces a key that is not in hex.');
  const made = new Made(key);
  // Asynchronous for every cipher: then what it throws becomes a rejection, and it may return any kind of promise.
  return {
    cipher: 'custom',
    isWhole: () => true,
    open: async (frame) => checked(await made.decrypt(frame.subarray(FRAME_HEADER))),
  };
}

/** For brewers: the cipher in the map, else the SDK's cipher for this option. */
export function cipherFrom(crypto: CryptoMap, mode: CipherOption): CipherName | MakeSealer {
  const Made = crypto.get(mode);
  if (!Made) return mode === 2 ? 'aes-cbc' : (mode as CipherName);
  return (identity) => {
    const key = randomBytes(Made.keyLength ?? 16);
    const made = new Made(key);
    return {
      cipher: 'custom',
      config: { mode, key: toHex(key) },
      // A copy: the application may change its buffer while an asynchronous cipher still reads it.
      seal: async (message) => encodeFrame(identity, checked(await made.encrypt(Uint8Array.from(message)))),
    };
  };
}

/** Checks what a cipher returns: third parties write ciphers, and not all of them use a type checker. */
function checked(bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('A cipher must give a Uint8Array.');
  return bytes;
}
