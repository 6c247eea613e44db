import { describe, expect, it } from 'vitest';
import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { keyOf, pulseKey } from '../../../src/server/cluster/records.js';
import { Registry } from '../../../src/server/cluster/registry.js';
import type { RegistryOptions, Watcher } from '../../../src/server/cluster/registry.js';
import { id, settle } from '../../helpers.js';

// The registry without NATS: its store is a map, and its clock is the test's.

function made() {
  const keys = new Map<string, string>();
  const watchers: Watcher[] = [];
  /** The one that has told all. */
  let told: Watcher | undefined;
  const timers: { ms: number; run: () => void }[] = [];
  const purged: string[] = [];
  const alive = new Set<string>();
  const fails = { purge: false };
  const nothing = (): void => undefined;
  const options: RegistryOptions = {
    server: 'me',
    store: {
      open: () => Promise.resolve(),
      put(key, value) {
        keys.set(key, value);
        // Changes are told after all that was there.
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
    set: nothing,
    delete: nothing,
    usurped: nothing,
    matchedAt: () => [],
    isAlive: (server) => alive.has(server),
    isCutOff: () => false,
    failed: nothing,
    malformed: nothing,
    heard: nothing,
    later: (run) => run(),
    after: (ms, run) => void timers.push({ ms, run }),
    maxRecord: () => 1024,
    purged: (server) => void purged.push(server),
  };
  const registry = new Registry(options);
  return {
    registry, keys, watchers, purged, alive, fails,
    complete(): void {
      told = watchers.at(-1);
      told!.complete();
    },
    ticks(count: number): void {
      for (let n = 0; n < count; n++) registry.tick();
    },
    /** The timers of so many milliseconds run out that there are now. */
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

/** One that has started, and found keys of the server `other` there. */
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
  it('reads all once, however long that takes', async () => {
    const { registry, complete, ticks } = made();
    const start = registry.start();
    await settle();
    complete();
    await start;
    const synced = registry.sync();
    await settle();
    // Twenty seconds: twice the time in which a pulse has to come back.
    ticks(40);
    complete();
    await settle();
    await synced;
    expect([registry.resyncs, registry.isWorking]).toEqual([2, true]);
  });

  it('waits for a watch for as long as it tells keys, and no longer', async () => {
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

  it('has not started before all is read, also where the connection was lost meanwhile', async () => {
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

  it('says whose keys it has removed, once they are', async () => {
    const { keys, purged, alive, ticks } = await besideOther();
    alive.add('other');
    ticks(200);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([[], true]);
    alive.clear();
    ticks(120);
    await settle();
    expect([purged, keys.has(pulseKey('other'))]).toEqual([['other'], false]);
  });

  it('removes them later where it cannot now', async () => {
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

  it('writes what it has told anew where that has been removed', async () => {
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
  });
});
