import { nobleEngine } from '#noble';
import type { CbcKey, CryptoEngine } from './engine.js';
import { subtle, webCryptoEngine } from './web-crypto.js';

// Not exported under its own name: declarations must not lead to `#noble`, which not every compiler finds.
/** AES in plain JavaScript, by `@noble/ciphers`: synchronous, and there also where `crypto.subtle` is missing. */
export const plainEngine: CryptoEngine = nobleEngine;

declare const performance: { now(): number };

/** From this many bytes on, a call into WebCrypto costs less than plain JavaScript. It is measured when it first matters. */
let from = 1024;
let calibration: Promise<void> | undefined;

/**
 * A call into WebCrypto costs 6 to 10 µs in Chromium and 25 to 100 in Firefox and WebKit, while plain JavaScript does about
 * 100 bytes a µs in all of them: so some calls are timed. They are many, since clocks of pages are coarse; and
 * the fastest hundred counts, since pages are busy when they begin. A page that stays busy raises the threshold to 8 KiB at most.
 */
async function calibrate(seal: CbcKey['seal'], any: Uint8Array): Promise<void> {
  let least = Infinity;
  let start = 0;
  for (let call = 0; call < 401; call++) {
    await seal(any);
    if (call % 100) continue;
    const now = performance.now();
    // The first call waits for its key.
    if (call) least = Math.min(least, now - start);
    start = now;
  }
  // Some clocks only tell a sixtieth of a second, or a tenth.
  if (least) from = Math.min(least * 900, 8192);
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
    // GCM at any length: in plain JavaScript it takes longer than a call from some hundred bytes on, of which the header is 88.
    ...web,
    cbc(key) {
      const small = nobleEngine.cbc(key);
      // Chromium's WebCrypto has no 192-bit keys.
      if (key.length === 24) return small;
      const large = web.cbc(key);
      calibration ??= calibrate(large.seal, key).catch(() => undefined); // then it stays as it is
      const pick = ({ length }: Uint8Array): CbcKey => (length < from ? small : large);
      return {
        ...large,
        seal: (plaintext) => pick(plaintext).seal(plaintext),
        open: (payload) => pick(payload).open(payload),
      };
    },
  };
}
