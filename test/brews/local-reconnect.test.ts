import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { newId } from '../../src/core/index.js';
import { deferred, rawFrame, settle } from '../helpers.js';
import { directory, foreign, later, local, padded } from './local-kit.js';
import { pair, receiver, TOPIC } from './rig.js';

// Local patrons whose connection or pair ends and begins again: when they connect, and which frames they skip.

describe.each(['unix', 'tcp'] as const)('a local patron over %s', (transport) => {
  it('reconnects when its connection has ended, and skips the last value that the brewer repeats', async () => {
    const { brew } = local();
    const brewerId = newId();
    const [one, two] = ['one', 'two'].map((text) => rawFrame(TOPIC, brewerId, text));
    let connections = 0;
    const sock = await foreign(transport, (socket) => {
      socket.write(padded(one!.length, one!));
      if (++connections === 1) return void socket.end();
      socket.write(padded(one!.length, one!)); // an equal frame, but a new message
      socket.write(padded(two!.length, two!));
    });
    const box = receiver();
    const details = { name: brew.name, sock: sock.address };
    later(brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.take(3)).toEqual(['one', 'one', 'two']);
    expect(connections).toBe(2);
  });

  it('that reconnects receives a frame that equals its last one, if the details say that the brewer keeps no last value', async () => {
    const writer = local({ transport, directory: directory(), lastValue: false });
    const { last } = (await writer.brew.brewerDetails({ topic: TOPIC, brewerId: newId() }))!;
    expect([last, 'last' in (await local({ transport, directory: directory() }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() }))!]).toEqual([false, false]);
    const { brew } = local();
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'same');
    let connections = 0;
    const sock = await foreign(transport, (socket) => {
      socket.write(padded(frame.length, frame));
      if (++connections === 1) socket.end();
    });
    const box = receiver();
    const patron = { topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name, sock: sock.address, last }, receive: box.receive };
    const stop = brew.startPatron(patron);
    expect(await box.take(2)).toEqual(['same', 'same']); // one over each connection
    stop(); // as when the client loses its server for a moment
    await settle(); // a pair that begins again in the same turn keeps its reader
    later(brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });

  it('skips the repeated last frame when its pair ends for a moment, as when the client loses its server; a new patron receives that frame', async () => {
    const shared = { transport, directory: directory() };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    const other = await pair(writer.brew, reader.brew, box.brewerId);
    void box.say('last');
    expect(await Promise.all([box.next(), other.next()])).toEqual(['last', 'last']);
    box.stop();
    other.stop();
    await settle(); // a pair that begins again in the same turn keeps its reader
    later(box.start());
    const fresh = await pair(writer.brew, reader.brew, box.brewerId);
    expect(await fresh.next()).toBe('last');
    void box.say('last'); // an equal frame, but a new message
    void box.say('next');
    expect([await box.take(2), await fresh.take(2)]).toEqual([['last', 'next'], ['last', 'next']]);
  });

  it('keeps its connection, and misses no frame, when its pair ends and begins again in one turn, as when the brewer has lost its server', async () => {
    const shared = { transport, directory: directory(), lastValue: false };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    box.stop();
    const stop = box.start();
    box.stop(); // a second call does nothing to the new pair
    expect([box.say('two'), box.say('two')]).toEqual([undefined, undefined]);
    expect(await box.take(2)).toEqual(['two', 'two']);
    stop();
    void box.say('three');
    await settle();
    expect(box.all).toHaveLength(3);
  });

  it('receives the last frame again in the next session, also if its brew is closed in the turn in which the pair ends', async () => {
    const shared = { transport, directory: directory() };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    void box.say('last');
    expect(await box.next()).toBe('last');
    box.stop();
    await reader.brew.close();
    await settle();
    later(box.start());
    expect(await box.next()).toBe('last');
  });

  it('makes a new connection when its pair begins again at another address, also after the former one has ended', async () => {
    const shared = { transport, directory: directory(), lastValue: false };
    const [first, second, reader] = [local(shared), local({ ...shared, directory: directory() }), local(shared)];
    const box = await pair(first.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const { brewerId, patronId } = box;
    const details = (await second.brew.brewerDetails({ topic: TOPIC, brewerId }))!;
    const pairOf = { topic: TOPIC, brewerId, patronId };
    second.brew.startBrewer({ ...pairOf, details: reader.brew.patronDetails() });
    box.stop();
    const stop = reader.brew.startPatron({ ...pairOf, details, receive: box.receive });
    await second.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'two'));
    expect(await box.next()).toBe('two');
    await second.brew.close();
    const third = local({ ...shared, directory: directory() });
    const again = await third.brew.brewerDetails({ topic: TOPIC, brewerId });
    third.brew.startBrewer({ ...pairOf, details: reader.brew.patronDetails() });
    stop();
    later(reader.brew.startPatron({ ...pairOf, details: again!, receive: box.receive }));
    await third.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'three'));
    expect(await box.next()).toBe('three');
  });

  it.each([
    ['', false],
    [', also if the pair begins and ends at another address in the same turn', true],
  ])('delivers nothing after its pair has ended, and closes its connection%s', async (_, isElsewhere) => {
    const { brew } = local();
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'one');
    const both = Buffer.concat([padded(frame.length, frame), padded(frame.length, frame)]);
    const closed = deferred<void>();
    const former = await foreign(transport, (socket) => socket.resume().on('close', closed.resolve).write(both));
    const other = await foreign(transport, () => undefined);
    const all: Uint8Array[] = [];
    const pairOf = { topic: TOPIC, brewerId, patronId: newId() };
    const stop = brew.startPatron({
      ...pairOf,
      details: { name: brew.name, sock: former.address },
      receive: (received) => {
        all.push(received);
        stop();
        if (isElsewhere) brew.startPatron({ ...pairOf, details: { name: brew.name, sock: other.address }, receive: () => undefined })();
      },
    });
    await closed.promise;
    expect(all).toHaveLength(1);
  });

  it('that waits to reconnect does so at once when its pair ends and begins again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => void vi.useRealTimers());
    const { brew } = local();
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'one');
    let connections = 0;
    const { address } = await foreign(transport, (socket) => (++connections === 1 ? socket.end() : socket.write(padded(frame.length, frame))));
    const box = receiver();
    const patron = { topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name, sock: address }, receive: box.receive };
    const stop = brew.startPatron(patron);
    while (!vi.getTimerCount()) await settle();
    stop();
    later(brew.startPatron(patron));
    expect(await box.next()).toBe('one');
  });

  it('receives the first frame of the next brewer at an address, also if that frame equals its last one', async () => {
    const rig = local();
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'same');
    const sock = await foreign(transport, (socket) => {
      socket.end(padded(frame.length, frame));
      sock.server.close();
    });
    const box = receiver();
    const patron = { topic: TOPIC, brewerId, patronId: newId(), details: { name: rig.brew.name, sock: sock.address }, receive: box.receive };
    const stop = rig.brew.startPatron(patron);
    expect(await box.next()).toBe('same');
    await rig.state(false); // it has tried to reconnect, and nobody listens
    stop();
    if (typeof sock.address === 'string') sock.server.listen(sock.address);
    else sock.server.listen(sock.address[1], '127.0.0.1');
    later(rig.brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });
});

describe.each([
  ['sends another protocol', 'FRAME_INVALID', (socket: Socket): unknown => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['ends each connection', 'CONNECTION_LOST', (socket: Socket): unknown => socket.end()],
] as const)('a server in the place of the brewer that %s', (_, code, talk) => {
  it('is reported as down once, however often the patron connects, and as up with the first frame', async () => {
    const rig = local();
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'one');
    let connections = 0;
    const sock = await foreign('unix', (socket) => {
      if (++connections < 8) return void talk(socket);
      expect([rig.errors.map((error) => error.code), rig.states.map(({ up }) => up)]).toEqual([[code], [false]]);
      socket.write(padded(frame.length, frame));
    });
    const box = receiver();
    const details = { name: rig.brew.name, sock: sock.address };
    later(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.next()).toBe('one');
    await rig.state(true);
    expect([rig.errors, rig.states].map(({ length }) => length)).toEqual([1, 2]);
  });
});

describe('a local patron', () => {
  it('reports once, as an error and as a state, that it cannot reach a brewer, and the state when it can again', async () => {
    const dir = directory();
    const rig = local({ directory: dir });
    const brewerId = newId();
    const details = { name: rig.brew.name, sock: join(dir, `${brewerId}.sock`) };
    const box = receiver();
    later(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    const error = await rig.error('CONNECT_FAILED');
    expect(error.message).toMatch(/ENOENT: the brewer is gone/);
    expect((await rig.state(false)).scope).toMatchObject({ brewerId });
    const writer = local({ directory: dir });
    await writer.brew.brewerDetails({ topic: TOPIC, brewerId });
    await rig.state(true);
    expect(rig.errors).toHaveLength(1);
  });

  it('that waits to reconnect does so at once when it is woken, and opens no second connection when it is woken again', async () => {
    const rig = local();
    vi.spyOn(Math, 'random').mockReturnValue(1);
    later(() => vi.restoreAllMocks());
    Object.assign(rig.host, { reconnect: { ...rig.host.reconnect, delayMs: 3_600_000, maxDelayMs: 3_600_000 } });
    const brewerId = newId();
    const frame = rawFrame(TOPIC, brewerId, 'one');
    let connections = 0;
    const sock = await foreign('unix', (socket) => {
      if (++connections === 1) socket.end();
      else socket.write(padded(frame.length, frame));
    });
    const box = receiver();
    const details = { name: rig.brew.name, sock: sock.address };
    later(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    for (; connections < 2; await settle()) rig.brew.wake();
    expect(await box.next()).toBe('one');
    rig.brew.wake();
    // Connections are accepted in order: one that the patron had opened would be counted by then.
    const last = connect(sock.address as string);
    later(() => last.destroy());
    await once(last, 'data');
    expect([connections, box.all.length]).toEqual([3, 1]);
  });

  it('waits a random time up to delayMs before it reconnects, and up to twice as long after each further failure', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1);
    const waits = vi.spyOn(globalThis, 'setTimeout');
    later(() => [random, waits].forEach((spy) => spy.mockRestore()));
    const { brew, error } = local();
    const details = { name: brew.name, sock: join(directory(), 'nobody.sock') };
    later(brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }));
    await error('CONNECT_FAILED'); // reported at the third failure
    expect(waits.mock.calls.map(([, ms]) => ms)).toEqual([20, 40, 80]);
  });

  it('waits no longer than the first time after a connection that has lasted stableMs', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1);
    const waits = vi.spyOn(globalThis, 'setTimeout');
    later(() => [random, waits].forEach((spy) => spy.mockRestore()));
    const rig = local();
    Object.assign(rig.host, { reconnect: { ...rig.host.reconnect, stableMs: 0 } });
    let connections = 0;
    const fourth = deferred<void>();
    const { address } = await foreign('unix', (socket) => {
      socket.end();
      if (++connections === 4) fourth.resolve();
    });
    const details = { name: rig.brew.name, sock: address };
    later(rig.brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }));
    await fourth.promise;
    expect(waits.mock.calls.map(([, ms]) => ms)).toEqual([20, 20, 20]);
  });
});
