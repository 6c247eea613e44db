import fc from '../../fast-check.js';
import { describe, expect, it } from 'vitest';
import { readBeat } from '../../../src/server/cluster/beat-format.js';
import { FrameReader, decodeInterest, encodeFrames, encodeInterest, interestsWithin } from '../../../src/server/cluster/bridge-format.js';
import { decodeRecord, encodeRecord, keyOf, pulseKey, readKey } from '../../../src/server/cluster/records.js';
import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { id } from '../../helpers.js';
import { brewerRecord as brewer } from './record.js';

// What servers of one cluster write to each other: records in the registry, messages between relays, signs of life.

describe('records', () => {
  it('are decoded to what was encoded', () => {
    const patron: RegistryRecord = { kind: 'patron', id: id(2), topic: 'a.**', brews: [{ name: 'mqtt' }], reads: ['a.*'], down: [['mqtt'], ['nats', id(1)]], at: 7.25 };
    for (const record of [brewer(1, 3), patron]) {
      const key = keyOf({ server: 'abcdefghijkl', ...record });
      expect(key).toMatch(/^[A-Za-z0-9._-]+$/);
      const name = readKey(key)!;
      expect(decodeRecord(name, encodeRecord(record))).toEqual(record);
    }
  });

  it('are refused when their key or value is malformed', () => {
    for (const key of ['', 'x', pulseKey('abc'), 's.q.' + id(1), 's.b.nonsense', 's.b.' + id(1) + '.x', '.b.' + id(1)]) expect(readKey(key)).toBeUndefined();
    const name = { server: 's', kind: 'brewer', id: id(1) } as const;
    const good = JSON.parse(encodeRecord(brewer(1, 1))) as Record<string, unknown>;
    expect(decodeRecord(name, JSON.stringify(good))).toEqual(brewer(1, 1));
    for (const bad of [{ topic: 'a.*' }, { topic: 1 }, { brews: [{}] }, { brews: 'x' }, { at: 'x' }, { config: null }, { down: [[1]] }, { down: [[]] }, { down: [['a', 'b', 'c']] }]) {
      expect(decodeRecord(name, JSON.stringify({ ...good, ...bad }))).toBeUndefined();
    }
    expect(decodeRecord(name, '{')).toBeUndefined();
    for (const none of ['[]', 'null', '1']) expect(decodeRecord(name, none)).toBeUndefined();
    expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify(good))).toBeUndefined();
    expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify({ ...good, reads: ['a.*'] }))).toMatchObject({ kind: 'patron', reads: ['a.*'] });
    for (const reads of [['a..b'], [''], 'a.b', [1]]) expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify({ ...good, reads }))).toBeUndefined();
  });
});

describe('messages between relays', () => {
  const SERVER = 'abcdefghijkl';
  const bytes = fc.uint8Array({ maxLength: 300 });

  it('carry frames of any length, and are no longer than allowed', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 20 }), fc.integer({ min: 64, max: 500 }), (frames, most) => {
        const reader = new FrameReader(1000);
        const messages = encodeFrames(SERVER, 12.5, frames, most);
        for (const message of messages) expect(message.length).toBeLessThanOrEqual(most);
        const read = messages.flatMap((message) => reader.read('topic', message) ?? []);
        expect(read.flatMap((one) => one.frames.map((frame) => [...frame]))).toEqual(frames.map((frame) => [...frame]));
        for (const { server, stamp } of read) expect([server, stamp]).toEqual([SERVER, 12.5]);
      }),
    );
  });

  it('are refused when a part is missing, too long or not there at all', () => {
    const [first, second, third] = encodeFrames(SERVER, 1, [new Uint8Array(100)], 76);
    const reader = new FrameReader(1000);
    expect(reader.read('t', first!)).toBeUndefined();
    expect(() => reader.read('t', third!)).toThrow(RangeError);
    expect(() => reader.read('t', second!)).toThrow(RangeError);
    expect(() => new FrameReader(50).read('t', first!)).toThrow(RangeError);
    fc.assert(fc.property(bytes, (nonsense) => {
      try {
        new FrameReader(1000).read('t', nonsense);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }));
  });

  it('are kept for at most 64 frames that are incomplete', () => {
    const [first, second] = encodeFrames(SERVER, 1, [new Uint8Array(50)], 76);
    const reader = new FrameReader(1000);
    for (let topic = 0; topic < 65; topic++) reader.read(String(topic), first!);
    expect(() => reader.read('0', second!)).toThrow(RangeError);
    for (let topic = 1; topic < 65; topic++) expect(reader.read(String(topic), second!)?.frames).toEqual([new Uint8Array(50)]);
  });

  // Servers of one cluster may be of different versions.
  it('have the same bytes in every version', () => {
    const hex = (messages: readonly Buffer[]): string[] => messages.map((message) => message.toString('hex'));
    const begin = (kind: string): string => `${kind}6162636465666768696a6b6c0000000000002940`;
    expect(hex(encodeFrames(SERVER, 12.5, [Uint8Array.of(1, 2), Uint8Array.of(3)], 100))).toEqual([`${begin('00000000')}0200000001020100000003`]);
    expect(hex(encodeFrames(SERVER, 12.5, [new Uint8Array(9).fill(5)], 36))).toEqual([
      `${begin('01000000')}090000000000000005050505`,
      `${begin('01000000')}090000000400000005050505`,
      `${begin('01000000')}090000000800000005`,
    ]);
    const interest = encodeInterest(SERVER, 9, [{ hash: Buffer.alloc(32, 0xab), count: 3, asks: true }, { hash: Buffer.alloc(32, 0xcd), count: 0, asks: false }]);
    expect(hex([interest])).toEqual([`6162636465666768696a6b6c09000000${'ab'.repeat(32)}03000080${'cd'.repeat(32)}00000000`]);
    expect([1024 * 1024, 16 + 36, 1].map(interestsWithin)).toEqual([1024, 1, 1]);
  });

  it('encode and decode interest in topics, and questions', () => {
    const topics = [{ hash: Buffer.alloc(32, 1), count: 3, asks: true }, { hash: Buffer.alloc(32, 2), count: 0, asks: false }];
    expect(decodeInterest(encodeInterest(SERVER, 9, topics))).toEqual({ server: SERVER, question: 9, topics });
    expect(() => decodeInterest(new Uint8Array(5))).toThrow(RangeError);
    expect(() => decodeInterest(encodeInterest(SERVER, 9, topics).subarray(0, 40))).toThrow(RangeError);
  });
});

describe('signs of life', () => {
  it('are decoded when they are well-formed, and to undefined otherwise', () => {
    const read = (value: unknown) => readBeat(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
    const beat = { server: 'abcdefghijkl', clock: 12.5, forgot: 'bcdefghijklm', later: true };
    expect(read(beat)).toEqual(beat);
    const wrong = ['', 'null', '[]', {}, { ...beat, server: 'abc' }, { ...beat, server: 12 }, { ...beat, server: Array(12).fill('a') }, { ...beat, clock: '12' }, { server: beat.server }];
    expect(wrong.map(read)).toEqual(wrong.map(() => undefined));
  });
});
