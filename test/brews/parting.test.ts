import { expect, it } from 'vitest';
import { Parting } from '../../src/brews/internal/parting.js';
import { id, rawFrame } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

// What the brews of a client share about pairs that move from one brew to another.

const tick = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));
const sealed = (sequence: number, epoch = '0011223344556677') => sealedFrame(Buffer.from(String(sequence)), { topic: 'a', brewerId: id(1), key: Buffer.alloc(32), epoch, sequence });

/** The record that the brews share, the pairs that have ended, and a function that ends a pair and tells whether it has moved. */
function made() {
  const ended: string[] = [];
  const parting = new Parting(({ brewerId, patronId }) => void ended.push(`${brewerId} ${patronId}`));
  const end = async (key: string, brew = 'x'): Promise<boolean> => {
    let moved = false;
    parting.end(key, brew, (hasMoved) => (moved = hasMoved));
    await tick();
    return moved;
  };
  return { parting, ended, end };
}

it('a pair has moved if it left another brew in the same tick, and not if it begins again over the same brew', async () => {
  const { parting, end } = made();
  expect(parting.begin('> b p', 'x', 'b')).toBeUndefined();
  let end1 = end('> b p');
  expect(parting.begin('> b p', 'y', 'b')).toBe('x');
  expect(await end1).toBe(true);
  end1 = end('> b p', 'y');
  expect(parting.begin('> b p', 'y', 'b')).toBeUndefined();
  expect(await end1).toBe(true);
  expect(await end('> b p', 'y')).toBe(false);
  expect(parting.begin('> b p', 'x', 'b')).toBeUndefined();
});

it('each frame sent since a pair began is kept once, until the last pair of the brewer ends or another session begins', async () => {
  const { parting, end } = made();
  const frames = [0, 1, 2].map((sequence) => sealed(sequence));
  parting.begin('> b p', 'x', 'b');
  // Each of two brews is given the frame.
  for (let brew = 0; brew < 2; brew++) parting.add('b', frames[0]!);
  parting.begin('> b q', 'x', 'b');
  for (let brew = 0; brew < 2; brew++) parting.add('b', frames[1]!);
  parting.add('b', rawFrame('a', id(1), 'without a sequence'));
  const missed = (key?: string) => parting.missed('b', key)?.map((frame) => frames.indexOf(frame));
  expect([missed('> b p'), missed('> b q'), missed()]).toEqual([[0, 1], [1], [0, 1]]);
  await end('> b p');
  expect([missed('> b q'), missed()]).toEqual([[1], [1]]);
  frames[2] = sealed(2, '8899aabbccddeeff');
  parting.add('b', frames[2]);
  expect(missed('> b q')).toEqual([2]);
  await end('> b q');
  expect(missed()).toBeUndefined();
});

it('what a patron has heard is kept when its pair ends, for the last 1024 pairs, and used when the pair begins again', async () => {
  const { parting, ended, end } = made();
  const heard = parting.heard('< b p', false);
  expect(parting.heard('< b p', false)).toBe(heard);
  await end('< b p');
  expect(ended).toEqual(['b p']);
  expect(parting.heard('< b p', false)).toBe(heard);
  await end('< b p');
  const others = Array.from({ length: 1024 }, (_, n) => `< b p${n}`);
  const last = others.map((key) => parting.heard(key, false)).at(-1);
  for (const key of others) await end(key);
  expect(parting.heard(others.at(-1)!, false)).toBe(last);
  expect(parting.heard('< b p', false)).not.toBe(heard);
});

it('whenLeft() calls back once when the pair ends, and not when it moves', async () => {
  const { parting, end } = made();
  let ends = 0;
  parting.begin('> b p', 'x', 'b');
  parting.whenLeft('> b p', () => ends++);
  const moving = end('> b p');
  parting.begin('> b p', 'y', 'b');
  await moving;
  expect(ends).toBe(0);
  await end('> b p', 'y');
  expect(ends).toBe(1);
  parting.begin('> b p', 'x', 'b');
  await end('> b p');
  expect(ends).toBe(1);
});
