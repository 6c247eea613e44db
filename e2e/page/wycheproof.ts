// Runs in the page: checks the crypto engines of a page against Wycheproof's vectors.
import type * as Core from '../../src/core/index.js';

/** One vector, in hex. Only those of AES-GCM have `aad` and `tag`. */
export interface Vector {
  readonly tcId: number;
  readonly key: string;
  readonly iv: string;
  readonly aad?: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag?: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

declare const core: typeof Core;

const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

const engineOf = (name: string): Core.CryptoEngine => {
  if (name === 'noble') return core.nobleEngine;
  return name === 'WebCrypto' ? core.webCryptoEngine(crypto.subtle as never) : core.defaultEngine();
};

/** The numbers of the vectors whose outcome is wrong, with the outcome. */
export async function check(engineName: string, mode: 'cbc' | 'gcm', vectors: readonly Vector[]): Promise<string[]> {
  const engine = engineOf(engineName);
  const wrong: string[] = [];
  for (const { tcId, key, iv, aad = '', msg, ct, tag = '', result } of vectors) {
    let outcome: string;
    try {
      const opened =
        mode === 'cbc'
          ? openWhole(engine.cbc(fromHex(key)), fromHex(iv + ct))
          : engine.gcm(fromHex(key)).open(fromHex(iv), fromHex(aad), fromHex(ct + tag));
      outcome = toHex(await opened);
    } catch {
      outcome = 'refused';
    }
    if (outcome !== (result === 'invalid' ? 'refused' : msg)) wrong.push(`${tcId}: ${outcome}`);
  }
  return wrong;
}

/** As a patron does, checks the length first: engines get only whole blocks. */
function openWhole(key: Core.CbcKey, payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
  if (payload.length < 32 || payload.length % 16) throw new RangeError('not whole');
  return key.open(payload);
}

Object.assign(globalThis, { wycheproof: { check } });
