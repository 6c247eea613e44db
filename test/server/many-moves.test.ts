// A BREW_STATE about very many pairs is handled in steps, so that other connections are served meanwhile.
import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/core/packet.js';
import { rightsOf } from '../../src/server/auth.js';
import type { PubkeeperServer } from '../../src/server/index.js';
import type { Outgoing } from '../../src/server/match.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import { connect, start, until } from './harness.js';
import { newId } from './raw-client.js';
import type { RawControl, RawPacket } from './raw-client.js';

const BREWS = [{ name: 'x' }, { name: 'y' }];
const SIDE = 120;
const PAIRS = SIDE * SIDE;

/** The brew of each pair, as a client was told. */
function told(packets: Iterable<Pick<RawPacket, 'type' | 'payload'>>, pairs = new Map<string, string>()): Map<string, string> {
  interface Info { readonly brewer_id?: string; readonly patron_id?: string; readonly brew: { readonly name: string } }
  for (const { type, payload } of packets) {
    const { brewer_id, patron_id } = payload as { brewer_id?: string; patron_id?: string };
    const key = (info: { brewer_id?: string; patron_id?: string }): string => `${info.brewer_id ?? brewer_id} ${info.patron_id ?? patron_id}`;
    for (const info of ((payload['brewers'] ?? payload['patrons']) as Info[] | undefined) ?? []) pairs.set(key(info), info.brew.name);
    if (type === 13 || type === 23) pairs.delete(key({}));
  }
  return pairs;
}

/** Two clients, with as many brewers as patrons, all matched with each other over x. */
async function crowd(server: PubkeeperServer): Promise<{ brewers: RawControl; patrons: RawControl }> {
  const [brewers, patrons] = [await connect(server), await connect(server)];
  for (const client of [brewers, patrons]) client.send(41, { brew: 'x', state: 'up', moves: true });
  for (let i = 0; i < SIDE; i++) patrons.send(20, { topic: '**', patron_id: newId(), brews: BREWS });
  await patrons.settled();
  for (let i = 0; i < SIDE; i++) brewers.send(10, { topic: `t${i}`, brewer_id: newId(), brewer_config: {}, brews: BREWS });
  await until(() => server.stats().matches === PAIRS);
  await Promise.all([brewers.settled(), patrons.settled()]);
  return { brewers, patrons };
}

describe('a BREW_STATE about very many pairs', () => {
  it('lets another client be served before all pairs have moved, and the pong of its own client comes after that', async () => {
    const server = await start();
    const { brewers, patrons } = await crowd(server);
    const other = await connect(server);
    let moved = 0;
    server.on('matched', () => moved++);
    brewers.send(41, { brew: 'x', state: 'down' });
    const done = brewers.settled();
    await until(() => moved > 0);
    const first = moved;
    await other.settled();
    expect([first, moved < PAIRS]).toEqual([2_000, true]);
    await done;
    expect(moved).toBe(PAIRS);
    await patrons.settled();
    for (const { inbox } of [brewers, patrons]) expect([...told(inbox.waiting).values()].filter((brew) => brew === 'y')).toHaveLength(PAIRS);
  });

  it('is followed by a second one only when the first is done', async () => {
    const server = await start();
    const { brewers, patrons } = await crowd(server);
    let moved = 0;
    server.on('matched', () => moved++);
    for (const state of ['down', 'up', 'down']) brewers.send(41, { brew: 'x', state });
    await brewers.settled();
    await patrons.settled();
    // Each of the three has moved all pairs: had they gone on side by side, pairs would already have been where the next one moves them.
    expect(moved).toBe(3 * PAIRS);
    for (const { inbox } of [brewers, patrons]) expect([...told(inbox.waiting).values()].filter((brew) => brew === 'y')).toHaveLength(PAIRS);
  });

  it('ends with its connection: its pairs end, and none of them moves any more', async () => {
    const server = await start();
    const { brewers, patrons } = await crowd(server);
    brewers.send(41, { brew: 'x', state: 'down' });
    let moved = 0;
    server.on('matched', () => moved++);
    await until(() => moved > 0);
    brewers.socket.terminate();
    await until(() => !server.stats().matches);
    await patrons.settled();
    expect(moved).toBeLessThan(PAIRS);
    expect(told(patrons.inbox.waiting).size).toBe(0);
  });

  it('leaves all clients with what they were told, whatever happens between two steps', () => {
    const side = 90; // so that a step ends in the midst of a brewer's pairs
    const matchmaker = new Matchmaker<string>();
    const id = (name: string, i: number): string => Buffer.from(`${name}${i}`).toString('hex').padEnd(32, '0');
    const heard = new Map<string, Map<string, string>>();
    const hear = (items: readonly Outgoing<string>[]): void => {
      for (const { client, packet } of items) heard.set(client, told([packet as unknown as RawPacket], heard.get(client)));
    };
    const receive = (client: string, packet: Packet): void => hear(matchmaker.receive(client, packet));
    const brewer = (i: number, brews = BREWS): Packet => ({ type: 10, payload: { topic: `t${i}`, brewer_id: id('b', i), brewer_config: {}, brews } });
    const patron = (i: number, brews = BREWS): Packet => ({ type: 20, payload: { topic: '**', patron_id: id('p', i), brews } });
    for (const client of ['B', 'P']) matchmaker.add(client, rightsOf([{ topic: '**', read: true, write: true }]));
    receive('P', { type: 41, payload: { brew: 'x', state: 'up', moves: true } });
    for (let i = 0; i < side; i++) receive('P', patron(i));
    for (let i = 0; i < side; i++) receive('B', brewer(i));
    const between = [
      () => receive('P', patron(0, [{ name: 'y' }, { name: 'x' }])),
      () => {
        receive('P', { type: 21, payload: { topic: '**', patron_id: id('p', side - 1) } });
        // A client is not told of what it has ended itself.
        for (const key of heard.get('P')!.keys()) if (key.endsWith(id('p', side - 1))) heard.get('P')!.delete(key);
      },
      () => receive('B', brewer(side - 1, [{ name: 'z' }])),
      () => receive('P', patron(side)),
      () => receive('B', brewer(side)),
      () => receive('P', { type: 41, payload: { brew: 'y', state: 'down' } }),
      () => receive('P', { type: 41, payload: { brew: 'y', state: 'up' } }),
      () => receive('P', { type: 41, payload: { brew: 'x', state: 'up' } }),
    ];
    let steps = 0;
    for (const state of ['down', 'up', 'down', 'up', 'down']) {
      for (const moves = matchmaker.moves('B', { type: 41, payload: { brew: 'x', state } }); ; ) {
        const { value, done } = moves.next();
        hear(value);
        if (done) break;
        steps++;
        between.shift()?.();
      }
    }
    expect([steps > 8, between]).toEqual([true, []]);
    const present = new Map<string, string>();
    for (const { matches } of matchmaker.allBrewers.values()) {
      for (const match of matches.values()) {
        expect(matchmaker.patron(match.patron.id)).toBe(match.patron);
        present.set(`${match.brewer.id} ${match.patron.id}`, match.brew.name);
      }
    }
    expect(matchmaker.matches).toBe(present.size);
    expect(new Set(present.values())).toEqual(new Set(['y']));
    for (const client of ['B', 'P']) expect(new Map([...heard.get(client)!].sort())).toEqual(new Map([...present].sort()));
  });
});
