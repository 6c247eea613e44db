import { afterEach, describe, expect, it } from 'vitest';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { NatsStore } from '../../../src/server/cluster/nats-store.js';
import { scene, until } from './kit.js';
import { NATS, startNats } from './nats.js';

// The keys of the registry in NATS, without servers that write them.

const stage = scene();
const connections: NatsConnection[] = [];
afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
  await stage.end();
}, 60_000);

const BUCKET = 'pubkeeper_test';

/** A store on a NATS server of its own, and the same store as another server opens it. */
async function stores(replicas?: number) {
  const nats = stage.own(await startNats());
  const dial = async (): Promise<NatsConnection> => {
    const connection = await connect({ servers: nats.url });
    connections.push(connection);
    return connection;
  };
  const connection = await dial();
  return { store: await NatsStore.on(connection, BUCKET, replicas), other: await NatsStore.on(await dial(), BUCKET, replicas), manager: await jetstreamManager(connection), connection };
}

/** Watches a store, and logs what is reported. */
async function watch(store: NatsStore) {
  const told: unknown[][] = [];
  const stop = await store.watch({
    key: (key, value) => void told.push([key, value]),
    complete: () => void told.push(['complete']),
    ended: (error) => void told.push(['ended', error]),
  });
  return { told, stop, until: (count: number) => until(() => told.length >= count, `${count} things told`) };
}

describe.skipIf(!NATS)('the registry in NATS', { timeout: 60_000 }, () => {
  it('is kept in memory, with one copy if there is one NATS server', async () => {
    const { store, other, manager } = await stores();
    await expect(store.put('a.s', '1')).rejects.toMatchObject({ code: 'CLUSTER_FAILED', message: expect.stringContaining('not open') as string });
    await store.open();
    // Another server opens the existing one.
    await other.open();
    const { config } = await manager.streams.info(`KV_${BUCKET}`);
    expect(config).toMatchObject({ storage: 'memory', num_replicas: 1, max_msgs_per_subject: 1 });
  });

  it('cannot be opened with more copies than there are NATS servers', async () => {
    const { store } = await stores(3);
    await expect(store.open()).rejects.toMatchObject({ code: 'CLUSTER_FAILED', details: { permanent: true }, message: expect.stringMatching(/single server.*--cluster-replicas/) as string });
  });

  it('reports all keys, then that they are complete, then each change', async () => {
    const { store, other } = await stores();
    await store.open();
    await other.open();
    for (const key of ['a.b.1', 'a.b.2', 'b.b.3']) await store.put(key, `of ${key}`);
    const { told, stop, until: tells } = await watch(other);
    await tells(4);
    expect(told).toEqual([['a.b.1', 'of a.b.1'], ['a.b.2', 'of a.b.2'], ['b.b.3', 'of b.b.3'], ['complete']]);
    told.length = 0;
    await store.put('a.b.1', 'another');
    await store.delete('a.b.2');
    // Each change is followed by the word that the keys are complete.
    await tells(4);
    expect(told).toEqual([['a.b.1', 'another'], ['complete'], ['a.b.2', undefined], ['complete']]);
    told.length = 0;
    stop();
    await tells(1);
    expect(told).toEqual([['ended', undefined]]);
  });

  it('erases the marker of a deleted key, purges all keys of a server, and leaves others alone', async () => {
    const { store, other } = await stores();
    await store.open();
    await other.open();
    for (const key of ['a.s', 'a.b.1', 'a.b.2', 'aa.s', 'b.b.3']) await store.put(key, 'x');
    await store.delete('a.b.1');
    const marked = await watch(other);
    await marked.until(6);
    expect(marked.told).toContainEqual(['a.b.1', undefined]);
    marked.told.length = 0;
    await store.erase('a.b.1');
    await store.put('b.b.3', 'y');
    await marked.until(1);
    // Erasing a marker is not reported.
    expect(marked.told[0]).toEqual(['b.b.3', 'y']);
    const erased = await watch(other);
    await erased.until(5);
    expect(erased.told).toEqual([['a.s', 'x'], ['a.b.2', 'x'], ['aa.s', 'x'], ['b.b.3', 'y'], ['complete']]);
    await store.purge('a');
    const purged = await watch(other);
    await purged.until(3);
    expect(purged.told).toEqual([['aa.s', 'x'], ['b.b.3', 'y'], ['complete']]);
  });

  it('reports every change also when markers are erased meanwhile, and erases no new value', async () => {
    const { store, other } = await stores();
    await store.open();
    await other.open();
    await store.put('a.s', 'x');
    const watched = await watch(other);
    await watched.until(2);
    const wanted: string[] = [];
    for (let round = 0; round < 40; round++) {
      await store.put(`a.p.${round}`, 'x');
      await store.delete(`a.p.${round}`);
      const puts = Array.from({ length: 50 }, (_none, n) => `a.b.${round}-${n}`);
      wanted.push(...puts);
      await Promise.all([...puts.slice(0, 25).map((key) => store.put(key, 'x')), store.erase(`a.p.${round}`), ...puts.slice(25).map((key) => store.put(key, 'x'))]);
    }
    await store.put('a.last', 'x');
    await until(() => watched.told.some(([key]) => key === 'a.last'), 'the last key');
    const told = new Set(watched.told.map(([key]) => key));
    expect(wanted.filter((key) => !told.has(key))).toEqual([]);
    await store.erase('a.last');
    await store.erase('a.none');
    const left = await watch(store);
    await until(() => left.told.some(([key]) => key === 'complete'), 'all keys');
    const keys = left.told.map(([key]) => String(key));
    expect([keys.length, keys.includes('a.last'), keys.some((key) => key.startsWith('a.p.'))]).toEqual([wanted.length + 3, true, false]);
  });

  it('reports that a watch has ended with its connection', async () => {
    const { store, connection } = await stores();
    await store.open();
    await store.put('a.s', '1');
    const { told, until: tells } = await watch(store);
    await tells(2);
    await connection.close();
    await tells(3);
    expect(told[2]![0]).toBe('ended');
  });
});
