import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { Brewer } from '../../src/core/brewer.js';
import { Patron } from '../../src/core/patron.js';
import { id } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { brewerInfo, controlKit, patronInfo } from './scripted-control.js';

// Random interleavings of the actions of applications, servers and networks, against a model of which pairs must run, on a
// socket pair with fake timers (see test/socket-pair.ts), so that a failure can be replayed step by step.

vi.setConfig({ testTimeout: 120_000 });
fakeTime();

const GRACE = 30_000;
/** Enough for a reconnect (1 to 2 s, half of that with the mocked random), and for the last data of a removed brewer. */
const RECONNECT = 1500;
const RETIRE = 1000;
const own = (slot: number): string => id(slot + 1);
const isPatron = (slot: number): boolean => slot < 2;
const infoOf = (slot: number, peer: number, version: number) => (isPatron(slot) ? brewerInfo(id(peer), `0${version}`.repeat(16)) : patronInfo(id(peer), String(version)));

interface Model {
  connected: boolean;
  /** Registered slots, and the peers of each (id → version) on the server. */
  world: Map<number, Map<number, number>>;
  /** The pairs that must run: slot → peer → version. */
  running: Map<number, Map<number, number>>;
  /** How much of graceMs has passed since the last reconnect. */
  since: number;
}

type Real = ReturnType<typeof controlKit> & { members: Map<number, Patron | Brewer> };
type Command = fc.AsyncCommand<Model, Real>;

async function check(model: Model, real: Real): Promise<void> {
  await pass(RETIRE);
  model.since += RETIRE;
  const expected = [...model.running].flatMap(([slot, peers]) => [...peers.keys()].map((peer) => `${own(slot)}/${id(peer)}`));
  expect([...real.brew.running.keys()].sort()).toEqual(expected.sort());
  for (const [slot, peers] of model.running) {
    const target = real.members.get(slot)!;
    const known = target instanceof Patron ? target.brewers : target.patrons;
    expect([...known.keys()].sort()).toEqual([...peers.keys()].map(id).sort());
    expect(target.isMatched).toBe(peers.size > 0);
  }
  expect(real.brew.faults).toEqual([]);
  expect(real.errors.filter(({ code }) => code !== 'CONNECTION_LOST' && code !== 'CONNECT_FAILED')).toEqual([]);
  expect(real.client.state).toBe(model.connected ? 'connected' : 'disconnected');
}

/** Answers all registrations from `world`. Pairs that it does not name are missing until graceMs is over. */
const answered = (model: Model): void => {
  for (const [slot, peers] of model.world) {
    const running = model.running.get(slot) ?? new Map<number, number>();
    for (const [peer, version] of peers) running.set(peer, version);
    model.running.set(slot, running);
  }
  model.since = 0;
};
const expired = (model: Model): void => {
  for (const [slot, peers] of model.world) model.running.set(slot, new Map(peers));
};

const command = (name: string, possible: (model: Model) => boolean, run: (model: Model, real: Real) => Promise<void> | void): Command => ({
  check: possible,
  async run(model, real) {
    await run(model, real);
    await check(model, real);
  },
  toString: () => name,
});

const slots = fc.nat(3);
const peers = fc.integer({ min: 100, max: 103 });
const online = (model: Model): boolean => model.connected;

const register = slots.map((slot) =>
  command(`register ${slot}`, (model) => !model.world.has(slot), (model, real) => {
    const target = isPatron(slot) ? new Patron('foreign.*', () => undefined, { patronId: own(slot) }) : new Brewer('own.topic', { brewerId: own(slot) });
    if (target instanceof Patron) real.client.addPatron(target);
    else real.client.addBrewer(target);
    real.members.set(slot, target);
    model.world.set(slot, new Map());
    if (model.connected) model.running.set(slot, new Map());
  }),
);

const unregister = slots.map((slot) =>
  command(`unregister ${slot}`, (model) => model.world.has(slot), (model, real) => {
    const target = real.members.get(slot)!;
    if (target instanceof Patron) real.client.removePatron(target);
    else real.client.removeBrewer(target);
    real.members.delete(slot);
    real.control.peersOf(own(slot)).clear();
    model.world.delete(slot);
    model.running.delete(slot);
  }),
);

const notify = fc.tuple(slots, fc.uniqueArray(peers, { minLength: 1, maxLength: 3 }), fc.nat(2)).map(([slot, list, version]) =>
  command(`notify ${slot} of ${list.join()} v${version}`, (model) => model.world.has(slot), async (model, real) => {
    for (const peer of list) {
      real.control.peersOf(own(slot)).set(id(peer), infoOf(slot, peer, version));
      model.world.get(slot)!.set(peer, version);
      if (model.connected) model.running.get(slot)!.set(peer, version);
    }
    if (!model.connected) return;
    await pass(0); // the registration may still be on its way
    const infos = list.map((peer) => infoOf(slot, peer, version));
    const payload = isPatron(slot) ? { patron_id: own(slot), brewers: infos } : { brewer_id: own(slot), patrons: infos };
    real.control.send({ type: isPatron(slot) ? 12 : 22, payload });
  }),
);

const removed = fc.tuple(slots, peers).map(([slot, peer]) =>
  command(`${peer} removed from ${slot}`, (model) => model.world.has(slot), (model, real) => {
    real.control.peersOf(own(slot)).delete(id(peer));
    model.world.get(slot)!.delete(peer);
    if (!model.connected) return;
    model.running.get(slot)!.delete(peer);
    const [patron_id, brewer_id] = isPatron(slot) ? [own(slot), id(peer)] : [id(peer), own(slot)];
    real.control.send({ type: isPatron(slot) ? 13 : 23, payload: { patron_id, brewer_id } });
  }),
);

/** The connection is lost; peers come and go without a notification. */
const outage = fc.tuple(fc.constantFrom(0, 5000, 2 * GRACE), fc.array(fc.tuple(slots, peers, fc.integer({ min: -1, max: 2 })), { maxLength: 4 })).map(([ms, changes]) =>
  command(`outage of ${ms} ms with ${changes.join(' ')}`, online, async (model, real) => {
    real.control.up = ms === 0;
    real.control.cut();
    for (const [slot, peer, version] of changes) {
      if (!model.world.has(slot)) continue;
      if (version < 0) model.world.get(slot)!.delete(peer);
      else model.world.get(slot)!.set(peer, version);
      if (version < 0) real.control.peersOf(own(slot)).delete(id(peer));
      else real.control.peersOf(own(slot)).set(id(peer), infoOf(slot, peer, version));
    }
    await pass(ms);
    if (ms > GRACE) model.running.clear();
    expect(real.brew.running.size).toBe([...model.running.values()].reduce((sum, { size }) => sum + size, 0));
    real.control.up = true;
    await pass(RECONNECT);
    answered(model);
  }),
);

const wait = fc.constantFrom(2000, 2 * GRACE).map((ms) =>
  command(`wait ${ms} ms`, online, async (model) => {
    await pass(ms);
    model.since += ms;
    if (ms > GRACE) expired(model);
  }),
);

const disconnect = fc.constant(
  command('disconnect', online, async (model, real) => {
    await real.client.disconnect();
    model.connected = false;
    model.running.clear();
  }),
);

const connect = fc.constant(
  command('connect', (model) => !model.connected, async (model, real) => {
    await real.client.connect();
    model.connected = true;
    answered(model);
  }),
);

/** A wait near the end of graceMs would be ambiguous: so let graceMs pass for missing pairs first. */
const decided = (inner: fc.Arbitrary<Command>): fc.Arbitrary<Command> =>
  inner.map((one) => ({
    check: (model) => one.check(model),
    async run(model, real) {
      if (model.connected && model.since > GRACE / 2) {
        await pass(GRACE);
        expired(model);
        model.since = 0;
      }
      await one.run(model, real);
    },
    toString: () => one.toString(),
  }));

describe('the client against a model', () => {
  it('runs exactly the right pairs after every step, and starts and stops each once', async () => {
    const commands = fc.commands([register, register, unregister, notify, notify, removed, outage, wait, disconnect, connect].map(decided), { maxCommands: 60, size: 'max' });
    await fc.assert(
      fc.asyncProperty(commands, async (steps) => {
        const made = controlKit();
        await fc.asyncModelRun(() => ({ model: { connected: false, world: new Map(), running: new Map(), since: 0 } as Model, real: { ...made, members: new Map() } }), steps);
        await made.client.disconnect();
        expect(made.brew.running.size).toBe(0);
        expect(made.brew.faults).toEqual([]);
        await pass(10 * GRACE);
        expect(vi.getTimerCount()).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
