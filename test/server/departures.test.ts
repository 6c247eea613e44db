// When a connection with very many pairs ends, they are removed in steps, so that other connections are served meanwhile.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import type { PubkeeperServer } from '../../src/server/index.js';
import { Departures } from '../../src/server/departures.js';
import { connect, start, until } from './harness.js';
import { newId } from './raw-client.js';
import type { RawControl } from './raw-client.js';

const WEB = [{ name: 'websocket' }];
const SIDE = 60;

/** Two clients, with as many brewers as patrons, all matched with each other. */
async function crowd(server: PubkeeperServer): Promise<{ brewers: RawControl; patrons: RawControl; ids: readonly string[] }> {
  const [brewers, patrons] = [await connect(server, { autoPong: false }), await connect(server)];
  for (let i = 0; i < SIDE; i++) patrons.send(20, { topic: '**', patron_id: newId(), brews: WEB });
  await patrons.settled();
  const ids = Array.from({ length: SIDE }, newId);
  ids.forEach((brewer_id, i) => brewers.send(10, { topic: `t${i}`, brewer_id, brewer_config: {}, brews: WEB }));
  await until(() => server.stats().matches === SIDE * SIDE);
  return { brewers, patrons, ids };
}

it('many pairs end in several turns, and the other client is notified of each pair once', async () => {
  const server = await start();
  const { brewers, patrons, ids } = await crowd(server);
  await patrons.settled();
  brewers.socket.terminate();
  await until(() => server.stats().matches < SIDE * SIDE);
  expect(server.stats()).toMatchObject({ controlConnections: 1, clients: 2, matches: SIDE * SIDE - 33 * SIDE });
  await until(() => !server.stats().matches);
  expect(server.stats()).toMatchObject({ clients: 1, brewers: 0, patrons: SIDE });
  await patrons.settled();
  const told = patrons.inbox.waiting.filter(({ type }) => type === 13).map(({ payload }) => `${payload.brewer_id as string} ${payload.patron_id as string}`);
  expect([told.length, new Set(told).size]).toEqual([SIDE * SIDE, SIDE * SIDE]);
  expect(new Set(told.map((pair) => pair.split(' ')[0]))).toEqual(new Set(ids));
});

it('an id of a connection that is being removed is free at once, while its other registrations are removed in turns', async () => {
  const server = await start();
  const { brewers, ids } = await crowd(server);
  const next = await connect(server);
  const brewer_id = ids.at(-1)!;
  const asked = once(brewers.socket, 'ping');
  next.send(10, { topic: 'mine', brewer_id, brewer_config: {}, brews: WEB });
  await asked;
  brewers.socket.terminate();
  expect(await next.expect(22)).toMatchObject({ brewer_id, patrons: { length: SIDE } });
  await until(() => server.stats().clients === 2);
  expect(server.stats()).toMatchObject({ brewers: 1, matches: SIDE });
});

it('registrations that are being removed in turns are removed at once when the server closes', () => {
  const matches = { size: 1500 };
  const ends = ['one', 'two', 'three'].map((id) => ({ id, matches }));
  const left = new Map([['a', { brewers: new Set(ends), patrons: new Set<never>(), pairs: 4500 }]]);
  const taken: string[] = [];
  const departures = new Departures<string>({
    registrations: (client) => left.get(client),
    receive(client, { payload }) {
      const { brewer_id: id } = payload as { brewer_id: string };
      const { brewers } = left.get(client)!;
      brewers.delete(ends.find((end) => end.id === id)!);
      left.get(client)!.pairs -= matches.size;
      taken.push(id);
    },
    gone(client) {
      taken.push(`the rest of ${client}`);
      left.delete(client);
    },
  });
  departures.begin('a');
  departures.begin('a');
  expect(taken).toEqual(['one']);
  departures.finish();
  departures.begin('b');
  expect(taken).toEqual(['one', 'two', 'the rest of a', 'the rest of b']);
});
