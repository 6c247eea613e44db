import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pageTimer } from '../../src/brews/internal/mqtt-page.js';

// When MQTT.js asks a silent broker for a sign of life, and when it gives the broker up, in a page whose timers may be late.

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function silence() {
  const calls: number[] = [];
  const begun = Date.now();
  const timer = pageTimer.set(() => calls.push((Date.now() - begun) / 1000));
  /** The clock goes on while no timer runs. */
  const sleep = (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1000);
  const pass = (seconds: number): void => void vi.advanceTimersByTime(seconds * 1000);
  return { calls, timer, sleep, pass };
}

it('a silent broker is asked after 10 s, and given up after 15 s', () => {
  const { calls, pass } = silence();
  pass(15);
  expect(calls).toEqual([5, 10, 15]);
});

it('a page whose timers are late asks at the first tick, and does not give up before the next one', () => {
  const { calls, sleep, pass } = silence();
  sleep(55);
  pass(5);
  expect(calls).toEqual([60, 60]);
  pass(4.9);
  expect(calls).toHaveLength(2);
  pass(0.1);
  expect(calls).toEqual([60, 60, 65]);
});

it('a broker that has answered is not asked again by the timer of the former silence', () => {
  const { calls, timer, pass } = silence();
  pass(5);
  pageTimer.clear(timer);
  pass(60);
  expect([calls, vi.getTimerCount()]).toEqual([[5], 0]);
});
