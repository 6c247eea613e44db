import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Turns, type Work } from '../../src/server/turns.js';
import { deferred, settle } from '../helpers.js';

/** For how long this process has stood still, in ms. */
let stoodMs = 0;
beforeEach(() => {
  stoodMs = 0;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.spyOn(process, 'cpuUsage').mockImplementation((before) => ({ user: (performance.now() - stoodMs) * 1000 - (before?.user ?? 0), system: 0 }));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function kit() {
  const log: string[] = [];
  const turns = new Turns({
    pause: () => log.push('pause'),
    resume: () => log.push('resume'),
    crash: (error) => log.push(`crash ${(error as Error).message}`),
  });
  /** Work that takes so many ms, synchronously. */
  const work = (name: string, ms = 0): void => turns.take(() => void (log.push(name), vi.advanceTimersByTime(ms)));
  return { log, turns, work };
}

describe('the work of one connection', () => {
  it('is done at once, as long as nothing has to wait', () => {
    const { log, turns, work } = kit();
    for (const name of ['1', '2']) work(name, 4);
    expect([log, turns.isBusy, turns.waiting]).toEqual([['1', '2'], false, 0]);
  });

  it('waits in order for asynchronous work before it, and the connection is paused meanwhile', async () => {
    const { log, turns, work } = kit();
    const [one, three] = [deferred<void>(), deferred<void>()];
    turns.take(() => one.promise);
    work('2');
    turns.take(() => (log.push('3'), three.promise));
    work('4');
    expect([log, turns.isBusy, turns.waiting]).toEqual([['pause'], true, 3]);
    one.resolve();
    await settle();
    expect([log, turns.isBusy, turns.waiting]).toEqual([['pause', 'resume', '2', '3', 'pause'], true, 1]);
    three.resolve();
    await settle();
    expect([log.slice(5), turns.isBusy, turns.waiting]).toEqual([['resume', '4'], false, 0]);
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('x'))],
    ['throws in its turn', () => { throw new Error('x'); }],
  ])('that %s is reported', async (_, fail) => {
    const { log, turns } = kit();
    const first = deferred<void>();
    turns.take(() => first.promise);
    turns.take(fail);
    first.resolve();
    await settle();
    expect(log).toContain('crash x');
  });

  it('does not cause a rest for time in which the process stood still', () => {
    const { log, turns, work } = kit();
    turns.take(() => void (log.push('1'), (stoodMs = 2000), vi.advanceTimersByTime(2004)));
    work('2', 4);
    expect([log, turns.isBusy]).toEqual([['1', '2'], false]);
    work('3', 3);
    expect([log, turns.isBusy]).toEqual([['1', '2', '3', 'pause'], true]);
  });

  it('causes a rest after each 10 ms, as long as its last part took', async () => {
    const { log, turns, work } = kit();
    for (const ms of [3, 3, 5]) work(String(ms), ms);
    work('later');
    expect(log).toEqual(['3', '3', '5', 'pause']);
    await vi.advanceTimersByTimeAsync(4);
    expect(turns.isBusy).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    expect(log.slice(4)).toEqual(['resume', 'later']);
    work('next', 9);
    expect(turns.isBusy).toBe(false);
    work('last', 1);
    expect(turns.isBusy).toBe(true);
  });

  it('goes on after a rest as long as its last step took, and before the work behind it', async () => {
    const { log, turns, work } = kit();
    const step = (left: number): Work => () => {
      log.push(`step ${left}`);
      vi.advanceTimersByTime(4);
      return left ? step(left - 1) : undefined;
    };
    turns.take(step(2));
    work('behind');
    expect([log, turns.isBusy, turns.waiting]).toEqual([['step 2', 'pause'], true, 2]);
    await vi.advanceTimersByTimeAsync(3);
    expect(log).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(log.slice(2)).toEqual(['resume', 'step 1', 'pause']);
    await vi.advanceTimersByTimeAsync(4);
    expect(log.slice(5)).toEqual(['resume', 'step 0', 'behind']);
    expect([turns.isBusy, turns.waiting]).toEqual([false, 0]);
  });
});
