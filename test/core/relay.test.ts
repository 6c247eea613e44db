import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { PubkeeperError } from '../../src/core/errors.js';
import { topicHash } from '../../src/core/frame.js';
import { decodeRelayPacket, encodeRelayPacket, readRecords, RECORD_HEADER, RelayPacketType, writeRecordHeader } from '../../src/core/relay.js';
import { hex, sha256, thrown, unhex } from '../helpers.js';
import { vectors } from '../vectors.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const cases = vectors<{ type: 0 | 1 | 2; name: keyof typeof RelayPacketType; topic: string; payload: string; hex: string }[]>('relay-packets');

describe('the vectors of relay packets', () => {
  it.each(cases)('$name $topic: encodes to the packet, and decodes back', ({ type, name, topic, payload, hex: packet }) => {
    expect(RelayPacketType[name]).toBe(type);
    expect(hex(encodeRelayPacket(type, topicHash(topic), unhex(payload)))).toBe(packet);
    const read = decodeRelayPacket(unhex(packet));
    expect(read.type).toBe(type);
    expect(hex(read.topicHash)).toBe(sha256(topic).toString('hex'));
    expect(hex(read.payload)).toBe(payload);
  });
});

describe('relay packets', () => {
  it('are decoded to what was encoded', () => {
    fc.assert(
      fc.property(fc.constantFrom(0 as const, 1 as const, 2 as const), fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array(), (type, hash, payload) => {
        const read = decodeRelayPacket(encodeRelayPacket(type, hash, payload));
        expect([read.type, hex(read.topicHash), hex(read.payload)]).toEqual([type, hex(hash), hex(payload)]);
      }),
    );
  });

  it('carry a large payload, and may be views into a larger buffer', () => {
    const payload = new Uint8Array(3_000_000).map((_, index) => index);
    const packet = encodeRelayPacket(2, topicHash('a'), payload);
    const padded = new Uint8Array(packet.length + 5);
    padded.set(packet, 3);
    expect(hex(decodeRelayPacket(padded.subarray(3, -2)).payload)).toBe(hex(payload));
  });

  const good = unhex(cases.find(({ type }) => type === 2)!.hex);
  it('are refused when truncated at any byte, or with extra bytes', () => {
    for (let length = 0; length < good.length; length++) thrown(() => decodeRelayPacket(good.subarray(0, length)), 'PACKET_INVALID');
    thrown(() => decodeRelayPacket(Uint8Array.from([...good, 0])), 'PACKET_INVALID');
  });

  it('are refused with another type, or with a wrong length', () => {
    for (const [at, value] of [[0, 3], [0, 255], [1, 1], [36, good[36]! + 1], [36, good[36]! - 1], [37, 1], [38, 1], [39, 0xff]] as const) {
      const bad = good.slice();
      bad[at] = value;
      thrown(() => decodeRelayPacket(bad), 'PACKET_INVALID');
    }
  });

  it('cause no exceptions but PubkeeperErrors when random', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        try {
          decodeRelayPacket(data);
        } catch (error) {
          expect(error).toBeInstanceOf(PubkeeperError);
          expect((error as PubkeeperError).code).toBe('PACKET_INVALID');
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('records of relay protocol 2', () => {
  const read = (text: string): [boolean, ...[frame: string, retained: boolean][]] => {
    const records: [string, boolean][] = [];
    const isWhole = readRecords(unhex(text), (frame, retained) => records.push([hex(frame), retained]));
    return [isWhole, ...records];
  };

  it('have a type of 2 or 5, two zeros and a length before the frame', () => {
    const bytes = new Uint8Array(2 * RECORD_HEADER);
    const view = new DataView(bytes.buffer);
    writeRecordHeader(view, 0, 0x01020304, false);
    writeRecordHeader(view, 8, 7, true);
    expect(hex(bytes)).toBe('02000000' + '04030201' + '05000000' + '07000000');
  });

  it('are read one by one, and those of other types are skipped', () => {
    expect(read('')).toEqual([true]);
    expect(read('02000000' + '02000000' + 'aabb' + '3c000000' + '00000000' + '05000000' + '01000000' + 'cc')).toEqual([true, ['aabb', false], ['cc', true]]);
    expect(read('02000000' + '00000000')).toEqual([true, ['', false]]);
  });

  it.each(['02', '02000000' + '000000', '02000000' + '03000000' + 'aabb', '02000000' + 'ffffffff' + 'aabb'])('that are cut off, as in %s, are reported, and those before them are read', (rest) => {
    expect(read(rest)).toEqual([false]);
    expect(read('02000000' + '01000000' + 'dd' + rest)).toEqual([false, ['dd', false]]);
  });
});
