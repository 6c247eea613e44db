import { describe, expect, it, vi } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { connect, later, start, until } from '../server/harness.js';
import { newId, type RawControl } from '../server/raw-client.js';
import { FaultProxy } from './proxy.js';
import { report, scale } from './kit.js';

// Ways in which a link breaks, between real clients and a real server.

const HEARTBEAT = 200;
const FOUND = 2.5 * HEARTBEAT;

/** How many ms pass at once, before all their consequences are awaited. */
const STEP = 10;

/**
 * A fake clock for clients and server: on a machine that halts, answers are read late, and a client would rightly ping again.
 * Time passes in steps, and the next step begins when everything that was sent in this one has arrived at its other end, and
 * the answer has come back.
 */
function ownTime() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] });
  // Registered first, so that what ends after it has the real clock for that.
  later(async () => void vi.useRealTimers());
  return {
    now: () => Date.now(),
    /** Lets time pass until `check` holds. `witness`: a client that is connected to the server throughout. */
    async until(witness: RawControl, check: () => boolean): Promise<void> {
      while (!check()) {
        vi.advanceTimersByTime(STEP);
        // The way through the proxy is twice as long.
        for (let i = 0; i < 3; i++) await witness.settled();
      }
    },
  };
}

async function network() {
  const server = await start({ heartbeatMs: HEARTBEAT, logger: { warn: () => undefined, error: () => undefined } });
  const proxy = await FaultProxy.listen(() => server.port);
  later(() => proxy.close());
  return { server, proxy };
}

function join(proxy: FaultProxy, token: string) {
  const client = new PubkeeperClient({ server: `ws://127.0.0.1:${proxy.port}/ws`, token, reconnect: { delayMs: 20, maxDelayMs: 50 }, logger: { warn: () => undefined, error: () => undefined } });
  client.on('error', () => undefined);
  later(() => client.disconnect());
  return client;
}

const stateOf = (client: PubkeeperClient, wanted: string): Promise<void> =>
  new Promise((resolve) => {
    const undo = client.on('state', (state) => {
      if (state !== wanted) return;
      undo();
      resolve();
    });
  });

describe('a link', () => {
  it.each<[string, 'up' | 'down' | 'both']>([
    ['half open: packets vanish both ways, and no FIN comes', 'both'],
    ['a blackhole towards the server', 'up'],
    ['a blackhole towards the client', 'down'],
  ])('%s: is found by both sides in 2.5 heartbeats, each time', async (name, way) => {
    const clients = scale(10, 100);
    const time = ownTime();
    const { server, proxy } = await network();
    const brewer = await connect(server, { token: server.token! });
    brewer.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }] });
    const all = Array.from({ length: clients }, () => join(proxy, server.token!));
    for (const client of all) client.addPatron('a', () => undefined);
    await Promise.all(all.map((client) => client.connect()));
    await until(() => server.stats().matches === clients);
    const times: number[] = [];
    const gone = new Set<string>();
    let served = 0;
    const begun = time.now();
    for (const client of all) void stateOf(client, 'reconnecting').then(() => times.push(time.now() - begun));
    server.on('unmatched', ({ patronId }) => void (gone.add(patronId), gone.size === clients && (served ||= time.now() - begun)));
    proxy.blackhole(way);
    await time.until(brewer, () => served > 0 && times.length === clients);
    await time.until(brewer, () => all.every(({ state }) => state === 'connected') && server.stats().matches === clients);
    const worst = Math.max(...times);
    report(`link, ${name}`, { clients, found: times.length, clientWorstMs: worst, serverWorstMs: served, heartbeatMs: HEARTBEAT });
    expect(times).toHaveLength(clients);
    expect(worst).toBeLessThan(FOUND);
    // If only this direction is dead, the client's close reaches the server; else the server's own heartbeat finds it, at the very end perhaps.
    expect(served).toBeLessThanOrEqual(FOUND + STEP);
    expect(server.stats()).toMatchObject({ clients: clients + 1, patrons: clients });
  });

  it('whose packets come late and one byte at a time matches and delivers everything', async () => {
    const { server, proxy } = await network();
    proxy.way = 'slice';
    proxy.delayMs = 5;
    const [reading, writing] = [join(proxy, server.token!), join(proxy, server.token!)];
    const heard: string[] = [];
    reading.addPatron('sliced.**', (_, message) => heard.push(message.text()));
    const brewer = writing.addBrewer('sliced.x');
    await Promise.all([reading.connect(), writing.connect()]);
    await until(() => brewer.isMatched);
    const count = scale(20, 100);
    for (let i = 0; i < count; i++) await brewer.brewText(`message ${i}`);
    await until(() => heard.length === count);
    expect(heard).toEqual(Array.from({ length: count }, (_, i) => `message ${i}`));
    expect(server.stats().drops).toEqual({});
  });

  it('to the relay that is half open is found by its client in 2.5 heartbeats, each time, and the next message arrives', async () => {
    const times = scale(10, 100);
    const time = ownTime();
    const { server, proxy } = await network();
    const witness = await connect(server, { token: server.token! });
    const reading = join(proxy, server.token!);
    const heard: string[] = [];
    reading.addPatron('r', (_, message) => heard.push(message.text()));
    const writing = join(proxy, server.token!);
    const lost: number[] = [];
    let begun = 0;
    for (const client of [reading, writing]) client.on('error', ({ details }) => details['silentMs'] && lost.push(time.now() - begun));
    const brewer = writing.addBrewer('r');
    await Promise.all([reading.connect(), writing.connect()]);
    await until(() => brewer.isMatched);
    for (let i = 0; i < times; i++) {
      // The brewer may wait for the relay connection, and that for its next attempt.
      const before = brewer.brewText(`before ${i}`);
      await time.until(witness, () => heard.includes(`before ${i}`));
      await before;
      begun = time.now();
      proxy.blackhole('both', (path) => path !== '/ws');
      await time.until(witness, () => lost.length === 2 * (i + 1));
      const after = brewer.brewText(`after ${i}`);
      await time.until(witness, () => heard.includes(`after ${i}`));
      await after;
    }
    report('link, relay alone half open', { times, worstMs: Math.max(...lost), heartbeatMs: HEARTBEAT });
    expect(Math.max(...lost)).toBeLessThan(FOUND);
    expect([reading.state, writing.state]).toEqual(['connected', 'connected']);
  });

  it('that is reset comes back each time, with its pairs', async () => {
    const times = scale(10, 100);
    const { server, proxy } = await network();
    const client = join(proxy, server.token!);
    const heard: string[] = [];
    const patron = client.addPatron('a', (_, message) => heard.push(message.text()));
    const writing = new PubkeeperClient({ server: server.url, token: server.token! });
    later(() => writing.disconnect());
    const brewer = writing.addBrewer('a');
    await Promise.all([client.connect(), writing.connect()]);
    for (let i = 0; i < times; i++) {
      const [down, back] = [stateOf(client, 'reconnecting'), stateOf(client, 'connected')];
      proxy.reset();
      await down;
      await back;
      await until(() => patron.isMatched && brewer.isMatched);
      // Also if the link to the relay takes longer: then it comes as the last value.
      await brewer.brewText(String(i));
      await until(() => heard.includes(String(i)));
    }
    report('link, reset', { times, dials: proxy.dials.length });
    expect(server.stats()).toMatchObject({ clients: 2, patrons: 1, matches: 1 });
  });

  it('to the relay that is half open is found by the relay too, and the client joins again', async () => {
    const { server, proxy } = await network();
    const reading = join(proxy, server.token!);
    const writing = join(proxy, server.token!);
    const heard: string[] = [];
    reading.addPatron('r', (_, message) => heard.push(message.text()));
    const brewer = writing.addBrewer('r');
    await Promise.all([reading.connect(), writing.connect()]);
    await until(() => brewer.isMatched);
    await brewer.brewText('before');
    await until(() => heard.includes('before'));
    await until(() => [reading, writing].every(({ state }) => state === 'connected') && server.stats().controlConnections === 2 && server.stats().relayConnections === 2);
    proxy.blackhole('both');
    // Both links are dead; a message that is brewed when they are back is delivered.
    await Promise.all([stateOf(reading, 'connected'), stateOf(writing, 'connected')]);
    for (let i = 0; !heard.some((text) => text.startsWith('after')); i++) {
      await brewer.brewText(`after ${i}`).catch(() => undefined);
      // The pace of the messages; those before the links are back are lost.
      await new Promise<void>((resolve) => void setTimeout(resolve, 20));
    }
    // Two control connections, and two relay connections.
    await until(() => (server.stats().drops.silent ?? 0) >= 4);
  });
});
