// Synchronous, and there on plain-http pages: WebCrypto's is neither. What is hashed is short, as a topic, and none of it by the message.

/** Of the roots of the first primes, what is behind the point: 32 bits of each. */
function rootsOfPrimes(count: number, degree: number): Uint32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return Uint32Array.from(primes, (prime) => prime ** (1 / degree) * 2 ** 32);
}

/** Sections 5.3.3 and 4.2.2. */
const START = /* @__PURE__ */ rootsOfPrimes(8, 2);
const ROUNDS = /* @__PURE__ */ rootsOfPrimes(64, 3);

/** Of one block at a time, so one is enough. */
const words = /* @__PURE__ */ new Uint32Array(64);

const rotate = (word: number, by: number): number => (word << (32 - by)) | (word >>> by);

/** SHA-256 (FIPS 180-4). 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = bytes;
  // Whole blocks of 64 bytes: behind the message a bit, and at the end the number of its bits.
  const padded = new Uint8Array((((length + 8) >>> 6) + 1) * 64);
  padded.set(bytes);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(8 * length));

  const hash = START.slice();
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const old = words[i - 15]!;
      const late = words[i - 2]!;
      const mixed = (rotate(old, 7) ^ rotate(old, 18) ^ (old >>> 3)) + (rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10));
      words[i] = words[i - 16]! + words[i - 7]! + mixed;
    }
    let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const one = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i]! + words[i]!) | 0;
      const two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (hash[i]! += word));
  }
  const digest = new DataView(new ArrayBuffer(32));
  hash.forEach((word, i) => digest.setUint32(4 * i, word));
  return new Uint8Array(digest.buffer);
}
