import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import fc from '../fast-check.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LocalBrew, type LocalBrewOptions, localName } from '../../src/brews/local.js';
import { LengthPrefixed } from '../../src/brews/internal/length-prefixed.js';
import { type BrewDetails, newId, PubkeeperError } from '../../src/core/index.js';
import { deferred, rawFrame, settle, thrown } from '../helpers.js';
import { attached, pair, receiver, TOPIC } from './rig.js';

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'pk-local-'));
  clean.push(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'sockets');
}

function local(options: LocalBrewOptions = {}) {
  const rig = attached(new LocalBrew(options));
  clean.push(() => rig.brew.close());
  return rig;
}

/** What a process leaves behind that was killed: a socket file at which nobody listens. */
function leaveStale(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL');
  expect(existsSync(path)).toBe(true);
}

const padded = (length: number, frame: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(4 + frame.length);
  bytes.writeUInt32LE(length);
  bytes.set(frame, 4);
  return bytes;
};

describe.each(['unix', 'tcp'] as const)('by %s', (transport) => {
  it('carries frames in order, and what was brewed before the patron had connected', async () => {
    const shared = { transport, directory: directory() };
    const writer = local(shared);
    const reader = local(shared);
    const box = await pair(writer.brew, reader.brew);
    for (let i = 0; i < 100; i++) void box.say(String(i));
    expect(await box.take(100)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
    expect(reader.errors).toEqual([]);
  });

  it('resolves only when a matched patron has it, so that a brewer may leave then', async () => {
    const shared = { transport, directory: directory() };
    const writer = local(shared);
    const box = await pair(writer.brew, local(shared).brew);
    await box.say('last words');
    await writer.brew.close();
    expect(await box.next()).toBe('last words');
  });

  it('knows a patron that has connected before its match is known here: brew() does not wait for it', async () => {
    const { match, say, open } = await outlet(transport);
    const early = await open();
    expect(await early.next()).toBe('last');
    match();
    expect([say('one'), say('two')]).toEqual([undefined, undefined]);
    expect([await early.next(), await early.next()]).toEqual(['one', 'two']);
  });

  it('gives a patron that was early what it has missed over another brew, before all that follows', async () => {
    const { match, say, open } = await outlet(transport);
    const early = await open();
    expect(await early.next()).toBe('last');
    match(['missed 1', 'missed 2']);
    expect(say('live')).toBeUndefined();
    expect([await early.next(), await early.next(), await early.next()]).toEqual(['missed 1', 'missed 2', 'live']);
  });

  it('keeps for one that is early what others are served meanwhile, up to 1 MiB', async () => {
    const { match, say, open } = await outlet(transport);
    match();
    const other = await open();
    expect(await other.next()).toBe('last');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    clean.push(() => void vi.useRealTimers());
    const early = await open();
    await settle(); // until the brewer's end has seen it, too
    const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(300_000));
    for (const text of texts) {
      void say(text);
      expect(await other.next()).toBe(text);
    }
    expect(early.all).toEqual([]);
    void say(texts[0]!);
    expect([await early.next(), ...(await early.take(4))]).toEqual(['last', ...texts, texts[0]]);
  });

  it.each([
    ['every frame since, also equal ones', ['a', 'a', 'b', 'b'], [], ['last', 'a', 'a', 'b', 'b']],
    ['what it missed, and then what others were served since', ['b', 'c'], ['a', 'b', 'c'], ['a', 'b', 'c']],
    ['what others were served, where it missed more than was kept', ['a', 'b', 'c'], ['b', 'c'], ['a', 'b', 'c']],
  ])('gives one that was early, when its match is known, %s', async (_, served, missed, wanted) => {
    const { match, say, open } = await outlet(transport);
    match();
    const other = await open();
    expect(await other.next()).toBe('last');
    const early = await open();
    await settle(); // until the brewer's end has seen it, too
    for (const text of served) void say(text);
    match(missed);
    void say('live');
    expect(await early.take(wanted.length + 1)).toEqual([...wanted, 'live']);
    expect(await other.take(served.length + 1)).toEqual([...served, 'live']);
  });

  it('takes no reader for a patron that is to come when it has gone again, or is one of before that has come back', async () => {
    const { match, say, open } = await outlet(transport);
    const gone = await open();
    expect(await gone.next()).toBe('last');
    await gone.leave();
    match();
    const held = say('held');
    expect(held).toBeInstanceOf(Promise);
    const first = await open();
    expect(await first.next()).toBe('held');
    await held;
    await first.leave();
    const back = await open();
    expect(await back.next()).toBe('held');
    match();
    for (const text of ['one', 'two']) void say(text);
    const second = await open();
    for (const reader of [back, second]) expect([await reader.next(), await reader.next()]).toEqual(['one', 'two']);
  });

  it('is read as the protocol says, by whoever connects: u32 length and frame, and the last value first', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const details = await brew.brewerDetails({ topic: TOPIC, brewerId });
    const sock = details!.sock as string | [string, number];
    if (transport === 'unix') expect(sock).toMatch(/^\/.*\.sock$/);
    else expect(sock).toEqual(['127.0.0.1', expect.any(Number)]);
    const read = async (bytes: number): Promise<Buffer> => {
      const socket = typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0]);
      clean.push(() => socket.destroy());
      const chunks: Buffer[] = [];
      for await (const chunk of socket) {
        chunks.push(chunk as Buffer);
        if (Buffer.concat(chunks).length >= bytes) break;
      }
      return Buffer.concat(chunks);
    };
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name } });
    const [one, two] = ['one', 'two'].map((text) => rawFrame(TOPIC, brewerId, text));
    const first = read(4 + one!.length + 4 + two!.length);
    void brew.brew(brewerId, one!);
    void brew.brew(brewerId, two!);
    expect(await first).toEqual(Buffer.concat([padded(one!.length, one!), padded(two!.length, two!)]));
    expect(await read(4 + two!.length)).toEqual(padded(two!.length, two!));
  });

  it('reads what a foreign brewer sends, in whatever pieces it comes', async () => {
    const { brew } = local();
    const brewerId = newId();
    const frames = ['a', 'bb', 'ccc'].map((text) => rawFrame(TOPIC, brewerId, text));
    const bytes = Buffer.concat(frames.map((frame) => padded(frame.length, frame)));
    const sock = await foreign(transport, (socket) => {
      let at = 0;
      const send = (): void => {
        if (at < bytes.length) socket.write(bytes.subarray(at, (at += 7)), () => setImmediate(send));
      };
      send();
    });
    const box = receiver();
    const details = { name: brew.name, sock: sock.address };
    clean.push(brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.take(3)).toEqual(['a', 'bb', 'ccc']);
    expect(box.all[0]!.retained).toBeUndefined();
    expect(Buffer.isBuffer(box.all[0]!.frame)).toBe(false);
  });

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
    clean.push(brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
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
    clean.push(brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });

  it('that has just ended is not taken for another patron that is to come', async () => {
    const { match, say, open } = await outlet(transport);
    const end = match();
    const accepted = new Promise<Socket>((resolve) => {
      const take = (message: unknown): void => {
        unsubscribe('net.server.socket', take);
        resolve((message as { socket: Socket }).socket);
      };
      subscribe('net.server.socket', take);
    });
    const former = await open();
    expect(await former.next()).toBe('last');
    const ended = once(await accepted, 'end');
    void former.leave();
    await ended;
    end();
    match();
    const held = say('one');
    expect(held).toBeInstanceOf(Promise);
    const patron = await open();
    expect(await patron.next()).toBe('one');
    await held;
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
    clean.push(box.start());
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
    clean.push(box.start());
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
    clean.push(reader.brew.startPatron({ ...pairOf, details: again!, receive: box.receive }));
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
    clean.push(() => void vi.useRealTimers());
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
    clean.push(brew.startPatron(patron));
    expect(await box.next()).toBe('one');
  });

  it('that does not read keeps no brewer from its end, and is cut off then', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as string | [string, number];
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: brew.patronDetails() });
    const socket = (typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0])).on('error', () => undefined);
    clean.push(() => socket.destroy());
    await once(socket, 'connect');
    void brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'x'.repeat(15 * 1024 * 1024)));
    await brew.close();
    const { length } = await buffer(socket).catch(() => Buffer.alloc(0));
    expect(length).toBeLessThan(15 * 1024 * 1024);
  });

  it('that says something, which is of no interest, is let go when it ends', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as string | [string, number];
    const socket = typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0]);
    clean.push(() => socket.destroy());
    const closed = once(socket.resume(), 'close');
    socket.end('hello'.repeat(100_000));
    await closed;
  });

  it('that came more than 10 s before a match is not taken for the patron of that match', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    clean.push(() => void vi.useRealTimers());
    const { match, say, open } = await outlet(transport);
    const stranger = await open();
    expect(await stranger.next()).toBe('last');
    vi.advanceTimersByTime(10_001);
    match();
    const accepted = say('one');
    expect(accepted).toBeInstanceOf(Promise);
    const patron = await open();
    expect(await patron.next()).toBe('one');
    await accepted;
  });

  it('that is on its way is not waited for any more when the brewer ends', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    await brew.brewerDetails({ topic: TOPIC, brewerId });
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: brew.patronDetails() });
    let isSettled = false;
    void (brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'one')) as Promise<void>).then(() => (isSettled = true));
    await settle();
    expect(isSettled).toBe(false);
    brew.endBrewer(brewerId);
    await settle();
    expect(isSettled).toBe(true);
  });

  it('that stays while its match ends and is made anew is known at once: brew() waits for nobody', async () => {
    const shared = { transport, directory: directory() };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    const { brewerId, patronId } = box;
    const again = (): (() => void) => writer.brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: reader.brew.patronDetails() });
    box.end();
    again()();
    again();
    expect(box.say('two')).toBeUndefined();
    expect(await box.take(2)).toEqual(['one', 'two']);
  });

  it('shares its brewer with 256 that no match is known of: more are turned away, and said to be once, and with each match comes room for one', async () => {
    const rig = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await rig.brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as string | [string, number];
    const match = () => rig.brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: rig.brew.name } });
    const dial = async (): Promise<Socket> => {
      const socket = (typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0])).on('error', () => undefined);
      clean.push(() => socket.destroy());
      await once(socket, 'connect');
      return socket.resume();
    };
    const isTurnedAway = async (): Promise<boolean> => {
      const socket = await dial();
      return Promise.race([once(socket, 'close').then(() => true), once(socket, 'data').then(() => false)]);
    };
    const strangers: Socket[] = [];
    for (let i = 0; i < 256; i++) strangers.push(await dial());
    expect([await isTurnedAway(), await isTurnedAway()]).toEqual([true, true]);
    const { message } = await rig.error('BREW_FAILED');
    expect(message).toMatch(/^More than 256 connections to a local brewer, at \S+, belong to no patron of it, and further ones are turned away: look who connects there\.$/);
    expect(message).toContain(typeof sock === 'string' ? sock : sock.join(':'));
    expect(rig.errors).toHaveLength(1);
    const end = match();
    void rig.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'one'));
    expect([await isTurnedAway(), await isTurnedAway()]).toEqual([false, true]);
    end();
    expect(await isTurnedAway()).toBe(true);
    expect(rig.errors).toHaveLength(1);
    expect(strangers.filter((socket) => socket.destroyed)).toEqual([]);
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
    clean.push(rig.brew.startPatron(patron));
    expect(await box.next()).toBe('same');
  });

  it.each([
    ['more than the limit', 0xffffffff],
    ['one more than the limit', 88 + 32 + 1000 + 1],
    ['less than a header', 87],
  ])('drops a connection that announces %s, and says so once', async (_, length) => {
    const rig = local({ maxPayload: 1000 });
    const brewerId = newId();
    let connections = 0;
    const sock = await foreign(transport, (socket) => {
      connections++;
      socket.write(padded(length, new Uint8Array(50)));
    });
    const details = { name: rig.brew.name, sock: sock.address };
    const patron = { topic: TOPIC, brewerId, patronId: newId(), details, receive: () => expect.unreachable() };
    clean.push(rig.brew.startPatron(patron));
    const error = await rig.error('FRAME_INVALID');
    expect(error.details).toMatchObject({ length, limit: 1120 });
    expect(rig.states).toEqual([{ brew: rig.brew.name, up: false, scope: { brewerId, patronId: patron.patronId } }]);
    expect(connections).toBe(1);
    await vi.waitUntil(() => connections >= 4, 10_000); // of which three have ended
    expect([rig.errors, rig.states].map((told) => told.length)).toEqual([1, 1]);
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
    clean.push(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.next()).toBe('one');
    await rig.state(true);
    expect([rig.errors, rig.states].map(({ length }) => length)).toEqual([1, 2]);
  });
});

/** A brewer that has brewed `last` for a patron that has left, and readers that are let in when that has come to them. */
async function outlet(transport: 'unix' | 'tcp') {
  const { brew } = local({ transport, directory: directory() });
  const brewerId = newId();
  const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as string | [string, number];
  const say = (text: string): void | Promise<void> => brew.brew(brewerId, rawFrame(TOPIC, brewerId, text));
  const match = (missed: readonly string[] = []): (() => void) =>
    brew.startBrewer({
      topic: TOPIC,
      brewerId,
      patronId: newId(),
      details: { name: brew.name },
      missed: missed.map((text) => rawFrame(TOPIC, brewerId, text)),
      accepting: () => expect.unreachable(),
    });
  const open = async () => {
    const box = receiver();
    const frames = new LengthPrefixed(1_000_000, (frame) => box.receive(frame));
    const socket = typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0]);
    clean.push(() => socket.destroy());
    socket.on('data', (chunk) => frames.push(Uint8Array.from(chunk)));
    await once(socket, 'connect');
    // The other end closes when it has seen this one's end.
    const leave = (): Promise<unknown> => (socket.end(), once(socket, 'close'));
    return { ...box, leave };
  };
  const end = match();
  const reader = await open();
  void say('last');
  expect(await reader.next()).toBe('last');
  end();
  await reader.leave();
  return { match, say, open };
}

/** A brewer that is not ours. */
async function foreign(transport: 'unix' | 'tcp', talk: (socket: Socket) => void): Promise<{ server: Server; address: string | [string, number] }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    clean.push(() => socket.destroy());
    talk(socket);
  });
  const folder = mkdtempSync(join(tmpdir(), 'pk-foreign-'));
  clean.push(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 's');
  if (transport === 'unix') server.listen(path);
  else server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  clean.push(() => server.close());
  return { server, address: transport === 'unix' ? path : ['127.0.0.1', (server.address() as AddressInfo).port] };
}

describe('socket files', () => {
  it('lie in a directory of the user alone, and are gone when the brewer or the brew is', async () => {
    const dir = directory();
    const { brew } = local({ directory: dir });
    const [one, two] = [newId(), newId()];
    await brew.brewerDetails({ topic: TOPIC, brewerId: one });
    await brew.brewerDetails({ topic: TOPIC, brewerId: two });
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dir).sort()).toEqual([`${one}.sock`, `${two}.sock`].sort());
    brew.endBrewer(one);
    await vi.waitFor(() => expect(readdirSync(dir)).toEqual([`${two}.sock`]));
    await brew.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([
    ['XDG_RUNTIME_DIR', (dir: string) => join(dir, 'pubkeeper')],
    ['TMPDIR', (dir: string) => join(dir, `pubkeeper-${process.getuid!()}`)],
  ])('lie at an absolute path, also where %s is relative', async (name, expected) => {
    const dir = dirname(directory());
    const env = { XDG_RUNTIME_DIR: '', TMPDIR: dir };
    for (const [key, value] of Object.entries({ ...env, [name]: dir })) vi.stubEnv(key, value);
    clean.push(() => vi.unstubAllEnvs());
    const path = async (): Promise<string> => {
      const details = (await local().brew.brewerDetails({ topic: TOPIC, brewerId: newId() }))!;
      return dirname(details.sock as string);
    };
    expect(await path()).toBe(expected(dir));
    vi.stubEnv(name, relative(process.cwd(), dir));
    expect(await path()).toBe(join(dir, `pubkeeper-${process.getuid!()}`));
  });

  it('are made private again when the directory was open to others', async () => {
    const dir = directory();
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    chmodSync(dir, 0o777);
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  it('are not made in a directory that all users share, which stays open', async () => {
    const dir = directory();
    mkdirSync(dir);
    chmodSync(dir, 0o1777);
    const { brew, errors } = local({ directory: dir });
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('is for all users, as /tmp is') });
    expect(statSync(dir).mode & 0o7777).toBe(0o1777);
  });

  it('are made in the same directory again when somebody has removed that', async () => {
    const dir = directory();
    const writer = local({ directory: dir });
    await writer.brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    rmSync(dir, { recursive: true });
    const box = await pair(writer.brew, local({ directory: dir }).brew);
    void box.say('here');
    expect(await box.next()).toBe('here');
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  it('replace a stale one of the same brewer, and remove old stale ones of others', async () => {
    const dir = directory();
    const { brew } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    await brew.close();
    const [mine, young, old] = [newId(), newId(), newId()];
    for (const id of [mine, young, old]) leaveStale(join(dir, `${id}.sock`));
    const past = Date.now() / 1000 - 60;
    utimesSync(join(dir, `${old}.sock`), past, past);
    const writer = local({ directory: dir });
    expect(await writer.brew.brewerDetails({ topic: TOPIC, brewerId: mine })).toBeDefined();
    expect(readdirSync(dir).sort()).toEqual([`${mine}.sock`, `${young}.sock`].sort());
    const box = await pair(writer.brew, local({ directory: dir }).brew, mine);
    void box.say('alive');
    expect(await box.next()).toBe('alive');
  });

  it('are there when brewers are removed and added anew before they listen, where killed ones have left theirs', async () => {
    const dir = directory();
    const { brew, errors } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const left = join(dirname(dir), 'left');
    leaveStale(left);
    const ids = Array.from({ length: 200 }, newId);
    for (const id of ids) linkSync(left, join(dir, `${id}.sock`));
    const all: (BrewDetails | undefined)[] = [];
    for (const [index, brewerId] of ids.entries()) {
      const removed = brew.brewerDetails({ topic: TOPIC, brewerId });
      // The moment in which the two meet is short.
      for (let steps = index % 20; steps; steps--) await Promise.resolve();
      brew.endBrewer(brewerId);
      all.push(...(await Promise.all([removed, brew.brewerDetails({ topic: TOPIC, brewerId })])));
    }
    expect(errors).toEqual([]);
    expect(all.map((one) => existsSync(one!.sock as string))).not.toContain(false);
  });

  it('are not made where something else is, which stays and is named', async () => {
    const dir = directory();
    const { brew, errors } = local({ directory: dir });
    await brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const brewerId = newId();
    const path = join(dir, `${brewerId}.sock`);
    mkdirSync(path);
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId })).toBeUndefined();
    expect(errors.map(({ code, message }) => [code, message])).toEqual([['BREW_FAILED', `A LocalBrew cannot listen at "${path}" (EADDRINUSE): remove what is there.`]]);
    expect(existsSync(path)).toBe(true);
  });

  it('are left alone while their brewer lives: the second one is registered without this brew', async () => {
    const dir = directory();
    const brewerId = newId();
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId });
    const other = local({ directory: dir });
    expect(await other.brew.brewerDetails({ topic: TOPIC, brewerId })).toBeUndefined();
    expect(other.errors[0]).toMatchObject({ code: 'BREW_FAILED', message: expect.stringContaining('Another process brews at') });
  });

  it.skipIf(process.platform !== 'linux')('are not asked for a sign of life in a way that a brewer takes for the patron that it waits for', async () => {
    const dir = directory();
    const [writer, reader] = [local({ directory: dir }), local({ directory: dir })];
    const brewerId = newId();
    const details = (await writer.brew.brewerDetails({ topic: TOPIC, brewerId }))!;
    const past = Date.now() / 1000 - 60;
    utimesSync(details.sock as string, past, past);
    const pairOf = { topic: TOPIC, brewerId, patronId: newId(), details };
    writer.brew.startBrewer(pairOf);
    for (const text of ['one', 'two']) void writer.brew.brew(brewerId, rawFrame(TOPIC, brewerId, text));
    await local({ directory: dir }).brew.brewerDetails({ topic: TOPIC, brewerId: newId() });
    const box = receiver();
    reader.brew.startPatron({ ...pairOf, receive: box.receive });
    expect(await box.take(2)).toEqual(['one', 'two']);
  });

  it.each([
    ['', ''],
    [', also where its brewer was added anew while a patron was still there', `
      const { once } = await import('node:events');
      brew.startBrewer({ ...brewer, patronId: '1'.repeat(32), details });
      const accepted = brew.brew(brewer.brewerId, new Uint8Array(88));
      const patron = (await import('node:net')).connect(details.sock).resume();
      await accepted;
      const closed = once(patron, 'close');
      brew.endBrewer(brewer.brewerId);
      details = await brew.brewerDetails(brewer);
      await closed;
      await new Promise((resolve) => setImmediate(resolve));`],
  ])('are removed when the process exits by itself%s', async (_, before) => {
    const dir = directory();
    const script = `
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const brew = new LocalBrew({ directory: ${JSON.stringify(dir)} });
      brew.attach({ report: console.error });
      const brewer = { topic: 'demo.one', brewerId: '0'.repeat(32) };
      let details = await brew.brewerDetails(brewer);${before}
      process.stdout.write(String((await import('node:fs')).existsSync(details.sock)));
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stdout, stderr).toBe('true');
    expect(readdirSync(dir)).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are neither made nor read without a file descriptor, and that is what is said', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const errors = [];
      let told;
      const brew = new LocalBrew({ directory: ${JSON.stringify(directory())} });
      brew.attach({ reconnect: { delayMs: 1, maxDelayMs: 1, stableMs: 1000 }, report: (error) => (errors.push(error), told?.()) });
      const [first, second] = ['0', '1'].map((digit) => ({ topic: 'demo.one', brewerId: digit.repeat(32), patronId: '2'.repeat(32) }));
      const details = await brew.brewerDetails(first);
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch (error) { console.log(error.code); }
      await brew.brewerDetails(second);
      const down = new Promise((resolve) => (told = resolve));
      brew.startPatron({ ...first, details, receive: () => undefined });
      await down;
      open.forEach((one) => closeSync(one));
      for (const { code, message } of errors) console.log(code, message.replace(/\\S+sock/, 'x'));
      process.exit();`;
    const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8', timeout: 20_000 });
    expect([...stdout.trim().split('\n'), stderr]).toEqual([
      'EMFILE',
      expect.stringMatching(/^BREW_FAILED A LocalBrew cannot listen at "?x"? \(EMFILE\): no file descriptor is left: let this process open more files\.$/),
      'CONNECT_FAILED Cannot read the local brewer at x (EMFILE: no file descriptor is left: let this process open more files).',
      '',
    ]);
  });

  it('are not removed when the process exits, where their brewer has ended before: another may brew there by now', () => {
    const dir = directory();
    const script = `
      import { existsSync, writeFileSync } from 'node:fs';
      import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
      const brew = new LocalBrew({ directory: ${JSON.stringify(dir)} });
      brew.attach({ report: console.error });
      const { sock } = await brew.brewerDetails({ topic: 'demo.one', brewerId: '0'.repeat(32) });
      await brew.close();
      process.stdout.write(String(existsSync(sock)));
      writeFileSync(sock, '');
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(stdout, stderr).toBe('false');
    expect(readdirSync(dir)).toEqual([`${'0'.repeat(32)}.sock`]);
  });

  it.each([
    ['a link to elsewhere', () => directory(), (dir: string) => symlinkSync(tmpdir(), dir), 'is not a directory'],
    ['a link to nothing', () => directory(), (dir: string) => symlinkSync(join(dir, 'nothing'), dir), 'is not a directory'],
    ['a file', () => directory(), (dir: string) => writeFileSync(dir, ''), 'is not a directory'],
    ['a directory below a file', () => join(directory(), 'below'), (dir: string) => writeFileSync(dirname(dir), ''), 'ENOTDIR'],
    ['a file system without directories of users', () => (process.platform === 'linux' ? '/proc/pubkeeper/sockets' : '/dev/null/sockets'), () => undefined, /ENOENT|ENOTDIR/],
    ['too long a path', () => join(directory(), 'x'.repeat(100)), () => undefined, 'too long'],
  ])('are not made in %s', async (_, where, make, words) => {
    const dir = where();
    make(dir);
    const { brew, errors } = local({ directory: dir });
    expect(await brew.brewerDetails({ topic: TOPIC, brewerId: newId() })).toBeUndefined();
    expect(errors[0]?.code).toBe('BREW_FAILED');
    expect(errors[0]?.message).toMatch(words);
  });
});

describe('a patron', () => {
  it('reports a brewer that it cannot reach, as a sentence and as a state, and that it can again', async () => {
    const dir = directory();
    const rig = local({ directory: dir });
    const brewerId = newId();
    const details = { name: rig.brew.name, sock: join(dir, `${brewerId}.sock`) };
    const box = receiver();
    clean.push(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
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
    clean.push(() => vi.restoreAllMocks());
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
    clean.push(rig.brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    for (; connections < 2; await settle()) rig.brew.wake();
    expect(await box.next()).toBe('one');
    rig.brew.wake();
    // Connections are taken in the order in which they come.
    const last = connect(sock.address as string);
    clean.push(() => last.destroy());
    await once(last, 'data');
    expect([connections, box.all.length]).toEqual([3, 1]);
  });

  it('waits a random time up to delayMs before it dials again, and up to twice as long after each further failure', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1);
    const waits = vi.spyOn(globalThis, 'setTimeout');
    clean.push(() => [random, waits].forEach((spy) => spy.mockRestore()));
    const { brew, error } = local();
    const details = { name: brew.name, sock: join(directory(), 'nobody.sock') };
    clean.push(brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }));
    await error('CONNECT_FAILED'); // told of at the third
    expect(waits.mock.calls.map(([, ms]) => ms)).toEqual([20, 40, 80]);
  });

  it.each([
    [undefined],
    ['relative/path'],
    ['/a\0b'],
    ['/' + 'x'.repeat(107)],
    [['example.com', 80]],
    [['10.0.0.1', 80]],
    [['127.0.0.1', 0]],
    [['127.0.0.1', '80']],
    [['127.0.0.1', 80, 1]],
    [{}],
  ])('refuses to connect to %j', (sock) => {
    const { brew } = local();
    const details = { name: brew.name, sock };
    const start = () => brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined });
    thrown(start, 'BREW_CONFIG_INVALID');
  });

  it.each(['//evil.example/pipe/name', '\\\\evil.example\\pipe\\name', '\\\\.\\pipe\\..\\UNC\\evil.example\\x', 'C:\\x.sock', '/x.sock'])(
    'refuses on Windows, which would log in to other hosts, to connect to %s',
    (sock) => {
      vi.spyOn(process, 'platform', 'get').mockReturnValue('win32');
      clean.push(() => vi.restoreAllMocks());
      const { brew } = local();
      const details = { name: brew.name, sock };
      thrown(() => brew.startPatron({ topic: TOPIC, brewerId: newId(), patronId: newId(), details, receive: () => undefined }), 'BREW_CONFIG_INVALID');
    },
  );
});

it('two workers of a cluster of Node have a port each', () => {
  const script = `
    import cluster from 'node:cluster';
    import { LocalBrew } from ${JSON.stringify(new URL('../../dist/brews/local.js', import.meta.url).href)};
    if (cluster.isPrimary) {
      const ports = [];
      cluster.on('message', (_, port) => {
        if (ports.push(port) < 2) return;
        process.stdout.write(JSON.stringify(ports));
        process.exit(0);
      });
      cluster.setupPrimary({ exec: process.argv[1] });
      for (let i = 0; i < 2; i++) cluster.fork();
    } else {
      const brew = new LocalBrew({ transport: 'tcp' });
      brew.attach({ report: console.error });
      const { sock } = await brew.brewerDetails({ topic: 'demo.one', brewerId: '0'.repeat(32) });
      process.send(sock[1]);
    }`;
  const file = join(dirname(directory()), 'cluster.mjs');
  writeFileSync(file, script);
  const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8' });
  const [one, other] = JSON.parse(stdout || '[]') as number[];
  expect([one, other], stderr).toEqual([expect.any(Number), expect.any(Number)]);
  expect(one).not.toBe(other);
});

describe('a reader that lags behind', () => {
  /** A brewer for which 4 MiB wait, of which the reader takes a part with each call of `take`. */
  async function lagging() {
    const rig = local({ directory: directory() });
    const brewerId = newId();
    const details = await rig.brew.brewerDetails({ topic: TOPIC, brewerId });
    rig.brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: rig.brew.name } });
    const socket = connect(details!.sock as string);
    clean.push(() => socket.destroy());
    await rig.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'hello'));
    await once(socket, 'data');
    socket.pause();
    const accepted = Array.from({ length: 4 }, () => rig.brew.brew(brewerId, rawFrame(TOPIC, brewerId, Buffer.alloc(1024 * 1024))));
    const take = async (): Promise<void> => {
      socket.resume();
      await once(socket, 'data');
      socket.pause();
    };
    return { ...rig, socket, take, accepted: Promise.all(accepted) };
  }
  /** Node's timers of sockets cannot be faked: they run so many times as fast. */
  function hurried(times: number): void {
    const { setTimeout: own } = Socket.prototype;
    vi.spyOn(Socket.prototype, 'setTimeout').mockImplementation(function (this: Socket, ms, run) {
      return own.call(this, ms / times, run);
    });
    clean.push(() => vi.restoreAllMocks());
  }

  it('is not cut off while it takes something, and the others wait for it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    clean.push(() => void vi.useRealTimers());
    const { take, accepted, errors, socket } = await lagging();
    for (let i = 0; i < 10; i++) {
      await take();
      await vi.advanceTimersByTimeAsync(5000);
    }
    socket.resume();
    await accepted;
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000); // it has caught up
    expect([errors, socket.destroyed]).toEqual([[], false]);
  });

  it('is cut off when it takes nothing', async () => {
    hurried(50);
    const { accepted, error } = await lagging();
    expect((await error('BUFFER_FULL')).message).toMatch(/was cut off: it did not read for 5000 ms while \d+ bytes waited/);
    await accepted;
  });

  it('is cut off when it has not caught up for a minute, whatever it takes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    clean.push(() => void vi.useRealTimers());
    const { take, accepted, error } = await lagging();
    await take();
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await error('BUFFER_FULL')).message).toMatch(/was cut off: it has not caught up for 60000 ms/);
    await accepted;
  });
});

describe('a reader that does not read', () => {
  it('makes brew() wait, then refuse', async () => {
    const { brew } = local({ directory: directory() });
    const brewerId = newId();
    const details = await brew.brewerDetails({ topic: TOPIC, brewerId });
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name } });
    const socket = connect(details!.sock as string);
    clean.push(() => socket.destroy());
    await brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'hello'));
    await once(socket, 'data');
    socket.pause();
    const frame = rawFrame(TOPIC, brewerId, Buffer.alloc(1024 * 1024));
    let waits = 0;
    const fill = (): void => {
      for (let i = 0; i < 40; i++) if (brew.brew(brewerId, frame)) waits++;
    };
    expect(thrown(fill, 'BUFFER_FULL').message).toMatch(/More is brewed than a local patron takes/);
    expect(waits).toBeGreaterThan(10);
    expect(waits).toBeLessThan(20);
  });
});

describe('the reader of length-prefixed frames', () => {
  it('finds the frames again, however they are cut', () => {
    const frames = [0, 1, 2, 300].map((length) => rawFrame(TOPIC, newId(), new Uint8Array(length)));
    const bytes = Buffer.concat(frames.map((frame) => padded(frame.length, frame)));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (cuts) => {
        const found: Buffer[] = [];
        const reader = new LengthPrefixed(1000, (frame) => found.push(Buffer.from(frame)));
        for (let at = 0, i = 0; at < bytes.length; i++) {
          reader.push(new Uint8Array(bytes.subarray(at, (at += cuts[i % cuts.length]!))));
        }
        expect(found).toEqual(frames.map((frame) => Buffer.from(frame)));
      }),
    );
  });

  it('takes no part of a length for a length', () => {
    const frame = rawFrame(TOPIC, newId(), new Uint8Array(65_536 - 88));
    const bytes = padded(frame.length, frame); // begins with 0, 0, 1, 0
    const found: number[] = [];
    const reader = new LengthPrefixed(65_536, ({ length }) => found.push(length));
    for (const cut of [0, 1, 2, 3, 4]) reader.push(Uint8Array.from(bytes.subarray(cut, cut < 4 ? cut + 1 : undefined)));
    expect(found).toEqual([65_536]);
  });
});

describe('options', () => {
  it('default to a name that only this host has', () => {
    expect(localName()).toMatch(/^local-\d+$/);
    expect(new LocalBrew().name).toBe(localName());
    expect(new LocalBrew({ name: 'local-7' }).name).toBe('local-7');
  });

  it.each([{ name: '' }, { directory: 'relative' }, { transport: 'pipe' as never }, { maxPayload: 0 }, { lastValue: 'no' as never }])('%j is refused', (options) => {
    expect(thrown(() => new LocalBrew(options), 'OPTION_INVALID')).toBeInstanceOf(PubkeeperError);
  });

  it.each([['/run/me'], [7], [['/run/me']]])('%j in the place of them is refused', (options) => {
    const { message } = thrown(() => new LocalBrew(options as never), 'OPTION_INVALID');
    expect(message).toMatch(/^LocalBrew: the options must be an object, as \{ directory: '\/run\/me' \}, not /);
  });

  it('one brew serves one client', () => {
    const { brew, host } = local();
    thrown(() => brew.attach(host), 'BREW_IN_USE');
  });
});
