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

  it('keeps no last value of a session that has ended: its key is gone', () => {
    const brew = new MemoryBrew();
    const stop = brew.startBrewer(pair);
    brew.brew(id(1), rawFrame('a', id(1), 'old'));
    stop();
    const frames: Uint8Array[] = [];
    brew.startPatron({ ...pair, receive: (frame) => frames.push(frame) });
    expect(frames).toEqual([]);
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
