import { createCipheriv } from 'node:crypto';
import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { hex } from '../helpers.js';

/** The part of noble that the build keeps. */
const { nobleEngine: lean } = (await import(new URL('../../dist/core/ciphers/noble.js', import.meta.url).href)) as { nobleEngine: CryptoEngine };

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe.each([
  ['the source', nobleEngine],
  ['dist', lean],
])('AES-GCM in plain JavaScript of %s', (_, engine) => {
  it('equals that of Node, for any additional data, under a key that is reused', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(32), fc.array(fc.tuple(bytes(12), fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 300 })), { maxLength: 4 }), async (key, messages) => {
        const aes = engine.gcm(key);
        for (const [nonce, data, plaintext] of messages) {
          const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(data);
          const wanted = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
          expect(hex(await aes.seal(nonce, data, plaintext))).toBe(hex(wanted));
          expect(hex(await aes.open(nonce, data, wanted))).toBe(hex(plaintext));
        }
      }),
    );
  }, 30_000);

  it('refuses a message in which one bit was changed', () => {
    const aes = engine.gcm(new Uint8Array(32).fill(6));
    const nonce = new Uint8Array(12);
    const data = new Uint8Array(20).fill(1);
    const sealed = aes.seal(nonce, data, new Uint8Array(20).fill(2)) as Uint8Array;
    for (const part of [nonce, data, sealed]) {
      for (let bit = 0; bit < part.length * 8; bit++) {
        part[bit >> 3]! ^= 1 << (bit & 7);
        expect(() => aes.open(nonce, data, sealed)).toThrow(RangeError);
        part[bit >> 3]! ^= 1 << (bit & 7);
      }
    }
    expect(hex(aes.open(nonce, data, sealed) as Uint8Array)).toBe('02'.repeat(20));
  });
});
