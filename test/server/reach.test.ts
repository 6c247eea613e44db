import { describe, expect, it } from 'vitest';
import { Reach } from '../../src/server/reach.js';
import { file, unfile } from '../../src/server/sets.js';

const topic = (...members: string[]) => ({ members: new Set(members) });
const nobodyIsFull = (): boolean => false;

describe('the connections that a publisher reaches', () => {
  it('are the readers of any topic that it has published on, except itself', () => {
    const reach = new Reach<string, ReturnType<typeof topic>>();
    const [one, two] = [topic('reader', 'from'), topic('reader')];
    reach.note('from', one);
    reach.note('from', two);
    expect([reach.others('from', 'reader', nobodyIsFull), reach.others('nobody', 'reader', nobodyIsFull)]).toEqual([false, false]);
    one.members.add('other');
    expect(reach.others('from', 'reader', nobodyIsFull)).toBe(true);
    expect(reach.others('from', 'reader', (member) => member === 'other')).toBe(false);
    one.members.delete('other');
    two.members.add('other');
    expect(reach.others('from', 'reader', nobodyIsFull)).toBe(true);
  });

  it('count for the last two periods between calls of age(), and no longer', () => {
    const reach = new Reach<string, ReturnType<typeof topic>>();
    const read = topic('reader', 'other');
    const reaches = (): boolean => reach.others('from', 'reader', nobodyIsFull);
    reach.note('from', read);
    reach.age();
    expect(reaches()).toBe(true);
    reach.note('from', read);
    reach.age();
    expect(reaches()).toBe(true);
    reach.age();
    expect(reaches()).toBe(false);
    reach.note('from', read);
    expect(reaches()).toBe(true);
    reach.gone('from');
    expect(reaches()).toBe(false);
  });
});

it('file() and unfile() keep no empty set in a map, and unfile() allows a value that is missing', () => {
  const sets = new Map<string, Set<number>>();
  file(sets, 'a', 1);
  file(sets, 'a', 2);
  unfile(sets, 'a', 3);
  unfile(sets, 'b', 1);
  unfile(sets, 'a', 1);
  expect([...sets]).toEqual([['a', new Set([2])]]);
  unfile(sets, 'a', 2);
  expect(sets.size).toBe(0);
});
