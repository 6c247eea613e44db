import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Packet } from '../../src/core/packet.js';
import { rightsOf } from '../../src/server/auth.js';
import { DownBrews } from '../../src/server/down-brews.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import type { Outgoing } from '../../src/server/match.js';

// BREW_STATE: pairs move to the next common brew, and back.

const brews = ['nats', 'websocket', 'local-1'].map((name) => ({ name }));
/** An id that is made from a name. */
const idOf = (name: string): string => Buffer.from(name).toString('hex').padEnd(32, '0');
const brewer = (id: string, list = brews): Packet => ({
  type: 10,
  payload: { topic: 'a.b', brewer_id: idOf(id), brewer_config: {}, brews: list },
});
const patron = (id: string, list = brews): Packet => ({ type: 20, payload: { topic: 'a.*', patron_id: idOf(id), brews: list } });
const state = (brew: string, state: unknown, ids: { brewer_id?: string; patron_id?: string } = {}): Packet => ({
  type: 41,
  payload: { brew, state, ...Object.fromEntries(Object.entries(ids).map(([key, name]) => [key, idOf(name)])) },
});
const knows = (moves: boolean): Packet => ({ type: 41, payload: { brew: 'nats', state: 'up', moves } });

/** `client: type brew…` of each packet. */
const said = (items: readonly Outgoing<string>[]): string[] =>
  items.map(({ client, packet }) => {
    const { payload } = packet;
    const infos = 'brewers' in payload ? payload.brewers : 'patrons' in payload ? payload.patrons : [];
    return [`${client}:`, packet.type, ...infos.map(({ brew }) => brew.name)].join(' ');
  });

function matched({ moves = true, own = brews }: { moves?: boolean; own?: typeof brews } = {}) {
  const matchmaker = new Matchmaker<string>();
  for (const client of ['B', 'P']) {
    matchmaker.add(client, rightsOf([{ topic: '**', read: true, write: true }]));
    matchmaker.receive(client, knows(moves));
  }
  matchmaker.receive('B', brewer('b1'));
  matchmaker.receive('P', patron('p1', own));
  return { matchmaker, receive: (client: string, packet: Packet) => said(matchmaker.receive(client, packet)) };
}

describe('a brew that is down', () => {
  it.each(['B', 'P'])('at %s moves the pair to the next common brew, the patron first, and back when it is up', (end) => {
    const { receive, matchmaker } = matched();
    expect(receive(end, state('nats', 'down'))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
    expect(matchmaker.matches).toBe(1);
    expect(receive(end, state('nats', 'down'))).toEqual([]);
    expect(receive(end, state('nats', 'up'))).toEqual(['P: 12 nats', 'B: 22 nats']);
    expect(receive(end, state('nats', 'up'))).toEqual([]);
  });

  it('ends the pair and begins it again for clients that do not support moves', () => {
    const { receive } = matched({ moves: false });
    expect(receive('B', state('nats', 'down'))).toEqual(['P: 13', 'P: 12 websocket', 'B: 23', 'B: 22 websocket']);
  });

  it('leaves the pair where it is when there is no other common brew, or all are down', () => {
    const only = matched({ own: [{ name: 'nats' }] });
    expect(only.receive('B', state('nats', 'down'))).toEqual([]);
    const { receive } = matched();
    receive('B', state('nats', 'down'));
    expect(receive('P', state('websocket', 'down'))).toEqual(['P: 12 local-1', 'B: 22 local-1']);
    expect(receive('P', state('local-1', 'down'))).toEqual([]);
    expect(receive('P', state('websocket', 'up'))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
  });

  it('is not chosen for new pairs, unless there is no other', () => {
    const { receive } = matched();
    receive('B', state('nats', 'down'));
    expect(receive('P', patron('p2'))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
    expect(receive('P', patron('p3', [{ name: 'nats' }]))).toEqual(['P: 12 nats', 'B: 22 nats']);
  });

  it('for one brewer, one patron or one pair moves only those pairs, with one notification for each end', () => {
    const { receive } = matched();
    receive('B', brewer('b2'));
    receive('P', patron('p2'));
    expect(receive('B', state('nats', 'down', { brewer_id: 'b1' }))).toEqual([
      'P: 12 websocket',
      'P: 12 websocket',
      'B: 22 websocket websocket',
    ]);
    expect(receive('P', state('nats', 'down', { brewer_id: 'b2', patron_id: 'p2' }))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
    expect(receive('P', state('nats', 'down', { patron_id: 'p1' }))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
    expect(receive('P', state('nats', 'down', { patron_id: 'unknown' }))).toEqual([]);
    // Each reason alone keeps its pair on the other brew.
    expect(receive('B', state('nats', 'up', { brewer_id: 'b1' }))).toEqual(['P: 12 nats', 'B: 22 nats']);
  });

  it('is forgotten when its client has gone, and malformed states are ignored', () => {
    const { receive, matchmaker } = matched();
    expect(receive('B', state('nats', 3))).toEqual([]);
    expect(receive('B', state('nats', { some: 'thing' }))).toEqual([]);
    expect(receive('B', { type: 41, payload: { brew: 'nats', state: 'down', brewer_id: 'no id' } })).toEqual([]);
    expect(receive('B', { type: 41, payload: { brew: 'nats', state: 'down', patron_id: 7 } })).toEqual([]);
    receive('P', state('nats', 'down'));
    matchmaker.gone('P');
    matchmaker.add('P', rightsOf([{ topic: '**', read: true, write: true }]));
    expect(receive('P', patron('p1'))).toEqual(['P: 12 nats', 'B: 22 nats']);
  });
});

it('BREW_STATE checks only pairs that can move, and registrations that could match', () => {
  let asked = 0;
  const { mayWrite } = rightsOf([{ topic: '**', write: true }]);
  const matchmaker = new Matchmaker<string>();
  matchmaker.add('B', rightsOf([{ topic: '**', write: true }]));
  matchmaker.add('P', { mayRead: () => ++asked > 0, mayWrite });
  const names = (...all: string[]): { name: string }[] => all.map((name) => ({ name }));
  matchmaker.receive('B', brewer('b1', names('nats', 'mqtt')));
  matchmaker.receive('P', patron('p1', names('nats', 'local-1')));
  expect([matchmaker.matches, asked]).toEqual([1, 1]);
  for (const to of ['down', 'up']) for (const brew of ['unknown', 'mqtt', 'local-1', 'nats']) matchmaker.receive('P', state(brew, to));
  for (let i = 0; i < 10; i++) matchmaker.receive('P', patron('p2', names('other')));
  expect([matchmaker.matches, asked]).toEqual([1, 1]);
});

it('BREW_STATE with an id looks at the pairs of that registration only, however many others the client has', () => {
  const { receive } = matched();
  for (let i = 2; i <= 100; i++) receive('P', patron(`p${i}`));
  const looks = vi.spyOn(Map.prototype, 'values');
  onTestFinished(() => looks.mockRestore());
  for (const [end, ids] of [['P', { patron_id: 'p7' }], ['P', { brewer_id: 'b1', patron_id: 'p8' }], ['B', { patron_id: 'p9' }]] as const) {
    expect(receive(end, state('nats', 'down', ids))).toEqual(['P: 12 websocket', 'B: 22 websocket']);
  }
  // With ids that nobody has registered.
  for (const ids of [{ patron_id: 'p10', brewer_id: 'none' }, { patron_id: 'none' }]) expect(receive('P', state('nats', 'down', ids))).toEqual([]);
  expect(looks.mock.calls.length).toBeLessThan(20);
});

describe('DownBrews', () => {
  it('has a limit on its entries', () => {
    const down = new DownBrews();
    const set = (brew: string, isUp: boolean): boolean => down.set({ brew, isUp, brewerId: undefined, patronId: undefined });
    for (let i = 0; i < 10_000; i++) expect(set(String(i), false)).toBe(true);
    expect(set('one more', false)).toBe(false);
    expect(down.has('one more', 'b', 'p')).toBe(false);
    expect(set('7', true)).toBe(true);
    expect(set('one more', false)).toBe(true);
  });
});
