import { describe, expect, it, vi } from 'vitest';
import { LengthPrefixed } from '../../src/brews/internal/length-prefixed.js';
import type { LocalAddress } from '../../src/brews/internal/local-outlet.js';
import { newId } from '../../src/core/index.js';
import fc from '../fast-check.js';
import { rawFrame } from '../helpers.js';
import { connectTo, directory, foreign, later, local, padded } from './local-kit.js';
import { pair, receiver, TOPIC } from './rig.js';

// How frames are carried from a local brewer to its patron, whole and in order.

describe.each(['unix', 'tcp'] as const)('over %s', (transport) => {
  it('a patron receives all frames in order, also those that were brewed before it connected', async () => {
    const shared = { transport, directory: directory() };
    const writer = local(shared);
    const reader = local(shared);
    const box = await pair(writer.brew, reader.brew);
    for (let i = 0; i < 100; i++) void box.say(String(i));
    expect(await box.take(100)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
    expect(reader.errors).toEqual([]);
  });

  it('brew() resolves only when the matched patron will receive the frame, so that the brewer may leave then', async () => {
    const shared = { transport, directory: directory() };
    const writer = local(shared);
    const box = await pair(writer.brew, local(shared).brew);
    await box.say('last words');
    await writer.brew.close();
    expect(await box.next()).toBe('last words');
  });

  it('close() waits until what was accepted has left, also for brewers that have ended before', async () => {
    const shared = { transport, directory: directory() };
    const [writer, reader] = [local(shared), local(shared)];
    const box = await pair(writer.brew, reader.brew);
    await box.say('here');
    expect(await box.next()).toBe('here');
    // However long this process stands still, close() does not give up after its second.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    later(() => vi.useRealTimers());
    // More than a socket takes at once, and less than brew() waits for.
    const last = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((letter) => letter.repeat(100_000));
    for (const text of last) void box.say(text);
    writer.brew.endBrewer(box.brewerId);
    await writer.brew.close();
    expect(box.all.map(({ text }) => text)).toEqual(['here', ...last]);
  });

  it('a brewer sends to each connection as the protocol says: u32 length and frame, and the last value first', async () => {
    const { brew } = local({ transport, directory: directory() });
    const brewerId = newId();
    const details = await brew.brewerDetails({ topic: TOPIC, brewerId });
    const sock = details!.sock as LocalAddress;
    if (transport === 'unix') expect(sock).toMatch(/^\/.*\.sock$/);
    else expect(sock).toEqual(['127.0.0.1', expect.any(Number)]);
    const read = async (bytes: number): Promise<Buffer> => {
      const socket = connectTo(sock);
      later(() => socket.destroy());
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

  it('a patron reads the frames of another implementation, in whatever chunks they arrive', async () => {
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
    later(brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }));
    expect(await box.take(3)).toEqual(['a', 'bb', 'ccc']);
    expect(box.all[0]!.retained).toBeUndefined();
    expect(Buffer.isBuffer(box.all[0]!.frame)).toBe(false);
  });

  it.each([
    ['the greatest u32', 0xffffffff],
    ['one more than the limit', 88 + 32 + 1000 + 1],
    ['less than a header', 87],
  ])('a patron drops each connection whose length prefix is %s, and reports that once', async (_, length) => {
    const rig = local({ maxPayload: 1000 });
    const brewerId = newId();
    let connections = 0;
    const sock = await foreign(transport, (socket) => {
      connections++;
      socket.write(padded(length, new Uint8Array(50)));
    });
    const details = { name: rig.brew.name, sock: sock.address };
    const patron = { topic: TOPIC, brewerId, patronId: newId(), details, receive: () => expect.unreachable() };
    later(rig.brew.startPatron(patron));
    const error = await rig.error('FRAME_INVALID');
    expect(error.details).toMatchObject({ length, limit: 1120 });
    expect(rig.states).toEqual([{ brew: rig.brew.name, up: false, scope: { brewerId, patronId: patron.patronId } }]);
    expect(connections).toBe(1);
    await vi.waitUntil(() => connections >= 4, 10_000); // by then the patron has dropped at least three
    expect([rig.errors, rig.states].map((told) => told.length)).toEqual([1, 1]);
  });
});

describe('LengthPrefixed', () => {
  it('finds each frame, wherever the bytes are cut', () => {
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

  it('reads a length only when it has all four bytes of it', () => {
    const frame = rawFrame(TOPIC, newId(), new Uint8Array(65_536 - 88));
    const bytes = padded(frame.length, frame); // begins with 0, 0, 1, 0
    const found: number[] = [];
    const reader = new LengthPrefixed(65_536, ({ length }) => found.push(length));
    for (const cut of [0, 1, 2, 3, 4]) reader.push(Uint8Array.from(bytes.subarray(cut, cut < 4 ? cut + 1 : undefined)));
    expect(found).toEqual([65_536]);
  });
});
