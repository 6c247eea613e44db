import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../src/server/cluster/records.js';
import { Writer } from '../../../src/server/cluster/writer.js';
import { deferred, id, settle } from '../../helpers.js';

describe('Writer', () => {
  function made() {
    const keys = new Map<string, string>();
    const calls: string[] = [];
    const timers: (() => void)[] = [];
    const failures: unknown[] = [];
    const told: string[] = [];
    const state = { broken: false, gate: undefined as Promise<void> | undefined };
    const guard = async (): Promise<void> => {
      await state.gate;
      if (state.broken) throw new Error('down');
    };
    const writer = new Writer(
      {
        put: async (key, value) => (calls.push(`put ${key}`), await guard(), void keys.set(key, value)),
        delete: async (key) => (calls.push(`delete ${key}`), await guard(), void keys.delete(key)),
        erase: async (key) => (calls.push(`erase ${key}`), await guard(), void keys.delete(key)),
      },
      { failed: (error) => failures.push(error), after: (_ms, run) => timers.push(run), caughtUp: () => told.push('caught up'), window: 2 },
    );
    const name = (n: number) => ({ server: 'me', kind: 'brewer', id: id(n) }) as const;
    return { writer, keys, calls, timers, failures, told, state, name };
  }

  it('writes nothing before it knows which keys are there, and then only what differs', async () => {
    const { writer, keys, calls, name } = made();
    for (const n of [1, 2, 3]) writer.set(name(n), `v${n}`);
    expect(calls.splice(0)).toEqual([]);
    writer.reconcile(new Map());
    await settle();
    expect(calls.splice(0)).toEqual([1, 2, 3].map((n) => `put ${keyOf(name(n))}`));
    // One key was lost, one is changed, and one is there that should not be.
    writer.pause();
    keys.delete(keyOf(name(3)));
    keys.set(keyOf(name(4)), 'stale');
    writer.set(name(2), 'new');
    await settle();
    expect(calls).toEqual([]);
    writer.reconcile(new Map(keys));
    await settle();
    expect(calls.sort()).toEqual([`delete ${keyOf(name(4))}`, `put ${keyOf(name(2))}`, `put ${keyOf(name(3))}`]);
    expect(keys).toEqual(new Map([[keyOf(name(1)), 'v1'], [keyOf(name(2)), 'new'], [keyOf(name(3)), 'v3']]));
    expect(writer.pending).toBe(0);
  });

  it('is caught up when all that differed is written, without waiting for later changes', async () => {
    const { writer, told, state, timers, name } = made();
    for (const n of [1, 2, 3]) writer.set(name(n), 'v');
    const gate = deferred<void>();
    state.gate = gate.promise;
    writer.reconcile(new Map());
    writer.set(name(4), 'v');
    expect([told, writer.isCaughtUp]).toEqual([[], false]);
    state.broken = true;
    gate.resolve();
    await settle();
    expect([told, writer.isCaughtUp]).toEqual([[], false]);
    state.broken = false;
    timers.splice(0).forEach((run) => run());
    await settle();
    expect([told, writer.isCaughtUp]).toEqual([['caught up'], true]);
    writer.set(name(5), 'v');
    expect(writer.isCaughtUp).toBe(true);
    await settle();
    writer.pause();
    expect(writer.isCaughtUp).toBe(false);
    writer.reconcile(new Map([1, 2, 3, 4, 5].map((n) => [keyOf(name(n)), 'v'])));
    expect([told, writer.isCaughtUp]).toEqual([['caught up', 'caught up'], true]);
  });

  it('writes a key once more, however often it changes during a write', async () => {
    const { writer, keys, calls, state, name } = made();
    writer.reconcile(new Map());
    const gate = deferred<void>();
    state.gate = gate.promise;
    writer.set(name(1), 'first');
    for (let i = 0; i < 10; i++) writer.set(name(1), `later ${i}`);
    gate.resolve();
    await settle();
    expect(keys.get(keyOf(name(1)))).toBe('later 9');
    expect(calls.length).toBe(2);
  });

  it('repeats writes that failed, and reports one failure', async () => {
    const { writer, keys, timers, failures, state, name } = made();
    writer.reconcile(new Map());
    state.broken = true;
    for (const n of [1, 2, 3]) writer.set(name(n), 'v');
    await settle();
    expect(failures.length).toBe(1);
    expect(writer.pending).toBe(3);
    state.broken = false;
    timers.splice(0).forEach((run) => run());
    await settle();
    expect([keys.size, writer.pending]).toEqual([3, 0]);
  });

  it('erases the marks of deleted keys after a while, except where there is a new value', async () => {
    const { writer, calls, name } = made();
    writer.reconcile(new Map());
    for (const n of [1, 2]) writer.set(name(n), 'v');
    await settle();
    for (const n of [1, 2]) writer.delete(name(n));
    await settle();
    writer.set(name(2), 'again');
    await settle();
    for (let i = 0; i < 19; i++) writer.tick();
    expect(calls.filter((call) => call.startsWith('erase'))).toEqual([]);
    for (let i = 0; i < 3; i++) writer.tick();
    expect(calls.filter((call) => call.startsWith('erase'))).toEqual([`erase ${keyOf(name(1))}`]);
  });

  it('tries again to erase a mark after a failure', async () => {
    const { writer, calls, state, name } = made();
    writer.reconcile(new Map());
    writer.set(name(1), 'v');
    await settle();
    writer.delete(name(1));
    await settle();
    state.broken = true;
    for (let i = 0; i < 20; i++) writer.tick();
    await settle();
    state.broken = false;
    for (let i = 0; i < 60; i++) {
      writer.tick();
      await settle();
    }
    expect(calls.filter((call) => call.startsWith('erase'))).toEqual(Array(2).fill(`erase ${keyOf(name(1))}`));
    expect(writer.pending).toBe(0);
  });

  it('writes a key again that stays with another value than was written last, and no key whose right value comes later', async () => {
    const { writer, keys, calls, name } = made();
    writer.reconcile(new Map());
    for (const n of [1, 2, 3]) writer.set(name(n), 'v');
    await settle();
    writer.delete(name(3));
    await settle();
    calls.splice(0);
    const [wrong, late, gone] = [1, 2, 3].map((n) => keyOf(name(n))) as [string, string, string];
    keys.set(wrong, 'former');
    keys.set(gone, 'v');
    for (const key of [wrong, late]) writer.seen(key, 'former');
    writer.seen(gone, 'v');
    for (let i = 0; i < 19; i++) writer.tick();
    writer.seen(wrong, 'former');
    writer.seen(late, 'v');
    await settle();
    expect(calls).toEqual([]);
    writer.tick();
    await settle();
    expect(calls.splice(0).sort()).toEqual([`delete ${gone}`, `put ${wrong}`]);
    expect([...keys]).toEqual([[wrong, 'v'], [late, 'v']]);
    writer.seen(wrong, 'v');
    writer.seen(gone, undefined);
    for (let i = 0; i < 19; i++) writer.tick();
    await settle();
    expect(calls).toEqual([]);
  });

  it('writes a new value only after a running erase of its key, which would remove the value', async () => {
    const { writer, keys, calls, state, name } = made();
    writer.reconcile(new Map());
    writer.set(name(1), 'v');
    await settle();
    writer.delete(name(1));
    await settle();
    const gate = deferred<void>();
    state.gate = gate.promise;
    for (let i = 0; i < 20; i++) writer.tick();
    writer.set(name(1), 'again');
    await settle();
    expect(calls.at(-1)).toBe(`erase ${keyOf(name(1))}`);
    gate.resolve();
    await settle();
    expect([keys.get(keyOf(name(1))), writer.pending]).toEqual(['again', 0]);
  });
});
