import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { LengthPrefixed } from '../../src/brews/internal/length-prefixed.js';
import type { LocalAddress } from '../../src/brews/internal/local-outlet.js';
import { newId } from '../../src/core/index.js';
import { rawFrame, settle } from '../helpers.js';
import { connectTo, directory, later, local } from './local-kit.js';
import { receiver, TOPIC } from './rig.js';

// Patrons may connect before the brewer knows of the match ("early"). They do not say who they are: which connections the brewer takes for the
// patron of a match, and what it sends to them.

/** A brewer with the last value `last`, whose only patron has left. `match` tells it of a new match, `open` connects as a patron does. */
async function outlet(transport: 'unix' | 'tcp') {
  const { brew } = local({ transport, directory: directory() });
  const brewerId = newId();
  const sock = (await brew.brewerDetails({ topic: TOPIC, brewerId }))!.sock as LocalAddress;
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
    const socket = connectTo(sock);
    later(() => socket.destroy());
    socket.on('data', (chunk) => frames.push(Uint8Array.from(chunk)));
    await once(socket, 'connect');
    // Resolves when the brewer has seen the end, and has closed the connection.
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

describe.each(['unix', 'tcp'] as const)('over %s', (transport) => {
  it('brew() does not wait for a patron that connected before its match was known', async () => {
    const { match, say, open } = await outlet(transport);
    const early = await open();
    expect(await early.next()).toBe('last');
    match();
    expect([say('one'), say('two')]).toEqual([undefined, undefined]);
    expect([await early.next(), await early.next()]).toEqual(['one', 'two']);
  });

  it('an early patron receives what it has missed over another brew before all later frames', async () => {
    const { match, say, open } = await outlet(transport);
    const early = await open();
    expect(await early.next()).toBe('last');
    match(['missed 1', 'missed 2']);
    expect(say('live')).toBeUndefined();
    expect([await early.next(), await early.next(), await early.next()]).toEqual(['missed 1', 'missed 2', 'live']);
  });

  it('a brewer keeps for an early patron what others receive meanwhile, up to 1 MiB', async () => {
    const { match, say, open } = await outlet(transport);
    match();
    const other = await open();
    expect(await other.next()).toBe('last');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => void vi.useRealTimers());
    const early = await open();
    await settle(); // until the brewer has accepted the connection
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
    ['every frame since it connected, also equal ones', ['a', 'a', 'b', 'b'], [], ['last', 'a', 'a', 'b', 'b']],
    ['what it missed and then what others have received since, and no frame twice', ['b', 'c'], ['a', 'b', 'c'], ['a', 'b', 'c']],
    ['all that others have received since, also frames that are not among the missed ones any more', ['a', 'b', 'c'], ['b', 'c'], ['a', 'b', 'c']],
  ])('an early patron receives, when its match is known, %s', async (_, served, missed, wanted) => {
    const { match, say, open } = await outlet(transport);
    match();
    const other = await open();
    expect(await other.next()).toBe('last');
    const early = await open();
    await settle(); // until the brewer has accepted the connection
    for (const text of served) void say(text);
    match(missed);
    void say('live');
    expect(await early.take(wanted.length + 1)).toEqual([...wanted, 'live']);
    expect(await other.take(served.length + 1)).toEqual([...served, 'live']);
  });

  it('a connection is not taken for the patron of a new match if it has ended, or if an earlier patron has reconnected by it', async () => {
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

  it('a connection that has just ended is not taken for the patron of the next match', async () => {
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

  it('a connection that was made more than 10 s before a match is not taken for the patron of that match', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    later(() => void vi.useRealTimers());
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
});
