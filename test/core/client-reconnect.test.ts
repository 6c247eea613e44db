import { describe, expect, it, vi } from 'vitest';
import { Brewer } from '../../src/core/brewer.js';
import { PubkeeperError } from '../../src/core/errors.js';
import { Patron } from '../../src/core/patron.js';
import { id, rejected } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { brewerInfo, controlKit, patronInfo } from './scripted-control.js';

fakeTime();

/** A connected client with a patron (1) and a brewer (2), matched with the given peers. */
async function matched(brewers: number[], patrons: number[]) {
  const made = controlKit();
  const { client, control, brew } = made;
  const patron = client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
  const brewer = client.addBrewer(new Brewer('own.topic', { brewerId: id(2) }));
  for (const n of brewers) control.peersOf(id(1)).set(id(n), brewerInfo(id(n)));
  for (const n of patrons) control.peersOf(id(2)).set(id(n), patronInfo(id(n)));
  await client.connect();
  const running = () => [...brew.running.keys()].map((key) => key.split('/').map((part) => parseInt(part.slice(0, 8), 16)).join('/')).sort();
  return { ...made, patron, brewer, running };
}

describe('while the control server is away', () => {
  it('the time limit of an attempt that ended before it was authenticated does not end a later connection', async () => {
    let asked = 0;
    const token = (): string | Promise<string> => (asked++ === 1 ? new Promise<string>(() => undefined) : 'secret');
    const { client, control, states } = controlKit({ token, connectTimeoutMs: 10_000 });
    await client.connect();
    control.cut();
    await pass(1000);
    expect(asked).toBe(2);
    control.cut();
    await pass(5000);
    expect([client.state, asked]).toEqual(['connected', 3]);
    await pass(100_000);
    expect([states, control.network.sockets.length]).toEqual([['connecting', 'connected', 'reconnecting', 'connected'], 3]);
  });

  it('a token function that does not answer is reported as TIMEOUT, each time', async () => {
    const answers: (string | Promise<string>)[] = ['secret'];
    const { client, control, errors } = controlKit({ token: () => answers.shift() ?? 'secret', connectTimeoutMs: 1000 });
    await client.connect();
    const never = new Promise<string>(() => undefined);
    answers.push(never, never);
    control.cut();
    await pass(20_000);
    expect([errors.map(({ code }) => code), client.state]).toEqual([['CONNECTION_LOST', 'TIMEOUT', 'TIMEOUT'], 'connected']);
    expect(errors[1]!.message).toBe('The token function did not answer within 1000 ms.');
  });

  it('a token function that throws is called again, and each failure is reported; UNAUTHORIZED from it is final', async () => {
    const answers: (() => string)[] = [() => 'secret'];
    const fail = (error: Error) => (): string => {
      throw error;
    };
    const { client, control, states, errors } = controlKit({ token: () => answers.shift()!() });
    const codes = () => errors.splice(0).map(({ code }) => code);
    await client.connect();
    answers.push(fail(new Error('offline')), fail(new Error('offline')), () => 'secret');
    control.cut();
    await pass(20_000);
    expect([codes(), client.state]).toEqual([['CONNECTION_LOST', 'TOKEN_FAILED', 'TOKEN_FAILED'], 'connected']);

    const over = new PubkeeperError('UNAUTHORIZED', 'Log in again.');
    answers.push(fail(over));
    control.cut();
    await pass(20_000);
    expect(errors.at(-1)).toBe(over);
    expect([codes(), states.at(-1), control.network.sockets.length]).toEqual([['CONNECTION_LOST', 'UNAUTHORIZED'], 'disconnected', 5]);
  });

  it('the lost connection is reported once, however many attempts fail', async () => {
    const { client, control, errors } = controlKit();
    await client.connect();
    control.up = false;
    control.cut();
    await pass(20_000);
    expect(control.network.sockets.length).toBeGreaterThan(5);
    expect(errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST']);
  });

  it('a patron that is removed before the new connection is authenticated is not unregistered: the server does not know it', async () => {
    let asked = 0;
    let answer!: (token: string) => void;
    const token = (): string | Promise<string> => (asked++ ? new Promise<string>((resolve) => (answer = resolve)) : 'secret');
    const { client, control } = controlKit({ token });
    const patron = client.addPatron('a', () => undefined);
    await client.connect();
    control.cut();
    await pass(1000);
    expect(control.network.last.readyState).toBe(1);
    control.packets.length = 0;
    client.removePatron(patron);
    answer('secret');
    await pass(0);
    expect([client.state, control.packets.map(({ type }) => type)]).toEqual(['connected', [1, 40]]);
  });

  it('an attempt to connect that is under way when graceMs is over goes on', async () => {
    const { client, control, states } = controlKit({ connectTimeoutMs: 20_000 });
    await client.connect();
    control.up = false;
    control.cut();
    await pass(25_000);
    control.network.onSocket = () => undefined; // no answer yet
    await pass(2000);
    const { last } = control.network;
    expect(last.readyState).toBe(0);
    await pass(10_000);
    expect([states.at(-1), control.network.last === last, last.readyState]).toEqual(['connecting', true, 0]);
    last.open();
    await pass(0);
    expect(client.state).toBe('connected');
  });

  it('pairs stay; then the same ids and keys are registered again, and unchanged pairs are not restarted', async () => {
    const { control, client, brew, running, states, brewer } = await matched([11, 12], [21]);
    expect(running()).toEqual(['1/11', '1/12', '2/21']);
    const before = [control.ofType(20), control.ofType(10)];
    const key = brewer.getConfig().cipher?.key;
    brew.log.length = 0;
    control.up = false;
    control.cut();
    expect(client.state).toBe('reconnecting');
    await pass(20_000);
    expect([running(), client.state]).toEqual([['1/11', '1/12', '2/21'], 'reconnecting']);
    control.up = true;
    await pass(2000);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'connected']);
    expect(control.ofType(20)).toEqual([...before[0]!, ...before[0]!]);
    expect(control.ofType(10)).toEqual([...before[1]!, ...before[1]!]);
    expect(brewer.getConfig().cipher?.key).toBe(key);
    await pass(100_000);
    expect(brew.log).toEqual([]);
    expect(brew.faults).toEqual([]);
  });

  it('a registration that is refused after the reconnect ends its own pairs at once, and no others', async () => {
    const { control, client, running, errors } = await matched([11, 12], [21]);
    control.answers = false;
    control.cut();
    await pass(2000);
    expect(running()).toEqual(['1/11', '1/12', '2/21']);
    control.send({ type: 99, payload: { message: 'No more.', code: 'LIMIT_EXCEEDED', patron_id: id(1) } });
    await pass(0);
    expect([running(), client.state]).toEqual([['2/21'], 'reconnecting']);
    control.send({ type: 22, payload: { brewer_id: id(2), patrons: [patronInfo(id(21))] } });
    await pass(0);
    expect([running(), client.state]).toEqual([['2/21'], 'connected']);
    // An ERROR ends no pairs when no answer to a registration is awaited.
    control.send({ type: 99, payload: { message: 'Hm.', brewer_id: id(2) } });
    await pass(0);
    expect(running()).toEqual(['2/21']);
    expect(errors.map(({ code }) => code)).toEqual(['CONNECTION_LOST', 'LIMIT_EXCEEDED', 'SERVER_ERROR']);
  });

  it('each connection sends AUTHENTICATE, BREWS_REGISTER, then the registrations', async () => {
    const { control } = await matched([], []);
    control.cut();
    await pass(2000);
    expect(control.packets.map(({ type }) => type)).toEqual([1, 40, 20, 10, 1, 40, 20, 10]);
  });

  it('patrons that were added meanwhile are registered, and removed ones are not', async () => {
    const { control, client, patron, running } = await matched([11], []);
    control.cut();
    client.removePatron(patron);
    client.addPatron(new Patron('other', () => undefined, { patronId: id(3) }));
    control.peersOf(id(3)).set(id(31), brewerInfo(id(31)));
    await pass(2000);
    expect(control.ofType(20).map((payload) => payload['patron_id'])).toEqual([id(1), id(3)]);
    expect(control.ofType(21)).toEqual([]);
    expect(running()).toEqual(['3/31']);
  });

  it('changed pairs are restarted, new ones started, and missing ones removed after graceMs', async () => {
    const { control, brew, running } = await matched([11, 12, 13], [21, 22]);
    brew.log.length = 0;
    control.peersOf(id(1)).set(id(12), brewerInfo(id(12), '00'.repeat(16)));
    control.peersOf(id(1)).delete(id(13));
    control.peersOf(id(1)).set(id(14), brewerInfo(id(14)));
    control.peersOf(id(2)).delete(id(22));
    control.cut();
    await pass(2000);
    expect(brew.log).toEqual([`-${id(1)}/${id(12)}`, `+${id(1)}/${id(12)}`, `+${id(1)}/${id(14)}`]);
    await pass(27_000);
    expect(running()).toEqual(['1/11', '1/12', '1/13', '1/14', '2/21', '2/22']);
    await pass(3000);
    expect(running()).toEqual(['1/11', '1/12', '1/14', '2/21']);
  });

  it('a missing pair that comes back within graceMs is not restarted', async () => {
    const { control, brew, running } = await matched([11], []);
    brew.log.length = 0;
    control.peersOf(id(1)).delete(id(11));
    control.cut();
    await pass(2000);
    control.send({ type: 12, payload: { patron_id: id(1), brewers: [brewerInfo(id(11))] } });
    await pass(60_000);
    expect(running()).toEqual(['1/11']);
    expect(brew.log).toEqual([]);
  });

  it('graceMs counts from each reconnect: timers of the first connection or of a former outage do not shorten it', async () => {
    const { control, running } = await matched([11], []);
    await pass(20_000);
    control.cut();
    await pass(2000); // connected again at about 20.5 s
    await pass(20_000);
    control.peersOf(id(1)).delete(id(11));
    control.cut();
    await pass(2000); // and again at about 42.5 s
    await pass(26_000);
    expect(running()).toEqual(['1/11']);
    await pass(4000);
    expect(running()).toEqual([]);
  });

  it('missing pairs end after graceMs also when the connection is lost again before that, each time', async () => {
    const { control, client, running, states } = await matched([11], []);
    for (let peer = 12; peer < 20; peer++) {
      control.peersOf(id(1)).delete(id(peer - 1));
      control.peersOf(id(1)).set(id(peer), brewerInfo(id(peer)));
      control.cut();
      await pass(20_000); // connected for about 19.5 s of these
    }
    expect([states.filter((state) => state === 'reconnecting').length, client.state]).toEqual([8, 'connected']);
    // Of the peers that have left, the last two had been missing for less than graceMs at the last reconnect.
    expect(running()).toEqual(['1/17', '1/18', '1/19']);
  });

  it('when graceMs is over, the client resets, is disconnected, and connects again with new keys', async () => {
    const { control, client, running, states, brewer } = await matched([11], [21]);
    const key = brewer.getConfig().cipher?.key;
    control.up = false;
    control.cut();
    await pass(29_000);
    expect(running()).toEqual(['1/11', '2/21']);
    await pass(2000);
    expect(running()).toEqual([]);
    expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'disconnected', 'connecting']);
    await pass(60_000);
    control.up = true;
    const connecting = client.connect(); // joins the attempts that are under way
    await pass(3000);
    await connecting;
    expect(client.state).toBe('connected');
    expect(running()).toEqual(['1/11', '2/21']);
    expect(brewer.getConfig().cipher?.key).not.toBe(key);
    expect(control.ofType(10).at(-1)).toMatchObject({ brewer_config: brewer.getConfig() });
  });

  it.each([0, Infinity])('with graceMs %d the client resets at once or never', async (graceMs) => {
    const { control, client } = controlKit({ reconnect: { delayMs: 1000, maxDelayMs: 1000, stableMs: 1000, graceMs } });
    await client.connect();
    control.up = false;
    control.cut();
    await pass(1);
    expect(client.state).toBe(graceMs ? 'reconnecting' : 'connecting');
    await pass(600_000);
    expect(client.state).toBe(graceMs ? 'reconnecting' : 'connecting');
  });

  it('a refused token is final: the client resets, and does not connect again', async () => {
    const { control, client, running, errors, states } = await matched([11], []);
    control.network.received = (socket) => queueMicrotask(() => socket.deliver(new Uint8Array([2, 0, 23, 0, 1, 0, 0, 0, ...Buffer.from('{"authenticated":false}')])));
    control.cut();
    await pass(2000);
    expect(client.state).toBe('disconnected');
    expect(errors.map(({ code }) => code)).toContain('UNAUTHORIZED');
    expect(running()).toEqual([]);
    expect(states.at(-1)).toBe('disconnected');
    const { length } = control.network.sockets;
    await pass(600_000);
    expect(control.network.sockets.length).toBe(length);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('listeners that act at once', () => {
  it.each(['reconnecting', 'disconnected', 'connected', 'connecting'])('disconnect() in a listener of %s leaves a disconnected client and no timer', async (at) => {
    const { control, client, brew, states } = await matched([11], []);
    await client.disconnect();
    client.on('state', (state) => {
      if (state === at) void client.disconnect();
    });
    const connecting = client.connect().then(() => 'connected', (error: PubkeeperError) => error.code);
    await pass(2000);
    if (at.startsWith('connect')) expect(await connecting).toBe('CONNECTION_CLOSED');
    control.up = false;
    if (client.state === 'connected') control.cut();
    await pass(100_000);
    expect(client.state).toBe('disconnected');
    expect(states.at(-1)).toBe('disconnected');
    expect(brew.running.size).toBe(0);
    const { length } = control.network.sockets;
    await pass(600_000);
    expect(control.network.sockets.length).toBe(length);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('connect() in a listener of disconnected, when graceMs is over, makes no second connection', async () => {
    const { control, client, running } = await matched([11], []);
    client.on('state', (state) => {
      if (state === 'disconnected') client.connect().catch(() => undefined);
    });
    control.up = false;
    control.cut();
    await pass(35_000);
    control.up = true;
    await pass(5000);
    expect(client.state).toBe('connected');
    expect(running()).toEqual(['1/11']);
    expect(control.network.sockets.filter(({ readyState }) => readyState === 1).length).toBe(1);
  });
});

describe('disconnect()', () => {
  it('ends every pair, closes the brews, and leaves no timer and no socket', async () => {
    const { control, client, brew, running, states } = await matched([11], [21]);
    await client.disconnect();
    expect(running()).toEqual([]);
    expect(brew.closed).toBe(1);
    expect(states.at(-1)).toBe('disconnected');
    expect(control.network.sockets.map(({ readyState }) => readyState)).toEqual([3]);
    expect(vi.getTimerCount()).toBe(0);
    await client.disconnect();
    await pass(600_000);
    expect(control.network.sockets.length).toBe(1);
  });

  it('waits at most a second until what was brewed is accepted, and reports when that was not enough', async () => {
    for (const accepts of [true, false]) {
      const { client, brew, brewer, errors } = await matched([], [21]);
      let accept!: () => void;
      // Sealing is asynchronous, and does not follow the fake timers of the test.
      const carried = new Promise<void>((reached) => {
        brew.brew = () => new Promise<void>((resolve) => ((accept = resolve), reached()));
      });
      void brewer.brewText('last words');
      let done = false;
      const ending = client.disconnect().then(() => (done = true));
      await carried;
      await pass(500);
      expect([done, brew.running.size]).toEqual([false, 1]);
      if (accepts) accept();
      await pass(accepts ? 1 : 600);
      await ending;
      const error = { code: 'BREW_FAILED', message: 'What was brewed last was not accepted within 1 s.' };
      expect(errors).toEqual(accepts ? [] : [expect.objectContaining(error)]);
      expect(brew.running.size).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    }
  });

  it('rejects connect() while connecting, and stops a reconnect', async () => {
    const first = controlKit();
    first.control.up = false;
    first.control.network.onSocket = () => undefined; // never opens
    const connecting = first.client.connect();
    await pass(100);
    const ending = first.client.disconnect();
    await rejected(connecting, 'CONNECTION_CLOSED');
    await ending;
    expect(vi.getTimerCount()).toBe(0);
    const second = await matched([11], []);
    second.control.up = false;
    second.control.cut();
    await second.client.disconnect();
    expect(second.states.at(-1)).toBe('disconnected');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('with connect() right after it: the new pairs are not ended with the old ones, however long the brew takes to close', async () => {
    const { control, client, brew, running } = await matched([11], []);
    control.network.answersClose = false;
    let closing!: () => void;
    brew.onClose = () => new Promise<void>((resolve) => (closing = resolve));
    void client.disconnect();
    const connecting = client.connect();
    await pass(5000);
    expect([client.state, control.network.sockets.length, running()]).toEqual(['connecting', 1, []]);
    closing?.();
    brew.onClose = () => undefined;
    await pass(5000);
    await connecting;
    expect(client.state).toBe('connected');
    expect(running()).toEqual(['1/11']);
    expect(brew.log.at(-1)).toBe(`+${id(1)}/${id(11)}`);
    expect(brew.closed).toBe(1);
  });
});
