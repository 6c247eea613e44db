import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import { topicHash } from '../../src/core/frame.js';
import type { BrewDetails, Packet } from '../../src/core/packet.js';
import { rightsOf } from '../../src/server/auth.js';
import { Barrier } from '../../src/server/barrier.js';
import type { Match } from '../../src/server/match.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import { hashKey } from '../../src/server/relay.js';

const OWN: BrewDetails = { name: 'websocket', hostname: 'own', port: 1 };
const FOREIGN: BrewDetails = { name: 'websocket', hostname: 'elsewhere', port: 1 };
const keyOf = (topic: string): string => hashKey(topicHash(topic));

/** A clock that goes on when told to. */
class Clock {
  now = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  #next = 1;

  after = (ms: number, run: () => void): number => {
    this.#timers.set(this.#next, { at: this.now + ms, run });
    return this.#next++;
  };

  cancel = (timer: unknown): void => void this.#timers.delete(timer as number);

  get waiting(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = Math.min(end, ...[...this.#timers.values()].map(({ at }) => at));
      this.pause(Math.max(0, next - this.now));
      if (this.now === end && [...this.#timers.values()].every(({ at }) => at > end)) return;
    }
  }

  /** The process has stood still: what is due by now runs, and nothing of what that begins. */
  pause(ms: number): void {
    this.now += ms;
    for (const [id, { at, run }] of [...this.#timers]) {
      if (at > this.now || !this.#timers.delete(id)) continue;
      run();
    }
  }
}

/** A matchmaker behind a barrier, with a relay that is only numbers. What is sent is kept as `client type ids`. */
class Bench {
  readonly clock = new Clock();
  readonly joins = new Map<string, number>();
  readonly live = new Set<Match<string>>();
  /** PATRON_NOTIFYs that were not held any longer. */
  late = 0;
  /** PATRON_NOTIFYs that the matchmaker gave out: answers, and later matches. */
  answers = 0;
  later = 0;
  readonly sent: [client: string, packet: Packet][] = [];
  readonly barrier: Barrier<string>;
  readonly matchmaker: Matchmaker<string>;

  constructor() {
    this.barrier = new Barrier<string>({
      send: ({ client, packet }) => void this.sent.push([client, packet]),
      joined: (key) => this.joins.get(key) ?? 0,
      own: ({ brew }) => brew['hostname'] === 'own',
      late: () => this.late++,
      clock: this.clock,
    });
    this.matchmaker = new Matchmaker({
      matched: (match) => {
        this.live.add(match);
        this.barrier.matched(match);
      },
      unmatched: (match) => {
        this.live.delete(match);
        this.barrier.unmatched(match);
      },
    });
    for (const client of ['B', 'P', 'Q']) this.matchmaker.add(client, rightsOf([{ topic: '**', read: true, write: true }]));
  }

  brewer(id: string, topic: string, details = OWN, client = 'B', config = {}): void {
    this.pass(client, { type: 10, payload: { topic, brewer_id: id, brewer_config: config, brews: [details] } });
  }

  patron(id: string, pattern: string, client = 'P'): void {
    this.pass(client, { type: 20, payload: { topic: pattern, patron_id: id, brews: [{ name: 'websocket' }] } });
  }

  pass(client: string, packet: Packet): void {
    const items = this.matchmaker.receive(client, packet);
    for (const { packet: { type }, about } of items) {
      if (type !== 22) continue;
      if (about?.answer) this.answers++;
      else this.later++;
    }
    this.barrier.pass(items);
  }

  gone(client: string): void {
    this.barrier.pass(this.matchmaker.gone(client));
  }

  join(topic: string, by = 1): void {
    const key = keyOf(topic);
    this.joins.set(key, (this.joins.get(key) ?? 0) + by);
    if (by > 0) this.barrier.arrived(key);
  }

  /** What has been sent since the last call. */
  take(): string[] {
    return this.sent.splice(0).map(([client, { type, payload }]) => {
      if (type === 12) return `${client} +${payload.brewers.map((one) => one.brewer_id).join()}`;
      if (type === 22) return `${client} +${payload.patrons.map((one) => one.patron_id).join()}`;
      if (type === 13) return `${client} -${payload.brewer_id}`;
      if (type === 23) return `${client} -${payload.patron_id}`;
      return `${client} ${type}`;
    });
  }
}

describe('Barrier', () => {
  it('holds a later match until the patron has joined', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    expect(bench.take()).toEqual(['B +']);
    bench.patron('p1', '*');
    expect(bench.take()).toEqual(['P +b1']);
    bench.join('other');
    expect(bench.take()).toEqual([]);
    bench.join('a');
    expect(bench.take()).toEqual(['B +p1']);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
    // A second patron of the same client: its connection has joined already.
    bench.patron('p2', 'a');
    expect(bench.take()).toEqual(['P +b1', 'B +p2']);
    bench.patron('p3', 'a');
    expect(bench.take()).toEqual(['P +b1', 'B +p3']);
    // One of another client: two connections are wanted.
    bench.patron('q1', 'a', 'Q');
    expect(bench.take()).toEqual(['Q +b1']);
    bench.join('a');
    expect(bench.take()).toEqual(['B +q1']);
  });

  it('waits for no client whose patrons have all gone, one after the other', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', 'a');
    bench.patron('p2', 'a');
    bench.join('a');
    for (const patron_id of ['p1', 'p2']) bench.pass('P', { type: 21, payload: { topic: 'a', patron_id } });
    bench.join('a', -1);
    bench.patron('q1', 'a', 'Q');
    bench.take();
    bench.join('a');
    expect(bench.take()).toEqual(['B +q1']);
  });

  it('waits no longer than 250 ms', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.take();
    bench.clock.advance(249);
    expect(bench.take()).toEqual([]);
    bench.clock.advance(1);
    expect([bench.take(), bench.late]).toEqual([['B +p1'], 1]);
    bench.join('a');
    expect([bench.take(), bench.late]).toEqual([[], 1]);
  });

  it('waits for a JOIN that has arrived while the process stood still, and is read after its timers', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.take();
    bench.clock.pause(10_000);
    expect(bench.take()).toEqual([]);
    bench.join('a');
    expect([bench.take(), bench.late, bench.clock.waiting]).toEqual([['B +p1'], 0, 0]);
  });

  it('holds the answer to a BREWER_REGISTER, and lets a later match join it', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.patron('q1', '*', 'Q');
    expect(bench.take()).toEqual(['P +', 'P +b1', 'Q +b1']);
    bench.join('a');
    expect(bench.take()).toEqual([]);
    bench.join('a');
    expect(bench.take()).toEqual(['B +p1,q1']);
  });

  it('does not hold over a foreign relay or another brew', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a', FOREIGN);
    expect(bench.take()).toEqual(['P +', 'P +b1', 'B +p1']);
    bench.pass('B', { type: 10, payload: { topic: 'x.y', brewer_id: 'b2', brewer_config: {}, brews: [{ name: 'mqtt' }, OWN] } });
    bench.pass('P', { type: 20, payload: { topic: 'x.y', patron_id: 'p2', brews: [{ name: 'websocket' }, { name: 'mqtt' }] } });
    expect(bench.take()).toEqual(['B +', 'P +b2', 'B +p2']);
    expect(bench.barrier.held).toBe(0);
  });

  it('never tells of a patron that goes while its notification is held', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.gone('P');
    expect(bench.take()).toEqual(['B +', 'P +b1']);
    bench.clock.advance(1000);
    expect(bench.take()).toEqual([]);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
  });

  it('tells once of a patron that goes while its move to the own relay is held', () => {
    const bench = new Bench();
    bench.pass('B', { type: 10, payload: { topic: 'a', brewer_id: 'b1', brewer_config: {}, brews: [{ name: 'mqtt' }, OWN] } });
    bench.pass('P', { type: 20, payload: { topic: 'a', patron_id: 'p1', brews: [{ name: 'mqtt' }, { name: 'websocket' }] } });
    expect(bench.take()).toEqual(['B +', 'P +b1', 'B +p1']);
    bench.pass('B', { type: 41, payload: { brew: 'mqtt', state: 'down' } });
    expect(bench.take()).toEqual(['P -b1', 'P +b1', 'B -p1']);
    bench.gone('P');
    bench.clock.advance(1000);
    expect(bench.take()).toEqual([]);
  });

  it('answers without the patron that goes while the answer is held', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.patron('q1', '*', 'Q');
    bench.brewer('b1', 'a');
    bench.take();
    bench.join('a');
    bench.gone('Q');
    expect(bench.take()).toEqual(['B +p1']);
  });

  it('answers with an empty list when nobody is left', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.take();
    bench.gone('P');
    expect(bench.take()).toEqual(['B +']);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
  });

  it('holds an answer on whose only patron comes apart from the brewer and is matched anew', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.take();
    bench.pass('P', { type: 20, payload: { topic: '**', patron_id: 'p1', brews: [{ name: 'websocket', other: true }] } });
    expect(bench.take()).toEqual(['P +b1']);
    bench.join('a');
    expect(bench.take()).toEqual(['B +p1']);
  });

  it('answers a brewer that is unregistered while its answer is held at once, before it may come back', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.brewer('b2', 'a');
    bench.take();
    bench.pass('B', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } });
    expect(bench.take()).toEqual(['P -b1', 'B +']);
    bench.brewer('b1', 'a');
    bench.join('a');
    expect(bench.take()).toEqual(['P +b1', 'B +p1', 'B +p1']);
  });

  it('tells of a removal that follows an answer which is held, when the brewer knew the patron', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.join('a');
    bench.take();
    bench.join('a', -1);
    bench.brewer('b1', 'a', OWN, 'B', { key: 2 });
    expect(bench.take()).toEqual(['P -b1', 'P +b1']);
    bench.gone('P');
    expect(bench.take()).toEqual(['B -p1', 'B +']);
  });

  it('answers twice when a brewer is registered twice while its answer is held', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.brewer('b1', 'c');
    expect(bench.take()).toEqual(['P +', 'P +b1', 'P -b1', 'P +b1']);
    bench.join('a');
    expect(bench.take()).toEqual([]);
    bench.join('c');
    expect(bench.take()).toEqual(['B +p1', 'B +p1']);
  });

  it('tells each patron once where several matches are held when the brewer is registered again', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', 'a');
    bench.patron('q1', 'a', 'Q');
    bench.brewer('b1', 'a');
    bench.take();
    bench.join('a', 2);
    bench.clock.advance(250);
    expect(bench.take()).toEqual(['B +p1,q1']);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
  });

  it('forgets what a client was to be told when it is gone', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.gone('B');
    bench.take();
    bench.clock.advance(1000);
    bench.join('a');
    expect(bench.take()).toEqual([]);
    expect(bench.clock.waiting).toBe(0);
  });

  it('keeps the order of every pair, answers everything and loses nothing, whatever happens when', () => {
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
        // Later matches may join an answer or come to nothing; answers may not get lost.
        expect(answers).toBeGreaterThanOrEqual(bench.answers);
        expect(answers).toBeLessThanOrEqual(bench.answers + bench.later);
        expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
      }),
      { numRuns: 1000 },
    );
  });
});
