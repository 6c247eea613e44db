import { expect, it } from 'vitest';
import { Joining } from '../../src/brews/internal/joining.js';
import { id, rawFrame } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

// What an arriving patron makes of live frames and of its brewer's answer.

const sealed = (sequence: number): Uint8Array =>
  sealedFrame(Buffer.from(String(sequence)), { topic: 'a', brewerId: id(1), key: Buffer.alloc(32), epoch: '0011223344556677', sequence });
const plain = (number: number): Uint8Array => rawFrame('a', id(1), String(number));

function arriving(frameOf: (number: number) => Uint8Array) {
  const all = Array.from({ length: 10 }, (_, number) => frameOf(number));
  const delivered: number[] = [];
  const joining = new Joining({
    ask: () => undefined,
    got: () => undefined,
    deliver: (frame) => delivered.push(all.indexOf(frame as never)),
    last: undefined,
  });
  joining.begin();
  const live = (...numbers: number[]): void => numbers.forEach((number) => joining.live(all[number]!, false));
  const answer = (...numbers: number[]): void =>
    joining.answer({ frames: numbers.map((number) => all[number]!), retained: false, more: false, unasked: false });
  return { delivered, live, answer };
}

it.each([['sealed', sealed], ['plain', plain]])('delivers the answer, then what it held back, each once: %s', (_, frameOf) => {
  const { delivered, live, answer } = arriving(frameOf);
  live(3, 4);
  answer(1, 2, 3);
  live(5);
  expect(delivered).toEqual([1, 2, 3, 4, 5]);
});

it('delivers in its order what is sealed, also where the broker has dropped the newer live frames', () => {
  const { delivered, live, answer } = arriving(sealed);
  live(1, 2);
  answer(3, 4);
  live(5);
  expect(delivered).toEqual([1, 2, 3, 4, 5]);
});
