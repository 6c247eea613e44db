import { describe, expect, it } from 'vitest';
import { Demand } from '../../../src/server/cluster/demand.js';

describe('what other relays want', () => {
  const tick = (demand: Demand, times: number): string[] => {
    const unused: string[] = [];
    for (let i = 0; i < times; i++) demand.tick((key) => unused.push(key));
    return unused;
  };

  it('is nothing for 20 ticks where nobody has wanted what was sent, unless somebody joins or another server is there', () => {
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

  it('is counted by server, until that says otherwise, goes, or all are to tell anew', () => {
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

  it('is told to be over of a topic on which nothing was sent for 120 ticks, and once', () => {
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

  it('is remembered of 100,000 topics: of more, the one not told of for longest is forgotten', () => {
    const demand = new Demand();
    for (let topic = 0; topic < 100_000; topic++) demand.set(String(topic), 's1', 1);
    expect(demand.count('0')).toBe(1);
    demand.set('0', 's1', 2);
    demand.set('more', 's1', 1);
    expect(['0', '1', '2', 'more'].map((key) => demand.count(key))).toEqual([2, 0, 1, 1]);
  });

  it('is remembered of 100,000 topics, and each that is not any more is told, or it would be sent on for ever', () => {
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
