import fc from '../../fast-check.js';
import { describe, expect, it } from 'vitest';
import { Replica } from '../../../src/server/cluster/replica.js';
import { id } from '../../helpers.js';
import { brewerRecord as brewer } from './record.js';

describe('Replica', () => {
  function made(own = 'me') {
    const seen = new Map<string, string>();
    const log: string[] = [];
    const replica = new Replica(own, {
      set: (record, server) => (seen.set(record.id, server), log.push(`set ${server}`)),
      delete: (_kind, gone) => (seen.delete(gone), log.push('delete')),
      usurped: (_kind, gone) => log.push(`usurped ${gone === id(1)}`),
      matchedAt: () => [],
    });
    const put = (server: string, n: number, at: number, topic?: string): void => replica.apply({ server, kind: 'brewer', id: id(n) }, brewer(n, at, topic));
    return { replica, seen, log, put };
  }

  it('shows the registrations of live servers only, and keeps those of others until they are forgotten', () => {
    const { replica, seen, put } = made();
    put('a', 1, 1);
    replica.work();
    expect(seen.size).toBe(0);
    replica.setAlive('a', true);
    replica.work();
    expect(seen.get(id(1))).toBe('a');
    replica.setAlive('a', false);
    replica.work();
    expect(seen.size).toBe(0);
    replica.setAlive('a', true);
    replica.work();
    expect(seen.size).toBe(1);
    replica.forget('a');
    replica.work();
    expect([seen.size, replica.known]).toEqual([0, 0]);
  });

  it('changes the server of an id without deleting the id in between', () => {
    const { replica, log, put } = made();
    replica.setAlive('a', true);
    replica.setAlive('b', true);
    put('a', 1, 1);
    replica.work();
    put('b', 1, 2);
    replica.work();
    replica.setAlive('a', false);
    replica.work();
    expect(log).toEqual(['set a', 'set b']);
  });

  it('gives an id to the later registration, of this server or another', () => {
    const { replica, seen, log, put } = made();
    replica.setAlive('a', true);
    put('a', 1, 10);
    replica.work();
    replica.claim('brewer', id(1), 20);
    expect(seen.size).toBe(0);
    put('a', 1, 15);
    replica.work();
    expect(seen.size).toBe(0);
    put('a', 1, 30);
    replica.work();
    expect(log.slice(-2)).toEqual(['usurped true', 'set a']);
    replica.claim('brewer', id(2), 1);
    put('a', 2, 0.5);
    replica.work();
    expect(seen.has(id(2))).toBe(false);
    replica.release('brewer', id(2));
    replica.work();
    expect(seen.has(id(2))).toBe(true);
  });

  it('drops records that a snapshot does not have, and reports nothing for unchanged ones', () => {
    const { replica, seen, log, put } = made();
    replica.setAlive('a', true);
    for (const n of [1, 2, 3]) put('a', n, 1);
    replica.work();
    log.length = 0;
    replica.beginSnapshot();
    put('a', 1, 1);
    replica.whole('a');
    put('a', 3, 2, 'x');
    replica.endSnapshot();
    replica.work();
    expect([...seen.keys()].sort()).toEqual([id(1), id(3)]);
    expect(log.sort()).toEqual(['delete', 'set a']);
  });

  it('keeps records of a live server that a snapshot does not have until that server has written all of its own', () => {
    const { replica, seen, log, put } = made();
    for (const server of ['a', 'b', 'gone']) replica.setAlive(server, true);
    for (const n of [1, 2, 3]) put('a', n, 1);
    put('b', 4, 1);
    put('gone', 5, 1);
    replica.setAlive('gone', false);
    replica.work();
    log.length = 0;
    // The registry was lost: `a` has begun to write its records again, `b` has not.
    replica.beginSnapshot();
    put('a', 1, 1);
    replica.endSnapshot();
    replica.work();
    expect([log, replica.known]).toEqual([[], 4]);
    put('a', 3, 1);
    replica.whole('a');
    replica.work();
    expect([log, [...seen.keys()].sort()]).toEqual([['delete'], [id(1), id(3), id(4)]]);
    // whole() during a snapshot says nothing about records that the snapshot has yet to tell.
    replica.beginSnapshot();
    replica.whole('b');
    put('b', 4, 1);
    put('a', 1, 1);
    replica.endSnapshot();
    replica.work();
    expect([log, replica.known]).toEqual([['delete'], 3]);
  });

  it('applies as many changes at a time as it is asked to, and says whether more are waiting', () => {
    const { replica, seen, put } = made();
    replica.setAlive('a', true);
    for (let n = 0; n < 10; n++) put('a', n, 1);
    expect(replica.work(4)).toBe(true);
    expect(seen.size).toBe(4);
    expect(replica.work(6)).toBe(false);
    expect(seen.size).toBe(10);
  });

  it('agrees with every other server on who holds an id, in whatever order they learn it', () => {
    const change = fc.record({ server: fc.constantFrom('a', 'b', 'c'), at: fc.nat(3), gone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.array(fc.nat(), { minLength: 12, maxLength: 12 }), (changes, order) => {
        // Only the last change of each server counts; these may come in any order.
        const last = new Map(changes.map((one) => [one.server, one]));
        const outcome = (list: typeof changes): string | undefined => {
          const { replica, seen } = made();
          for (const server of ['a', 'b', 'c']) replica.setAlive(server, true);
          for (const { server, at, gone } of list) {
            replica.apply({ server, kind: 'brewer', id: id(1) }, gone ? undefined : brewer(1, at));
            replica.work();
          }
          return seen.get(id(1));
        };
        const shuffled = [...last.values()].map((one, index) => [order[index]!, one] as const).sort(([a], [b]) => a - b).map(([, one]) => one);
        expect(outcome(shuffled)).toBe(outcome(changes));
        const best = [...last.values()].filter(({ gone }) => !gone).sort((a, b) => b.at - a.at || (a.server < b.server ? 1 : -1))[0];
        expect(outcome(changes)).toBe(best?.server);
      }),
      { numRuns: 300 },
    );
  });
});
