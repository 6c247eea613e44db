import { spawnSync } from 'node:child_process';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BroadcastChannelBrew } from '../../src/brews/broadcast-channel.js';
import { newId } from '../../src/core/index.js';
import { rawFrame, thrown } from '../helpers.js';
import { givesMissed } from './broker-kit.js';
import { attached, pair, receiver, TOPIC } from './rig.js';

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

function channel(options: ConstructorParameters<typeof BroadcastChannelBrew>[0] = {}) {
  const rig = attached(new BroadcastChannelBrew(options));
  clean.push(() => rig.brew.close());
  return rig;
}

describe('BroadcastChannelBrew', () => {
  it('delivers frames in order, also those brewed before the patron listened', async () => {
    const box = await pair(channel().brew, channel().brew);
    for (let i = 0; i < 100; i++) void box.say(String(i));
    expect(await box.take(100)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
    expect(box.all.some(({ retained }) => retained)).toBe(false);
  });

  it('delivers the last value once to a new patron, and none when lastValue is false', async () => {
    const writer = channel();
    const reader = channel();
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    await box.say('two');
    await box.take(2);
    const late = await pair(writer.brew, reader.brew, box.brewerId);
    expect(await late.next()).toBe('two');
    expect(late.all[0]!.retained).toBe(true);
    void box.say('three');
    expect([await late.next(), await box.next()]).toEqual(['three', 'three']);

    const forgetful = channel({ lastValue: false });
    const first = await pair(forgetful.brew, reader.brew);
    await first.say('gone');
    const second = await pair(forgetful.brew, reader.brew, first.brewerId);
    await second.say('now');
    expect(await second.next()).toBe('now');
  });

  it('delivers frames in jsdom, whose Uint8Array is not the one of Node that the channel delivers', async () => {
    vi.stubGlobal('Uint8Array', runInNewContext('Uint8Array'));
    clean.push(() => vi.unstubAllGlobals());
    const writer = channel();
    const box = await pair(writer.brew, channel().brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    void box.say('two');
    expect(await box.next()).toBe('two');
    const late = await pair(writer.brew, channel().brew, box.brewerId);
    expect(await late.next()).toBe('two');
  });

  it('delivers once to each patron that moves from another brew the messages that it missed, whichever end is told first', async () => {
    await givesMissed(channel(), channel(), channel());
  });

  it('delivers and sends nothing more when a patron stops in its callback while further frames wait for it', async () => {
    const writer = channel();
    const reader = channel();
    const { brewerId, details } = await pair(writer.brew, channel().brew);
    const patronId = newId();
    writer.brew.startBrewer({ topic: TOPIC, brewerId, patronId, details });
    for (const text of ['one', 'two']) void writer.brew.brew(brewerId, rawFrame(TOPIC, brewerId, text));
    const { receive, all, next } = receiver();
    const stop = reader.brew.startPatron({
      topic: TOPIC,
      brewerId,
      patronId,
      details,
      receive: (frame) => {
        receive(frame);
        stop();
      },
    });
    expect(await next()).toBe('one');
    const after = await pair(writer.brew, reader.brew, brewerId);
    expect(await after.next()).toBe('two');
    expect(all).toHaveLength(1); // an error that is thrown where no one can catch it would fail the run
  });

  it('reaches patrons in other threads', async () => {
    const { brew } = channel();
    const brewerId = newId();
    const module = new URL('../../dist/brews/broadcast-channel.js', import.meta.url).href;
    const worker = new Worker(
      `import(${JSON.stringify(module)}).then(({ BroadcastChannelBrew }) => {
        const { parentPort } = require('node:worker_threads');
        const brew = new BroadcastChannelBrew();
        brew.attach({ report: console.error, state: () => undefined });
        const receive = (frame) => parentPort.postMessage(Buffer.from(frame.subarray(88)).toString());
        brew.startPatron({ topic: 'x', brewerId: '${brewerId}', patronId: '${newId()}', details: {}, receive });
        parentPort.postMessage(brew.name);
      });
      setInterval(() => undefined, 1000);`,
      { eval: true },
    );
    clean.push(() => worker.terminate());
    expect(await once(worker, 'message')).toEqual([brew.name]);
    brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name } });
    const told = once(worker, 'message');
    void brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'across'));
    expect(await told).toEqual(['across']);
  });

  it('keeps scopes apart, and reports itself as down for a pair of different scopes', async () => {
    const writer = channel({ scope: 'here' });
    const reader = channel({ scope: 'there' });
    const brewerId = newId();
    const patronId = newId();
    const details = writer.brew.brewerDetails({ brewerId });
    expect(details.name).not.toBe(reader.brew.name);
    clean.push(reader.brew.startPatron({ topic: TOPIC, brewerId, patronId, details, receive: () => expect.unreachable() }));
    expect(await reader.state(false)).toEqual({ brew: reader.brew.name, up: false, scope: { brewerId, patronId } });
  });

  it('copies a frame that is part of a larger buffer, so that the channel does not clone the whole buffer', async () => {
    const box = await pair(channel().brew, channel().brew);
    const frame = rawFrame(TOPIC, box.brewerId, 'small');
    const large = new Uint8Array(100_000);
    large.set(frame, 500);
    const { brew } = channel();
    brew.startBrewer({ topic: TOPIC, brewerId: box.brewerId, patronId: box.patronId, details: { name: brew.name } });
    await box.say('first');
    void brew.brew(box.brewerId, large.subarray(500, 500 + frame.length));
    expect(await box.take(2)).toEqual(['first', 'small']);
    expect(box.all[1]!.frame.buffer.byteLength).toBe(frame.length);
  });

  it('delivers nothing more after the patron stops, the brewer ends, or the brew is closed, and may be started again', async () => {
    const writer = channel();
    const reader = channel();
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const other = await pair(writer.brew, reader.brew, box.brewerId);
    await other.next();
    box.stop();
    box.stop();
    await other.say('two');
    expect(await other.next()).toBe('two');
    expect(box.all).toHaveLength(1);
    writer.brew.endBrewer(box.brewerId);
    expect(other.say('nobody hears')).toBeUndefined();
    writer.brew.close();
    reader.brew.close();
    const third = await pair(writer.brew, reader.brew, box.brewerId);
    for (const text of ['three', 'four']) await third.say(text);
    expect(await third.take(2)).toEqual(['three', 'four']);
    expect([box, other, third].map(({ all }) => all.map(({ text }) => text))).toEqual([['one'], ['one', 'two'], ['three', 'four']]);
  });

  /** Returns a function that counts the channels that are open. */
  function counted(): () => number {
    const open = new Set<BroadcastChannel>();
    class Counted extends BroadcastChannel {
      constructor(name: string) {
        super(name);
        open.add(this);
      }
      override close(): void {
        open.delete(this);
        super.close();
      }
    }
    vi.stubGlobal('BroadcastChannel', Counted);
    clean.push(() => vi.unstubAllGlobals());
    return () => open.size;
  }

  it('has no channel open while the page is put away, and delivers the newest message and later ones afterwards', async () => {
    const writer = channel();
    const reader = channel();
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    const other = await pair(writer.brew, channel().brew, box.brewerId);
    expect(await other.next()).toBe('one');

    const open = counted();
    const { brew } = channel();
    const away = await pair(writer.brew, brew, box.brewerId);
    const own = await pair(brew, writer.brew);
    expect(await away.next()).toBe('one');
    await own.say('own');
    expect(await own.next()).toBe('own');
    const before = open();
    brew.rest();
    brew.rest(); // a page is hidden, and then frozen
    expect(open()).toBe(before - 2);
    brew.renew({ brewerId: box.brewerId }, false); // sends nothing over a channel that is closed
    await box.say('two');
    expect(await other.next()).toBe('two');
    await own.say('while it is left');
    expect(await own.next()).toBe('while it is left');
    expect(open()).toBe(before - 2);

    brew.wake();
    brew.wake();
    expect(open()).toBe(before);
    expect(await away.next()).toBe('two');
    await box.say('three');
    await own.say('again');
    expect([await away.next(), await own.next()]).toEqual(['three', 'again']);
    expect(away.all.map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    const late = await pair(brew, channel().brew, own.brewerId);
    expect(await late.next()).toBe('again'); // patrons that start now can ask this brewer
  });

  it('delivers no message twice to a page that comes back from the cache, and can be closed while the page is put away', async () => {
    const writer = channel();
    const reader = channel();
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    reader.brew.rest();
    reader.brew.wake();
    await box.say('two');
    expect(await box.next()).toBe('two');
    expect(box.all.map(({ text }) => text)).toEqual(['one', 'two']);
    reader.brew.rest();
    reader.brew.close();
    const open = counted();
    reader.brew.wake(); // nothing is left to be opened again
    expect(open()).toBe(0);
    expect(reader.errors).toEqual([]);
  });

  it('sends nothing without a match, and delivers to a patron that is matched again what is brewed until it listens', async () => {
    const writer = channel();
    const reader = channel();
    const box = await pair(writer.brew, reader.brew);
    await box.say('one');
    expect(await box.next()).toBe('one');
    box.end();
    expect(box.say('to nobody')).toBeUndefined();
    const match = () => writer.brew.startBrewer({ topic: TOPIC, brewerId: box.brewerId, patronId: box.patronId, details: box.details });
    const end = match();
    void box.say('two');
    expect(await box.next()).toBe('two');
    end();
    box.stop();
    match();
    for (const text of ['three', 'four']) void box.say(text);
    box.start();
    expect(await box.take(2)).toEqual(['three', 'four']);
    writer.brew.close();
    expect(box.say('to nobody')).toBeUndefined();
    match();
    void box.say('five');
    expect(await box.next()).toBe('five');
    expect(box.all).toHaveLength(5);
  });

  it('reports once that a patron has not come within 10 s for kept frames, and reports nothing for a brewer that has ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    clean.push(() => void vi.useRealTimers());
    const { brew, errors } = channel();
    const [gone, here] = [newId(), newId()];
    for (const brewerId of [gone, here]) {
      brew.startBrewer({ topic: TOPIC, brewerId, patronId: newId(), details: { name: brew.name } });
      void brew.brew(brewerId, rawFrame(TOPIC, brewerId, 'kept'));
    }
    brew.endBrewer(gone);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(errors.map(({ code }) => code)).toEqual(['BREW_FAILED']);
  });

  it('ignores foreign messages on its channel, and answers that come again', async () => {
    const writer = channel();
    const box = await pair(writer.brew, channel().brew);
    const other = new BroadcastChannel(`pubkeeper:${writer.brew.scope}:${box.brewerId}`);
    clean.push(() => other.close());
    await box.say('one');
    expect(await box.next()).toBe('one');
    const frame = rawFrame(TOPIC, box.brewerId, 'once');
    const answers = [{ frames: [frame], retained: false }, { frames: [1], retained: true, unasked: true }, { frames: 7, retained: false }, { frames: [] }];
    for (const data of [null, 7, 'text', { ask: 7 }, { ask: null, got: true }, ...answers.map((answer) => ({ to: box.patronId, ...answer }))]) other.postMessage(data);
    other.postMessage(rawFrame(TOPIC, box.brewerId, 'two'));
    expect(await box.next()).toBe('two');
    await box.say('three');
    expect(await box.next()).toBe('three');
    expect(box.all).toHaveLength(3);
  });

  it('does not keep a process alive', () => {
    const module = new URL('../../dist/brews/broadcast-channel.js', import.meta.url).href;
    const script = `
      const { BroadcastChannelBrew } = await import(${JSON.stringify(module)});
      const brew = new BroadcastChannelBrew();
      brew.attach({ report: console.error, state: () => undefined });
      brew.brewerDetails({ brewerId: '${newId()}' });
      console.log(brew.name);`;
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 30_000 });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^broadcast-/)]);
  });

  it('throws OPTION_INVALID where there is no BroadcastChannel', () => {
    vi.stubGlobal('BroadcastChannel', undefined);
    clean.push(() => vi.unstubAllGlobals());
    expect(thrown(() => new BroadcastChannelBrew(), 'OPTION_INVALID').message).toMatch(/needs BroadcastChannel/);
  });

  it.each([{ scope: 'a b' }, { scope: 7 }, { lastValue: 'no' }, 'the-scope', 7, [['a-scope']]])('refuses %j as its options', (options) => {
    expect(thrown(() => new BroadcastChannelBrew(options as never), 'OPTION_INVALID').message).toMatch(/^BroadcastChannelBrew: /);
  });

  it('refuses a second client', () => {
    const { brew, host } = channel();
    thrown(() => brew.attach(host), 'BREW_IN_USE');
  });
});
