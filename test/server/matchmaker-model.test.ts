import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import type { BrewDetails, Packet } from '../../src/core/packet.js';
import { isTopic, isTopicPattern, matchTopic } from '../../src/core/topic.js';
import { rightsOf } from '../../src/server/auth.js';
import type { Right } from '../../src/server/auth.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import type { Match, Outgoing } from '../../src/server/match.js';
import { ALL, brewer, P, patron, WEB } from './matchmaker-kit.js';

// Random sequences of packets, compared with a model that tries every brewer with every patron. Each client keeps a table of its
// pairs by the packets that it gets; after every step the tables must be those of the model.

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

  /** Returns whether the registration should be accepted. */
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

  /** What a client should know of its pairs, by the kind and id of its own side and the id of the other. */
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

/** Changes a table by a packet as a client does: a NOTIFY adds, a REMOVED deletes. */
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
  // An answer may repeat a pair, but a pair may change only after it was removed.
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

/** A client that unregisters a brewer or patron deletes its pairs by itself. */
function forgetOwn(table: Map<string, unknown>, { type, payload }: Packet): void {
  const own = type === 11 ? `B ${payload.brewer_id} ` : type === 21 ? `P ${payload.patron_id} ` : undefined;
  if (own) for (const key of table.keys()) if (key.startsWith(own)) table.delete(key);
}

/** There is exactly one answer, it names all pairs, and the patron of a new pair is told before the brewer. */
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
