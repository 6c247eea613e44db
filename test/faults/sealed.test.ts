import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Patron } from '../../src/core/patron.js';
import { nodeEngine } from '../../src/platform/node-engine.js';
import { id, settle } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';
import { dice, report, scale, total } from './kit.js';

const KEY = Buffer.alloc(32, 7);
const EPOCH = '0102030405060708';
const at = { topic: 't', brewerId: id(1), key: KEY, epoch: EPOCH };

function reader() {
  const heard: (number | undefined)[] = [];
  const patron = new Patron('**', (_, message) => heard.push(message.sequence));
  patron._lend({ brew: () => ({ startPatron: () => () => undefined }) as never, engine: nodeEngine });
  patron.newBrewers([{ topic: 't', brewer_id: id(1), brewer_config: { cipher: { mode: 'AES-GCM', key: KEY.toString('hex'), epoch: EPOCH } }, brew: { name: 'x' } }]);
  const drops: string[] = [];
  patron.on('dropped', ({ reason }) => drops.push(reason));
  return { patron, heard, drops };
}

describe('sealed mode', () => {
  it('delivers none of many forged frames, counts each, and reports once per burst', async () => {
    const count = scale(20_000, 1_000_000);
    const { patron, heard, drops } = reader();
    const roll = dice(1);
    const good = sealedFrame(Buffer.from('a message that is worth forging'), at);
    for (let i = 0; i < count; i++) {
      const frame = good.slice();
      new DataView(frame.buffer).setUint32(62, roll(0xffffffff), true);
      // Another body, another tag, or a frame sealed with another key.
      if (i % 3 === 0) for (let byte = 88; byte < frame.length; byte++) frame[byte] = roll(256);
      else if (i % 3 === 1) for (let byte = frame.length - 16; byte < frame.length; byte++) frame[byte] = roll(256);
      else frame.set(otherKey(frame.subarray(0, 88)), 88);
      patron._handleCallback(id(1), frame);
      if (i % 10_000 === 0) await settle();
    }
    await settle();
    patron.reset();
    report('sealed, forged', { frames: count, delivered: heard.length, counted: patron.dropped });
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ undecryptable: count });
    expect(drops.length).toBeLessThan(count / 100);
  });

  it('delivers no frame with a single bit flipped, in header or body, and counts each', async () => {
    const { patron, heard } = reader();
    const good = sealedFrame(Buffer.from('exactly one bit of this is not as it was'), at);
    let flips = 0;
    for (let byte = 0; byte < good.length; byte++) {
      for (let bit = 0; bit < 8; bit++, flips++) {
        const frame = good.slice();
        frame[byte]! ^= 1 << bit;
        patron._handleCallback(id(1), frame);
      }
    }
    await settle();
    report('sealed, bit flips', { flips, delivered: heard.length, counted: patron.dropped });
    expect(heard).toEqual([]);
    expect(total(patron.dropped)).toBe(flips);
    // The original is still accepted, as none of these has moved the window.
    patron._handleCallback(id(1), good);
    await settle();
    expect(heard).toEqual([0]);
  });

  it('delivers no message twice, however often and in whatever order it is replayed', async () => {
    const frames = Array.from({ length: 10_000 }, (_, sequence) => sealedFrame(randomBytes(20), { ...at, sequence }));
    const { patron, heard } = reader();
    const roll = dice(3);
    for (const frame of frames) patron._handleCallback(id(1), frame);
    await settle();
    const rounds = scale(2, 10);
    for (let round = 0; round < rounds; round++) {
      for (let i = frames.length - 1; i > 0; i--) {
        const other = roll(i + 1);
        [frames[i], frames[other]] = [frames[other]!, frames[i]!];
      }
      for (const frame of frames) patron._handleCallback(id(1), frame);
      await settle();
    }
    report('sealed, replays', { frames: frames.length, replayed: rounds * frames.length, delivered: heard.length, counted: patron.dropped });
    expect(heard).toEqual(Array.from({ length: 10_000 }, (_, sequence) => sequence));
    expect(patron.dropped).toEqual({ replayed: rounds * frames.length });
  });
});

/** The body that an attacker without the key makes for a header. */
function otherKey(header: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32, 8), Buffer.alloc(12));
  cipher.setAAD(header);
  return Buffer.concat([cipher.update(Buffer.from('a message that is worth forging')), cipher.final(), cipher.getAuthTag()]);
}
