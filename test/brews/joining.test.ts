import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Joining } from '../../src/brews/internal/joining.js';
import { id, rawFrame } from '../helpers.js';
import { sealedFrame } from '../sealed-frame.js';

// What a patron that arrives delivers of live frames and of its brewer's answer.

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

it.each([['sealed', sealed], ['plain', plain]])('a joining patron delivers the answer, then the frames held back, each once: %s', (_, frameOf) => {
  const { delivered, live, answer } = arriving(frameOf);
  live(3, 4);
  answer(1, 2, 3);
  live(5);
  expect(delivered).toEqual([1, 2, 3, 4, 5]);
});

it('a joining patron delivers sealed frames in order, also if the broker has dropped the newer live frames', () => {
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
])('a joining patron tells equal messages without a sequence apart, in an answer %s', (_, answer, live, delivered) => {
  const texts: string[] = [];
  const frameOf = (text: string): Uint8Array => rawFrame('a', id(1), text);
  const deliver = (frame: Uint8Array): void => void texts.push(Buffer.from(frame.subarray(88)).toString());
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  joining.begin();
  for (const text of live) joining.live(frameOf(text), false);
  joining.answer({ frames: answer.map(frameOf), retained: false, more: false, unasked: false });
  expect(texts).toEqual(delivered);
});

it('a joining patron does not hold back more than 16 MiB of an answer that does not end', () => {
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

it('a joining patron holds back 16 MiB of live frames and 16 MiB of an answer, and loses no part of the answer', () => {
  const delivered: number[] = [];
  const deliver = (frame: Uint8Array): void => void delivered.push(frame.at(-1)!);
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  joining.begin();
  const large = (number: number): Uint8Array => rawFrame('a', id(1), Buffer.alloc(7 * 1024 * 1024, number));
  const answer = (number: number, more: boolean): void => joining.answer({ frames: [large(number)], retained: false, more, unasked: false });
  joining.live(large(3), false);
  joining.live(large(4), false);
  answer(1, true);
  expect(delivered).toEqual([]);
  answer(2, false);
  expect(delivered).toEqual([1, 2, 3, 4]);
});

it('a joining patron goes on without an answer when more than 16 MiB of live frames are held back', () => {
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

it.each([false, true])('a patron to which more than 16 MiB come before the answer still asks, and says that it has come (before the question: %s)', (isEarly) => {
  const given: (number | string)[] = [];
  const joining = new Joining({
    ask: () => given.push('ask'),
    got: () => given.push('got'),
    deliver: (frame) => given.push(frame.length),
    unanswered: () => given.push('unanswered'),
    last: undefined,
  });
  const large = rawFrame('a', id(1), Buffer.alloc(16 * 1024 * 1024));
  const frames = (...numbers: number[]) => numbers.map((number) => sealedFrame(Buffer.from(String(number)), { topic: 'a', brewerId: id(1), key: Buffer.alloc(32), epoch: '0011223344556677', sequence: number }));
  const answer = (retained: boolean, more: boolean, ...numbers: number[]): void => joining.answer({ frames: frames(...numbers), retained, more, unasked: false });
  if (!isEarly) joining.begin();
  given.length = 0;
  joining.live(frames(5)[0]!, false);
  joining.live(large, false);
  expect(given.splice(0)).toHaveLength(2);
  const { last } = joining;
  if (isEarly) {
    joining.begin();
    expect(given.splice(0)).toEqual(['ask']);
  }
  const count = (): number => given.splice(0).filter((one) => typeof one === 'number').length;
  answer(true, true, 1);
  expect(count()).toBe(0);
  answer(false, true, 3, 4, 5);
  expect(count()).toBe(2);
  expect(joining.last === last).toBe(true); // the answer's frames are older
  expect(given).toEqual([]);
  answer(false, false, 6);
  expect(given.splice(0)).toEqual(['got']);
  answer(false, false, 3);
  expect(given).toEqual([]);
});

it('a patron that has joined delivers a last value of the broker, unless it has just come, and unasked frames as live ones', () => {
  const texts: string[] = [];
  const deliver = (frame: Uint8Array, retained: boolean): void => void texts.push(`${Buffer.from(frame.subarray(88)).toString()}${retained ? '*' : ''}`);
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: undefined });
  const frameOf = (text: string): Uint8Array => rawFrame('a', id(1), text);
  joining.flow();
  joining.live(frameOf('kept'), true);
  joining.live(frameOf('one'), false);
  joining.live(frameOf('one'), false); // equal, but another message
  joining.live(frameOf('one'), true);
  joining.live(frameOf('two'), true);
  expect(texts.splice(0)).toEqual(['kept*', 'one', 'one', 'two*']);
  joining.answer({ frames: [frameOf('zero'), frameOf('one')], retained: false, more: false, unasked: false });
  expect(texts).toEqual([]);
  // From `kept` on, the frames of this answer have come already.
  joining.answer({ frames: [frameOf('before'), frameOf('kept'), frameOf('one')], retained: false, more: false, unasked: true });
  expect(texts.splice(0)).toEqual(['before']);
});

it.each([
  ['an answer, which it may be newer than', [1, 2], [], [1, 2]],
  ['live frames', [], [2, 3], [2, 3]],
  ['neither', [], [], ['5*']],
] as const)('the last value of the broker is delivered only if a joining patron gets nothing else: beside %s', (_, answered, live, delivered) => {
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

it('a joining patron sorts live frames by sequence also if nobody has answered', () => {
  const { delivered, live, flow } = arriving(sealed);
  live(2, 1, 3);
  flow();
  expect(delivered).toEqual([1, 2, 3]);
});

it.each([
  ['what has come since', 2, [1, 2, 3], [3, 4]],
  ['nothing twice where that is all', 2, [2], [4]],
  ['all where that is not among it', 9, [2, 3], [2, 3, 4]],
])('a patron that joins again, and knows its last frame, delivers of the answer %s', (_, last, answered, delivered) => {
  const all = Array.from({ length: 10 }, (_unused, number) => plain(number));
  const numbers: number[] = [];
  const deliver = (frame: Uint8Array): void => void numbers.push(all.indexOf(frame as never));
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver, last: all[last] });
  joining.begin();
  joining.answer({ frames: answered.map((number) => all[number]!), retained: answered.length === 1, more: false, unasked: false });
  joining.live(all[4]!, false);
  expect(numbers).toEqual(delivered);
});

it('a patron confirms its arrival again to a brewer that has begun the pair again, once it has its answer', () => {
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

it('a patron delivers unasked frames up to the first one that has come since its arrival, in any number of parts', () => {
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
  expect(joining.last).toBe(all[6]); // the others are older
  unasked(true, 5);
  unasked(false, 6);
  unasked(false, 3, 5, 6);
  expect(given).toEqual([5, 'got', 6, 1, 2, 'got', 3, 'got']);
  expect(joining.last).toBe(all[6]);
});

it('the last of the frames that a patron gets unasked, and before any other, is its last frame', () => {
  const joining = new Joining({ ask: () => undefined, got: () => undefined, deliver: () => undefined, last: undefined });
  joining.flow();
  joining.answer({ frames: [plain(1), plain(2)], retained: false, more: false, unasked: true });
  expect(joining.last).toEqual(plain(2));
});

it('a patron that stops in its callback while it joins gets nothing more, and does not confirm its arrival', () => {
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

describe('the question of a joining patron', () => {
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

  it('is sent six times within 3 s while no answer comes', () => {
    const { asked, pass, flowed } = asking();
    pass(10_000);
    expect(asked).toEqual([0, 50, 150, 400, 900, 1900]);
    expect(flowed()).toBe(3000);
  });

  it.each<[string, (joining: Joining) => void]>([
    ['it was answered', (joining) => joining.answer({ frames: [], retained: false, more: false, unasked: false })],
    ['the patron has left', (joining) => joining.stop()],
    ['it goes on without', (joining) => joining.flow()],
  ])('is not sent again when %s, even if the subscription is confirmed again', (_, end) => {
    const { joining, asked, pass } = asking();
    joining.begin(); // the connection was lost meanwhile, and one question has been sent already
    pass(100);
    expect(asked).toEqual([0, 50]);
    end(joining);
    expect(vi.getTimerCount()).toBe(0);
    joining.begin();
    expect([asked.length, vi.getTimerCount()]).toEqual([2, 0]);
  });

  it('is not repeated sooner than the broker took to confirm the subscription, but soon enough for the brewer, which waits 10 s', () => {
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
