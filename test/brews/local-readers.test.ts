import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import type { LocalAddress } from '../../src/brews/internal/local-outlet.js';
import { newId } from '../../src/core/index.js';
import { rawFrame, settle, thrown } from '../helpers.js';
import { connectTo, directory, later, local } from './local-kit.js';
import { pair, TOPIC } from './rig.js';

// The connections of a local brewer: those that have yet to come, that read slowly or not at all, and that belong to no patron.

describe.each(['unix', 'tcp'] as const)('over %s', (transport) => {
  it('a brewer can end while a connection does not read, and cuts off the connection', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as LocalAddress;
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: brew.patronDetails() });
    const socket = connectTo(sock).on('error', () => undefined);
    later(() => socket.destroy());
    await once(socket, 'connect');
    void brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'x'.repeat(15 * 1024 * 1024)));
    await brew.close();
    const { length } = await buffer(socket).catch(() => Buffer.alloc(0));
    expect(length).toBeLessThan(15 * 1024 * 1024);
  });

  it('a brewer discards what a connection sends, and closes the connection when the other side ends', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as LocalAddress;
    const socket = connectTo(sock);
    later(() => socket.destroy());
    const closed = once(socket.resume(), 'close');
    socket.end('hello'.repeat(100_000));
    await closed;
  });

  it('brew() stops waiting for a patron that has yet to connect when the brewer ends', async () => {
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

  it('brew() does not wait for a patron that stays connected while its match ends and begins again', async () => {
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

  it('a brewer accepts 256 connections and one for each match, turns further ones away, and reports that once', async () => {
    const rig = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await rig.brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as LocalAddress;
    const match = () => rig.brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: rig.brew.name } });
    const dial = async (): Promise<Socket> => {
      const socket = connectTo(sock).on('error', () => undefined);
      later(() => socket.destroy());
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
});

describe('a reader that lags behind', () => {
  /** A brewer with 4 MiB that wait for one connection. Each call of `take` reads a part of them. */
  async function lagging() {
    const rig = local({ directory: directory() });
    const brewerId = newId();
    const details = await rig.brew.brewerDetails({ topic: TOPIC, brewerId });
    rig.brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: rig.brew.name } });
    const socket = connect(details!.sock as string);
    later(() => socket.destroy());
    await rig.brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'hello'));
    await once(socket, 'data');
    socket.pause();
    const fill = () => Promise.all(Array.from({ length: 4 }, () => rig.brew.brew(brewerId, rawFrame(TOPIC, brewerId, Buffer.alloc(1024 * 1024)))));
    const accepted = fill();
    const take = async (): Promise<void> => {
      socket.resume();
      await once(socket, 'data');
      socket.pause();
    };
    return { ...rig, socket, take, accepted, fill };
  }
  /** Makes the timers of sockets, which cannot be faked, run `times` times as fast. */
  function hurried(times: number): void {
    const { setTimeout: own } = Socket.prototype;
    vi.spyOn(Socket.prototype, 'setTimeout').mockImplementation(function (this: Socket, ms, run) {
      return own.call(this, ms / times, run);
    });
    later(() => vi.restoreAllMocks());
  }

  it('is not cut off while it reads something every 5 s, nor after it has caught up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => void vi.useRealTimers());
    const { take, accepted, errors, socket } = await lagging();
    for (let i = 0; i < 10; i++) {
      await take();
      await vi.advanceTimersByTimeAsync(5000);
    }
    socket.resume();
    await accepted;
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000); // no limit applies any more
    expect([errors, socket.destroyed]).toEqual([[], false]);
  });

  it('is cut off when it reads nothing for 5 s', async () => {
    hurried(50);
    const { accepted, error } = await lagging();
    expect((await error('BUFFER_FULL')).message).toMatch(/was cut off: it did not read for 5000 ms while \d+ bytes waited/);
    await accepted;
  });

  it('is cut off also when it lags behind again, after it has caught up', async () => {
    const { socket, accepted, fill, errors, error } = await lagging();
    socket.resume();
    await accepted;
    expect(errors).toEqual([]);
    socket.pause();
    hurried(50);
    const again = fill();
    await error('BUFFER_FULL');
    await again;
  });

  it('is cut off when it has not caught up for a minute, also if it reads something', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => void vi.useRealTimers());
    const { take, accepted, error } = await lagging();
    await take();
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await error('BUFFER_FULL')).message).toMatch(/was cut off: it has not caught up for 60000 ms/);
    await accepted;
  });
});

describe('a reader that does not read', () => {
  it('makes brew() wait, and then throw BUFFER_FULL', async () => {
    const { brew } = local({ directory: directory() });
    const brewerId = newId();
    const details = await brew.brewerDetails({ topic: TOPIC, brewerId });
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name } });
    const socket = connect(details!.sock as string);
    later(() => socket.destroy());
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
