import { describe, expect, it } from 'vitest';
import { decodeAnswer, encodeAnswers } from '../../src/brews/internal/broker-route.js';
import { newId } from '../../src/core/index.js';
import { rawFrame } from '../helpers.js';
import { TOPIC } from './rig.js';

// A brewer's answer to a patron that asks: one byte of flags, then brew frames without gaps.

const ID = newId();
/** A frame of `length` bytes. */
const frame = (length: number): Uint8Array => rawFrame(TOPIC, ID, new Uint8Array(length - 88).fill(length));
const plain = (frames: readonly Uint8Array[]): Buffer[] => frames.map((one) => Buffer.from(one));

describe('an answer', () => {
  it.each([
    [true, false, 1],
    [false, true, 4],
    [false, false, 0],
  ])('tells whether it is a last value (%s), and whether it was sent unasked (%s)', (retained, unasked, flags) => {
    const parts = encodeAnswers({ frames: [frame(100)], retained }, unasked);
    expect(parts.map(([first]) => first)).toEqual([flags]);
    expect(decodeAnswer(parts[0]!)).toEqual({ frames: [frame(100)], retained, unasked, more: false });
  });

  it('without frames is one byte, and no bytes mean the same', () => {
    expect(encodeAnswers({ frames: [], retained: false })).toEqual([Uint8Array.of(0)]);
    for (const bytes of [Uint8Array.of(0), new Uint8Array()]) expect(decodeAnswer(bytes)).toEqual({ frames: [], retained: false, more: false, unasked: false });
  });

  it.each([
    ['60,000 bytes, and one of flags', Infinity, [30_000, 30_000, 59_912, 88, 30_000, 30_001, 70_000, 100], [60_001, 60_001, 30_001, 30_002, 70_001, 101]],
    ['what the broker takes', 1001, [2000, 500, 500, 912, 88, 500, 501, 2000, 88], [2001, 1001, 1001, 501, 502, 2001, 89]],
  ])('is split into parts of at most %s; a single frame is never split', (_, most, lengths, sizes) => {
    const frames = lengths.map(frame);
    const parts = encodeAnswers({ frames, retained: false }, true, most);
    expect(parts.map(({ length }) => length)).toEqual(sizes);
    const read = parts.map((part) => decodeAnswer(part)!);
    expect(plain(read.flatMap((part) => part.frames))).toEqual(plain(frames));
    expect(read.map(({ more, unasked }) => [more, unasked])).toEqual(parts.map((_part, index) => [index < parts.length - 1, true]));
  });

  it.each([
    ['ends within a header', (bytes: Uint8Array) => bytes.subarray(0, -13)],
    ['ends within a frame', (bytes: Uint8Array) => bytes.subarray(0, -1)],
    ['has more behind its frames', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
    ['is of another version', (bytes: Uint8Array) => Uint8Array.of(bytes[0]!, 9, ...bytes.subarray(2))],
  ])('that %s is refused', (_, spoil) => {
    const [bytes] = encodeAnswers({ frames: [frame(100)], retained: false });
    expect(decodeAnswer(bytes!)).toBeDefined();
    expect(decodeAnswer(spoil(bytes!))).toBeUndefined();
  });

  it('may hold a frame that has a header and no data', () => {
    const [bytes] = encodeAnswers({ frames: [frame(88)], retained: false });
    expect(decodeAnswer(bytes!)?.frames).toHaveLength(1);
  });
});
