import { expect, it } from 'vitest';
import { Heard } from '../../src/brews/internal/heard.js';
import { id, rawFrame } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

// Which frames are news to a patron of several brews. Those that are not are dropped without a count.

const [BEFORE, NOW] = ['0011223344556677', '8899aabbccddeeff'] as const;
const sealed = (sequence: number, epoch: string = BEFORE) => sealedFrame(Buffer.from(String(sequence)), { topic: 'a', brewerId: id(1), key: Buffer.alloc(32), epoch, sequence });
const plain = (text: string) => rawFrame('a', id(1), text);

it('a last value without a sequence is not news if it equals the last frame; a live message always is', () => {
  const heard = new Heard();
  expect(heard.isNews(plain('one'), true)).toBe(true);
  expect(heard.isNews(plain('one'), true)).toBe(false);
  expect(heard.isNews(plain('two'), true)).toBe(true);
  expect([heard.isNews(plain('two'), false), heard.isNews(plain('two'), false)]).toEqual([true, true]);
  expect(heard.isNews(plain('two'), true)).toBe(false);
  expect([heard.isNews(plain('three'), false), heard.isNews(plain('three'), true)]).toEqual([true, false]);
});

it('a frame that comes again over one brew is news, as it may be a replay; after a move, a frame that is sent again is not', () => {
  const heard = new Heard();
  expect([0, 1, 1].map((sequence) => heard.isNews(sealed(sequence), false))).toEqual([true, true, true]);
  heard.move(true);
  expect([0, 1, 2, 2].map((sequence) => heard.isNews(sealed(sequence), false))).toEqual([false, false, true, true]);
});

it('a last value that is older than the newest frame is not news, whether it has come before or not', () => {
  const heard = new Heard();
  expect([3, 5].map((sequence) => heard.isNews(sealed(sequence), false))).toEqual([true, true]);
  expect([3, 4].map((sequence) => heard.isNews(sealed(sequence), true))).toEqual([false, false]);
  expect(heard.isNews(sealed(6), true)).toBe(true);
});

it.each([true, false])('frames of a new session are news whatever the sequences of the former one were (the pair begins over a relay: %s)', (isNew) => {
  const heard = new Heard(isNew);
  for (const sequence of [5, 6]) heard.isNews(sealed(sequence), false);
  heard.move();
  expect(heard.isNews(sealed(0, NOW), true)).toBe(true);
  expect([1, 2].map((sequence) => heard.isNews(sealed(sequence, NOW), false))).toEqual([true, true]);
});

it('late frames of a session that began after a move are news', () => {
  const heard = new Heard();
  heard.isNews(sealed(6), false);
  heard.move(true);
  expect([2, 1].map((sequence) => heard.isNews(sealed(sequence, NOW), false))).toEqual([true, true]);
});
