import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Outage } from '../../src/brews/internal/outage.js';
import { sameBytes } from '../../src/brews/internal/small.js';
import { PubkeeperError } from '../../src/index.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const [ONE, TWO] = [{ brewerId: 'b1', patronId: 'p1' }, { brewerId: 'b2' }];

/** An outage, and a function that returns the reports since its last call. */
function made() {
  const told: string[] = [];
  const outage = new Outage((up, { brewerId }) => void told.push(`${brewerId} ${up ? 'up' : 'down'}`));
  return { outage, told: () => told.splice(0) };
}

it('an outage is reported once after half a second for each user, and its end for each of these, even if it has left', () => {
  const { outage, told } = made();
  const [, leave, leaveTwo] = [outage.use(ONE), outage.use({ ...ONE }), outage.use(TWO)];
  leave();
  outage.down();
  outage.down();
  vi.advanceTimersByTime(499);
  expect([told(), outage.isMissed]).toEqual([[], false]);
  vi.advanceTimersByTime(1);
  expect([told(), outage.isMissed]).toEqual([['b1 down', 'b2 down'], true]);
  outage.down();
  leaveTwo();
  outage.up();
  expect([told(), outage.isMissed]).toEqual([['b1 up', 'b2 up'], false]);
  outage.up();
  expect([told(), vi.getTimerCount()]).toEqual([[], 0]);
});

it('an outage is not reported if the connection is back in time, and the next one has its own half second', () => {
  const { outage, told } = made();
  outage.use(ONE);
  outage.down();
  vi.advanceTimersByTime(400);
  outage.down();
  vi.advanceTimersByTime(99);
  outage.up();
  outage.down();
  vi.advanceTimersByTime(499);
  expect(told()).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told()).toEqual(['b1 down']);
});

it('an outage is reported at once for a user that comes while it lasts, and for all with a tolerance of 0', () => {
  const { outage, told } = made();
  outage.use(ONE);
  outage.down(0);
  expect(told()).toEqual(['b1 down']);
  outage.use(TWO);
  outage.use(ONE);
  expect(told()).toEqual(['b2 down']);
});

it('an outage ends without a report when the connection is closed, and is reported at once when it fails for good', () => {
  const { outage, told } = made();
  outage.use(ONE);
  outage.down(0);
  told();
  outage.end(new PubkeeperError('CONNECTION_CLOSED', 'x'));
  expect(outage.isMissed).toBe(false);
  outage.up();
  expect(told()).toEqual([]);
  outage.down();
  outage.end(new PubkeeperError('CONNECTION_CLOSED', 'x'));
  vi.advanceTimersByTime(500);
  expect(told()).toEqual([]);
  outage.end(new PubkeeperError('UNAUTHORIZED', 'x'));
  expect(told()).toEqual(['b1 down']);
});

it('the end of an outage is not reported for a user that was forgotten', () => {
  const { outage, told } = made();
  const leave = outage.use(ONE);
  outage.down(0);
  outage.forget(ONE);
  expect(outage.isMissed).toBe(true);
  leave();
  outage.forget(ONE);
  expect(outage.isMissed).toBe(false);
  told();
  outage.up();
  expect(told()).toEqual([]);
});

it('sameBytes() compares all bytes and the lengths', () => {
  const bytes = Uint8Array.of(1, 2);
  expect([[1, 2], [1], [1, 2, 3], [1, 3], []].map((other) => [sameBytes(bytes, Uint8Array.from(other)), sameBytes(Uint8Array.from(other), bytes)])).toEqual([
    [true, true], [false, false], [false, false], [false, false], [false, false],
  ]);
});
