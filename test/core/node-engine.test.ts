import { createCipheriv } from 'node:crypto';
import fc from '../fast-check.js';
import { expect, it } from 'vitest';
import { nodeEngine } from '../../src/platform/node-engine.js';
import { hex } from '../helpers.js';

const KEY = new Uint8Array(32).fill(5);
const DATA = new Uint8Array(88).fill(1);

function nonceOf(sequence: bigint): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, sequence);
  return nonce;
}

const message = fc.record({
  // Mostly counting up, as a brewer does; also repeated, going back, and skipping the sequences of bundles.
  step: fc.constantFrom(1n, 1n, 1n, 1n, 1n, 0n, -1n, 2n, 300n),
  text: fc.uint8Array({ maxLength: 40 }),
  idle: fc.boolean(),
  forge: fc.constantFrom(false, false, false, true),
});

it.each([0n, 250n, 65_533n, 2n ** 32n - 3n, 2n ** 64n - 50n])('GCM with ciphers made in advance computes the same as a fresh cipher for each message, from sequence %i on', async (first) => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 40 }), async (messages) => {
      const sender = nodeEngine.gcm(KEY);
      const receiver = nodeEngine.gcm(KEY);
      let sequence = first;
      for (const { step, text, idle, forge } of messages) {
        sequence = BigInt.asUintN(64, sequence + step);
        const nonce = nonceOf(sequence);
        const cipher = createCipheriv('aes-256-gcm', KEY, nonce).setAAD(DATA);
        const wanted = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
        const sealed = (await sender.seal(nonce, DATA, text)).slice();
        expect(hex(sealed)).toBe(hex(wanted));
        if (forge) {
          sealed[0]! ^= 1;
          expect(() => receiver.open(nonce, DATA, sealed)).toThrow();
          sealed[0]! ^= 1;
        }
        // The caller may reuse the memory of the nonce.
        const opened = receiver.open(nonce, DATA, sealed);
        nonce.fill(9);
        expect(hex(await opened)).toBe(hex(text));
        if (idle) await new Promise(setImmediate);
      }
    }),
    { numRuns: 60 },
  );
});

it('CBC takes a random IV for every message, also for the first and after the pool was filled again', async () => {
  const ciphers = [nodeEngine.cbc(KEY), nodeEngine.cbc(KEY)];
  const ivs = new Set<string>();
  for (let count = 0; count < 600; count++) for (const cipher of ciphers) ivs.add(hex((await cipher.seal(DATA)).subarray(0, 16)));
  expect(ivs.size).toBe(1200);
});
