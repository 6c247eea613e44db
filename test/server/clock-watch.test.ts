import { expect, it } from 'vitest';
import { ClockWatch } from '../../src/server/clock-watch.js';

it('notices that the clock was set forward, at once or in small steps, but not that time has passed or that it was set back', () => {
  const time = { wall: 1_000_000, steady: 0 };
  const watch = new ClockWatch(1_000, { wall: () => time.wall, steady: () => time.steady });
  const after = (wall: number, steady: number): boolean => {
    time.wall += wall;
    time.steady += steady;
    return watch.wasSetForward();
  };
  expect([after(0, 0), after(5_000, 5_000), after(6_000, 5_000), after(5_000, 5_000)]).toEqual([false, false, true, false]);
  expect([after(5_600, 5_000), after(5_600, 5_000), after(5_600, 5_000)]).toEqual([false, true, false]);
  expect([after(-90_000, 5_000), after(5_999, 5_000), after(5_001, 5_000)]).toEqual([false, false, true]);
});
