import { describe, expect, it } from 'vitest';
import { Bench, FOREIGN, OWN } from './barrier-bench.js';

describe('Barrier', () => {
  it('holds the notification of a later match until the patron has joined the topic', () => {
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
    // A patron of another client: now two connections have to join.
    bench.patron('q1', 'a', 'Q');
    expect(bench.take()).toEqual(['Q +b1']);
    bench.join('a');
    expect(bench.take()).toEqual(['B +q1']);
  });

  it('does not wait for a client whose patrons were unregistered one after the other', () => {
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

  it('counts a JOIN as in time that arrived while the process stood still and is read after the timers', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.take();
    bench.clock.pause(10_000);
    expect(bench.take()).toEqual([]);
    bench.join('a');
    expect([bench.take(), bench.late, bench.clock.waiting]).toEqual([['B +p1'], 0, 0]);
  });

  it('holds the answer to a BREWER_REGISTER, and adds a later match to it', () => {
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

  it('holds nothing for a foreign relay or another brew', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a', FOREIGN);
    expect(bench.take()).toEqual(['P +', 'P +b1', 'B +p1']);
    bench.pass('B', { type: 10, payload: { topic: 'x.y', brewer_id: 'b2', brewer_config: {}, brews: [{ name: 'mqtt' }, OWN] } });
    bench.pass('P', { type: 20, payload: { topic: 'x.y', patron_id: 'p2', brews: [{ name: 'websocket' }, { name: 'mqtt' }] } });
    expect(bench.take()).toEqual(['B +', 'P +b2', 'B +p2']);
    expect(bench.barrier.held).toBe(0);
  });

  it('never sends the notification of a patron that goes while it is held', () => {
    const bench = new Bench();
    bench.brewer('b1', 'a');
    bench.patron('p1', '*');
    bench.gone('P');
    expect(bench.take()).toEqual(['B +', 'P +b1']);
    bench.clock.advance(1000);
    expect(bench.take()).toEqual([]);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
  });

  it('sends one removal only when a patron goes whose move to the own relay is held', () => {
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

  it('leaves a patron out of the answer that goes while the answer is held', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.patron('q1', '*', 'Q');
    bench.brewer('b1', 'a');
    bench.take();
    bench.join('a');
    bench.gone('Q');
    expect(bench.take()).toEqual(['B +p1']);
  });

  it('answers with an empty list when all patrons go while the answer is held', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.take();
    bench.gone('P');
    expect(bench.take()).toEqual(['B +']);
    expect([bench.barrier.held, bench.clock.waiting]).toEqual([0, 0]);
  });

  it('goes on holding an answer when its only patron is unmatched and matched again', () => {
    const bench = new Bench();
    bench.patron('p1', '*');
    bench.brewer('b1', 'a');
    bench.take();
    bench.pass('P', { type: 20, payload: { topic: '**', patron_id: 'p1', brews: [{ name: 'websocket', other: true }] } });
    expect(bench.take()).toEqual(['P +b1']);
    bench.join('a');
    expect(bench.take()).toEqual(['B +p1']);
  });

  it('answers at once when a brewer is unregistered while its answer is held', () => {
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

  it('sends the removal of a patron that the brewer knew, also while an answer is held', () => {
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

  it('names each patron once when the brewer is registered again while several matches are held', () => {
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

  it('drops what is held for a client that is gone', () => {
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
});
