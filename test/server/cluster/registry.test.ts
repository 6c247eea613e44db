import { describe, expect, it } from 'vitest';
import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { encodeRecord, keyOf, pulseKey } from '../../../src/server/cluster/records.js';
import { Registry } from '../../../src/server/cluster/registry.js';
import type { RegistryOptions, Watcher } from '../../../src/server/cluster/registry.js';
import { id, settle } from '../../helpers.js';

// The registry without NATS: its store is a map, and the test moves its clock.

function made() {
  const keys = new Map<string, string>();
  const watchers: Watcher[] = [];
  /** The watcher that has reported all keys. */
  let told: Watcher | undefined;
  const timers: { ms: number; run: () => void }[] = [];
  const purged: string[] = [];
  const alive = new Set<string>();
  const fails = { purge: false, open: false, put: false };
  const log: string[] = [];
  const nothing = (): void => undefined;
  const options: RegistryOptions = {
    server: 'me',
    store: {
      open: () => (fails.open ? Promise.reject(new Error('NATS does not answer')) : Promise.resolve()),
      put(key, value) {
        if (fails.put) return Promise.reject(new Error('NATS takes nothing'));
        keys.set(key, value);
        // Changes are reported after all that existed.
        if (watchers.at(-1) === told) told?.key(key, value);
        return Promise.resolve();
      },
      delete: (key) => (keys.delete(key), Promise.resolve()),
      erase: () => Promise.resolve(),
      purge(server) {
        if (fails.purge) return Promise.reject(new Error('NATS does not answer'));
        for (const key of keys.keys()) if (key.startsWith(`${server}.`)) keys.delete(key);
        return Promise.resolve();
      },
      watch: (watcher) => (watchers.push(watcher), Promise.resolve(nothing)),
    },
    set: (one, server) => void log.push(`set ${one.at} ${server}`),
    delete: (kind, name) => void log.push(`delete ${kind} ${name === id(1)}`),
    usurped: nothing,
    matchedAt: () => [],
    isAlive: (server) => alive.has(server),
    isCutOff: () => false,
    failed: (error) => void log.push(String(error)),
    malformed: () => void log.push('malformed'),
    heard: nothing,
    later: (run) => run(),
    after: (ms, run) => void timers.push({ ms, run }),
    maxRecord: () => 1024,
    purged: (server) => void purged.push(server),
  };
  const registry = new Registry(options);
  return {
    registry, keys, watchers, purged, alive, fails, take: () => log.splice(0),
    complete(): void {
      told = watchers.at(-1);
      told!.complete();
    },
    ticks(count: number): void {
      for (let n = 0; n < count; n++) registry.tick();
    },
    /** Runs all present timers of so many milliseconds. */
    out(ms: number): void {
      const due = timers.filter((timer) => timer.ms === ms);
      for (const timer of due) {
        timers.splice(timers.indexOf(timer), 1);
        timer.run();
      }
    },
  };
}

const record = (n: number): RegistryRecord => ({ kind: 'patron', id: id(n), topic: 'a.b', brews: [], reads: ['**'], down: [], at: n });

/** A registry that has started, and found keys of the server `other`. */
async function besideOther() {
  const one = made();
  const start = one.registry.start();
  await settle();
  one.keys.set(pulseKey('other'), '1');
  one.watchers[0]!.key(pulseKey('other'), '1');
  one.complete();
  await start;
  return one;
}

describe('Registry', () => {
  it('reads all keys once, however long that takes', async () => {
    const { registry, complete, ticks } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    const synced = registry.sync();
    await settle();
    // Twenty seconds, twice the time in which a pulse has to come back.
    ticks(40);
    complete();
    await settle();
    await synced;
    expect([registry.resyncs, registry.isWorking]).toEqual([2, true]);
  });

  it('waits for a watch as long as it reports keys, and no longer', async () => {
    const { registry, watchers, out } = made();
    let outcome = '';
    void registry.start().then(() => (outcome = 'started'), (error: Error) => (outcome = error.message));
    await settle();
    for (let n = 1; n <= 10; n++) {
      watchers[0]!.key(keyOf({ server: 'other', kind: 'patron', id: id(n) }), '{}');
      out(30_000);
      await settle();
    }
    expect(outcome).toBe('');
    out(30_000);
    await settle();
    expect(outcome).toMatch(/has not told any of its keys/);
  });

  it('has started only when all keys are read, also when the connection was lost meanwhile', async () => {
    const { registry, watchers, complete } = made();
    let isStarted = false;
    const start = registry.start().then(() => (isStarted = true));
    await settle();
    void registry.sync();
    watchers[0]!.ended();
    await settle();
    expect([isStarted, watchers.length]).toEqual([false, 2]);
    complete();
    await start;
    expect(registry.isWorking).toBe(true);
  });

  it('reports a dead server when its keys are removed', async () => {
    const { keys, purged, alive, ticks } = await besideOther();
    alive.add('other');
    ticks(200);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([[], true]);
    alive.clear();
    ticks(120);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([['other'], false]);
    ticks(240);
    await settle();
    expect(purged).toEqual(['other']);
  });

  it('removes the keys of a dead server later if it fails now', async () => {
    const { keys, purged, fails, ticks } = await besideOther();
    fails.purge = true;
    ticks(120);
    await settle();
    fails.purge = false;
    ticks(119);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([[], true]);
    ticks(1);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([['other'], false]);
  });

  it('reports registrations while their server is alive, and their end, also if that was missed', async () => {
    const one = await besideOther();
    const { registry, watchers, alive, complete, take } = one;
    const key = keyOf({ server: 'other', kind: 'patron', id: id(1) });
    watchers[0]!.key(key, encodeRecord(record(1)));
    expect([take(), registry.size]).toEqual([[], 0]);
    alive.add('other');
    registry.setAlive('other', true);
    expect([take(), registry.size]).toEqual([['set 1 other'], 1]);
    watchers[0]!.key(key, '{}');
    expect(take()).toEqual(['malformed', 'delete patron true']);
    watchers[0]!.key(key, encodeRecord(record(2)));
    expect(take()).toEqual(['set 2 other']);
    const synced = registry.sync();
    await settle();
    complete();
    await synced;
    // Reports of a former watch are out of date.
    watchers[0]!.key(key, encodeRecord(record(3)));
    // The other server may be writing its keys again, as after the loss of the registry, until its pulse says that all are written.
    watchers[1]!.key(pulseKey('other'), '7');
    expect([take(), registry.size]).toEqual([[], 1]);
    watchers[1]!.key(pulseKey('other'), '8+');
    expect([take(), registry.size]).toEqual([['delete patron true'], 0]);
  });

  it('reads all keys again when its pulse does not come back or the watch ends, and reports a reason', async () => {
    const one = await besideOther();
    const { registry, watchers, keys, complete, ticks, take } = one;
    ticks(20);
    await settle();
    expect([registry.isWorking, registry.resyncs, keys.get(pulseKey('me'))]).toEqual([true, 1, '7/0+']);
    // Each pulse has come back.
    ticks(4);
    await settle();
    expect(registry.resyncs).toBe(1);
    one.fails.put = true;
    ticks(20);
    expect(registry.isWorking).toBe(true);
    ticks(1);
    expect([registry.isWorking, registry.resyncs]).toEqual([false, 2]);
    await settle();
    one.fails.put = false;
    one.out(500);
    await settle();
    complete();
    await settle();
    expect([registry.isWorking, take()]).toEqual([true, ['Error: NATS takes nothing']]);
    for (const [reason, said] of [[undefined, []], [new Error('gone'), ['Error: gone']]] as const) {
      watchers.at(-1)!.ended(reason);
      await settle();
      complete();
      await settle();
      expect(take()).toEqual(said);
    }
  });

  it('tries a failed operation again after 500 ms, and no more when it is closed', async () => {
    const one = await besideOther();
    const { registry, keys, fails, complete, out, take } = one;
    fails.open = true;
    const synced = registry.sync();
    await settle();
    expect([take(), registry.resyncs]).toEqual([['Error: NATS does not answer'], 2]);
    // Nothing is written until all keys are read.
    registry.share(record(1));
    await settle();
    const key = keyOf({ server: 'me', kind: 'patron', id: id(1) });
    expect([keys.has(key), registry.pending]).toEqual([false, 1]);
    fails.open = false;
    out(500);
    await settle();
    complete();
    await synced;
    expect([keys.has(key), registry.resyncs]).toEqual([true, 3]);
    fails.put = true;
    registry.share(record(2));
    await settle();
    expect(take()).toEqual(['Error: NATS takes nothing']);
    fails.put = false;
    out(500);
    await settle();
    expect(keys.has(keyOf({ server: 'me', kind: 'patron', id: id(2) }))).toBe(true);
    registry.unshare('patron', id(1));
    await settle();
    expect(keys.has(key)).toBe(false);
    fails.open = true;
    void registry.sync();
    await registry.close();
    await settle();
    out(500);
    await settle();
    expect([take(), registry.resyncs, [...keys.keys()]]).toEqual([[], 4, [pulseKey('other')]]);
  });

  it('reads all keys again when a server has had more or fewer registrations for three pulses than the watch has told of', async () => {
    const { registry, watchers, alive, complete, take } = await besideOther();
    alive.add('other');
    registry.setAlive('other', true);
    const pulse = (count: number, size: number, mark = '+'): void => watchers.at(-1)!.key(pulseKey('other'), `${count}/${size}${mark}`);
    const tell = (n: number): void => watchers.at(-1)!.key(keyOf({ server: 'other', kind: 'patron', id: id(n) }), encodeRecord(record(n)));
    tell(1);
    for (const count of [2, 3, 4, 5]) pulse(count, 1);
    // What it has not written yet cannot be known.
    for (const count of [6, 7, 8, 9]) pulse(count, 2, '');
    pulse(10, 2);
    pulse(11, 2);
    pulse(12, 1);
    pulse(13, 2);
    pulse(14, 2);
    await settle();
    expect([registry.resyncs, take()]).toEqual([1, ['set 1 other']]);
    pulse(15, 2);
    await settle();
    expect(registry.resyncs).toBe(2);
    tell(1);
    tell(2);
    complete();
    await settle();
    expect(take()).toEqual(['set 2 other']);
    // Where reading again does not help, it is done once.
    for (const count of [16, 17, 18]) pulse(count, 1);
    await settle();
    tell(1);
    tell(2);
    complete();
    for (const count of [19, 20, 21, 22, 23, 24]) pulse(count, 1);
    await settle();
    expect([registry.resyncs, take()]).toEqual([3, []]);
  });

  it('tells in its pulse how many registrations it has, unless some are not written yet', async () => {
    const { registry, keys, watchers, fails, complete, ticks, out } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    registry.share(record(1));
    registry.share(record(2));
    await settle();
    ticks(4);
    await settle();
    expect(keys.get(pulseKey('me'))).toMatch(/^\d+\/2\+$/);
    fails.put = true;
    registry.share(record(3));
    await settle();
    fails.put = false;
    ticks(4);
    await settle();
    expect(keys.get(pulseKey('me'))).toMatch(/^\d+\+$/);
    out(500);
    await settle();
    ticks(4);
    await settle();
    expect(keys.get(pulseKey('me'))).toMatch(/^\d+\/3\+$/);
    // The marks of ended ones, which are erased after as many ticks, do not count.
    registry.unshare('patron', id(3));
    await settle();
    ticks(20);
    await settle();
    expect(keys.get(pulseKey('me'))).toMatch(/^\d+\/2\+$/);
    // Nor can others know of a key that should not be there as long as it is.
    watchers[0]!.key(keyOf({ server: 'me', kind: 'patron', id: id(4) }), '{}');
    ticks(4);
    await settle();
    expect(keys.get(pulseKey('me'))).toMatch(/^\d+\+$/);
  });

  it('writes a key again that is deleted while it reads all keys', async () => {
    const { registry, keys, watchers, complete } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    registry.share(record(1));
    await settle();
    const key = keyOf({ server: 'me', kind: 'patron', id: id(1) });
    const value = keys.get(key)!;
    const again = registry.sync();
    await settle();
    watchers.at(-1)!.key(key, value);
    keys.delete(key);
    watchers.at(-1)!.key(key, undefined);
    complete();
    await again;
    await settle();
    expect(keys.get(key)).toBe(value);
  });

  it('writes a key again that came back with another value, as from a connection that was given up', async () => {
    const { registry, keys, watchers, complete, ticks } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    registry.share(record(1));
    const [key, other] = [1, 2].map((n) => keyOf({ server: 'me', kind: 'patron', id: id(n) })) as [string, string];
    const right = keys.get(key);
    for (const one of [key, other]) {
      keys.set(one, '{}');
      watchers[0]!.key(one, '{}');
    }
    ticks(20);
    await settle();
    expect([keys.get(key), keys.has(other), registry.resyncs]).toEqual([right, false, 1]);
  });

  it('writes its keys again when they have been removed', async () => {
    const { registry, keys, complete } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    registry.share(record(1));
    const key = keyOf({ server: 'me', kind: 'patron', id: id(1) });
    expect(keys.has(key)).toBe(true);
    keys.clear();
    const synced = registry.sync();
    await settle();
    complete();
    await synced;
    expect(keys.has(key)).toBe(true);
    await registry.close();
    registry.share(record(2));
    await settle();
    expect([...keys]).toEqual([]);
  });
});
