import fc from '../../fast-check.js';
import { describe, expect, it } from 'vitest';
import { readBeat } from '../../../src/server/cluster/beat-format.js';
import { FrameReader, decodeInterest, encodeFrames, encodeInterest, interestsWithin } from '../../../src/server/cluster/bridge-format.js';
import { SharedClock } from '../../../src/server/cluster/clock.js';
import { Leases } from '../../../src/server/cluster/leases.js';
import { readClusterOptions } from '../../../src/server/cluster/options.js';
import { decodeRecord, encodeRecord, keyOf, pulseKey, readKey } from '../../../src/server/cluster/records.js';
import type { RegistryRecord } from '../../../src/server/cluster/records.js';
import { Replica } from '../../../src/server/cluster/replica.js';
import { Writer } from '../../../src/server/cluster/writer.js';
import { isSecure, reachedBy } from '../../../src/server/own-relay.js';
import { deferred, id, settle, thrown } from '../../helpers.js';

describe('SharedClock', () => {
  it('never stands still, never falls behind what was heard, and believes no stamp of the far future', () => {
    let now = 1000;
    const clock = new SharedClock(() => now);
    const first = clock.next();
    expect(clock.next()).toBeGreaterThan(first);
    clock.heard(5000);
    expect(clock.next()).toBeGreaterThan(5000);
    now = 6000;
    expect(clock.next()).toBe(6000);
    // Two that are asked at once hardly ever say the same.
    expect(new SharedClock(() => now, 0.25).next()).toBe(6000.25);
    for (const nonsense of [NaN, Infinity, 1e18, 2 ** 43]) clock.heard(nonsense);
    expect(clock.next()).toBeLessThan(6001);
    // The last one that is believed is one from which the next step shows.
    const last = 2 ** 43 - 2;
    clock.heard(last);
    expect(clock.next()).toBeGreaterThan(last);
  });
});

describe('Leases', () => {
  const ticks = (leases: Leases, count: number, own = true): string[] =>
    Array.from({ length: count }).flatMap(() => {
      if (own) leases.heard('me');
      return leases.tick();
    });

  it('take a silent server for dead after its lease, and not before', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.heard('a')).toBe(true);
    expect(leases.heard('a')).toBe(false);
    expect(ticks(leases, 12)).toEqual([]);
    expect(ticks(leases, 1)).toEqual(['a']);
    expect(leases.size).toBe(0);
  });

  it('let nobody age while this server does not hear itself, and give all up when that lasts', () => {
    const leases = new Leases('me', 12, 60);
    leases.heard('me');
    leases.heard('a');
    expect(ticks(leases, 60, false)).toEqual([]);
    expect(leases.isCutOff).toBe(true);
    // Back: a whole lease for everybody.
    expect(ticks(leases, 12)).toEqual([]);
    expect(leases.isCutOff).toBe(false);
    expect(ticks(leases, 1)).toEqual(['a']);
    leases.heard('b');
    expect(ticks(leases, 61, false)).toEqual(['b']);
  });

  it('forget at once who says goodbye', () => {
    const leases = new Leases('me', 12, 60);
    expect(leases.isCutOff).toBe(true);
    leases.heard('a');
    expect(leases.left('a')).toBe(true);
    expect(leases.left('a')).toBe(false);
    expect([...leases.others]).toEqual([]);
  });
});

const brewer = (n: number, at: number, topic = 'a.b'): RegistryRecord => ({
  kind: 'brewer',
  id: id(n),
  topic,
  config: { cipher: { mode: 'NONE', key: '' } },
  brews: [{ name: 'websocket', hostname: null, port: null }],
  down: [],
  at,
});

describe('records', () => {
  it('come back as they went', () => {
    const patron: RegistryRecord = { kind: 'patron', id: id(2), topic: 'a.**', brews: [{ name: 'mqtt' }], reads: ['a.*'], down: [['mqtt'], ['nats', id(1)]], at: 7.25 };
    for (const record of [brewer(1, 3), patron]) {
      const key = keyOf({ server: 'abcdefghijkl', ...record });
      expect(key).toMatch(/^[A-Za-z0-9._-]+$/);
      const name = readKey(key)!;
      expect(decodeRecord(name, encodeRecord(record))).toEqual(record);
    }
  });

  it('are refused when they make no sense', () => {
    for (const key of ['', 'x', pulseKey('abc'), 's.q.' + id(1), 's.b.nonsense', 's.b.' + id(1) + '.x', '.b.' + id(1)]) expect(readKey(key)).toBeUndefined();
    const name = { server: 's', kind: 'brewer', id: id(1) } as const;
    const good = JSON.parse(encodeRecord(brewer(1, 1))) as Record<string, unknown>;
    expect(decodeRecord(name, JSON.stringify(good))).toEqual(brewer(1, 1));
    for (const bad of [{ topic: 'a.*' }, { topic: 1 }, { brews: [{}] }, { brews: 'x' }, { at: 'x' }, { config: null }, { down: [[1]] }, { down: [[]] }, { down: [['a', 'b', 'c']] }]) {
      expect(decodeRecord(name, JSON.stringify({ ...good, ...bad }))).toBeUndefined();
    }
    expect(decodeRecord(name, '{')).toBeUndefined();
    for (const none of ['[]', 'null', '1']) expect(decodeRecord(name, none)).toBeUndefined();
    expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify(good))).toBeUndefined();
    expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify({ ...good, reads: ['a.*'] }))).toMatchObject({ kind: 'patron', reads: ['a.*'] });
    for (const reads of [['a..b'], [''], 'a.b', [1]]) expect(decodeRecord({ ...name, kind: 'patron' }, JSON.stringify({ ...good, reads }))).toBeUndefined();
  });
});

describe('Replica', () => {
  function made(own = 'me') {
    const seen = new Map<string, string>();
    const log: string[] = [];
    const replica = new Replica(own, {
      set: (record, server) => (seen.set(record.id, server), log.push(`set ${server}`)),
      delete: (_kind, gone) => (seen.delete(gone), log.push('delete')),
      usurped: (_kind, gone) => log.push(`usurped ${gone === id(1)}`),
      matchedAt: () => [],
    });
    const put = (server: string, n: number, at: number, topic?: string): void => replica.apply({ server, kind: 'brewer', id: id(n) }, brewer(n, at, topic));
    return { replica, seen, log, put };
  }

  it('counts what servers have registered that are there, and keeps what is known of those that are not', () => {
    const { replica, seen, put } = made();
    put('a', 1, 1);
    replica.work();
    expect(seen.size).toBe(0);
    replica.setAlive('a', true);
    replica.work();
    expect(seen.get(id(1))).toBe('a');
    replica.setAlive('a', false);
    replica.work();
    expect(seen.size).toBe(0);
    replica.setAlive('a', true);
    replica.work();
    expect(seen.size).toBe(1);
    replica.forget('a');
    replica.work();
    expect([seen.size, replica.known]).toEqual([0, 0]);
  });

  it('hands over from one server to another without an end between', () => {
    const { replica, log, put } = made();
    replica.setAlive('a', true);
    replica.setAlive('b', true);
    put('a', 1, 1);
    replica.work();
    put('b', 1, 2);
    replica.work();
    replica.setAlive('a', false);
    replica.work();
    expect(log).toEqual(['set a', 'set b']);
  });

  it('lets the later registration of an id win, here or elsewhere', () => {
    const { replica, seen, log, put } = made();
    replica.setAlive('a', true);
    put('a', 1, 10);
    replica.work();
    replica.claim('brewer', id(1), 20);
    expect(seen.size).toBe(0);
    put('a', 1, 15);
    replica.work();
    expect(seen.size).toBe(0);
    put('a', 1, 30);
    replica.work();
    expect(log.slice(-2)).toEqual(['usurped true', 'set a']);
    replica.claim('brewer', id(2), 1);
    put('a', 2, 0.5);
    replica.work();
    expect(seen.has(id(2))).toBe(false);
    replica.release('brewer', id(2));
    replica.work();
    expect(seen.has(id(2))).toBe(true);
  });

  it('drops what a snapshot does not have, and says nothing of what has not changed', () => {
    const { replica, seen, log, put } = made();
    replica.setAlive('a', true);
    for (const n of [1, 2, 3]) put('a', n, 1);
    replica.work();
    log.length = 0;
    replica.beginSnapshot();
    put('a', 1, 1);
    replica.whole('a');
    put('a', 3, 2, 'x');
    replica.endSnapshot();
    replica.work();
    expect([...seen.keys()].sort()).toEqual([id(1), id(3)]);
    expect(log.sort()).toEqual(['delete', 'set a']);
  });

  it('keeps what a snapshot does not have of a server that is there, until that has written all of its', () => {
    const { replica, seen, log, put } = made();
    for (const server of ['a', 'b', 'gone']) replica.setAlive(server, true);
    for (const n of [1, 2, 3]) put('a', n, 1);
    put('b', 4, 1);
    put('gone', 5, 1);
    replica.setAlive('gone', false);
    replica.work();
    log.length = 0;
    // The registry was lost: `a` has begun to write anew, `b` is to.
    replica.beginSnapshot();
    put('a', 1, 1);
    replica.endSnapshot();
    replica.work();
    expect([log, replica.known]).toEqual([[], 4]);
    put('a', 3, 1);
    replica.whole('a');
    replica.work();
    expect([log, [...seen.keys()].sort()]).toEqual([['delete'], [id(1), id(3), id(4)]]);
    // A word of before the next snapshot says nothing of what that has not told yet.
    replica.beginSnapshot();
    replica.whole('b');
    put('b', 4, 1);
    put('a', 1, 1);
    replica.endSnapshot();
    replica.work();
    expect([log, replica.known]).toEqual([['delete'], 3]);
  });

  it('does as much at a time as it is asked to', () => {
    const { replica, seen, put } = made();
    replica.setAlive('a', true);
    for (let n = 0; n < 10; n++) put('a', n, 1);
    expect(replica.work(4)).toBe(true);
    expect(seen.size).toBe(4);
    expect(replica.work(6)).toBe(false);
    expect(seen.size).toBe(10);
  });

  it('agrees with every other server on who holds an id, in whatever order they learn it', () => {
    const change = fc.record({ server: fc.constantFrom('a', 'b', 'c'), at: fc.nat(3), gone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.array(fc.nat(), { minLength: 12, maxLength: 12 }), (changes, order) => {
        // Only the last word of each server counts; those may come in any order.
        const last = new Map(changes.map((one) => [one.server, one]));
        const outcome = (list: typeof changes): string | undefined => {
          const { replica, seen } = made();
          for (const server of ['a', 'b', 'c']) replica.setAlive(server, true);
          for (const { server, at, gone } of list) {
            replica.apply({ server, kind: 'brewer', id: id(1) }, gone ? undefined : brewer(1, at));
            replica.work();
          }
          return seen.get(id(1));
        };
        const shuffled = [...last.values()].map((one, index) => [order[index]!, one] as const).sort(([a], [b]) => a - b).map(([, one]) => one);
        expect(outcome(shuffled)).toBe(outcome(changes));
        const best = [...last.values()].filter(({ gone }) => !gone).sort((a, b) => b.at - a.at || (a.server < b.server ? 1 : -1))[0];
        expect(outcome(changes)).toBe(best?.server);
      }),
      { numRuns: 300 },
    );
  });
});

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

  it('writes nothing until it knows what is there, then only what differs', async () => {
    const { writer, keys, calls, name } = made();
    for (const n of [1, 2, 3]) writer.set(name(n), `v${n}`);
    expect(calls.splice(0)).toEqual([]);
    writer.reconcile(new Map());
    await settle();
    expect(calls.splice(0)).toEqual([1, 2, 3].map((n) => `put ${keyOf(name(n))}`));
    // One was lost, one is changed, and one has come that nobody wants.
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

  it('says when all is written that differed, and not what came after that', async () => {
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

  it('writes a key once, however often it changes meanwhile', async () => {
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

  it('tries again what failed, and tells it once', async () => {
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

  it('removes the marks of what it deleted, after a while and not where there is a new value', async () => {
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

  it('tries again to remove a mark that could not be removed', async () => {
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

  it('writes no new value while a mark is being removed, which would go with it', async () => {
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

describe('messages between relays', () => {
  const SERVER = 'abcdefghijkl';
  const bytes = fc.uint8Array({ maxLength: 300 });

  it('carry frames of every length within the longest message', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 20 }), fc.integer({ min: 64, max: 500 }), (frames, most) => {
        const reader = new FrameReader(1000);
        const messages = encodeFrames(SERVER, 12.5, frames, most);
        for (const message of messages) expect(message.length).toBeLessThanOrEqual(most);
        const read = messages.flatMap((message) => reader.read('topic', message) ?? []);
        expect(read.flatMap((one) => one.frames.map((frame) => [...frame]))).toEqual(frames.map((frame) => [...frame]));
        for (const { server, stamp } of read) expect([server, stamp]).toEqual([SERVER, 12.5]);
      }),
    );
  });

  it('are refused when a part is missing, too long or not there at all', () => {
    const [first, second, third] = encodeFrames(SERVER, 1, [new Uint8Array(100)], 76);
    const reader = new FrameReader(1000);
    expect(reader.read('t', first!)).toBeUndefined();
    expect(() => reader.read('t', third!)).toThrow(RangeError);
    expect(() => reader.read('t', second!)).toThrow(RangeError);
    expect(() => new FrameReader(50).read('t', first!)).toThrow(RangeError);
    fc.assert(fc.property(bytes, (nonsense) => {
      try {
        new FrameReader(1000).read('t', nonsense);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }));
  });

  it('keep no more than 64 frames of which a part has come', () => {
    const [first, second] = encodeFrames(SERVER, 1, [new Uint8Array(50)], 76);
    const reader = new FrameReader(1000);
    for (let topic = 0; topic < 65; topic++) reader.read(String(topic), first!);
    expect(() => reader.read('0', second!)).toThrow(RangeError);
    for (let topic = 1; topic < 65; topic++) expect(reader.read(String(topic), second!)?.frames).toEqual([new Uint8Array(50)]);
  });

  // Servers of one network may be of several versions.
  it('have the bytes that they have always had', () => {
    const hex = (messages: readonly Buffer[]): string[] => messages.map((message) => message.toString('hex'));
    const begin = (kind: string): string => `${kind}6162636465666768696a6b6c0000000000002940`;
    expect(hex(encodeFrames(SERVER, 12.5, [Uint8Array.of(1, 2), Uint8Array.of(3)], 100))).toEqual([`${begin('00000000')}0200000001020100000003`]);
    expect(hex(encodeFrames(SERVER, 12.5, [new Uint8Array(9).fill(5)], 36))).toEqual([
      `${begin('01000000')}090000000000000005050505`,
      `${begin('01000000')}090000000400000005050505`,
      `${begin('01000000')}090000000800000005`,
    ]);
    const interest = encodeInterest(SERVER, 9, [{ hash: Buffer.alloc(32, 0xab), count: 3, asks: true }, { hash: Buffer.alloc(32, 0xcd), count: 0, asks: false }]);
    expect(hex([interest])).toEqual([`6162636465666768696a6b6c09000000${'ab'.repeat(32)}03000080${'cd'.repeat(32)}00000000`]);
    expect([1024 * 1024, 16 + 36, 1].map(interestsWithin)).toEqual([1024, 1, 1]);
  });

  it('tell of topics and questions', () => {
    const topics = [{ hash: Buffer.alloc(32, 1), count: 3, asks: true }, { hash: Buffer.alloc(32, 2), count: 0, asks: false }];
    expect(decodeInterest(encodeInterest(SERVER, 9, topics))).toEqual({ server: SERVER, question: 9, topics });
    expect(() => decodeInterest(new Uint8Array(5))).toThrow(RangeError);
    expect(() => decodeInterest(encodeInterest(SERVER, 9, topics).subarray(0, 40))).toThrow(RangeError);
  });
});

describe('signs of life', () => {
  it('are read where they say whose they are, and are none otherwise', () => {
    const read = (value: unknown) => readBeat(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
    const beat = { server: 'abcdefghijkl', clock: 12.5, forgot: 'bcdefghijklm', later: true };
    expect(read(beat)).toEqual(beat);
    const wrong = ['', 'null', '[]', {}, { ...beat, server: 'abc' }, { ...beat, server: 12 }, { ...beat, server: Array(12).fill('a') }, { ...beat, clock: '12' }, { server: beat.server }];
    expect(wrong.map(read)).toEqual(wrong.map(() => undefined));
  });
});

describe('options of a cluster', () => {
  it('take one address or several, and keep a password out of what is shown', () => {
    expect(readClusterOptions(undefined)).toBeUndefined();
    expect(readClusterOptions({ servers: 'nats://a:4222, tls://b:4223,c' })).toMatchObject({ servers: ['nats://a:4222', 'tls://b:4223', 'nats://c'], name: 'pubkeeper' });
    expect(readClusterOptions({ servers: ['nats://me:s%20cret@a:1'] })).toMatchObject({ servers: ['nats://a:1'], username: 'me', password: 's cret' });
    expect(readClusterOptions({ servers: 'nats://a:1,nats://me:secret@b:1' })).toMatchObject({ servers: ['nats://a:1', 'nats://b:1'], username: 'me', password: 'secret' });
  });

  it('are refused with a sentence', () => {
    for (const bad of [{ servers: [] }, { servers: 'http://a' }, { servers: 'nats://me:secret@' }, { servers: 'a', name: 'a.b' }, { servers: 'a', name: '' }, { servers: 'a', replicas: 6 }, { servers: 'a', token: '' }, { servers: 'nats://me:100%secret@a' }, { servers: 'a', credentials: 7 }, { servers: 'a', nmae: 'x' }, 7]) {
      const error = thrown(() => readClusterOptions(bad as never), 'OPTION_INVALID');
      expect(error.message).toMatch(/^The option "cluster/);
      expect(error.message).not.toContain('secret');
    }
  });
});

describe('the own relay', () => {
  const packet = (brew: object) => ({ type: 12, payload: { patron_id: id(1), brewers: [{ topic: 'a', brewer_id: id(2), brewer_config: {}, brew: { name: 'websocket', ...brew } }] } }) as const;
  it('is told by the name that a client reaches its server by', () => {
    const brewOf = (authority: string, secure: boolean, brew: object): object => {
      const told = reachedBy({ authority, secure }, packet(brew) as never, (brewerId, patronId) => brewerId === id(2) && patronId === id(1));
      return (told.payload as { brewers: { brew: object }[] }).brewers[0]!.brew;
    };
    expect(brewOf('a.example:9898', false, { hostname: null, ticket: 'x' })).toEqual({ name: 'websocket', hostname: 'a.example', port: 9898, secure: false, ticket: 'x' });
    expect(brewOf('a.example', true, { hostname: null })).toMatchObject({ hostname: 'a.example', port: 443, secure: true });
    expect(brewOf('[::1]', false, { hostname: null })).toMatchObject({ hostname: '[::1]', port: 80 });
    expect(brewOf('a.example', true, { hostname: 'b', port: 1 })).toEqual({ name: 'websocket', hostname: 'b', port: 1 });
    for (const hostname of ['127.0.0.1', 'localhost', '::1', '[::1]']) {
      expect(brewOf('a.example', true, { hostname, port: 1, secure: false })).toEqual({ name: 'websocket', hostname: 'a.example', port: 443, secure: true });
      for (const authority of ['127.0.0.1:9', '[::1]:9', 'localhost', '']) expect(brewOf(authority, false, { hostname, port: 1 })).toEqual({ name: 'websocket', hostname, port: 1 });
    }
  });

  it('is reached by TLS where the server, a proxy or the page say so', () => {
    const plain = { isTls: false, forwarded: undefined, origin: undefined, authority: 'a.example' };
    expect(isSecure(plain)).toBe(false);
    expect(isSecure({ ...plain, isTls: true })).toBe(true);
    expect(isSecure({ ...plain, forwarded: 'https' })).toBe(true);
    expect(isSecure({ ...plain, forwarded: 'http', origin: 'https://a.example' })).toBe(false);
    expect(isSecure({ ...plain, origin: 'https://a.example' })).toBe(true);
    expect(isSecure({ ...plain, origin: 'https://other.example' })).toBe(false);
    expect(isSecure({ ...plain, authority: 'a.example:443' })).toBe(true);
  });
});
