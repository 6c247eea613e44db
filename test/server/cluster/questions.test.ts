import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Questions } from '../../../src/server/cluster/questions.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** Questions to other servers, and a log of the topics for which the answers are complete. */
function ask() {
  const answered: string[] = [];
  return { answered, questions: new Questions((keys) => void answered.push(keys.join())) };
}

it('a question is answered once, when all servers have replied, each of which counts once', () => {
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

it('a question to no servers is answered at once', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], []);
  expect([answered, vi.getTimerCount()]).toEqual([['a'], 0]);
});

it('a question is answered after 500 ms at most', () => {
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

it('a question does not wait for a server that has gone', () => {
  const { answered, questions } = ask();
  questions.ask(['a'], ['s1']);
  questions.ask(['b'], ['s1', 's2']);
  questions.gone('s1');
  expect(answered).toEqual(['a']);
  questions.gone('s2');
  expect(answered).toEqual(['a', 'b']);
});

it('giveUp() answers all questions, and close() none', () => {
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
