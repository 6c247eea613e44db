import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { PubkeeperError } from '../../src/core/errors.js';
import { bearsIdentity, brewerKey, decodeFrame, encodeFrame, FRAME_HEADER, frameIdentity, isFrame, readSeal, topicHash } from '../../src/core/frame.js';
import { hex, id, rawFrame, sha256, thrown, unhex } from '../helpers.js';
import { unicodeText } from '../arbitraries.js';
import { vectors } from '../vectors.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const cases = vectors<{ topic: string; brewer_id: string; payload: string; frame: string }[]>('brew-frames');
const identity = (topic: string, brewerId: string) => frameIdentity(topicHash(topic), unhex(brewerId));
const someId = fc.uint8Array({ minLength: 16, maxLength: 16 });

describe('the vectors of brew frames', () => {
  it.each(cases)('$topic: encodes to the frame, and decodes back', ({ topic, brewer_id, payload, frame }) => {
    expect(hex(encodeFrame(identity(topic, brewer_id), unhex(payload)))).toBe(frame);
    const read = decodeFrame(unhex(frame));
    expect(hex(read.topicHash)).toBe(sha256(topic).toString('hex'));
    expect(hex(read.brewerId)).toBe(brewer_id);
    expect(hex(read.payload)).toBe(payload);
    expect(hex(read.header)).toBe(frame.slice(0, 176));
    expect(read.seal).toBeUndefined();
    expect(bearsIdentity(unhex(frame), identity(topic, brewer_id))).toBe(true);
  });
});

describe('brew frames', () => {
  it('are decoded to what was encoded, sealed or not', () => {
    const seal = fc.option(
      fc.record({ bundle: fc.boolean(), epoch: fc.uint8Array({ minLength: 8, maxLength: 8 }), sequence: fc.maxSafeNat() }),
      { nil: undefined },
    );
    fc.assert(
      fc.property(unicodeText, someId, fc.uint8Array(), seal, (topic, brewerId, payload, sealed) => {
        const frame = encodeFrame(frameIdentity(topicHash(topic), brewerId), payload, sealed);
        const read = decodeFrame(frame);
        expect(hex(read.payload)).toBe(hex(payload));
        expect(hex(read.brewerId)).toBe(hex(brewerId));
        expect(read.seal).toEqual(sealed);
        expect(readSeal(frame)).toEqual(sealed);
        expect(isFrame(frame)).toBe(true);
      }),
    );
  });

  it('have the layout of the design when sealed', () => {
    const epoch = unhex('a1a2a3a4a5a6a7a8');
    const frame = encodeFrame(identity('a', id(1)), unhex('ff'), { bundle: true, epoch, sequence: 0x0102030405060 });
    expect(hex(frame.subarray(50, 84))).toBe('0101' + '0000' + 'a1a2a3a4a5a6a7a8' + '6050403020100000' + '00'.repeat(14));
    const single = encodeFrame(identity('a', id(1)), unhex('ff'), { bundle: false, epoch, sequence: 0 });
    expect(hex(single.subarray(50, 84))).toBe('0100' + '0000' + 'a1a2a3a4a5a6a7a8' + '00'.repeat(22));
  });

  it('may be views into a larger buffer', () => {
    const frame = rawFrame('a', id(1), 'hello');
    const padded = new Uint8Array([7, 7, 7, ...frame, 7]).subarray(3, -1);
    expect(Buffer.from(decodeFrame(padded).payload).toString()).toBe('hello');
  });

  it('have an identity only when every byte of it is there', () => {
    const frame = rawFrame('a', id(1), 'x');
    for (let at = 2; at < 50; at++) {
      const other = frame.slice();
      other[at]! ^= 1;
      expect(bearsIdentity(other, identity('a', id(1)))).toBe(false);
    }
    expect(brewerKey(frame)).toBe(1 << 24); // bytes 00 00 00 01, little-endian
  });

  it('refuse an identity without a hash of 32 bytes and an id of 16', () => {
    thrown(() => frameIdentity(new Uint8Array(31), new Uint8Array(16)), 'FRAME_INVALID');
    thrown(() => frameIdentity(new Uint8Array(32), new Uint8Array(17)), 'FRAME_INVALID');
  });
});

describe('bytes that are not a brew frame', () => {
  const good = rawFrame('a.b', id(1), 'payload');
  const refused = (data: Uint8Array): void => {
    expect(isFrame(data)).toBe(false);
    thrown(() => decodeFrame(data), 'FRAME_INVALID');
  };

  it('are refused when truncated at any byte, or with extra bytes', () => {
    for (let length = 0; length < good.length; length++) refused(good.subarray(0, length));
    refused(Uint8Array.from([...good, 0]));
    refused(Uint8Array.from([...good, ...good]));
  });

  it('are refused when a length in them is wrong', () => {
    for (const [at, value] of [[84, 6], [84, 8], [84, 0], [85, 1], [86, 1], [87, 1], [87, 0x80], [87, 0xff]] as const) {
      const lying = good.slice();
      lying[at] = value;
      refused(lying);
    }
  });

  it('are refused with another major version', () => {
    for (const version of [0, 2, 255]) {
      const other = good.slice();
      other[0] = version;
      refused(other);
    }
  });

  it('cause no exceptions but PubkeeperErrors, also when random', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (data, version) => {
        if (version && data.length) data[0] = 1;
        try {
          expect(decodeFrame(data).payload.length).toBe(data.length - FRAME_HEADER);
        } catch (error) {
          expect(error).toBeInstanceOf(PubkeeperError);
          expect(isFrame(data)).toBe(false);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
