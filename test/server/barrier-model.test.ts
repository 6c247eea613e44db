import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import { rightsOf } from '../../src/server/auth.js';
import { Bench, FOREIGN, OWN } from './barrier-bench.js';

// A barrier under random sequences of everything that may happen to it.

describe('Barrier', () => {
  it('tells brewers of all pairs in order and answers every registration, after any sequence of events', () => {
    const topics = ['a', 'b'];
    const step = fc.oneof(
      fc.record({
        do: fc.constant('brewer' as const),
        id: fc.constantFrom('b1', 'b2'),
        topic: fc.constantFrom(...topics),
        details: fc.constantFrom(OWN, FOREIGN),
        k: fc.nat(1),
      }),
      fc.record({
        do: fc.constant('patron' as const),
        client: fc.constantFrom('P', 'Q', 'B'),
        n: fc.nat(1),
        pattern: fc.constantFrom('a', 'b', '*', 'x'),
      }),
      fc.record({ do: fc.constant('unregister' as const), id: fc.constantFrom('b1', 'b2', 'P0', 'P1', 'Q0', 'B0') }),
      fc.record({ do: fc.constant('gone' as const), client: fc.constantFrom('P', 'Q', 'B') }),
      fc.record({ do: fc.constant('join' as const), topic: fc.constantFrom(...topics), by: fc.constantFrom(1, 1, -1) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 100, 250) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench();
        let answers = 0;
        let known = new Map<string, string>();
        const fold = (): void => {
          for (const [, { type, payload }] of bench.sent.splice(0)) {
            if (type === 22) {
              answers++;
              for (const one of payload.patrons) known.set(`${payload.brewer_id} ${one.patron_id}`, one.topic);
            } else if (type === 23) {
              const key = `${payload.brewer_id} ${payload.patron_id}`;
              expect(known.get(key), `${key} removed without having been told`).toBe(payload.topic);
              known.delete(key);
            }
          }
        };
        for (const one of steps) {
          if (one.do === 'brewer') bench.brewer(one.id, one.topic, one.details, 'B', { k: one.k });
          else if (one.do === 'patron') bench.patron(`${one.client}${one.n}`, one.pattern, one.client);
          else if (one.do === 'join') bench.join(one.topic, one.by);
          else if (one.do === 'wait') bench.clock.advance(one.ms);
          else if (one.do === 'gone') {
            bench.gone(one.client);
            if (one.client === 'B') {
              fold();
              known = new Map();
            }
            bench.matchmaker.add(one.client, rightsOf([{ topic: '**', read: true, write: true }]));
          } else if (one.id.startsWith('b')) {
            bench.pass('B', { type: 11, payload: { topic: '', brewer_id: one.id } });
            fold();
            for (const key of known.keys()) if (key.startsWith(`${one.id} `)) known.delete(key);
          } else bench.pass(one.id[0]!, { type: 21, payload: { topic: '', patron_id: one.id } });
          fold();
        }
        bench.clock.advance(250);
        fold();
        const live = [...bench.live].map(({ brewer, patron, topic }) => `${brewer.id} ${patron.id} ${topic}`);
        expect([...known].map(([pair, topic]) => `${pair} ${topic}`).sort()).toEqual(live.sort());
        // A later match may become part of an answer or end before it is told; no answer may be lost.
        expect(answers).toBeGreaterThanOrEqual(bench.answers);
        expect(answers).toBeLessThanOrEqual(bench.answers + bench.later);
        expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
      }),
      { numRuns: 1000 },
    );
  });
});
