import { describe, expect, it } from 'vitest';
import { SharedClock } from '../../../src/server/cluster/clock.js';
import { Leases } from '../../../src/server/cluster/leases.js';

describe('SharedClock', () => {
  it('never stands still, never falls behind what was heard, and believes no stamp of the far future', () => {
    let now = 1000;
    const clock = new SharedClock(() => now);
    const first = clock.next();
    expect(clock.next()).toBeGreaterThan(first);
    clock.heard(5000);
    expect(clock.next()).toBeGreaterThan(5000);
    now = 6000;
    expect(clock.next()).toBe(6000);
    // Two that are asked at once hardly ever say the same.
    expect(new SharedClock(() => now, 0.25).next()).toBe(6000.25);
    for (const nonsense of [NaN, Infinity, 1e18, 2 ** 43]) clock.heard(nonsense);
    expect(clock.next()).toBeLessThan(6001);
    // The last one that is believed is one from which the next step shows.
    const last = 2 ** 43 - 2;
    clock.heard(last);
    expect(clock.next()).toBeGreaterThan(last);
  });
});

describe('Leases', () => {
  const ticks = (leases: Leases, count: number, own = true): string[] =>
    Array.from({ length: count }).flatMap(() => {
      if (own) leases.heard('me');
      return leases.tick();
    });

  it('take a silent server for dead after its lease, and not before', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.heard('a')).toBe(true);
    expect(leases.heard('a')).toBe(false);
    expect(ticks(leases, 12)).toEqual([]);
    expect(ticks(leases, 1)).toEqual(['a']);
    expect(leases.size).toBe(0);
  });

  it('let nobody age while this server does not hear itself, and give all up when that lasts', () => {
    const leases = new Leases('me', 12, 60);
    leases.heard('me');
    leases.heard('a');
    expect(ticks(leases, 60, false)).toEqual([]);
    expect(leases.isCutOff).toBe(true);
    // Back: a whole lease for everybody.
    expect(ticks(leases, 12)).toEqual([]);
    expect(leases.isCutOff).toBe(false);
    expect(ticks(leases, 1)).toEqual(['a']);
    leases.heard('b');
    expect(ticks(leases, 61, false)).toEqual(['b']);
  });

  it('forget at once who says goodbye', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.isCutOff).toBe(true);
    leases.heard('a');
    expect(leases.left('a')).toBe(true);
    expect(leases.left('a')).toBe(false);
    expect([...leases.others]).toEqual([]);
  });
});
