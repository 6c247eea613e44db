import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { Brewer } from '../../src/core/brewer.js';
import { Patron } from '../../src/core/patron.js';
import { id, rejected } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { brewerInfo, controlKit, patronInfo } from './scripted-control.js';

// Calls of an application during other operations: in a listener, or between two of its own calls.

fakeTime();

describe('connect() and disconnect()', () => {
  it('connect() rejects when a listener of connecting aborts its signal, and no connection is made', async () => {
    const { client, control } = controlKit();
    const aborter = new AbortController();
    client.on('state', () => aborter.abort());
    await rejected(client.connect({ signal: aborter.signal }), 'ABORTED');
    await pass(5000);
    expect([client.state, control.network.sockets.length]).toEqual(['disconnected', 0]);
  });

  it('a connect() that waits for a disconnect() rejects when disconnect() is called again', async () => {
    const { client, control, brew } = controlKit();
    const brewer = client.addBrewer('own.topic', { cipher: 'none' });
    control.peersOf(brewer.brewerId).set(id(21), patronInfo(id(21)));
    await client.connect();
    let accept!: () => void;
    brew.brew = () => new Promise<void>((resolve) => (accept = resolve));
    void brewer.brewText('x');
    void client.disconnect();
    const connecting = rejected(client.connect(), 'CONNECTION_CLOSED');
    client.removeBrewer(brewer);
    const ending = client.disconnect();
    accept();
    await connecting;
    await ending;
    await pass(5000);
    expect(client.state).toBe('disconnected');
  });

  it('connect() after two calls of disconnect() waits for both, and neither makes it reject', async () => {
    const { client, control, brew } = controlKit();
    const brewer = client.addBrewer('own.topic', { cipher: 'none' });
    control.peersOf(brewer.brewerId).set(id(21), patronInfo(id(21)));
    await client.connect();
    const accept: (() => void)[] = [];
    brew.brew = () => new Promise<void>((resolve) => accept.push(resolve));
    void brewer.brewText('1');
    const first = client.disconnect();
    void brewer.brewText('2');
    const second = client.disconnect();
    accept[0]!();
    await first;
    const connecting = client.connect();
    accept[1]!();
    await Promise.all([second, connecting]);
    expect(client.state).toBe('connected');
  });

  it('a listener that calls disconnect() when graceMs is over hears of "disconnected" once', async () => {
    const { client, control, states } = controlKit();
    await client.connect();
    client.on('state', (state) => void (state === 'disconnected' && client.disconnect()));
    control.up = false;
    control.cut();
    await pass(60_000);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'disconnected']);
  });

  it.each([undefined, new AbortController().signal])('connect() while connecting settles as the first connect() does: signal %j', async (signal) => {
    const { client, control } = controlKit();
    control.up = false;
    const failing = [client.connect({ signal }), client.connect({ signal })].map((connecting) => rejected(connecting, 'CONNECT_FAILED'));
    await Promise.all(failing);
    control.up = true;
    await Promise.all([client.connect({ signal }), client.connect({ signal })]);
    expect([client.state, control.network.sockets.length]).toEqual(['connected', 2]);
  });

  it('connect() leaves no listener on its signal, whether it succeeds or fails', async () => {
    const { client, control } = controlKit();
    const { signal } = new AbortController();
    control.up = false;
    await rejected(client.connect({ signal }), 'CONNECT_FAILED');
    control.up = true;
    await client.connect({ signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('disconnect() before registrations are answered leaves no timer that would end a later connection', async () => {
    const { client, control } = controlKit();
    control.answers = false;
    client.addPatron('a', () => undefined);
    const connecting = rejected(client.connect(), 'CONNECTION_CLOSED');
    await pass(100);
    expect(control.ofType(20).length).toBe(1);
    await client.disconnect();
    await connecting;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a rejection of connect() need not be caught, whether it fails or is ended by disconnect()', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const { client, control, brew } = controlKit();
    const brewer = client.addBrewer('own.topic', { cipher: 'none' });
    control.peersOf(brewer.brewerId).set(id(21), patronInfo(id(21)));
    control.up = false;
    void client.connect();
    await pass(5000);
    expect(client.state).toBe('disconnected');
    control.up = true;
    await client.connect();
    brew.brew = () => pass(100).then(() => undefined);
    void brewer.brewText('x');
    void client.disconnect();
    void client.connect();
    await client.disconnect();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect([client.state, unhandled.mock.calls]).toEqual(['disconnected', []]);
  });

  it('all listeners hear the states in the same order, whatever one of them calls', async () => {
    const { client, control } = controlKit();
    control.up = false;
    let again = true;
    client.on('state', (state) => {
      if (state !== 'disconnected' || !again) return;
      again = false;
      client.connect().catch(() => undefined);
    });
    const heard: string[] = [];
    client.on('state', (state) => heard.push(state));
    await rejected(client.connect(), 'CONNECT_FAILED');
    await pass(5000);
    expect(heard).toEqual(['connecting', 'disconnected', 'connecting', 'disconnected']);
  });

  it.each(['cipher', 'lifecycle'])('connect() rejects when the %s of the application throws, and a later connect() succeeds', async (what) => {
    const cause = new Error('of the application');
    let throws = true;
    const fail = (): void => {
      if (throws) throw cause;
    };
    const { client } = controlKit({ lifecycle: () => (what === 'lifecycle' && fail(), () => undefined) });
    if (what === 'cipher') {
      client.addBrewer('own.topic', { cipher: () => (fail(), { config: undefined, seal: (data: Uint8Array) => data as Uint8Array<ArrayBuffer> }) as never });
    }
    expect(await rejected(client.connect(), 'OPTION_INVALID')).toMatchObject({ cause });
    expect(client.state).toBe('disconnected');
    throws = false;
    await client.connect();
    expect(client.state).toBe('connected');
  });
});

it('a listener that removes its patron at the first match of a list gets no events of the other matches', async () => {
  const { client, control, brew } = controlKit();
  const patron = new Patron('foreign.*', () => undefined, { patronId: id(1) });
  const log: string[] = [];
  patron.on('added', ({ brewerId }) => {
    log.push(`+${brewerId}`);
    client.removePatron(patron);
  });
  patron.on('removed', ({ brewerId }) => log.push(`-${brewerId}`));
  for (const brewer of [11, 12, 13]) control.peersOf(id(1)).set(id(brewer), brewerInfo(id(brewer)));
  client.addPatron(patron);
  await client.connect();
  expect([log, patron.isMatched, brew.running.size]).toEqual([[`+${id(11)}`, `-${id(11)}`], false, 0]);
});

it('registrations that are not answered when graceMs is over are sent again with the new keys', async () => {
  const { client, control, states } = controlKit({ reconnect: { delayMs: 10, graceMs: 200 } });
  const brewer = client.addBrewer('own.topic');
  await client.connect();
  control.answers = false;
  control.cut();
  await pass(150);
  control.answers = true;
  await pass(1000);
  expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'disconnected', 'connecting', 'connected']);
  expect(control.ofType(10).at(-1)!['brewer_config']).toEqual(brewer.getConfig());
});

it('a pair that could not be started is not renewed when the server lists it again', async () => {
  const { client, control, brew } = controlKit();
  const renewed: string[] = [];
  Object.assign(brew, { renew: ({ brewerId }: { brewerId: string }) => renewed.push(brewerId) });
  client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
  control.peersOf(id(1)).set(id(11), brewerInfo(id(11), 'no key')).set(id(12), brewerInfo(id(12)));
  await client.connect();
  control.cut();
  await pass(2000);
  expect([client.state, renewed]).toEqual(['connected', [id(12)]]);
});

describe('a listener that ends a session or a registration while a list is being processed', () => {
  it.each(['disconnect', 'removeBrewer'])('%s in added: the other patrons of the list are not started', async (how) => {
    const { client, control, brew } = controlKit();
    const brewer = client.addBrewer(new Brewer('own.topic', { brewerId: id(2) }));
    for (const n of [21, 22]) control.peersOf(id(2)).set(id(n), patronInfo(id(n)));
    const told: string[] = [];
    for (const name of ['matched', 'unmatched'] as const) brewer.on(name, () => told.push(name));
    brewer.on('added', () => (how === 'disconnect' ? void client.disconnect() : client.removeBrewer(brewer)));
    client.connect().catch(() => undefined);
    await pass(2000);
    const pair = `${id(2)}/${id(21)}`;
    expect([brewer.patrons.size, brew.log, told]).toEqual([0, [`+${pair}`, `-${pair}`], []]);
  });

  it('disconnect in removed: the changed pair is not started again', async () => {
    const { client, control, brew } = controlKit();
    client.addBrewer(new Brewer('own.topic', { brewerId: id(2) })).on('removed', () => void client.disconnect());
    client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
    control.peersOf(id(2)).set(id(21), patronInfo(id(21)));
    await client.connect();
    control.send({ type: 22, payload: { brewer_id: id(2), patrons: [patronInfo(id(21), 'changed'), patronInfo(id(22))] } });
    await pass(2000);
    const pair = `${id(2)}/${id(21)}`;
    expect([brew.running.size, brew.log]).toEqual([0, [`+${pair}`, `-${pair}`]]);
  });

  it.each(['disconnect', 'removePatron'])('%s in the error of one brewer: the other brewers of the list are not matched', async (how) => {
    const { client, control, brew } = controlKit();
    const patron = client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
    control.peersOf(id(1)).set(id(11), brewerInfo(id(11), 'no key')).set(id(12), brewerInfo(id(12)));
    client.on('error', () => (how === 'disconnect' ? void client.disconnect() : client.removePatron(patron)));
    client.connect().catch(() => undefined);
    await pass(2000);
    expect([patron.brewers.size, brew.running.size]).toEqual([0, 0]);
  });

  it('disconnect in the error of a packet: the rest of the packet is ignored, and matched in the next session', async () => {
    const { client, control, brew, errors } = controlKit();
    client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
    await client.connect();
    const ended = new Promise<void>((resolve) => client.on('error', () => resolve(client.disconnect())));
    control.send({ type: 12, payload: { patron_id: id(1), brewers: [{ topic: 'foreign.topic', brewer_id: 'bad' }, brewerInfo(id(12))] } });
    await ended;
    expect([errors.map(({ code }) => code), brew.running.size]).toEqual([['PACKET_INVALID'], 0]);
    control.peersOf(id(1)).set(id(12), brewerInfo(id(12)));
    await client.connect();
    expect([...brew.running.keys()]).toEqual([`${id(1)}/${id(12)}`]);
  });
});

it('addBrewer() throws when the cipher of the brewer throws, and does not add the brewer, also on a connected client', async () => {
  const { client, control } = controlKit();
  await client.connect();
  let throws = true;
  const cipher = (() => {
    if (throws) throw new Error('of the application');
    return { config: undefined, seal: (data: Uint8Array) => data };
  }) as never;
  const brewer = new Brewer('own.topic', { brewerId: id(1), cipher });
  expect(() => client.addBrewer(brewer)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', cause: new Error('of the application') }) as Error);
  await client.disconnect();
  await client.connect();
  await pass(0);
  const registered = () => control.ofType(10).length;
  expect(registered()).toBe(0);
  throws = false;
  client.addBrewer(brewer);
  await pass(0);
  expect(registered()).toBe(1);
});

it('a client that cannot attach all of its brews attaches none', async () => {
  const { WebSocketBrew } = await import('../../src/brews/websocket.js');
  const { MemoryBrew } = await import('../../src/brews/memory.js');
  const [fresh, used] = [new MemoryBrew(), new WebSocketBrew()];
  controlKit({ brews: [used] });
  expect(() => controlKit({ brews: [fresh, used] })).toThrow(expect.objectContaining({ code: 'BREW_IN_USE' }) as Error);
  controlKit({ brews: [fresh] });
  expect(vi.getTimerCount()).toBe(0);
});

it('a brewer that is removed and added again is matched when it is registered, not while its brew is getting ready', async () => {
  const { client, control, brew, errors } = controlKit();
  const brewer = client.addBrewer('own.topic');
  const peers = control.peersOf(brewer.brewerId);
  await client.connect();
  let ready!: () => void;
  let isReady = false;
  const details = new Promise<{ name: string }>((resolve) => (ready = () => resolve({ name: 'x' })));
  brew.brewerDetails = () => details as never;
  const start = brew.startBrewer;
  brew.startBrewer = (pair) => {
    if (!isReady) throw new Error('it is not ready');
    return start(pair);
  };
  client.removeBrewer(brewer);
  client.addBrewer(brewer);
  // The server has sent this before it received the removal.
  peers.set(id(21), patronInfo(id(21)));
  control.send({ type: 22, payload: { brewer_id: brewer.brewerId, patrons: [...peers.values()] } });
  isReady = true;
  ready();
  await pass(100);
  expect([brewer.isMatched, [...brew.running.keys()], errors]).toEqual([true, [`${brewer.brewerId}/${id(21)}`], []]);
});
