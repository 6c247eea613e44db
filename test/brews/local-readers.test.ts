import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import type { LocalAddress } from '../../src/brews/internal/local-outlet.js';
import { newId } from '../../src/core/index.js';
import { rawFrame, settle, thrown } from '../helpers.js';
import { connectTo, directory, later, local } from './local-kit.js';
import { pair, TOPIC } from './rig.js';

// The connections of a local brewer: patrons that are still to connect, that read slowly or not at all, and strangers.

describe.each(['unix', 'tcp'] as const)('by %s', (transport) => {
  it('that does not read keeps no brewer from its end, and is cut off then', async () => {
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

  it('that says something, which is of no interest, is let go when it ends', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as LocalAddress;
    const socket = connectTo(sock);
    later(() => socket.destroy());
    const closed = once(socket.resume(), 'close');
    socket.end('hello'.repeat(100_000));
    await closed;
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
  /** A brewer for which 4 MiB wait, of which the reader takes a part with each call of `take`. */
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
    later(() => vi.restoreAllMocks());
  }

  it('is not cut off while it takes something, and the others wait for it', async () => {
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
    later(() => void vi.useRealTimers());
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
