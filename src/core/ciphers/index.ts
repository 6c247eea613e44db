import { PubkeeperError } from '../errors.js';
import { encodeFrame, FRAME_HEADER } from '../frame.js';
import { fromHex, show } from '../id.js';
import type { BrewerConfig } from '../packet.js';
import { cbcOpener, cbcSealer } from './aes-cbc.js';
import { gcmOpener, gcmSealer } from './aes-gcm.js';
import type { CipherName, MakeSealer, Opener, Sealer } from './cipher.js';
import type { CryptoEngine } from './engine.js';

const plainOpener: Opener = {
  cipher: 'none',
  isWhole: () => true,
  open: (frame) => frame.subarray(FRAME_HEADER),
};

/**
 * The opener for a brewer with this configuration (protocol, section 2, `brewer_config.cipher`).
 * @param about `details` for errors, such as the brewer's id
 * @throws {PubkeeperError} `KEY_INVALID` or `CIPHER_UNKNOWN`
 */
export function openerFor(config: BrewerConfig, engine: CryptoEngine, about?: Record<string, unknown>): Opener {
  const cipher = config.cipher;
  const readHex = (hex: unknown, lengths: readonly number[], what: string): Uint8Array => {
    const bytes = fromHex(hex);
    if (bytes && lengths.includes(bytes.length)) return bytes;
    // Do not show what it announces: it may contain a key.
    throw new PubkeeperError('KEY_INVALID', `A brewer announces an ${what} that is not ${lengths.join(' or ')} bytes in hex.`, about);
  };
  if (!cipher || cipher.mode === 'NONE') return plainOpener;
  if (cipher.mode === 2) return cbcOpener(engine, readHex(cipher.key, [16, 24, 32], 'AES-CBC key'));
  if (cipher.mode === 'AES-GCM') {
    return gcmOpener(engine, readHex(cipher.key, [32], 'AES-GCM key'), readHex(cipher.epoch, [8], 'epoch'));
  }
  throw new PubkeeperError(
    'CIPHER_UNKNOWN',
    `A brewer encrypts with the mode ${show(cipher.mode)}; this version reads 2 (AES-CBC) and "AES-GCM".`,
    { ...about, mode: cipher.mode },
  );
}

/**
 * The sealer of a new session, with a fresh key.
 * @param identity see `frameIdentity`
 */
export function sealerFor(cipher: CipherName | MakeSealer, engine: CryptoEngine, identity: Uint8Array): Sealer {
  if (typeof cipher === 'function') return cipher(identity);
  if (cipher === 'aes-gcm') return gcmSealer(engine, identity);
  if (cipher === 'aes-cbc') return cbcSealer(engine, identity);
  return { cipher: 'none', config: undefined, seal: (message) => encodeFrame(identity, message) };
}
