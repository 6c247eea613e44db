import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watchAcceptance } from '../../src/cli/acceptance.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp() {
  let accept: (() => void) | undefined;
  const told: (string | number)[] = [];
  const brewer = { _flush: () => (sends ? new Promise<void>((resolve) => (accept = resolve)) : undefined) };
  let sends = true;
  const stop = watchAcceptance(brewer, { waits: (ms) => told.push(Math.round(ms)), over: () => told.push('over') });
  return { told, stop, sends: (is: boolean) => (sends = is), accept: () => accept?.() };
}

it('watchAcceptance() reports at each check how long a message has waited, and when the wait is over', async () => {
  const { told, accept, sends, stop } = setUp();
  await vi.advanceTimersByTimeAsync(9999);
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(told).toEqual([5000]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(told).toEqual([5000, 10_000]);
  sends(false);
  accept();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(told).toEqual([5000, 10_000, 'over']);
  // The next wait is counted from its own start.
  sends(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(told.slice(3)).toEqual([5000]);
  stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toHaveLength(4);
});

it('watchAcceptance() does not report messages that are accepted before the next check', async () => {
  const { told, accept, stop } = setUp();
  for (let look = 0; look < 5; look++) {
    await vi.advanceTimersByTimeAsync(5000);
    accept();
  }
  stop();
  expect(told.filter((what) => what !== 'over')).toEqual([]);
});
