import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Questions } from '../../../src/server/cluster/questions.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** Questions, and the topics that nobody has to wait for any more. */
function ask() {
  const answered: string[] = [];
  return { answered, questions: new Questions((keys) => void answered.push(keys.join())) };
}

it('a question is answered when all have said what they have, each counted once, and not again after its time', () => {
  const { answered, questions } = ask();
  expect(questions.ask(['a', 'b'], ['s1', 's2'])).toBe(1);
  expect(questions.ask(['c'], ['s1'])).toBe(2);
  questions.told(1, 's1');
  questions.told(1, 's1');
  questions.told(1, 'stranger');
  questions.told(3, 's2');
  expect(answered).toEqual([]);
  questions.told(1, 's2');
  expect(answered).toEqual(['a,b']);
  questions.told(2, 's1');
  expect(answered).toEqual(['a,b', 'c']);
  expect(vi.getTimerCount()).toBe(0);
  questions.told(2, 's1');
  questions.giveUp();
  expect(answered).toEqual(['a,b', 'c']);
});

it('one that nobody can answer is answered at once', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], []);
  expect([answered, vi.getTimerCount()]).toEqual([['a'], 0]);
});

it('a question is waited for no longer than 500 ms', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], ['s1']);
  vi.advanceTimersByTime(200);
  questions.ask(['b'], ['s1']);
  vi.advanceTimersByTime(299);
  expect(answered).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(answered).toEqual(['a']);
  questions.told(1, 's1');
  vi.advanceTimersByTime(200);
  expect([answered, vi.getTimerCount()]).toEqual([['a', 'b'], 0]);
});

it('a server that has gone is not waited for', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], ['s1']);
  questions.ask(['b'], ['s1', 's2']);
  questions.gone('s1');
  expect(answered).toEqual(['a']);
  questions.gone('s2');
  expect(answered).toEqual(['a', 'b']);
});

it('all are answered when nobody will, and none when they are forgotten', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], ['s1']);
  questions.ask(['b'], ['s1']);
  questions.giveUp();
  expect([answered, vi.getTimerCount()]).toEqual([['a', 'b'], 0]);
  const number = questions.ask(['c'], ['s1']);
  questions.close();
  expect(vi.getTimerCount()).toBe(0);
  questions.told(number, 's1');
  questions.giveUp();
  expect(answered).toEqual(['a', 'b']);
});
