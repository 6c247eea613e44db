import { describe, expect, it } from 'vitest';
import { Demand } from '../../../src/server/cluster/demand.js';

describe('the demand of other relays', () => {
  const tick = (demand: Demand, times: number): string[] => {
    const unused: string[] = [];
    for (let i = 0; i < times; i++) demand.tick((key) => unused.push(key));
    return unused;
  };

  it('is none for 20 ticks after a frame that nobody wanted, unless somebody joins or another server comes', () => {
    const demand = new Demand();
    for (const key of ['a', 'b', 'c']) demand.unwanted(key);
    demand.set('b', 's1', 0);
    demand.set('c', 's1', 1);
    expect(['a', 'b', 'c', 'd'].map((key) => demand.isIdle(key))).toEqual([true, true, false, false]);
    tick(demand, 19);
    demand.unwanted('b');
    expect(demand.isIdle('a')).toBe(true);
    tick(demand, 1);
    expect([demand.isIdle('a'), demand.isIdle('b')]).toEqual([false, true]);
    demand.retry();
    expect(demand.isIdle('b')).toBe(false);
  });

  it('is counted by server, until that server reports another number or goes, or all must report again', () => {
    const demand = new Demand();
    demand.set('a', 's1', 2);
    demand.set('a', 's2', 3);
    demand.set('b', 's1', 1);
    expect([demand.count('a'), demand.count('b'), demand.count('c')]).toEqual([5, 1, 0]);
    demand.set('a', 's1', 4);
    expect(demand.count('a')).toBe(7);
    demand.set('a', 's2', 0);
    expect(demand.count('a')).toBe(4);
    demand.set('a', 's2', 3);
    demand.gone('s1');
    expect([demand.count('a'), demand.count('b')]).toEqual([3, 0]);
    demand.forget();
    expect(demand.count('a')).toBe(0);
  });

  it('is reported once as unused for a topic on which nothing was sent for 120 ticks', () => {
    const demand = new Demand();
    for (const key of ['a', 'b', 'c']) demand.used(key);
    expect(tick(demand, 119)).toEqual([]);
    demand.used('b');
    demand.unwanted('c');
    expect(tick(demand, 1)).toEqual(['a']);
    expect(tick(demand, 118)).toEqual([]);
    expect(tick(demand, 1)).toEqual(['b']);
    expect(tick(demand, 200)).toEqual([]);
  });

  it('is kept for 100,000 topics, and beyond that the least recently reported one is forgotten', () => {
    const demand = new Demand();
    for (let topic = 0; topic < 100_000; topic++) demand.set(String(topic), 's1', 1);
    expect(demand.count('0')).toBe(1);
    demand.set('0', 's1', 2);
    demand.set('more', 's1', 1);
    expect(['0', '1', '2', 'more'].map((key) => demand.count(key))).toEqual([2, 0, 1, 1]);
  });

  it('is tracked for 100,000 used topics, and each topic beyond that is reported as unused, else it would be sent for ever', () => {
    const demand = new Demand();
    for (let topic = 0; topic < 100_003; topic++) demand.used(String(topic));
    demand.used('0');
    const unused: string[] = [];
    demand.tick((key) => unused.push(key));
    expect(unused).toEqual(['1', '2', '3']);
    for (let tick = 0; tick < 120; tick++) demand.tick((key) => unused.push(key));
    expect(unused).toHaveLength(100_003);
  });
});
