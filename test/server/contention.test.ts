// An id that another connection holds: how the server probes that connection, and what happens to clients that wait for the id.
// The clock moves only when told to, so that no holder is taken for dead on a busy machine, and no work counts as long.
import { once } from 'node:events';
import { beforeEach, expect, it, vi } from 'vitest';
import type { PubkeeperServer } from '../../src/server/index.js';
import { connect, joinRelay, start, until } from './harness.js';
import { RawControl, newId } from './raw-client.js';
import type { RawRelay } from './raw-client.js';

/** How long the holder of an id has to answer a probe. */
const PROBE_MS = 2_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  return () => void vi.useRealTimers();
});

const packet = (patron_id: string) => ({ topic: 'a', patron_id, brews: [{ name: 'websocket' }] });
const register = (client: RawControl, id: string): void => client.send(20, packet(id));
const hold = async (client: RawControl, id: string): Promise<void> => {
  register(client, id);
  await client.expect(12);
};
/** The data of the next ping to a client. */
const asked = async (client: RawControl): Promise<Buffer> => ((await once(client.socket, 'ping')) as [Buffer])[0];
const isTold = async (client: RawControl, id: string): Promise<void> => expect(await client.refused()).toMatchObject({ code: 'REGISTERED_TWICE', patron_id: id });
/** Waits until everything that was on its way to the server has arrived there. */
const rounds = async (client: RawControl | RawRelay): Promise<void> => {
  for (let i = 0; i < 5; i++) await client.settled();
};

it('each newcomer makes the server probe the holder again, which has the whole time for each answer', async () => {
  const server = await start();
  const [holder, one, two, three] = [await connect(server, { autoPong: false }), await connect(server), await connect(server), await connect(server)];
  const id = newId();
  await hold(holder, id);
  let mark = asked(holder);
  register(one, id);
  holder.socket.pong(await mark);
  await isTold(one, id);
  vi.advanceTimersByTime(PROBE_MS - 1);
  mark = asked(holder);
  register(two, id);
  const second = await mark;
  vi.advanceTimersByTime(PROBE_MS - 1);
  holder.socket.pong(second);
  await isTold(two, id);
  mark = asked(holder);
  register(three, id);
  await mark;
  vi.advanceTimersByTime(PROBE_MS);
  expect(await three.expect(12)).toEqual({ patron_id: id, brewers: [] });
  expect(await holder.closed).toMatchObject({ code: 1006 });
});

/** A holder that answers no ping, and a client `one` that wants its id; the server has probed the holder with `mark`. */
async function contended(server: PubkeeperServer) {
  const [holder, one] = [await connect(server, { autoPong: false }), await connect(server)];
  const id = newId();
  await hold(holder, id);
  const asking = asked(holder);
  register(one, id);
  return { holder, one, id, mark: await asking };
}

it('all clients that want an id at the same time are answered, and one of them gets it', async () => {
  const server = await start();
  const [two, other] = [await connect(server), await connect(server)];
  const { one, id } = await contended(server);
  register(two, id);
  await rounds(other);
  vi.advanceTimersByTime(PROBE_MS);
  expect(await one.expect(12)).toEqual({ patron_id: id, brewers: [] });
  await isTold(two, id);
  expect(server.stats()).toMatchObject({ clients: 3, patrons: 1 });
});

it('a holder that pings counts as alive, though it answers no ping', async () => {
  const server = await start();
  const { holder, one, id } = await contended(server);
  await holder.settled();
  vi.advanceTimersByTime(PROBE_MS);
  await isTold(one, id);
});

it('the id is free at once when its holder disconnects during the probe', async () => {
  const server = await start();
  const { holder, one, id } = await contended(server);
  holder.socket.terminate();
  expect(await one.expect(12)).toEqual({ patron_id: id, brewers: [] });
});

it('a holder that is being closed is not probed', async () => {
  const all = [{ topic: '**', read: true, write: true }];
  const server = await start({ tokens: { old: all, fresh: all } });
  const [holder, one] = [await connect(server, { token: 'old' }), await connect(server, { token: 'fresh' })];
  const id = newId();
  await hold(holder, id);
  holder.socket.pause(); // so that it does not answer the close
  server.reload({ tokens: { fresh: all } });
  register(one, id);
  expect(await one.expect(12)).toEqual({ patron_id: id, brewers: [] });
});

it('a holder from which the server does not read, as it waits for an id itself, is not taken for dead', async () => {
  const server = await start();
  const [dead, deaf] = [await connect(server, { autoPong: false }), await connect(server, { autoPong: false })];
  const [holder, one] = [await connect(server), await connect(server)];
  const [id, ofDead, ofDeaf] = [newId(), newId(), newId()];
  await Promise.all([hold(dead, ofDead), hold(deaf, ofDeaf), hold(holder, id)]);
  let mark = asked(dead);
  register(holder, ofDead);
  register(holder, ofDeaf);
  await mark;
  vi.advanceTimersByTime(PROBE_MS / 2);
  mark = asked(holder);
  register(one, id);
  await mark;
  mark = asked(deaf);
  vi.advanceTimersByTime(PROBE_MS / 2);
  await mark;
  vi.advanceTimersByTime(PROBE_MS / 2);
  await isTold(one, id);
  vi.advanceTimersByTime(PROBE_MS / 2);
  for (const theirs of [ofDead, ofDeaf]) expect(await holder.expect(12)).toEqual({ patron_id: theirs, brewers: [] });
  await until(() => server.stats().clients === 2);
});

it('packets and a ping that came together with one that waits are handled in order, and not at all when the token is revoked', async () => {
  const all = [{ topic: '**', read: true, write: true }];
  const server = await start({ tokens: { kept: all, revoked: all } });
  const [holder, one, two] = [await connect(server, { token: 'kept', autoPong: false }), await connect(server, { token: 'kept' }), await connect(server, { token: 'revoked' })];
  const id = newId();
  await hold(holder, id);
  const mark = asked(holder);
  let isAnswered = false;
  one.socket.once('pong', () => (isAnswered = true));
  one.atOnce(() => {
    register(one, id);
    one.socket.ping();
  });
  two.atOnce(() => {
    register(two, id);
    register(two, newId());
  });
  const asking = await mark;
  const other = await connect(server, { token: 'kept' });
  await rounds(other);
  expect(isAnswered).toBe(false);
  server.reload({ tokens: { kept: all } });
  expect(await two.expect(2)).toEqual({ authenticated: false });
  expect(await two.expect(99)).toMatchObject({ code: 'UNAUTHORIZED' });
  holder.socket.pong(asking);
  await isTold(one, id);
  await one.settled();
  expect(isAnswered).toBe(true);
  await two.closed;
  expect(server.stats().patrons).toBe(1);
});

it('the server does not read from a client that waits for an id', async () => {
  const server = await start();
  const { holder, one, id, mark } = await contended(server);
  one.socket.send('text');
  await rounds(holder);
  expect(server.stats().drops).toEqual({});
  holder.socket.pong(mark);
  await isTold(one, id);
  expect(await one.expect(99)).toMatchObject({ code: 'PACKET_INVALID' });
});

/** A client that waits for an id, and has exceeded its rate. */
async function resting() {
  const server = await start({ limits: { packetsPerSecond: 1, packetBurst: 4 } });
  const holder = await connect(server, { autoPong: false });
  const id = newId();
  await hold(holder, id);
  const one = await connect(server);
  await hold(one, newId());
  await hold(one, newId());
  const mark = asked(holder);
  register(one, id);
  expect(await one.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  return { server, holder, one, id, mark: await mark };
}

it('the server reads from a client that waits for an id and has exceeded its rate when both are over', async () => {
  const { server, holder, one, id, mark } = await resting();
  holder.socket.pong(mark);
  await isTold(one, id);
  const late = newId();
  register(one, late);
  await rounds(await joinRelay(server)); // the pings of a relay connection do not count for the rate of packets
  expect(server.stats().patrons).toBe(3);
  vi.advanceTimersByTime(1_000);
  expect(await one.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' }); // this packet exceeds the rate too
  expect(await one.expect(12)).toEqual({ patron_id: late, brewers: [] });
  vi.advanceTimersByTime(1_000);
});

it('the server does not read from a client that waits for an id when its rest for its rate is over', async () => {
  const { server, holder, one, id, mark } = await resting();
  one.socket.send('text');
  vi.advanceTimersByTime(1_000);
  await rounds(await joinRelay(server));
  expect(server.stats().drops).not.toHaveProperty('control-text');
  holder.socket.pong(mark);
  await isTold(one, id);
  await until(() => server.stats().drops['control-text'] === 1);
  vi.advanceTimersByTime(1_000);
});

it('a connection that has ended leaves no timer, whatever it was waiting for', async () => {
  const rights = { mayRead: () => true, mayWrite: () => true, expiresAt: Date.now() + 3_600_000 };
  const server = await start({ tokens: { authenticate: () => rights }, limits: { packetsPerSecond: 1, packetBurst: 2, relayMessagesPerSecond: 1 } });
  const [stranger, client, relay] = [await RawControl.open(server.url), await connect(server, { token: 'x' }), await joinRelay(server)];
  for (let i = 0; i < 3; i++) relay.leave('a');
  await until(() => server.stats().drops['relay-rate'] === 1);
  register(client, newId());
  expect(await client.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  client.socket.terminate();
  stranger.socket.terminate();
  relay.socket.terminate();
  await until(() => server.stats().controlConnections + server.stats().relayConnections === 0);
  expect(vi.getTimerCount()).toBe(0);
});
