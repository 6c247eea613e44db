import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import type { Brewer, Patron } from '../../../src/index.js';
import { rightsOf } from '../../../src/server/auth.js';
import { Matchmaker } from '../../../src/server/matchmaker.js';
import type { PubkeeperServer } from '../../../src/server/index.js';
import { pubkeeper } from '../../cli/harness.js';
import { TOKEN, inbox, scene, until } from './kit.js';
import { NATS, type Nats, startCluster, startNats } from './nats.js';
import { Proxy } from './proxy.js';

const stage = scene();
afterEach(() => stage.end(), 60_000);

const ready = async (server: PubkeeperServer): Promise<{ status: number; text: string }> => {
  const answer = await fetch(server.url.replace(/^ws/, 'http').replace(/ws$/, 'readyz'));
  return { status: answer.status, text: await answer.text() };
};

/** Whether all three NATS servers have the content of the registry. */
async function isWhole({ url }: Nats): Promise<boolean> {
  const connection = await connect({ servers: url });
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 3000 });
    const { cluster } = await manager.streams.info('KV_pubkeeper_pubkeeper');
    return !!cluster?.leader && cluster.replicas?.length === 2 && cluster.replicas.every(({ current, offline }) => current && !offline);
  } catch {
    return false; // while they elect a leader
  } finally {
    await connection.close();
  }
}

/** A server in a process of its own. */
async function serve(cluster: string): Promise<{ url: string; kill(): Promise<unknown> }> {
  const cli = pubkeeper(['serve', '--json', '--port', '0', '--token', TOKEN, '--cluster', cluster]);
  await cli.prints(/\n/);
  const { url } = JSON.parse(cli.stdout.all) as { url: string };
  return { url, kill: () => (cli.kill('SIGKILL'), cli.exit) };
}

describe.skipIf(!NATS)('a cluster in which a part fails', { timeout: 90_000 }, () => {
  it('removes within 10 s the registrations of a server that was killed', async () => {
    const nats = stage.own(await startNats());
    const [a, b] = [await stage.server(nats.url), stage.own(await serve(nats.url))];
    const [reader, writer] = [stage.client(a), stage.client(b.url)];
    const patron = reader.addPatron('dead.*');
    const brewer = writer.addBrewer('dead.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => patron.isMatched && brewer.isMatched, 'the match');
    const killed = performance.now();
    await b.kill();
    await until(() => !patron.isMatched, 'the end of the match');
    expect(performance.now() - killed).toBeLessThan(10_000);
    expect(a.stats().matches).toBe(0);
  });

  it('removes at once the registrations of a server that was closed', async () => {
    const nats = stage.own(await startNats());
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const patron = reader.addPatron('closed.*');
    writer.addBrewer('closed.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => patron.isMatched, 'the match');
    await b.close();
    await until(() => !patron.isMatched, 'the end of the match', 3000);
  });

  it('works within each server while NATS is gone, reports that at /readyz, and matches new registrations when NATS is back', async () => {
    const nats = stage.own(await startNats());
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [near, far] = [stage.client(a), stage.client(b)];
    const box = inbox();
    const patron = near.addPatron('gone.**', box.callback);
    const local = near.addBrewer('gone.local');
    const remote = far.addBrewer('gone.remote');
    const other = far.addPatron('other');
    const there = near.addBrewer('other');
    await Promise.all([near.connect(), far.connect()]);
    await until(() => local.isMatched && remote.isMatched && there.isMatched && other.isMatched, 'the matches');
    const ends: string[] = [];
    for (const [name, end] of Object.entries({ patron, other })) end.on('removed', () => ends.push(name));
    for (const [name, end] of Object.entries({ local, remote, there })) end.on('removed', () => ends.push(name));
    nats.child.kill('SIGKILL');
    await until(async () => (await ready(a)).status === 503, 'the word at /readyz');
    expect((await ready(a)).text).toMatch(/NATS/);
    await local.brewText('local');
    expect(await box.upTo('local')).toContain('local');
    // New brewers are matched within their server.
    const late = near.addBrewer('gone.late');
    const lost = far.addBrewer('gone.far');
    await until(() => late.isMatched, 'a new local match');
    expect(lost.isMatched).toBe(false);
    // Known pairs across two servers stay, as no server can know that the other has gone.
    expect([...patron.brewers].length).toBe(3);
    await nats.restart();
    await until(async () => (await ready(a)).status === 200 && (await ready(b)).status === 200, 'both ready again');
    await until(() => lost.isMatched && remote.isMatched, 'the match of what came meanwhile');
    await lost.brewText('healed');
    expect(await box.upTo('healed')).toContain('healed');
    expect(a.stats().matches).toBe(5);
    // The registry is in memory and was lost: the server that reads it first finds nothing of the others, and must not end their pairs.
    expect(ends).toEqual([]);
  });

  it('delivers the newest of the values that were missed in an outage', async () => {
    const nats = stage.own(await startNats());
    const proxy = stage.own(await Proxy.to(nats.port));
    const [a, b] = [await stage.server(`nats://127.0.0.1:${proxy.port}`), await stage.server(nats.url)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const box = inbox();
    reader.addPatron('missed.x', box.callback);
    const brewer = writer.addBrewer('missed.x', { cipher: 'none' });
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    await brewer.brewText('before');
    expect(await box.next()).toBe('before');
    proxy.cut();
    await until(() => !a.stats().cluster!.ready, 'the outage');
    for (const text of ['lost', 'newest']) await brewer.brewText(text);
    proxy.heal();
    expect(await box.next()).toBe('newest');
    expect(box.texts).toEqual(['before', 'newest']);
  });

  it('delivers the first value of a brewer also when it was brewed in an outage of its server', async () => {
    const nats = stage.own(await startNats());
    const proxy = stage.own(await Proxy.to(nats.port));
    const [a, b] = [await stage.server(nats.url), await stage.server(`nats://127.0.0.1:${proxy.port}`)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const box = inbox();
    reader.addPatron('first.x', box.callback);
    const brewer = writer.addBrewer('first.x', { cipher: 'none' });
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    proxy.cut();
    await until(() => !b.stats().cluster!.ready, 'the outage');
    await brewer.brewText('first');
    proxy.heal();
    expect(await box.next()).toBe('first');
  });

  it('works when one of three NATS servers is killed, for old and new registrations, and recovers', async () => {
    const natses = (await startCluster()).map((one) => stage.own(one));
    const urls = natses.map(({ url }) => url);
    const rotated = (by: number): string[] => [...urls.slice(by), ...urls.slice(0, by)];
    const [a, b] = [await stage.server(rotated(0)), await stage.server(rotated(1))];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const box = inbox();
    const patron = reader.addPatron('three.**', box.callback);
    const brewer = writer.addBrewer('three.old', { cipher: 'none' });
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched && patron.isMatched, 'the match');
    await brewer.brewText('before');
    expect(await box.upTo('before')).toContain('before');
    // One after the other, so that the leader of the stream may be among them.
    for (const nats of natses.slice(0, 2)) {
      nats.child.kill('SIGKILL');
      const late = writer.addBrewer(`three.new${nats.port}`);
      await until(() => late.isMatched, 'the match of a new brewer', 40_000);
      await late.brewText(`after ${nats.port}`);
      expect(await box.upTo(`after ${nats.port}`)).toContain(`after ${nats.port}`);
      expect(patron.isMatched).toBe(true);
      await brewer.brewText(`old ${nats.port}`);
      expect(await box.upTo(`old ${nats.port}`)).toContain(`old ${nats.port}`);
      await nats.restart();
      await until(async () => (await ready(a)).status === 200 && (await ready(b)).status === 200, 'both ready again', 40_000);
      // All must have the content again: else there would be no majority without the next one.
      await until(() => isWhole(natses[2]!), 'all three NATS servers at work', 40_000);
    }
  });

  it('has after a partition the same matches that a single server would have', async () => {
    const nats = stage.own(await startNats());
    const proxies = [stage.own(await Proxy.to(nats.port)), stage.own(await Proxy.to(nats.port)), stage.own(await Proxy.to(nats.port))];
    const servers = await Promise.all(proxies.map(({ port }) => stage.server(`nats://127.0.0.1:${port}`)));
    const clients = servers.map((server) => stage.client(server));
    const brewers = new Map<Brewer, number>();
    const patrons = new Map<Patron, number>();
    const topics = ['a', 'a.b', 'a.b.c', 'x.b', 'x.y.z'];
    const patterns = ['**', '*', 'a.**', '*.b', 'a.b', 'x.**.z'];
    let seed = 7;
    const random = (below: number): number => {
      // mulberry32: the same random changes in every run.
      seed = (seed + 0x6d2b79f5) | 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
    };
    const change = (at: number): void => {
      const mine = <T>(all: Map<T, number>): T[] => [...all].filter(([, index]) => index === at).map(([one]) => one);
      const old = { brewers: mine(brewers), patrons: mine(patrons) };
      if (random(8) === 0 && old.brewers.length) {
        const [gone] = old.brewers;
        clients[at]!.removeBrewer(gone!);
        brewers.delete(gone!);
      } else if (random(8) === 0 && old.patrons.length) {
        const [gone] = old.patrons;
        clients[at]!.removePatron(gone!);
        patrons.delete(gone!);
      } else if (random(2)) {
        brewers.set(clients[at]!.addBrewer(topics[random(topics.length)]!), at);
      } else {
        patrons.set(clients[at]!.addPatron(patterns[random(patterns.length)]!), at);
      }
    };
    await Promise.all(clients.map((client) => client.connect()));
    for (let i = 0; i < 150; i++) change(i % 3);
    const model = (): string => {
      const single = new Matchmaker<string>();
      single.add('all', rightsOf([{ topic: '**', read: true, write: true }]));
      const brews = [{ name: 'websocket' }];
      for (const { topic, brewerId } of brewers.keys()) single.receive('all', { type: 10, payload: { topic, brewer_id: brewerId, brewer_config: {}, brews } });
      for (const { topic, patronId } of patrons.keys()) single.receive('all', { type: 20, payload: { topic, patron_id: patronId, brews } });
      return JSON.stringify([...patrons.keys()].map(({ patronId }) => [...brewers.keys()].map(({ brewerId }) => brewerId).filter((id) => single.pair(id, patronId)).sort()));
    };
    const real = (): string => JSON.stringify([...patrons.keys()].map((patron) => [...patron.brewers].map((one) => (typeof one === 'string' ? one : one[0])).sort()));
    await until(() => real() === model(), 'the matches before');
    expect((JSON.parse(model()) as string[][]).flat().length).toBeGreaterThan(50);
    proxies[0]!.cut();
    await until(() => !servers[0]!.stats().cluster!.ready, 'the partition');
    for (let i = 0; i < 60; i++) change(i % 3);
    // Long enough for both sides to give each other up or not: the outcome must be the same.
    await until(() => servers[1]!.stats().cluster!.servers === 1, 'the others to miss it');
    expect(real()).not.toBe(model());
    for (let i = 0; i < 30; i++) change(i % 3);
    proxies[0]!.heal();
    // If they stay different, show the difference.
    await until(() => real() === model(), 'the matches of a single server', 30_000).catch(() => expect(real()).toBe(model()));
    const pairs = (JSON.parse(model()) as string[][]).flat().length;
    // Each pair across two servers is known to both.
    await until(() => servers.every((server) => server.stats().cluster!.pending === 0), 'all writes');
    const at = (id: string, all: Map<{ brewerId?: string; patronId?: string }, number>): number => [...all].find(([one]) => (one.brewerId ?? one.patronId) === id)![1];
    const crossing = [...patrons].flatMap(([patron, index]) => (JSON.parse(model()) as string[][])[[...patrons.keys()].indexOf(patron)]!.filter((id) => at(id, brewers) !== index)).length;
    await until(() => servers.reduce((sum, server) => sum + server.stats().matches, 0) === pairs + crossing, 'the same matches at both ends');
  });

  it('says what is wrong when NATS is not there, has no JetStream, or refuses the server', async () => {
    const error = (promise: Promise<unknown>): Promise<{ code: string; message: string }> =>
      promise.then(() => ({ code: 'none', message: '' }), (cause: unknown) => cause as { code: string; message: string });
    const gone = await error(stage.server('nats://127.0.0.1:1'));
    expect(gone).toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringMatching(/^Cannot connect to NATS at nats:\/\/127\.0\.0\.1:1 \(.+\): check that it runs there, and that the address begins with nats:\/\/ or tls:\/\/\.$/),
    });
    // Invalid options must be reported before a connection is made, which would keep the process alive.
    expect(await error(stage.server('nats://127.0.0.1:1', { tls: { cert: 'x', key: 'y' } }))).toMatchObject({ code: 'OPTION_INVALID' });
    const plain = stage.own(await startNats({ jetstream: false }));
    expect(await error(stage.server(plain.url))).toMatchObject({ code: 'CLUSTER_FAILED', message: expect.stringContaining('-js') });
    const single = stage.own(await startNats());
    expect(await error(stage.server('', { cluster: { servers: single.url, replicas: 3 } }))).toMatchObject({ code: 'CLUSTER_FAILED', message: expect.stringContaining('--cluster-replicas') });
    expect(await error(stage.server('', { cluster: { servers: single.url, credentials: 'nonsense' } }))).toMatchObject({ code: 'UNAUTHORIZED', message: expect.stringContaining('credentials file') });
    const guarded = stage.own(await startNats({ config: 'authorization { user: "u", password: "right" }' }));
    const wrong = { cluster: { servers: guarded.url, username: 'u', password: 'wrong' } };
    const refused = await error(stage.server('', wrong));
    expect(refused.code).toBe('UNAUTHORIZED');
    expect(refused.message).toMatch(
      /^NATS at nats:\/\/127\.0\.0\.1:\d+ refuses this server \(.+\): check the cluster's user and password, token or credentials file\.$/,
    );
    expect(refused.message).not.toContain('wrong');
    const right = await stage.server('', { cluster: { servers: guarded.url.replace('//', '//u:right@') } });
    await until(() => right.stats().cluster!.ready, 'readiness');
  });
});

describe.skipIf(!NATS)('clients that know several servers', { timeout: 90_000 }, () => {
  it('connect to another server when theirs was killed, and messages arrive again', async () => {
    const nats = stage.own(await startNats());
    const [a, b, c] = [stage.own(await serve(nats.url)), stage.own(await serve(nats.url)), await stage.server(nats.url)];
    const reader = stage.client('', { server: [a.url, c.url] });
    const writer = stage.client('', { server: [b.url, c.url] });
    const box = inbox();
    const second = inbox();
    reader.addPatron('go.*', box.callback);
    // Two patrons of one brewer, so that two pairs have to move to the relay of the new server.
    reader.addPatron('go.x', second.callback);
    const brewer = writer.addBrewer('go.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    await brewer.brewText('before');
    expect(await box.upTo('before')).toContain('before');
    for (const dead of [b, a]) {
      await dead.kill();
      const begun = performance.now();
      let number = 0;
      // Brew again and again, as a sensor would, each message once.
      const texts = box.texts.length;
      await until(async () => {
        void brewer.brewText(`${dead.url} ${number++}`).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return box.texts.length > texts;
      }, 'a message by way of the other server');
      expect(performance.now() - begun).toBeLessThan(10_000);
    }
    await until(() => c.stats().brewers === 1 && c.stats().patrons === 2, 'all at the server that is left');
    await brewer.brewText('after');
    expect(await box.upTo('after')).toContain('after');
    expect(await second.upTo('after')).toContain('after');
    expect(new Set(box.texts).size).toBe(box.texts.length);
  });

  it('try all servers at first, and reject when none is there', async () => {
    const nats = stage.own(await startNats());
    const c = await stage.server(nats.url);
    const client = stage.client('', { server: ['ws://127.0.0.1:1/ws', 'ws://127.0.0.1:2/ws', c.url] });
    await client.connect();
    expect(client.state).toBe('connected');
    const nowhere = stage.client('', { server: ['ws://127.0.0.1:1/ws', 'ws://127.0.0.1:2/ws'] });
    await expect(nowhere.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    for (const server of [[], ['http://x'], [c.url, ''], null]) {
      expect(() => stage.client('', { server: server as never })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    }
  });
});
