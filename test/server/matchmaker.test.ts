import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/core/packet.js';
import { rightsOf } from '../../src/server/auth.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import type { Outgoing } from '../../src/server/match.js';
import { worked } from '../helpers.js';
import { ALL, brewer, P, patron, WEB } from './matchmaker-kit.js';

/** What was sent, as `[client, packet type, payload]`. */
const said = (items: readonly Outgoing<string>[]): unknown[] =>
  items.map(({ client, packet }) => [client, packet.type, packet.payload]);

function pair(): Matchmaker<string> {
  const matchmaker = new Matchmaker<string>();
  matchmaker.add('B', rightsOf(ALL));
  matchmaker.add('P', rightsOf(ALL));
  return matchmaker;
}

describe('Matchmaker', () => {
  it('answers every registration, with an empty list when nobody matches', () => {
    const matchmaker = pair();
    expect(said(matchmaker.receive('B', brewer('b1', 'a.b')))).toEqual([['B', 22, { brewer_id: 'b1', patrons: [] }]]);
    expect(said(matchmaker.receive('P', patron('p1', 'x.*')))).toEqual([['P', 12, { patron_id: 'p1', brewers: [] }]]);
  });

  it('tells the patron before the brewer, whoever comes first, and names the literal topic', () => {
    const info = { topic: 'a.b', brewer_id: 'b1', brewer_config: { k: 1 }, brew: WEB };
    const toPatron = ['P', 12, { patron_id: 'p1', brewers: [info] }];
    const toBrewer = ['B', 22, { brewer_id: 'b1', patrons: [{ topic: 'a.b', patron_id: 'p1', brew: P('websocket') }] }];
    for (const order of [
      [brewer('b1', 'a.b', [WEB], { k: 1 }), patron('p1', 'a.*')],
      [patron('p1', 'a.*'), brewer('b1', 'a.b', [WEB], { k: 1 })],
    ]) {
      const matchmaker = pair();
      const sent = order.map((packet) => said(matchmaker.receive(packet.type === 10 ? 'B' : 'P', packet)));
      expect(sent[1]).toEqual([toPatron, toBrewer]);
      expect(matchmaker.matches).toBe(1);
    }
  });

  it('chooses the first brew of the brewer that the patron offers; without a common one there is no match', () => {
    const matchmaker = pair();
    matchmaker.receive('P', patron('p1', '**', [{ name: 'mqtt', mine: 1 }, P('websocket'), { name: 'mqtt', mine: 2 }]));
    const sent = matchmaker.receive('B', brewer('b1', 'a', [P('local-1'), { name: 'mqtt', url: 'u' }, WEB]));
    expect(sent[0]?.packet.payload).toMatchObject({ brewers: [{ brew: { name: 'mqtt', url: 'u' } }] });
    expect(sent[1]?.packet.payload).toMatchObject({ patrons: [{ brew: { name: 'mqtt', mine: 1 } }] });
    expect(said(matchmaker.receive('B', brewer('b2', 'a', [P('nats')])))).toEqual([['B', 22, { brewer_id: 'b2', patrons: [] }]]);
  });

  it('moves very many pairs in steps, and each step hands out its notifications, so that they need not all be in memory', () => {
    const matchmaker = pair();
    const brews = [P('x'), P('y')];
    for (let i = 0; i < 250; i++) matchmaker.receive('P', patron(`p${i}`, '**', brews));
    for (let i = 0; i < 100; i++) matchmaker.receive('B', brewer(`b${i}`, 'a', brews));
    expect(matchmaker.matches).toBe(25_000);
    const told = new Set<string>();
    let most = 0;
    const parts: Outgoing<string>[][] = [];
    const read = (rest: readonly Outgoing<string>[]): void => {
      for (const part of [...parts.splice(0), rest]) {
        let pairs = 0;
        const tell = (type: number, patronId: string, brewerId: string): void => void told.add(`${type} ${patronId} ${brewerId}`);
        for (const { packet } of part) {
          if (packet.type === 12) {
            for (const { brewer_id } of packet.payload.brewers) tell(12, packet.payload.patron_id, brewer_id);
            pairs += packet.payload.brewers.length;
          } else if (packet.type === 13 || packet.type === 23) {
            tell(packet.type, packet.payload.patron_id, packet.payload.brewer_id);
            if (packet.type === 23) pairs++;
          }
        }
        most = Math.max(most, pairs);
      }
    };
    const steps = matchmaker.moves('B', { type: 41, payload: { brew: 'x', state: 'down', moves: true } });
    let step = steps.next();
    for (; !step.done; step = steps.next()) parts.push(step.value);
    read(step.value);
    // Each pair ends for both sides and begins again for its patron; brewers are told of new pairs in lists.
    expect([told.size, most]).toEqual([25_000 * 2, 2_000]);
    told.clear();
    read(matchmaker.gone('P'));
    expect([told.size, matchmaker.matches]).toEqual([25_000, 0]);
  });

  it('tells the other side of a pair, with the topic, when one side is unregistered or its client is gone', () => {
    const matchmaker = pair();
    const both = () => {
      matchmaker.receive('B', brewer('b1', 'a'));
      matchmaker.receive('P', patron('p1', '*'));
    };
    const toPatron = [['P', 13, { topic: 'a', patron_id: 'p1', brewer_id: 'b1' }]];
    const toBrewer = [['B', 23, { topic: 'a', brewer_id: 'b1', patron_id: 'p1' }]];
    both();
    expect(said(matchmaker.receive('B', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } }))).toEqual(toPatron);
    both();
    expect(said(matchmaker.receive('P', { type: 21, payload: { topic: '*', patron_id: 'p1' } }))).toEqual(toBrewer);
    both();
    expect(said(matchmaker.gone('B'))).toEqual(toPatron);
    matchmaker.add('B', rightsOf(ALL));
    both();
    expect(said(matchmaker.gone('P'))).toEqual(toBrewer);
    expect(matchmaker.gone('P')).toEqual([]);
    expect([matchmaker.brewers, matchmaker.patrons, matchmaker.matches, matchmaker.clients]).toEqual([1, 0, 0, 1]);
  });

  it('matches a client with itself', () => {
    const matchmaker = pair();
    matchmaker.receive('B', patron('p1', '**'));
    expect(matchmaker.receive('B', brewer('b1', 'a')).map(({ client, packet }) => [client, packet.type])).toEqual([
      ['B', 12],
      ['B', 22],
    ]);
    expect(matchmaker.gone('B')).toEqual([]);
  });

  it('replaces what is registered again, and notifies only about pairs that change', () => {
    const matchmaker = pair();
    matchmaker.receive('P', patron('p1', 'a.*'));
    matchmaker.receive('P', patron('p2', '**'));
    matchmaker.receive('B', brewer('b1', 'a.b'));
    const types = (packet: Packet) =>
      matchmaker
        .receive(packet.type === 10 ? 'B' : 'P', packet)
        .map(({ packet: { type, payload } }) => [type, 'patron_id' in payload ? payload.patron_id : '']);
    // The same registration again: only the answer.
    expect(types(brewer('b1', 'a.b'))).toEqual([[22, '']]);
    expect(types(patron('p1', 'a.b'))).toEqual([[12, 'p1']]);
    // Another key: the patrons have to learn it, the brewer keeps its pairs.
    expect(types(brewer('b1', 'a.b', [WEB], { k: 2 }))).toEqual([[13, 'p1'], [13, 'p2'], [12, 'p1'], [12, 'p2'], [22, '']]);
    // Another topic: one pair ends, the other begins again.
    expect(types(brewer('b1', 'c', [WEB], { k: 2 }))).toEqual([[13, 'p1'], [23, 'p1'], [13, 'p2'], [23, 'p2'], [12, 'p2'], [22, '']]);
    // Other details of the patron's brew: the brewer has to learn them, the patron keeps its pair.
    expect(types(patron('p2', 'c', [{ name: 'websocket', v: 2 }]))).toEqual([[23, 'p2'], [12, 'p2'], [22, '']]);
    expect(types(patron('p2', 'd'))).toEqual([[13, 'p2'], [23, 'p2'], [12, 'p2']]);
  });

  it('refuses an id that another live client has registered, and keeps the pairs of that client', () => {
    const matchmaker = pair();
    matchmaker.receive('B', brewer('b1', 'a'));
    matchmaker.receive('P', patron('p1', 'a'));
    expect(matchmaker.rival('P', brewer('b1', 'x'))).toBe('B');
    expect(matchmaker.rival('B', brewer('b1', 'x'))).toBeUndefined();
    expect(said(matchmaker.receive('P', brewer('b1', 'x')))).toEqual([
      ['P', 99, expect.objectContaining({ code: 'REGISTERED_TWICE', brewer_id: 'b1' })],
      ['P', 22, { brewer_id: 'b1', patrons: [] }],
    ]);
    expect(said(matchmaker.receive('B', patron('p1', 'x')))).toEqual([
      ['B', 99, expect.objectContaining({ code: 'REGISTERED_TWICE', patron_id: 'p1' })],
      ['B', 12, { patron_id: 'p1', brewers: [] }],
    ]);
    expect(matchmaker.receive('P', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } })).toEqual([]);
    expect(matchmaker.matches).toBe(1);
  });

  it('tells patrons the key and the address of the brew from the latest registration', () => {
    const matchmaker = pair();
    matchmaker.receive('P', patron('p1', 'a'));
    matchmaker.receive('B', brewer('b1', 'a'));
    const told = (packet: Packet) => matchmaker.receive('B', packet).map(({ packet: { payload } }) => ('brewers' in payload ? payload.brewers : []));
    const info = { topic: 'a', brewer_id: 'b1', brewer_config: {}, brew: { ...WEB, port: 2 } };
    expect(told(brewer('b1', 'a', [info.brew]))).toEqual([[], [info], []]);
    expect(told(brewer('b1', 'a', [info.brew], { k: 2 }))).toEqual([[], [{ ...info, brewer_config: { k: 2 } }], []]);
    const [answer] = matchmaker.receive('P', patron('p2', '*'));
    expect(answer?.packet.payload).toEqual({ patron_id: 'p2', brewers: [{ ...info, brewer_config: { k: 2 } }] });
  });

  it('leaves an id with its present client when a client is gone that had it before', () => {
    const matchmaker = pair();
    matchmaker.receive('B', brewer('b1', 'a'));
    matchmaker.receive('B', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } });
    matchmaker.receive('B', patron('p1', 'a'));
    matchmaker.receive('B', { type: 21, payload: { topic: 'a', patron_id: 'p1' } });
    matchmaker.receive('P', brewer('b1', 'a'));
    matchmaker.receive('P', patron('p1', 'a'));
    expect(matchmaker.gone('B')).toEqual([]);
    expect([matchmaker.brewer('b1')?.client, matchmaker.patron('p1')?.client, matchmaker.matches]).toEqual(['P', 'P', 1]);
    expect(matchmaker.receive('P', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } })).toHaveLength(1);
  });

  it('counts the registrations of a client and their bytes, without the one that is being replaced', () => {
    const matchmaker = pair();
    const used = (packet: Packet) => {
      const { count, bytes } = matchmaker.usage('B', packet);
      return [count, bytes];
    };
    matchmaker.receive('B', brewer('b1', 'a'), 100);
    matchmaker.receive('B', patron('p1', 'a'), 20);
    matchmaker.receive('P', patron('p2', 'a'), 3000);
    expect([used(brewer('b2', 'a')), used(brewer('b1', 'x')), used(patron('p1', 'x')), used(patron('p2', 'x'))]).toEqual([[2, 120], [1, 20], [1, 100], [2, 120]]);
    matchmaker.receive('B', brewer('b1', 'a'), 300);
    matchmaker.receive('B', patron('p1', 'a'), 4);
    expect(used(brewer('b2', 'a'))).toEqual([2, 304]);
    matchmaker.receive('B', { type: 11, payload: { topic: 'a', brewer_id: 'b1' } });
    expect(used(brewer('b2', 'a'))).toEqual([1, 4]);
    matchmaker.receive('B', { type: 21, payload: { topic: 'a', patron_id: 'p1' } });
    expect(used(brewer('b2', 'a'))).toEqual([0, 0]);
  });

  it('counts clients, brewers and patrons of this server only, and the pairs that they are part of', () => {
    const matchmaker = pair();
    for (const far of ['X', 'Y']) matchmaker.add(far, rightsOf(ALL), true);
    matchmaker.receive('X', brewer('b1', 'a'));
    matchmaker.receive('Y', patron('p1', 'a'));
    matchmaker.receive('P', patron('p2', 'a'));
    matchmaker.receive('B', brewer('b2', 'a'));
    // b1 and p1 are of other servers, which match them.
    expect([matchmaker.clients, matchmaker.brewers, matchmaker.patrons, matchmaker.matches]).toEqual([2, 1, 1, 3]);
    expect([matchmaker.allBrewers.size, matchmaker.allPatrons.size]).toEqual([2, 2]);
  });

  it('refuses a malformed or forbidden registration with an ERROR, answers it nevertheless, and keeps the old registration', () => {
    const matchmaker = new Matchmaker<string>();
    matchmaker.add('B', rightsOf([{ topic: 'plant.*', write: true }]));
    matchmaker.receive('B', brewer('b1', 'plant.1'));
    for (const [packet, code] of [
      [brewer('b1', 'other.1'), 'FORBIDDEN'],
      [brewer('b1', 'plant.*'), 'TOPIC_INVALID'],
      [brewer('b1', ''), 'TOPIC_INVALID'],
      [patron('p1', 'a..b'), 'PATTERN_INVALID'],
      [patron('p1', ''), 'PATTERN_INVALID'],
    ] as const) {
      const subject = packet.type === 10 ? { brewer_id: 'b1' } : { patron_id: 'p1' };
      const answer = packet.type === 10 ? ['B', 22, { ...subject, patrons: [] }] : ['B', 12, { ...subject, brewers: [] }];
      expect(said(matchmaker.receive('B', packet))).toEqual([['B', 99, expect.objectContaining({ code, ...subject })], answer]);
    }
    // The answer lists the pairs of the registration that is kept.
    matchmaker.receive('B', patron('p1', 'plant.*'));
    expect(matchmaker.matches).toBe(0);
    matchmaker.add('P', rightsOf(ALL));
    matchmaker.receive('P', patron('p2', 'plant.*'));
    expect(said(matchmaker.receive('B', brewer('b1', 'other.1')))).toEqual([
      ['B', 99, expect.objectContaining({ code: 'FORBIDDEN' })],
      ['B', 22, { brewer_id: 'b1', patrons: [expect.objectContaining({ topic: 'plant.1', patron_id: 'p2' })] }],
    ]);
    expect(said(matchmaker.receive('P', patron('p2', 'a..b')))).toEqual([
      ['P', 99, expect.objectContaining({ code: 'PATTERN_INVALID' })],
      ['P', 12, { patron_id: 'p2', brewers: [expect.objectContaining({ topic: 'plant.1', brewer_id: 'b1' })] }],
    ]);
    matchmaker.gone('P');
    matchmaker.receive('B', { type: 21, payload: { topic: 'plant.*', patron_id: 'p1' } });
    expect([matchmaker.brewers, matchmaker.patrons]).toEqual([1, 0]);
  });

  it('matches a patron only to topics that it may read', () => {
    const matchmaker = new Matchmaker<string>();
    matchmaker.add('B', rightsOf(ALL));
    matchmaker.add('P', rightsOf([{ topic: 'open.**', read: true }, { topic: 'secret.x', write: true }]));
    matchmaker.receive('B', brewer('b1', 'open.x'));
    matchmaker.receive('B', brewer('b2', 'secret.x'));
    const [answer] = matchmaker.receive('P', patron('p1', '**'));
    expect(answer?.packet.payload).toMatchObject({ brewers: [{ brewer_id: 'b1' }] });
    expect(said(matchmaker.receive('P', patron('p2', 'secret.*')))).toEqual([['P', 12, { patron_id: 'p2', brewers: [] }]]);
    expect(matchmaker.receive('B', brewer('b3', 'secret.x')).length).toBe(1);
  });

  it('checks only topics within the rights of a patron, not all topics there are', () => {
    const matchmaker = new Matchmaker<string>();
    matchmaker.add('B', rightsOf(ALL));
    for (let i = 0; i < 1000; i++) matchmaker.receive('B', brewer(`b${i}`, `plant.${i}`));
    matchmaker.receive('B', brewer('mine', 'mine.x'));
    const asked: string[] = [];
    const { mayRead, ...rights } = rightsOf([{ topic: 'mine.**', read: true }]);
    matchmaker.add('P', { ...rights, mayRead: (topic) => (asked.push(topic), mayRead(topic)) });
    for (const pattern of ['**', '*.*', 'plant.**']) matchmaker.receive('P', patron('p', pattern));
    expect(asked).toEqual(['mine.x', 'mine.x']);
  });

  it('asks once for each client whether it may read the topic of a new brewer, however many patrons it has', () => {
    const matchmaker = new Matchmaker<string>();
    matchmaker.add('B', rightsOf(ALL));
    const asked: string[] = [];
    const ask = (client: string, may: boolean) => (topic: string) => (asked.push(`${client} ${topic}`), may);
    matchmaker.add('P', { mayRead: ask('P', false), mayWrite: () => false });
    matchmaker.add('Q', { mayRead: ask('Q', true), mayWrite: () => false });
    for (let i = 0; i < 100; i++) for (const client of ['P', 'Q']) matchmaker.receive(client, patron(`${client}${i}`, i % 2 ? '**' : 'a.*'));
    matchmaker.receive('B', brewer('b', 'a.b'));
    expect([asked.sort(), matchmaker.matches]).toEqual([['P a.b', 'Q a.b'], 100]);
  });

  it('takes linear time, whoever registers first: 10,000 brewers between 20,000 patrons', () => {
    const matchmaker = pair();
    const started = worked();
    const each = (register: (i: number) => void): void => {
      for (let i = 0; i < 10_000; i++) {
        register(i);
        // Comparing each with all others would take more than a minute.
        if (i % 1000 === 0) expect(worked() - started).toBeLessThan(5000);
      }
    };
    each((i) => matchmaker.receive('P', patron(`p${i}`, `site.${i}.**`)));
    each((i) => matchmaker.receive('B', brewer(`b${i}`, `site.${i}.x`)));
    each((i) => matchmaker.receive('P', patron(`q${i}`, `site.${i}.*`)));
    expect(matchmaker.matches).toBe(20_000);
  });
});
