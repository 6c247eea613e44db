import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import type { BrewDetails, Packet } from '../../src/core/packet.js';
import { isTopic, isTopicPattern, matchTopic } from '../../src/core/topic.js';
import { rightsOf } from '../../src/server/auth.js';
import type { Right } from '../../src/server/auth.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import type { Match, Outgoing } from '../../src/server/match.js';
import { worked } from '../helpers.js';

const ALL: readonly Right[] = [{ topic: '**', read: true, write: true }];
const WEB: BrewDetails = { name: 'websocket', hostname: 'h', port: 1 };
const P = (name: string): BrewDetails => ({ name });

const brewer = (id: string, topic: string, brews: readonly BrewDetails[] = [WEB], config: object = {}): Packet => ({
  type: 10,
  payload: { topic, brewer_id: id, brewer_config: { ...config }, brews },
});
const patron = (id: string, topic: string, brews: readonly BrewDetails[] = [P('websocket')]): Packet => ({
  type: 20,
  payload: { topic, patron_id: id, brews },
});

/** What was sent, short enough to compare: `[client, packet type, payload]`. */
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

  it('tells of very many pairs in parts, so that they need not all be in memory', () => {
    const matchmaker = pair();
    const brews = [P('x'), P('y')];
    for (let i = 0; i < 250; i++) matchmaker.receive('P', patron(`p${i}`, '**', brews));
    for (let i = 0; i < 100; i++) matchmaker.receive('B', brewer(`b${i}`, 'a', brews));
    expect(matchmaker.matches).toBe(25_000);
    const told = new Set<string>();
    let most = 0;
    const parts: Outgoing<string>[][] = [];
    const pass = (items: readonly Outgoing<string>[]): void => void parts.push([...items]);
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
    read(matchmaker.receive('B', { type: 41, payload: { brew: 'x', state: 'down', moves: true } }, 0, pass));
    // Each ends for both and begins again for its patron; what the brewers hear of that are lists.
    expect([told.size, most]).toEqual([25_000 * 2, 10_000]);
    told.clear();
    read(matchmaker.gone('P'));
    expect([told.size, matchmaker.matches]).toEqual([25_000, 0]);
  });

  it('tells the other side, with the topic, when one is unregistered or gone', () => {
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

  it('replaces on re-registration, and touches only what has changed', () => {
    const matchmaker = pair();
    matchmaker.receive('P', patron('p1', 'a.*'));
    matchmaker.receive('P', patron('p2', '**'));
    matchmaker.receive('B', brewer('b1', 'a.b'));
    const types = (packet: Packet) =>
      matchmaker
        .receive(packet.type === 10 ? 'B' : 'P', packet)
        .map(({ packet: { type, payload } }) => [type, 'patron_id' in payload ? payload.patron_id : '']);
    // The same again: only the answer.
    expect(types(brewer('b1', 'a.b'))).toEqual([[22, '']]);
    expect(types(patron('p1', 'a.b'))).toEqual([[12, 'p1']]);
    // Another key: the patrons have to learn it, the brewer keeps its pairs.
    expect(types(brewer('b1', 'a.b', [WEB], { k: 2 }))).toEqual([[13, 'p1'], [13, 'p2'], [12, 'p1'], [12, 'p2'], [22, '']]);
    // Another topic: one is lost, one is made anew.
    expect(types(brewer('b1', 'c', [WEB], { k: 2 }))).toEqual([[13, 'p1'], [23, 'p1'], [13, 'p2'], [23, 'p2'], [12, 'p2'], [22, '']]);
    // Other details of the patron's brew: the brewer has to learn them, the patron keeps its pair.
    expect(types(patron('p2', 'c', [{ name: 'websocket', v: 2 }]))).toEqual([[23, 'p2'], [12, 'p2'], [22, '']]);
    expect(types(patron('p2', 'd'))).toEqual([[13, 'p2'], [23, 'p2'], [12, 'p2']]);
  });

  it('refuses an id of another live client, and forgets nothing by it', () => {
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

  it('tells patrons of the key and of the address of the brew that are registered last', () => {
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

  it('leaves an id to the client that has it, when one is gone that had it before', () => {
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

  it('knows what each client uses: its registrations and their bytes, but that which is registered again', () => {
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

  it('counts what is of this server: of others only the pairs', () => {
    const matchmaker = pair();
    for (const far of ['X', 'Y']) matchmaker.add(far, rightsOf(ALL), true);
    matchmaker.receive('X', brewer('b1', 'a'));
    matchmaker.receive('Y', patron('p1', 'a'));
    matchmaker.receive('P', patron('p2', 'a'));
    matchmaker.receive('B', brewer('b2', 'a'));
    // Those two of others are matched there.
    expect([matchmaker.clients, matchmaker.brewers, matchmaker.patrons, matchmaker.matches]).toEqual([2, 1, 1, 3]);
    expect([matchmaker.allBrewers.size, matchmaker.allPatrons.size]).toEqual([2, 2]);
  });

  it('refuses what is malformed or not allowed by an ERROR that says so, answers it all the same, and keeps the old registration', () => {
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
    // What is there still is what the answer lists.
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

  it('does not look at everything there is for a patron that may read little of it', () => {
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

  it('asks once whether a client may read what a brewer brings, however many patrons it has', () => {
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

  it('stays linear, whoever comes first: 10,000 brewers between 20,000 patrons', () => {
    const matchmaker = pair();
    const started = worked();
    const each = (register: (i: number) => void): void => {
      for (let i = 0; i < 10_000; i++) {
        register(i);
        // To look at each of the others would take more than a minute.
        if (i % 1000 === 0) expect(worked() - started).toBeLessThan(5000);
      }
    };
    each((i) => matchmaker.receive('P', patron(`p${i}`, `site.${i}.**`)));
    each((i) => matchmaker.receive('B', brewer(`b${i}`, `site.${i}.x`)));
    each((i) => matchmaker.receive('P', patron(`q${i}`, `site.${i}.*`)));
    expect(matchmaker.matches).toBe(20_000);
  });
});

// Random interleavings against a model that compares everything with everything. Each client folds the packets that it
// gets into tables; after every step these must be what the model says.

interface BrewerRow {
  client: string;
  topic: string;
  config: object;
  brews: readonly BrewDetails[];
}
interface PatronRow {
  client: string;
  pattern: string;
  brews: readonly BrewDetails[];
}

const CLIENTS: Readonly<Record<string, readonly Right[]>> = {
  c0: ALL,
  c1: [{ topic: 'a.**', read: true, write: true }, { topic: 'b', read: true }],
  c2: [{ topic: '*.b', read: true }, { topic: '**', write: true }],
};

class Model {
  readonly brewers = new Map<string, BrewerRow>();
  readonly patrons = new Map<string, PatronRow>();
  readonly may = (client: string, right: 'read' | 'write', topic: string): boolean =>
    CLIENTS[client]!.some((one) => one[right] && matchTopic(one.topic, topic));

  /** Returns whether it should be accepted. */
  register(client: string, packet: Packet): boolean {
    if (packet.type === 10) {
      const { brewer_id: id, topic, brewer_config: config, brews } = packet.payload;
      const holder = this.brewers.get(id)?.client ?? client;
      if (!isTopic(topic) || !this.may(client, 'write', topic) || holder !== client) return false;
      this.brewers.set(id, { client, topic, config, brews });
    } else if (packet.type === 20) {
      const { patron_id: id, topic: pattern, brews } = packet.payload;
      const holder = this.patrons.get(id)?.client ?? client;
      if (!isTopicPattern(pattern) || holder !== client) return false;
      this.patrons.set(id, { client, pattern, brews });
    }
    return true;
  }

  drop(client: string, what: 'brewers' | 'patrons', id: string): void {
    if (this[what].get(id)?.client === client) this[what].delete(id);
  }

  gone(client: string): void {
    for (const table of [this.brewers, this.patrons]) for (const [id, row] of table) if (row.client === client) table.delete(id);
  }

  /** `patron/brewer` → what each side should know, of the sides of one client. */
  table(client: string): Map<string, unknown> {
    const known = new Map<string, unknown>();
    for (const [brewer_id, b] of this.brewers) {
      for (const [patron_id, p] of this.patrons) {
        if (!matchTopic(p.pattern, b.topic) || !this.may(p.client, 'read', b.topic)) continue;
        const brew = b.brews.find(({ name }) => p.brews.some((other) => other.name === name));
        if (!brew) continue;
        const other = p.brews.find(({ name }) => name === brew.name);
        if (p.client === client) known.set(`P ${patron_id} ${brewer_id}`, { topic: b.topic, brewer_id, brewer_config: b.config, brew });
        if (b.client === client) known.set(`B ${brewer_id} ${patron_id}`, { topic: b.topic, patron_id, brew: other });
      }
    }
    return known;
  }
}

/** Folds packets as a client does: a NOTIFY adds, a REMOVED takes away. */
function fold(table: Map<string, unknown>, { type, payload }: Packet): void {
  if (type === 12) {
    for (const info of payload.brewers) add(table, `P ${payload.patron_id} ${info.brewer_id}`, info);
  } else if (type === 22) {
    for (const info of payload.patrons) add(table, `B ${payload.brewer_id} ${info.patron_id}`, info);
  } else if (type === 13) {
    remove(table, `P ${payload.patron_id} ${payload.brewer_id}`, payload.topic);
  } else if (type === 23) {
    remove(table, `B ${payload.brewer_id} ${payload.patron_id}`, payload.topic);
  }
}
function add(table: Map<string, unknown>, key: string, info: unknown): void {
  // An answer may repeat what is known, but nothing may change without having been removed.
  if (table.has(key)) expect(table.get(key), `${key} changed without having been removed`).toEqual(info);
  table.set(key, info);
}
function remove(table: Map<string, unknown>, key: string, topic: unknown): void {
  expect(table.get(key), `${key} was removed and never told`).toMatchObject({ topic });
  table.delete(key);
}

const client = fc.constantFrom(...Object.keys(CLIENTS));
const brews = fc.subarray([WEB, P('mqtt'), { name: 'local-1', sock: 's' }, { name: 'mqtt', second: true }], { minLength: 1 });
const step = fc.oneof(
  fc.record({
    do: fc.constant('register' as const),
    client,
    packet: fc.oneof(
      fc
        .tuple(fc.constantFrom('b1', 'b2', 'b3'), fc.constantFrom('a.b', 'a.c', 'b', 'c.b', 'a.*', ''), brews, fc.nat(1))
        .map(([id, topic, list, k]) => brewer(id, topic, list, { k })),
      fc
        .tuple(fc.constantFrom('p1', 'p2', 'p3'), fc.constantFrom('a.b', 'a.*', '**', '*.b', '*', 'x', 'a..b'), brews)
        .map(([id, pattern, list]) => patron(id, pattern, list)),
    ),
  }),
  fc.record({
    do: fc.constant('unregister' as const),
    client,
    packet: fc.oneof(
      fc.constantFrom('b1', 'b2', 'b3').map((id): Packet => ({ type: 11, payload: { topic: 'a', brewer_id: id } })),
      fc.constantFrom('p1', 'p2', 'p3').map((id): Packet => ({ type: 21, payload: { topic: 'a', patron_id: id } })),
    ),
  }),
  fc.record({ do: fc.constant('gone' as const), client }),
);

describe('Matchmaker against a model', () => {
  it('gives every client exactly the right table after every step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const live = new Set<Match<string>>();
        const matchmaker = new Matchmaker<string>({
          matched: (match) => expect(live.has(match) || !live.add(match)).toBe(false),
          unmatched: (match) => expect(live.delete(match)).toBe(true),
        });
        const model = new Model();
        const tables = new Map<string, Map<string, unknown>>();
        for (const [name, rights] of Object.entries(CLIENTS)) {
          matchmaker.add(name, rightsOf(rights));
          tables.set(name, new Map());
        }
        for (const one of steps) {
          let sent: Outgoing<string>[];
          if (one.do === 'gone') {
            sent = matchmaker.gone(one.client);
            expect(sent.every((item) => item.client !== one.client)).toBe(true);
            model.gone(one.client);
            matchmaker.add(one.client, rightsOf(CLIENTS[one.client]!));
            tables.set(one.client, new Map());
          } else {
            sent = matchmaker.receive(one.client, one.packet);
            if (one.do === 'unregister') {
              const { type, payload } = one.packet;
              if (type === 11) model.drop(one.client, 'brewers', payload.brewer_id);
              if (type === 21) model.drop(one.client, 'patrons', payload.patron_id);
              forgetOwn(tables.get(one.client)!, one.packet);
            } else if (!model.register(one.client, one.packet)) {
              expect(sent.map(({ packet }) => packet.type)).toEqual([99, one.packet.type === 10 ? 22 : 12]);
            } else {
              expectAnswer(sent, one.client, one.packet, model);
            }
          }
          for (const { client: to, packet } of sent) fold(tables.get(to)!, packet);
          let pairs = 0;
          for (const name of Object.keys(CLIENTS)) {
            const expected = model.table(name);
            expect(tables.get(name)).toEqual(expected);
            pairs += [...expected.keys()].filter((key) => key.startsWith('P')).length;
          }
          expect([matchmaker.matches, live.size]).toEqual([pairs, pairs]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** A client that unregisters something forgets its pairs by itself. Ids of others do not concern it. */
function forgetOwn(table: Map<string, unknown>, { type, payload }: Packet): void {
  const own = type === 11 ? `B ${payload.brewer_id} ` : type === 21 ? `P ${payload.patron_id} ` : undefined;
  if (own) for (const key of table.keys()) if (key.startsWith(own)) table.delete(key);
}

/** Exactly one answer, with everybody in it, and about each new pair the patron is told before the brewer. */
function expectAnswer(sent: readonly Outgoing<string>[], to: string, { type, payload }: Packet, model: Model): void {
  const table = model.table(to);
  if (type === 10) {
    const answers = sent.filter(({ about, packet }) => packet.type === 22 && about?.answer);
    expect(answers.map((answer) => answer.client)).toEqual([to]);
    expect(sent.at(-1)).toBe(answers[0]);
    const listed = answers[0]!.packet.type === 22 ? answers[0]!.packet.payload.patrons : [];
    const wanted = [...table].filter(([key]) => key.startsWith(`B ${payload.brewer_id} `)).map(([, info]) => info);
    expect(listed).toHaveLength(wanted.length);
    expect(listed).toEqual(expect.arrayContaining(wanted));
  } else if (type === 20) {
    const notifies = sent.filter(({ packet }) => packet.type === 12 || packet.type === 22);
    expect(notifies[0]).toMatchObject({ client: to, packet: { type: 12 } });
    expect(notifies.filter(({ packet }) => packet.type === 12)).toHaveLength(1);
    const listed = notifies[0]!.packet.type === 12 ? notifies[0]!.packet.payload.brewers : [];
    const wanted = [...table].filter(([key]) => key.startsWith(`P ${payload.patron_id} `)).map(([, info]) => info);
    expect(listed).toHaveLength(wanted.length);
    expect(listed).toEqual(expect.arrayContaining(wanted));
  }
}
