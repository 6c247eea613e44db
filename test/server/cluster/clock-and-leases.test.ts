import { describe, expect, it } from 'vitest';
import { SharedClock } from '../../../src/server/cluster/clock.js';
import { Leases } from '../../../src/server/cluster/leases.js';

describe('SharedClock', () => {
  it('always advances, is later than every stamp it heard, and ignores stamps of the far future', () => {
    let now = 1000;
    const clock = new SharedClock(() => now);
    const first = clock.next();
    expect(clock.next()).toBeGreaterThan(first);
    clock.heard(5000);
    expect(clock.next()).toBeGreaterThan(5000);
    now = 6000;
    expect(clock.next()).toBe(6000);
    // A fraction for each server keeps stamps of the same millisecond apart.
    expect(new SharedClock(() => now, 0.25).next()).toBe(6000.25);
    for (const nonsense of [NaN, Infinity, 1e18, 2 ** 43]) clock.heard(nonsense);
    expect(clock.next()).toBeLessThan(6001);
    // The greatest stamp that is accepted still leaves room for a greater one.
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

  it('a silent server is dead after its lease, and not before', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.heard('a')).toBe(true);
    expect(leases.heard('a')).toBe(false);
    expect(ticks(leases, 12)).toEqual([]);
    expect(ticks(leases, 1)).toEqual(['a']);
    expect(leases.size).toBe(0);
  });

  it('no lease ages while this server does not hear itself, and all end when that lasts', () => {
    const leases = new Leases('me', 12, 60);
    leases.heard('me');
    leases.heard('a');
    expect(ticks(leases, 60, false)).toEqual([]);
    expect(leases.isCutOff).toBe(true);
    // When it hears itself again, every other server gets a whole lease.
    expect(ticks(leases, 12)).toEqual([]);
    expect(leases.isCutOff).toBe(false);
    expect(ticks(leases, 1)).toEqual(['a']);
    leases.heard('b');
    expect(ticks(leases, 61, false)).toEqual(['b']);
  });

  it('a server that says goodbye is forgotten at once', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.isCutOff).toBe(true);
    leases.heard('a');
    expect(leases.left('a')).toBe(true);
    expect(leases.left('a')).toBe(false);
    expect([...leases.others]).toEqual([]);
  });
});
