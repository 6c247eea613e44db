import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
  return { delivered, live, answer, flow: () => joining.flow() };
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

it.each([
  ['of which the last has come live, too', ['on', 'off', 'on'], ['on'], ['on', 'off', 'on']],
  ['of which two have', ['on', 'on', 'on'], ['on', 'on'], ['on', 'on', 'on']],
  ['all of which have, behind others', ['on', 'off'], ['off', 'on', 'off'], ['off', 'on', 'off']],
  ['of which the last but one was dropped live', ['a', 'b', 'c', 'd'], ['b', 'd'], ['a', 'c', 'b', 'd']],
])('tells equal messages without a sequence apart, in an answer %s', (_, answer, live, delivered) => {
  const texts: string[] = [];
  const frameOf = (text: string): Uint8Array => rawFrame('a', id(1), text);
  const deliver = (frame: Uint8Array): void => void texts.push(Buffer.from(frame.subarray(88)).toString());
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  joining.begin();
  for (const text of live) joining.live(frameOf(text), false);
  joining.answer({ frames: answer.map(frameOf), retained: false, more: false, unasked: false });
  expect(texts).toEqual(delivered);
});

it('does not hold back more than 16 MiB of an answer that has no end', () => {
  let delivered = 0;
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver: () => void delivered++, last: undefined });
  joining.begin();
  const frame = rawFrame('a', id(1), Buffer.alloc(1024 * 1024));
  const more = (): void => joining.answer({ frames: [frame], retained: false, more: true, unasked: false });
  for (let i = 0; i < 15; i++) more();
  expect(delivered).toBe(0);
  more();
  expect(delivered).toBe(16);
  more();
  expect(delivered).toBe(16);
});

it('goes on without an answer where more than 16 MiB are held back', () => {
  const delivered: number[] = [];
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver: (frame) => void delivered.push(frame.length), last: undefined });
  joining.begin();
  const half = new Uint8Array(8 * 1024 * 1024);
  joining.live(half, false);
  joining.live(half, false);
  expect(delivered).toEqual([]);
  joining.live(new Uint8Array(1), false);
  expect(delivered).toEqual([half.length, half.length, 1]);
});

it('delivers what the broker has kept also when frames flow, unless that has just come; what is sent unasked is no last value', () => {
  const texts: string[] = [];
  const deliver = (frame: Uint8Array, retained: boolean): void => void texts.push(`${Buffer.from(frame.subarray(88)).toString()}${retained ? '*' : ''}`);
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  const frameOf = (text: string): Uint8Array => rawFrame('a', id(1), text);
  joining.flow();
  joining.live(frameOf('kept'), true);
  joining.live(frameOf('one'), false);
  joining.live(frameOf('one'), false); // the same, but not the same message
  joining.live(frameOf('one'), true);
  joining.live(frameOf('two'), true);
  expect(texts.splice(0)).toEqual(['kept*', 'one', 'one', 'two*']);
  joining.answer({ frames: [frameOf('zero'), frameOf('one')], retained: false, more: false, unasked: false });
  expect(texts).toEqual([]);
  // It came with all that has come since the arrival.
  joining.answer({ frames: [frameOf('before'), frameOf('kept'), frameOf('one')], retained: false, more: false, unasked: true });
  expect(texts.splice(0)).toEqual(['before']);
});

it.each([
  ['an answer, which it may be newer than', [1, 2], [], [1, 2]],
  ['live frames', [], [2, 3], [2, 3]],
  ['neither', [], [], ['5*']],
] as const)('what the broker has kept counts only where it is all there is: beside %s', (_, answered, live, delivered) => {
  const got: (number | string)[] = [];
  const number = (frame: Uint8Array): number => Number(Buffer.from(frame.subarray(88)).toString());
  const deliver = (frame: Uint8Array, retained: boolean): void => void got.push(retained ? `${number(frame)}*` : number(frame));
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  joining.begin();
  joining.live(plain(5), true);
  for (const one of live) joining.live(plain(one), false);
  joining.answer({ frames: answered.map(plain), retained: false, more: false, unasked: false });
  expect(got).toEqual(delivered);
});

it('puts live frames in their order, too, where nobody has answered', () => {
  const { delivered, live, flow } = arriving(sealed);
  live(2, 1, 3);
  flow();
  expect(delivered).toEqual([1, 2, 3]);
});

it.each([
  ['what has come since', 2, [1, 2, 3], [3, 4]],
  ['nothing twice where that is all', 2, [2], [4]],
  ['all where that is not among it', 9, [2, 3], [2, 3, 4]],
])('delivers on a return %s, of what is answered', (_, last, answered, delivered) => {
  const all = Array.from({ length: 10 }, (_unused, number) => plain(number));
  const numbers: number[] = [];
  const deliver = (frame: Uint8Array): void => void numbers.push(all.indexOf(frame as never));
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: all[last] });
  joining.begin();
  joining.answer({ frames: answered.map((number) => all[number]!), retained: answered.length === 1, more: false, unasked: false });
  joining.live(all[4]!, false);
  expect(numbers).toEqual(delivered);
});

it('says again that it has come to a brewer that has begun the pair anew, once it has its answer', () => {
  let said = 0;
  const joining = new Joining({ ask: () => undefined, got: () => void said++, deliver: () => undefined, last: undefined });
  joining.begin();
  joining.again();
  expect(said).toBe(0);
  joining.answer({ frames: [], retained: false, more: false, unasked: false });
  expect(said).toBe(1);
  joining.again();
  expect(said).toBe(2);
});

it('takes what is sent unasked up to the first frame that has come since its arrival, in as many parts as it has, each time', () => {
  const all = Array.from({ length: 10 }, (_, number) => plain(number));
  const given: (number | string)[] = [];
  const joining = new Joining({
    ask: () => undefined,
    got: () => given.push('got'),
    deliver: (frame) => given.push(all.indexOf(frame as never)),
    unanswered: () => given.push('unanswered'),
    last: undefined,
  });
  const unasked = (more: boolean, ...numbers: number[]): void =>
    joining.answer({ frames: numbers.map((number) => all[number]!), retained: false, more, unasked: true });
  joining.begin();
  joining.live(all[5]!, false);
  joining.answer({ frames: [], retained: false, more: false, unasked: false });
  joining.live(all[6]!, false);
  unasked(true, 1, 2);
  unasked(true, 5);
  unasked(false, 6);
  unasked(false, 3, 5, 6);
  expect(given).toEqual([5, 'got', 6, 1, 2, 'got', 3, 'got']);
});

it('gives a receiver nothing more that has stopped while it was given a frame, and tells nobody that it has come', () => {
  const given: string[] = [];
  const joining = new Joining({
    ask: () => undefined,
    got: () => given.push('got'),
    deliver: (frame) => {
      given.push(String(frame.at(-1)));
      joining.stop();
    },
    last: undefined,
  });
  joining.begin();
  joining.live(Uint8Array.of(2), false);
  joining.answer({ frames: [Uint8Array.of(1)], retained: false, more: false, unasked: false });
  joining.live(Uint8Array.of(3), false);
  expect(given).toEqual(['1']);
});

describe('the question', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  function asking(took?: number) {
    const asked: number[] = [];
    let clock = 0;
    let flowed: number | undefined;
    const joining = new Joining({
      ask: () => asked.push(clock),
      got: () => undefined,
      deliver: () => undefined,
      unanswered: () => (flowed = clock),
      last: undefined,
    });
    const pass = (ms: number): void => {
      for (let i = 0; i < ms; i += 50) {
        clock += 50;
        vi.advanceTimersByTime(50);
      }
    };
    joining.begin(took);
    return { joining, asked, pass, flowed: () => flowed };
  }

  it('is put six times within 3 s while no answer comes', () => {
    const { asked, pass, flowed } = asking();
    pass(10_000);
    expect(asked).toEqual([0, 50, 150, 400, 900, 1900]);
    expect(flowed()).toBe(3000);
  });

  it.each<[string, (joining: Joining) => void]>([
    ['it was answered', (joining) => joining.answer({ frames: [], retained: false, more: false, unasked: false })],
    ['the patron has left', (joining) => joining.stop()],
    ['it goes on without', (joining) => joining.flow()],
  ])('is not put again when %s, also where the subscription is confirmed once more', (_, end) => {
    const { joining, asked, pass } = asking();
    joining.begin(); // the connection was lost meanwhile: one question is under way already
    pass(100);
    expect(asked).toEqual([0, 50]);
    end(joining);
    expect(vi.getTimerCount()).toBe(0);
    joining.begin();
    expect([asked.length, vi.getTimerCount()]).toEqual([2, 0]);
  });

  it('is not put again sooner than the broker took for the subscription, nor too late for the brewer', () => {
    const slow = asking(400);
    slow.pass(10_000);
    expect(slow.asked).toEqual([0, 400, 800, 1200, 1700, 2700]);
    expect(slow.flowed()).toBe(3800);
    const stuck = asking(60_000);
    stuck.pass(10_000);
    expect(stuck.asked).toEqual([0, 1500, 3000, 4500, 6000, 7500]);
    expect(stuck.flowed()).toBe(9000);
  });
});
