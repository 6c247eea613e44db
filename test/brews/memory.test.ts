import { describe, expect, it } from 'vitest';
import { MemoryBrew } from '../../src/brews/memory.js';
import { brewSuite } from '../brew-suite.js';
import { id, rawFrame } from '../helpers.js';

brewSuite('MemoryBrew', { make: () => ({ brew: () => new MemoryBrew() }), lastValue: true, tellsRetained: true });

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

  it.each<[string, (brew: MemoryBrew) => void]>([
    ['session', (brew) => brew.close()],
    ['brewer', (brew) => brew.endBrewer(id(1))],
  ])('keeps no last value of a %s that has ended: its key is gone', (_, end) => {
    const brew = new MemoryBrew();
    const stop = brew.startBrewer(pair);
    brew.brew(id(1), rawFrame('a', id(1), 'old'));
    stop();
    end(brew);
    const frames: Uint8Array[] = [];
    brew.startPatron({ ...pair, receive: (frame) => frames.push(frame) });
    expect(frames).toEqual([]);
  });

  it('keeps the last value of a brewer that has moved to another client, when the former one is done with it', () => {
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

  it('gives a patron whose end begins last all that was brewed since the match, before what that leads to', () => {
    const brew = new MemoryBrew();
    const own = { ...pair, brewerId: id(11) };
    const stop = brew.startBrewer(own);
    for (const text of ['one', 'two']) brew.brew(id(11), rawFrame('a', id(11), text));
    const got: [string, boolean | undefined][] = [];
    const end = brew.startPatron({ ...own, receive: (frame, retained) => {
      got.push([Buffer.from(frame.subarray(88)).toString(), retained]);
      if (got.length === 1) brew.brew(id(11), rawFrame('a', id(11), 'three'));
    } });
    expect(got).toEqual([['one', false], ['two', false], ['three', false]]);
    brew.brew(id(11), rawFrame('a', id(11), 'four'));
    expect(got[3]).toEqual(['four', false]);
    // Who comes back without another match has the last value, as ever.
    end();
    got.length = 0;
    brew.startPatron({ ...own, receive: (frame, retained) => got.push([Buffer.from(frame.subarray(88)).toString(), retained]) });
    expect(got).toEqual([['four', true]]);
    stop();
  });

  it('keeps no more than 16 MiB for a patron that does not come, and nothing once the match has ended', () => {
    const brew = new MemoryBrew();
    const own = { ...pair, brewerId: id(12) };
    const stop = brew.startBrewer(own);
    for (let n = 0; n < 20; n++) brew.brew(id(12), rawFrame('a', id(12), new Uint8Array(1024 * 1024).fill(n)));
    const got: number[] = [];
    const receive = (frame: Uint8Array): void => void got.push(frame[88]!);
    brew.startPatron({ ...own, receive })();
    expect(got).toEqual(Array.from({ length: 15 }, (_, n) => n + 5));
    stop();
    const again = brew.startBrewer(own);
    brew.brew(id(12), rawFrame('a', id(12), 'of a match that has ended'));
    again();
    got.length = 0;
    brew.startPatron({ ...own, receive });
    expect(got).toHaveLength(1); // the last value
  });

  it('gives a patron that comes while a frame is delivered that frame once', () => {
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
