import { describe, expect, it, vi } from 'vitest';
import type { BrewHost } from '../../src/core/brew.js';
import { Brewer } from '../../src/core/brewer.js';
import { Patron } from '../../src/core/patron.js';
import { deferred, id, rejected } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { brewerInfo, controlKit, PairBrew } from './scripted-control.js';

// What begins and ends with a session.

fakeTime();

it('a client of several servers tries each in turn, beginning with the first', async () => {
  const { client, control } = controlKit({ server: ['ws://one/', 'ws://two/', 'ws://three/'] });
  const dialled = () => control.network.sockets.splice(0).map(({ url }) => new URL(url).host);
  control.up = false;
  const connecting = rejected(client.connect(), 'CONNECT_FAILED');
  await pass(20_000);
  await connecting;
  expect(dialled()).toEqual(['one', 'two', 'three']);
  control.up = true;
  await client.connect();
  control.cut();
  await pass(5000);
  expect([client.state, dialled()]).toEqual(['connected', ['one', 'two']]);
});

it('the client does not listen to the life of the page after disconnect() in a listener of connecting', async () => {
  let listening = 0;
  const { client } = controlKit({ lifecycle: () => (listening++, () => void listening--) });
  const undo = client.on('state', () => {
    undo();
    void client.disconnect();
  });
  await rejected(client.connect(), 'CONNECTION_CLOSED');
  expect(listening).toBe(0);
  await client.connect();
  expect(listening).toBe(1);
});

it('registrations have the whole connectTimeoutMs for their answers on each connection', async () => {
  const { client, control } = controlKit({ connectTimeoutMs: 10_000 });
  client.addPatron('a', () => undefined);
  await client.connect();
  control.answers = false;
  control.cut();
  await pass(7000);
  control.cut();
  await pass(10_000); // one of these seconds is without a connection
  expect(control.network.sockets.length).toBe(3);
  await pass(20_000);
  expect(control.network.sockets.length).toBeGreaterThan(3);
});

describe('brews', () => {
  it('are not woken when the connection to the server ends with a close event', async () => {
    const { client, control, brew } = controlKit();
    const woken = vi.fn();
    Object.assign(brew, { wake: woken });
    await client.connect();
    control.cut();
    await pass(5000);
    expect([client.state, woken.mock.calls]).toEqual(['connected', []]);
  });

  it('are closed before disconnect() resolves', async () => {
    const { client, brew } = controlKit();
    const { promise, resolve } = deferred<void>();
    brew.onClose = () => promise;
    await client.connect();
    const isOver = vi.fn();
    const ending = client.disconnect().then(isOver);
    await pass(5000);
    expect([client.state, brew.closed, isOver.mock.calls.length]).toEqual(['disconnected', 1, 0]);
    resolve(undefined);
    await ending;
  });

  it('report their drops when their client disconnects at the latest', async () => {
    const brew = new PairBrew();
    let host!: BrewHost;
    brew.attach = (...given: unknown[]) => void (host = given[0] as BrewHost);
    const { client } = controlKit({ brews: [brew] });
    const drops: unknown[] = [];
    client.on('dropped', (drop) => drops.push(drop));
    await client.connect();
    host.dropped('malformed');
    await client.disconnect();
    expect(drops).toMatchObject([{ reason: 'malformed', count: 1 }]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('a drop of a patron is reported by its client, with the id of that patron', async () => {
  const { client, control, brew } = controlKit();
  client.addPatron(new Patron('foreign.*', () => undefined, { patronId: id(1) }));
  control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
  const drops: unknown[] = [];
  client.on('dropped', (drop) => drops.push(drop));
  await client.connect();
  for (const pair of brew.running.values()) if ('receive' in pair) pair.receive(new Uint8Array(3));
  await client.disconnect();
  expect(drops).toMatchObject([{ reason: 'malformed', count: 1, brewerId: id(11), patronId: id(1) }]);
});

it('a page that was put away reconnects to the same one of several servers', async () => {
  let wake!: () => void;
  let rest!: () => void;
  const lifecycle = (...given: (() => void)[]) => (([wake, rest] = given as [() => void, () => void]), () => undefined);
  const { client, control } = controlKit({ lifecycle, server: ['ws://one/', 'ws://two/'] });
  await client.connect();
  rest();
  wake();
  await pass(0);
  expect([client.state, control.network.sockets.map(({ url }) => new URL(url).host)]).toEqual(['connected', ['one', 'one']]);
});

describe('methods that a subclass overrides', () => {
  it('configure() is called at the beginning of each session, also after graceMs has ended the former one', async () => {
    const log: string[] = [];
    class OwnPatron extends Patron {
      override configure(): void {
        log.push('patron');
        super.configure();
      }
    }
    class OwnBrewer extends Brewer {
      override configure(): void {
        log.push('brewer');
        super.configure();
      }
    }
    const { client, control, states } = controlKit();
    client.addPatron(new OwnPatron('foreign.*', () => undefined, { patronId: id(1) }));
    client.addBrewer(new OwnBrewer('own.topic'));
    control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
    await client.connect();
    expect(log.splice(0)).toEqual(['patron', 'brewer']);
    control.up = false;
    control.cut();
    await pass(29_000);
    expect(log).toEqual([]);
    await pass(2000);
    expect([states.at(-1), log]).toEqual(['connecting', ['patron', 'brewer']]);
    await client.disconnect();
    client.addBrewer(new OwnBrewer('another.topic'));
    expect(log.length).toBe(2);
  });

  it('reset() and configure() are called once each when a listener of disconnected connects again', async () => {
    const log: string[] = [];
    class OwnPatron extends Patron {
      override configure(): void {
        log.push('configure');
        super.configure();
      }
      override reset(): void {
        log.push('reset');
        super.reset();
      }
    }
    const { client, control } = controlKit();
    client.addPatron(new OwnPatron('foreign.*', () => undefined));
    await client.connect();
    log.length = 0;
    const undo = client.on('state', (state) => {
      if (state !== 'disconnected') return;
      undo();
      void client.disconnect();
      control.up = true;
      void client.connect();
    });
    control.up = false;
    control.cut();
    await pass(30_500);
    await pass(5000);
    expect([client.state, log]).toEqual(['connected', ['reset', 'configure']]);
  });

  it('newBrewers(), removeBrewer() and reset() are called for matches that begin and end, and only for these', async () => {
    const log: string[] = [];
    class OwnPatron extends Patron {
      override newBrewers(brewers: Parameters<Patron['newBrewers']>[0]): void {
        log.push(`new ${brewers.length}`);
        super.newBrewers(brewers);
      }
      override removeBrewer(brewerId: string): void {
        log.push(`removed ${brewerId === id(11)}`);
        super.removeBrewer(brewerId);
      }
      override reset(): void {
        log.push('patron reset');
        super.reset();
      }
    }
    class OwnBrewer extends Brewer {
      override reset(): void {
        log.push('brewer reset');
        super.reset();
      }
    }
    const { client, control } = controlKit();
    const patron = client.addPatron(new OwnPatron('foreign.*', () => undefined, { patronId: id(1) }));
    const brewer = client.addBrewer(new OwnBrewer('own.topic'));
    control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
    await client.connect();
    expect(log.splice(0)).toEqual(['new 1']);
    control.send({ type: 13, payload: { patron_id: id(1), brewer_id: id(11) } });
    await pass(2000);
    expect(log.splice(0)).toEqual(['removed true']);
    client.removePatron(patron);
    client.removeBrewer(brewer);
    expect(log).toEqual(['patron reset', 'brewer reset']);
    await client.disconnect();
    expect(log.length).toBe(2);
  });
});
