import { describe, expect, it, vi } from 'vitest';
import { MemoryBrew } from '../../src/brews/memory.js';
import { brewSuite } from '../brew-suite.js';
import { id, rawFrame } from '../helpers.js';

brewSuite('MemoryBrew', { make: () => ({ brew: () => new MemoryBrew() }), lastValue: true, tellsRetained: true });

const textOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(88)).toString();

describe('MemoryBrew', () => {
  const pair = { topic: 'a', brewerId: id(1), patronId: id(2), details: { name: 'x' } };

  it('delivers within the call, without a copy', () => {
    const brew = new MemoryBrew();
    const frames: Uint8Array[] = [];
    brew.startPatron({ ...pair, receive: (frame) => frames.push(frame) });
    brew.startBrewer(pair);
    const frame = rawFrame('a', id(1), 'x');
    expect(brew.brew(id(1), frame)).toBeUndefined();
    expect(frames[0]).toBe(frame);
  });

  it.each<[string, (brew: MemoryBrew, stop: () => void) => void]>([
    ['session', (brew) => brew.close()],
    ['session whose pairs had ended before', (brew, stop) => (stop(), brew.close())],
    ['brewer', (brew) => brew.endBrewer(id(1))],
  ])('keeps nothing of an ended %s, as the key is gone', (_, end) => {
    const brew = new MemoryBrew();
    // One pair is stopped first, the other one is not.
    const [stop, stopOther] = [id(2), id(3)].map((patronId) => brew.startBrewer({ ...pair, patronId }));
    stop!();
    brew.brew(id(1), rawFrame('a', id(1), 'old'));
    end(brew, stopOther!);
    const frames: Uint8Array[] = [];
    for (const patronId of [id(2), id(3)]) brew.startPatron({ ...pair, patronId, receive: (frame) => frames.push(frame) });
    expect(frames).toEqual([]);
  });

  it('delivers nothing for a session that has ended', () => {
    const brew = new MemoryBrew();
    brew.startBrewer(pair);
    brew.close();
    const frames: Uint8Array[] = [];
    brew.startPatron({ ...pair, receive: (frame) => frames.push(frame) });
    brew.brew(id(1), rawFrame('a', id(1), 'x'));
    expect(frames).toEqual([]);
  });

  it('has another name in each process and for each copy of the module, as those cannot reach each other', async () => {
    vi.resetModules();
    const copy = await import('../../src/brews/memory.js');
    expect(new copy.MemoryBrew().name).not.toBe(new MemoryBrew().name);
    expect(new MemoryBrew().name).toBe(new MemoryBrew().name);
  });

  it('keeps messages for a matched patron that has not started, whether or not others have, and none for a patron that has', () => {
    const brew = new MemoryBrew();
    const got: [number, string, boolean | undefined][] = [];
    const start = (n: number) =>
      brew.startPatron({ ...pair, brewerId: id(13), patronId: id(n), receive: (frame, retained) => got.push([n, textOf(frame), retained]) });
    const stop = start(2);
    for (const n of [2, 3]) brew.startBrewer({ ...pair, brewerId: id(13), patronId: id(n) });
    for (const text of ['one', 'two']) brew.brew(id(13), rawFrame('a', id(13), text));
    expect(got.splice(0)).toEqual([[2, 'one', false], [2, 'two', false]]);
    start(3);
    expect(got.splice(0)).toEqual([[3, 'one', false], [3, 'two', false]]);
    stop();
    start(2);
    expect(got).toEqual([[2, 'two', true]]);
  });

  it('keeps messages for a patron that has not started when their brewer has moved to this client and the former client ends it', () => {
    const [before, after] = [new MemoryBrew(), new MemoryBrew()];
    const own = { ...pair, brewerId: id(14) };
    const stop = before.startBrewer(own);
    after.startBrewer(own);
    stop();
    before.endBrewer(id(14));
    for (const text of ['one', 'two']) after.brew(id(14), rawFrame('a', id(14), text));
    const got: string[] = [];
    after.startPatron({ ...own, receive: (frame) => got.push(textOf(frame)) });
    expect(got).toEqual(['one', 'two']);
  });

  it('delivers nothing more to a patron that is stopped while a frame is delivered', () => {
    const brew = new MemoryBrew();
    const own = { ...pair, brewerId: id(15) };
    const got: number[] = [];
    const stops = [2, 3].map((n) => {
      brew.startBrewer({ ...own, patronId: id(n) });
      return brew.startPatron({ ...own, patronId: id(n), receive: () => {
        got.push(n);
        for (const stop of stops) stop();
      } });
    });
    brew.brew(id(15), rawFrame('a', id(15), 'x'));
    expect(got).toEqual([2]);
  });

  it('keeps the last value of a brewer that has moved to another client when the former client ends it', () => {
    const [before, after] = [new MemoryBrew(), new MemoryBrew()];
    before.startBrewer(pair)();
    after.startBrewer(pair);
    after.brew(id(1), rawFrame('a', id(1), 'new'));
    before.endBrewer(id(1));
    before.close();
    const frames: Uint8Array[] = [];
    after.startPatron({ ...pair, receive: (frame) => frames.push(frame) });
    after.close();
    expect(frames).toHaveLength(1);
  });

  it('delivers to a patron that starts late all messages since the match, before those that its callback brews', () => {
    const brew = new MemoryBrew();
    const own = { ...pair, brewerId: id(11) };
    const stop = brew.startBrewer(own);
    for (const text of ['one', 'two']) brew.brew(id(11), rawFrame('a', id(11), text));
    const got: [string, boolean | undefined][] = [];
    const end = brew.startPatron({ ...own, receive: (frame, retained) => {
      got.push([textOf(frame), retained]);
      if (got.length === 1) brew.brew(id(11), rawFrame('a', id(11), 'three'));
    } });
    expect(got).toEqual([['one', false], ['two', false], ['three', false]]);
    brew.brew(id(11), rawFrame('a', id(11), 'four'));
    expect(got[3]).toEqual(['four', false]);
    // A patron that starts again without another match gets the last value, as usual.
    end();
    got.length = 0;
    brew.startPatron({ ...own, receive: (frame, retained) => got.push([textOf(frame), retained]) });
    expect(got).toEqual([['four', true]]);
    stop();
  });

  it('keeps at most 16 MiB for a patron that does not start, and nothing when the match has ended', () => {
    const brew = new MemoryBrew();
    const own = { ...pair, brewerId: id(12) };
    const stop = brew.startBrewer(own);
    for (let n = 0; n < 20; n++) brew.brew(id(12), rawFrame('a', id(12), new Uint8Array(1024 * 1024).fill(n)));
    const got: number[] = [];
    const receive = (frame: Uint8Array): void => void got.push(frame[88]!);
    brew.startPatron({ ...own, receive })();
    expect(got).toEqual(Array.from({ length: 15 }, (_, n) => n + 5));
    stop();
    // A frame that is longer than that is kept alone.
    brew.startBrewer(own);
    for (const size of [1, 17]) brew.brew(id(12), rawFrame('a', id(12), new Uint8Array(size * 1024 * 1024).fill(size)));
    const long: [number, boolean | undefined][] = [];
    brew.startPatron({ ...own, receive: (frame, retained) => long.push([frame[88]!, retained]) })();
    expect(long).toEqual([[17, false]]);
    const again = brew.startBrewer(own);
    brew.brew(id(12), rawFrame('a', id(12), 'of a match that has ended'));
    again();
    const last: (boolean | undefined)[] = [];
    brew.startPatron({ ...own, receive: (_, retained) => last.push(retained) });
    expect(last).toEqual([true]);
  });

  it('delivers a frame once to a patron that starts while the frame is delivered', () => {
    const brew = new MemoryBrew();
    const late: string[] = [];
    brew.startBrewer(pair);
    const stop = brew.startPatron({ ...pair, receive: () => {
      stop();
      brew.startPatron({ ...pair, patronId: id(3), receive: (_, retained) => late.push(retained ? 'retained' : 'live') });
    } });
    brew.brew(id(1), rawFrame('a', id(1), 'x'));
    expect(late).toEqual(['retained']);
  });
});
