import { nobleEngine } from '#noble';
import type { CbcKey, CryptoEngine } from './engine.js';
import { subtle, webCryptoEngine } from './web-crypto.js';

// Not exported under its own name: declarations must not lead to `#noble`, which not every compiler finds.
/** AES in plain JavaScript, by `@noble/ciphers`: synchronous, and available where `crypto.subtle` is missing. */
export const plainEngine: CryptoEngine = nobleEngine;

declare const performance: { now(): number };

/** From this many bytes on, WebCrypto is faster than plain JavaScript. Measured when it first matters. */
let from = 1024;
let calibration: Promise<void> | undefined;

/**
 * A WebCrypto call costs 6 to 10 µs in Chromium and 25 to 100 in Firefox and WebKit, while plain JavaScript handles about
 * 100 bytes per µs in all of them. So some calls are timed: many, since clocks of pages are coarse, and only
 * the fastest hundred counts, since pages are busy when they start. A page that stays busy raises the threshold to 8 KiB at most.
 */
async function calibrate(seal: CbcKey['seal'], any: Uint8Array): Promise<void> {
  let least = Infinity;
  let start = 0;
  for (let call = 0; call < 401; call++) {
    await seal(any);
    if (call % 100) continue;
    const now = performance.now();
    // Not timed: the first call also imports the key.
    if (call) least = Math.min(least, now - start);
    start = now;
  }
  // The resolution of some clocks is only a sixtieth of a second, or a tenth.
  if (least) from = Math.min(least * 900, 8192);
}

/**
 * The engine for pages: WebCrypto, except for short CBC payloads, which plain JavaScript handles faster; plain JavaScript for everything if
 * `crypto.subtle` is missing. Decided at the call, never at import.
 */
export function defaultEngine(): CryptoEngine {
  const api = subtle();
  if (!api) return nobleEngine;
  const web = webCryptoEngine(api);
  return {
    // GCM goes to WebCrypto at any length: plain JavaScript is slower from some hundred bytes on, of which the header is 88.
    ...web,
    cbc(key) {
      const small = nobleEngine.cbc(key);
      // Chromium's WebCrypto has no 192-bit keys.
      if (key.length === 24) return small;
      const large = web.cbc(key);
      calibration ??= calibrate(large.seal, key).catch(() => undefined); // the threshold then stays as it is
      const pick = ({ length }: Uint8Array): CbcKey => (length < from ? small : large);
      return {
        ...large,
        seal: (plaintext) => pick(plaintext).seal(plaintext),
        open: (payload) => pick(payload).open(payload),
      };
    },
  };
}
