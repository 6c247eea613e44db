import { queryObjects } from 'node:v8';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Brewer } from '../../src/core/brewer.js';
import { Patron } from '../../src/core/patron.js';
import { deferred, id, rawFrame, rejected } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { brewerInfo, controlKit, patronInfo } from './scripted-control.js';

// Calls and events while another operation is still under way.

fakeTime();

describe('a patron or brewer that is removed before the server has answered its registration', () => {
  it('is not waited for by connect()', async () => {
    const { client, control } = controlKit();
    control.answers = false;
    const [one, two] = [client.addPatron('one', () => undefined), client.addBrewer('two')];
    const connecting = client.connect();
    await pass(0);
    client.removePatron(one);
    expect(client.state).toBe('connecting');
    client.removeBrewer(two);
    expect(client.state).toBe('connected');
    await connecting;
  });

  it('does not make the state connected when it is removed while the connection is down', async () => {
    const { client, control, states } = controlKit();
    await client.connect();
    control.answers = false;
    control.cut();
    await pass(1000);
    const patron = client.addPatron('a', () => undefined);
    await pass(0);
    control.up = false;
    control.cut();
    client.removePatron(patron);
    expect([client.state, states.at(-1)]).toEqual(['reconnecting', 'reconnecting']);
    control.up = true;
    await pass(5000);
    expect(client.state).toBe('connected');
  });
});

it('removing a patron or brewer that was not added does nothing, also when another one with the same id was added', async () => {
  const { client, control, brew } = controlKit();
  client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
  client.addBrewer(new Brewer('own.topic', { brewerId: id(2) }));
  control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
  control.peersOf(id(2)).set(id(21), patronInfo(id(21)));
  await client.connect();
  client.removePatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
  client.removeBrewer(new Brewer('own.topic', { brewerId: id(2) }));
  expect([control.ofType(11), control.ofType(21), brew.running.size]).toEqual([[], [], 2]);
});

it('BREWER_REMOVED for a patron does not end the same pair at the brewer, when both are of one client', async () => {
  const { client, control, brew } = controlKit();
  const patron = client.addPatron(new Patron('own.*', () => undefined, { patronId: id(1) }));
  const brewer = client.addBrewer(new Brewer('own.topic', { brewerId: id(2), crypto: false }));
  control.peersOf(id(1)).set(id(2), { ...brewerInfo(id(2)), topic: 'own.topic' });
  control.peersOf(id(2)).set(id(1), patronInfo(id(1)));
  await client.connect();
  expect(brew.running.size).toBe(2);
  control.send({ type: 13, payload: { patron_id: id(1), brewer_id: id(2) } });
  await pass(1000);
  expect([patron.isMatched, brewer.isMatched]).toEqual([false, true]);
  control.send({ type: 23, payload: { patron_id: id(1), brewer_id: id(2) } });
  expect(brewer.isMatched).toBe(false);
});

it('brews are asked for details only when there is a connection to the server', async () => {
  const { client, brew } = controlKit();
  const asked: string[] = [];
  brew.brewerDetails = () => (asked.push('brewer'), { name: 'x' });
  brew.patronDetails = () => (asked.push('patron'), { name: 'x' });
  client.addBrewer('own.topic');
  client.addPatron('foreign.*', () => undefined);
  await pass(0);
  expect(asked).toEqual([]);
  await client.connect();
  expect(asked).toEqual(['brewer', 'patron']);
});

describe('a brew whose details come asynchronously', () => {
  const slow = async () => {
    const made = controlKit();
    const { brew, client, control } = made;
    const asked: ReturnType<typeof deferred<{ name: string }>>[] = [];
    const brewer = client.addBrewer('slow');
    await client.connect();
    brew.brewerDetails = (() => {
      const details = deferred<{ name: string }>();
      asked.push(details);
      return details.promise;
    }) as never;
    control.packets.length = 0;
    return { ...made, asked, brewer };
  };

  it('is ignored when the brewer was removed meanwhile: nothing is registered, and nothing unregistered', async () => {
    const { client, control, asked, brewer } = await slow();
    control.cut();
    await pass(1000);
    client.removeBrewer(brewer);
    const other = client.addBrewer('other');
    client.removeBrewer(other);
    for (const { resolve } of asked) resolve({ name: 'x' });
    await pass(1000);
    expect([asked.length, control.ofType(10), control.ofType(11), client.state]).toEqual([2, [], [], 'connected']);
  });

  it('is ignored when the connection was lost meanwhile: its details are asked for again', async () => {
    const { client, control, asked, errors, brewer } = await slow();
    for (const expected of [1, 2]) {
      control.cut();
      await pass(1000);
      expect(asked.length).toBe(expected);
    }
    errors.length = 0;
    asked[0]!.reject(new Error('of before'));
    await pass(0);
    expect([errors, client.state]).toEqual([[], 'reconnecting']);
    asked[1]!.resolve({ name: 'x' });
    await pass(0);
    expect([client.state, control.ofType(10).map(({ brewer_id }) => brewer_id)]).toEqual(['connected', [brewer.brewerId]]);
  });

  it('leads to one registration, for whichever connections the details were asked for', async () => {
    const { control, asked, client } = await slow();
    for (let i = 0; i < 2; i++) {
      control.cut();
      await pass(1000);
    }
    for (const { resolve } of asked) resolve({ name: 'x' });
    await pass(0);
    expect([client.state, control.ofType(10).length]).toEqual(['connected', 1]);
  });
});

it('connect() of a connected client resolves at once', async () => {
  const { client, control, states } = controlKit();
  await client.connect();
  await client.connect();
  await client.connect({ signal: new AbortController().signal });
  expect([states, control.network.sockets.length]).toEqual([['connecting', 'connected'], 1]);
});

describe('a client that reconnects', () => {
  /** A client whose connection was lost, and whose only connect() that waited for another one was aborted. */
  async function abandoned(options?: Parameters<typeof controlKit>[0]) {
    const kit = controlKit(options);
    await kit.client.connect();
    kit.control.up = false;
    kit.control.cut();
    const controller = new AbortController();
    const waiting = kit.client.connect({ signal: controller.signal });
    controller.abort();
    await rejected(waiting, 'ABORTED');
    return kit;
  }

  it('continues when a connect() that waits for it is aborted', async () => {
    const { client, control } = await abandoned();
    expect(client.state).toBe('reconnecting');
    control.up = true;
    await pass(5000);
    expect(client.state).toBe('connected');
  });

  it('reports that its token is refused also when the connect() that waited for it was aborted', async () => {
    let token = 'secret';
    const { client, control, errors } = await abandoned({ token: () => token });
    token = 'refused';
    control.up = true;
    await pass(5000);
    expect([client.state, errors.map(({ code }) => code)]).toEqual(['disconnected', ['CONNECTION_LOST', 'UNAUTHORIZED']]);
  });

  it('may be disconnected, and connected again, by a listener that hears of the lost connection', async () => {
    const { client, control, states } = controlKit();
    await client.connect();
    const undo = client.on('error', () => {
      undo();
      void client.disconnect();
      void client.connect();
    });
    control.cut();
    await pass(5000);
    const all = ['connecting', 'connected', 'reconnecting', 'disconnected', 'connecting', 'connected'];
    expect(states).toEqual(all);
    await pass(60_000);
    expect([states, control.network.sockets.length]).toEqual([all, 2]);
  });

  it('and is disconnected and connected by a listener is not reset when graceMs of the former session is over', async () => {
    let asked = 0;
    const token = (): string | Promise<string> => (asked++ === 1 ? new Promise<string>(() => undefined) : 'secret');
    const { client, control, states } = controlKit({ token, connectTimeoutMs: 100_000 });
    await client.connect();
    const undo = client.on('error', () => {
      undo();
      void client.disconnect();
      void client.connect().catch(() => undefined);
    });
    control.cut();
    await pass(60_000);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'disconnected', 'connecting']);
  });

  it('keeps no reference to aborted connect() calls, however long it takes', async () => {
    const { client, control } = controlKit();
    await client.connect();
    control.up = false;
    control.cut();
    await pass(100_000); // longer than graceMs, so that the client has been reset
    const signals = (): number => queryObjects(AbortSignal, { format: 'count' });
    const before = signals();
    for (let i = 0; i < 200; i++) {
      const abort = new AbortController();
      const connecting = rejected(client.connect({ signal: abort.signal }), 'ABORTED');
      abort.abort();
      await connecting;
    }
    expect(signals() - before).toBeLessThan(20);
    control.up = true;
    const connecting = client.connect();
    await pass(10_000);
    await connecting;
  });

  it('gives up after graceMs on peers that do not come back, also when others are registered meanwhile', async () => {
    const { client, control, brew } = controlKit();
    const patron = client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
    control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
    await client.connect();
    expect(patron.isMatched).toBe(true);
    control.peersOf(id(1)).clear();
    control.cut();
    await pass(1000);
    for (let i = 0; i < 3; i++) {
      await pass(9000);
      client.addPatron(`other.${i}`, () => undefined);
    }
    expect([client.state, patron.isMatched]).toEqual(['connected', true]);
    await pass(4000);
    expect([patron.isMatched, brew.running.size]).toEqual([false, 0]);
  });
});

describe('a listener of connected', () => {
  it('may disconnect and connect again: that connect() waits for its own connection', async () => {
    const { client, states } = controlKit();
    let again: Promise<void> | undefined;
    let isOver = false;
    client.on('state', (state) => {
      if (state !== 'connected' || again) return;
      void client.disconnect();
      again = client.connect();
      void again.then(() => (isOver = true));
    });
    await rejected(client.connect(), 'CONNECTION_CLOSED');
    expect([isOver, client.state]).toEqual([false, 'connecting']);
    await pass(100);
    await again;
    expect([isOver, states]).toEqual([true, ['connecting', 'connected', 'disconnected', 'connecting', 'connected']]);
  });
});

it('a patron or brewer that is removed and added again has its events reported once', async () => {
  const { client, control, brew } = controlKit();
  const told: unknown[] = [];
  client.on('matched', ({ topic }) => told.push(topic));
  client.on('error', ({ code }) => told.push(code));
  control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
  control.peersOf(id(2)).set(id(21), patronInfo(id(21)));
  const patron = client.addPatron(new Patron('foreign.*', () => { throw new Error('of the callback'); }, { patronId: id(1) }));
  const brewer = client.addBrewer(new Brewer('own.topic', { brewerId: id(2) }));
  await client.connect();
  client.removePatron(patron);
  client.removeBrewer(brewer);
  told.length = 0;
  client.addPatron(patron);
  client.addBrewer(brewer);
  await pass(0);
  expect([told.sort(), brew.running.size]).toEqual([['foreign.topic', 'own.topic'], 2]);
  for (const pair of brew.running.values()) if ('receive' in pair) pair.receive(rawFrame('foreign.topic', id(11), 'x'));
  expect(told.at(-1)).toBe('CALLBACK_FAILED');
  expect(told.length).toBe(3);
});

it('an error without a listener is passed to the logger', async () => {
  const told: unknown[] = [];
  const { client, control } = controlKit({ logger: { warn: () => undefined, error: (error) => void told.push(error) } });
  await client.connect();
  control.send({ type: 99, payload: { message: 'with a listener' } });
  expect(told).toEqual([]);
  const other = controlKit({ logger: { warn: () => undefined, error: (error) => void told.push(error) } });
  // The kit has added the only listener.
  other.unlisten();
  await other.client.connect();
  other.control.send({ type: 99, payload: { message: 'without' } });
  expect(told).toMatchObject([{ code: 'SERVER_ERROR', message: 'without' }]);
});

it.each([null, false, true, {}, { warn: () => undefined }, 'debug'])('an error without a listener goes to the console when the logger is %j', async (logger) => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  onTestFinished(() => error.mockRestore());
  const { client, control, unlisten } = controlKit({ logger: logger as never });
  unlisten();
  await client.connect();
  control.send({ type: 99, payload: { message: 'without' } });
  expect(error.mock.calls).toMatchObject([[{ code: 'SERVER_ERROR', message: 'without' }]]);
});
