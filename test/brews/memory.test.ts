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
