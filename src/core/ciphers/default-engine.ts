import { BLOCK, type CbcKey, type CryptoEngine } from './engine.js';
import { nobleEngine } from './noble.js';
import { subtle, webCryptoEngine } from './web-crypto.js';

declare const performance: { now(): number };

/** From this many bytes on, a call into WebCrypto costs less than plain JavaScript. It is measured when it first matters. */
let from = 1024;
let calibration: Promise<void> | undefined;

/** What plain JavaScript gets done in a page, in bytes a millisecond. */
const SPEED = 60_000;

/**
 * A call into WebCrypto costs 7 µs in Chromium, 30 in WebKit and 100 in Firefox, while plain JavaScript is about as fast
 * in each: so the calls are timed. Clocks of pages are coarse, so many are; pages are busy, so the best of some rounds counts.
 */
async function calibrate({ seal }: CbcKey): Promise<void> {
  const nothing = new Uint8Array(BLOCK);
  await seal(nothing); // its key is ready now
  let best = 8192;
  for (let round = 0; round < 4; round++) {
    const start = performance.now();
    for (let call = 0; call < 32; call++) await seal(nothing);
    best = Math.min(best, ((performance.now() - start) / 32) * SPEED);
  }
  from = Math.max(best, 256);
}

/**
 * The engine for a page: WebCrypto where `crypto.subtle` exists, but for short CBC payloads; plain JavaScript for those, and
 * where it does not. Looked at when it is called, never at import.
 */
export function defaultEngine(): CryptoEngine {
  const api = subtle();
  if (!api) return nobleEngine;
  const web = webCryptoEngine(api);
  return {
    // GCM in plain JavaScript makes its tables anew for each message, which takes longer than a call at any size.
    ...web,
    name: 'webcrypto+noble',
    cbc(key) {
      const small = nobleEngine.cbc(key);
      // Chromium's WebCrypto has no 192-bit keys.
      if (key.length === 24) return small;
      const large = web.cbc(key);
      calibration ??= calibrate(large).catch(() => undefined); // then it stays as it is
      const pick = ({ length }: Uint8Array): CbcKey => (length < from ? small : large);
      return {
        seal: (plaintext) => pick(plaintext).seal(plaintext),
        open: (payload) => pick(payload).open(payload),
        openAll: large.openAll!,
      };
    },
  };
}
