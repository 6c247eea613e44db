import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { newId } from '../../src/core/index.js';
import { deferred, rawFrame, settle } from '../helpers.js';
import { directory, foreign, later, local, padded } from './local-kit.js';
import { pair, receiver, TOPIC } from './rig.js';

// Local patrons whose connection or pair ends and begins again: when they connect, and which frames they skip.

describe.each(['unix', 'tcp'] as const)('by %s', (transport) => {
  it('comes back when the brewer does, and does not repeat the last value', async () => {
    const { brew } = local();
    const brewerId = newId();
    const [one, two] = ['one', 'two'].map((text) => rawFrame(TOPIC, brewerId, text));
    let connections = 0;
    const sock = await foreign(transport, (socket) => {
      socket.write(padded(one!.length, one!));
      if (++connections === 1) socket.end();
      else socket.write(padded(two!.length, two!));
    });
    const box = receiver();
    const details = { name: brew.name, sock: sock.address };
    later(brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.take(2)).toEqual(['one', 'two']);
    expect(connections).toBe(2);
  });

  it('is given what equals the last frame when it is back, of a brewer that keeps no last value, which says so', async () => {
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
    expect(await box.take(2)).toEqual(['same', 'same']); // once by each connection
    stop(); // as where control is lost for a moment
    await settle(); // in the same turn its reader would go on
    later(brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });

  it('is not given its last frame again where its pair ends for a moment, as where control is lost; a new patron is', async () => {
    const shared = { transport, directory: directory() };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    const other = await pair(writer.brew, reader.brew, box.brewerId);
    void box.say('last');
    expect(await Promise.all([box.next(), other.next()])).toEqual(['last', 'last']);
    box.stop();
    other.stop();
    await settle(); // in the same turn its reader would go on
    later(box.start());
    const fresh = await pair(writer.brew, reader.brew, box.brewerId);
    expect(await fresh.next()).toBe('last');
    void box.say('last'); // the same, but not the same message
    void box.say('next');
    expect([await box.take(2), await fresh.take(2)]).toEqual([['last', 'next'], ['last', 'next']]);
  });

  it('goes on with its connection where its pair ends and begins anew in one turn, as where the brewer has lost control: it misses nothing', async () => {
    const shared = { transport, directory: directory(), lastValue: false };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    box.stop();
    const stop = box.start();
    box.stop(); // as it may be: that one has ended already
    expect([box.say('two'), box.say('two')]).toEqual([undefined, undefined]);
    expect(await box.take(2)).toEqual(['two', 'two']);
    stop();
    void box.say('three');
    await settle();
    expect(box.all).toHaveLength(3);
  });

  it('gives the last frame again in its next session, also where it is closed in the turn in which its pair ends', async () => {
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

  it('does not go on with a connection that has ended, or in another place', async () => {
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
    [', also where its pair begins and ends elsewhere in that turn', true],
  ])('takes nothing when its pair has ended, and ends its connection%s', async (_, isElsewhere) => {
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

  it('that waits to dial again does so at once where its pair ends and begins anew', async () => {
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

  it('is given the first frame of whoever listens there next, though it is the same as the last one', async () => {
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
    await rig.state(false); // it has dialled again, and nobody was there
    stop();
    if (typeof sock.address === 'string') sock.server.listen(sock.address);
    else sock.server.listen(sock.address[1], '127.0.0.1');
    later(rig.brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });
});

describe.each([
  ['sends what is none of this protocol', 'FRAME_INVALID', (socket: Socket): unknown => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['ends each connection', 'CONNECTION_LOST', (socket: Socket): unknown => socket.end()],
] as const)('whoever listens there and %s', (_, code, talk) => {
  it('is told of once, however often it is dialled, and is there again with the first frame', async () => {
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

describe('a patron', () => {
  it('reports a brewer that it cannot reach, as a sentence and as a state, and that it can again', async () => {
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

  it('that waits to dial again does so at once when it is woken, and has one connection when it is woken once more', async () => {
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
    // Connections are taken in the order in which they come.
    const last = connect(sock.address as string);
    later(() => last.destroy());
    await once(last, 'data');
    expect([connections, box.all.length]).toEqual([3, 1]);
  });

  it('waits a random time up to delayMs before it dials again, and up to twice as long after each further failure', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1);
    const waits = vi.spyOn(globalThis, 'setTimeout');
    later(() => [random, waits].forEach((spy) => spy.mockRestore()));
    const { brew, error } = local();
    const details = { name: brew.name, sock: join(directory(), 'nobody.sock') };
    later(brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }));
    await error('CONNECT_FAILED'); // told of at the third
    expect(waits.mock.calls.map(([, ms]) => ms)).toEqual([20, 40, 80]);
  });
});
