// An id that another connection holds: how that one is asked whether it is there, and what becomes of those who wait for it meanwhile.
// The clock stands still but where it is moved: nobody is called dead because a machine is busy, and no work counts as long.
import { once } from 'node:events';
import { beforeEach, expect, it, vi } from 'vitest';
import type { PubkeeperServer } from '../../src/server/index.js';
import { connect, joinRelay, start, until } from './harness.js';
import { RawControl, newId } from './raw-client.js';
import type { RawRelay } from './raw-client.js';

/** How long the holder of an id has to give a sign of life. */
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
/** What the next ping to a client says. */
const asked = async (client: RawControl): Promise<Buffer> => ((await once(client.socket, 'ping')) as [Buffer])[0];
const isTold = async (client: RawControl, id: string): Promise<void> => expect(await client.refused()).toMatchObject({ code: 'REGISTERED_TWICE', patron_id: id });
/** What was on its way to the server has come there. */
const rounds = async (client: RawControl | RawRelay): Promise<void> => {
  for (let i = 0; i < 5; i++) await client.settled();
};

it('the holder is asked anew by each newcomer, and has all the time for each answer', async () => {
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

/** A holder that answers no ping, and one who wants its id: it has been asked by now, with `mark`. */
async function contended(server: PubkeeperServer) {
  const [holder, one] = [await connect(server, { autoPong: false }), await connect(server)];
  const id = newId();
  await hold(holder, id);
  const asking = asked(holder);
  register(one, id);
  return { holder, one, id, mark: await asking };
}

it('all who want the id at once are answered: one gets it', async () => {
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

it('a holder that pings is there, though it answers none', async () => {
  const server = await start();
  const { holder, one, id } = await contended(server);
  await holder.settled();
  vi.advanceTimersByTime(PROBE_MS);
  await isTold(one, id);
});

it('a holder that goes while it is asked is not waited for', async () => {
  const server = await start();
  const { holder, one, id } = await contended(server);
  holder.socket.terminate();
  expect(await one.expect(12)).toEqual({ patron_id: id, brewers: [] });
});

it('a holder that is being closed is not asked', async () => {
  const all = [{ topic: '**', read: true, write: true }];
  const server = await start({ tokens: { old: all, fresh: all } });
  const [holder, one] = [await connect(server, { token: 'old' }), await connect(server, { token: 'fresh' })];
  const id = newId();
  await hold(holder, id);
  holder.socket.pause(); // it does not answer the close
  server.reload({ tokens: { fresh: all } });
  register(one, id);
  expect(await one.expect(12)).toEqual({ patron_id: id, brewers: [] });
});

it('a holder that is not read from, because it waits itself, is not called dead', async () => {
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

it('what came at once with what waits is done in its order, a ping too; and not at all where the token is revoked meanwhile', async () => {
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

it('who waits is not read from', async () => {
  const server = await start();
  const { holder, one, id, mark } = await contended(server);
  one.socket.send('text');
  await rounds(holder);
  expect(server.stats().drops).toEqual({});
  holder.socket.pong(mark);
  await isTold(one, id);
  expect(await one.expect(99)).toMatchObject({ code: 'PACKET_INVALID' });
});

/** One that waits for an id, and has sent too much. */
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

it('who has sent too much, and waits, is read when both are over', async () => {
  const { server, holder, one, id, mark } = await resting();
  holder.socket.pong(mark);
  await isTold(one, id);
  const late = newId();
  register(one, late);
  await rounds(await joinRelay(server)); // its pings are none of those packets
  expect(server.stats().patrons).toBe(3);
  vi.advanceTimersByTime(1_000);
  expect(await one.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' }); // this one too
  expect(await one.expect(12)).toEqual({ patron_id: late, brewers: [] });
  vi.advanceTimersByTime(1_000);
});

it('who waits is not read from when it has rested meanwhile', async () => {
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

it('a connection that has gone leaves no timer behind, whatever it was waiting for', async () => {
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
