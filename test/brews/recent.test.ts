import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Recent } from '../../src/brews/internal/recent.js';
import type { PubkeeperError } from '../../src/index.js';

// The brewer's side of a patron's arrival, by an injected clock.

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const PATRON = '1'.repeat(32);
const frame = (byte: number): Uint8Array => Uint8Array.of(byte);

function recent(keepLast = true) {
  const errors: PubkeeperError[] = [];
  return { errors, it: new Recent(keepLast, (error) => errors.push(error)) };
}

describe('a patron that was matched', () => {
  it('and does not come: whoever brewed goes on after 10 s, and is told once what it misses', async () => {
    const { errors, it } = recent();
    void it.expect(PATRON);
    const waiting = [it.add(frame(1)), it.add(frame(2))];
    expect(waiting).toEqual([expect.any(Promise), expect.any(Promise)]);
    vi.advanceTimersByTime(9_999);
    expect(errors).toEqual([]);
    vi.advanceTimersByTime(1);
    await Promise.all(waiting);
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'BREW_FAILED',
        message: expect.stringMatching(/has not come within 10 s .*: check that it reaches this brew\.$/),
        details: { patronId: PATRON, frames: 2 },
      }),
    ]);
    expect(it.add(frame(3))).toBeUndefined();
  });

  it('and does not come, while nothing is brewed: misses nothing', () => {
    const { errors, it } = recent();
    void it.add(frame(1));
    void it.expect(PATRON);
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
  });

  it('and leaves, or comes: nothing is told', async () => {
    const { errors, it } = recent();
    void it.expect(PATRON);
    const first = it.add(frame(1));
    it.left(PATRON);
    await first;
    void it.expect(PATRON);
    const second = it.add(frame(2));
    expect(it.asked(PATRON)).toEqual({ frames: [frame(2)], retained: false });
    it.arrived(PATRON);
    await second;
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
  });

  it('and asks before this end knows of the match: is answered when it does, or when it asks again after a while', () => {
    const { it } = recent();
    expect(it.mayAnswer(PATRON)).toBe(false);
    vi.advanceTimersByTime(899);
    expect(it.mayAnswer(PATRON)).toBe(false);
    expect(it.isOwed(PATRON)).toBe(true);
    void it.expect(PATRON, [frame(1)]);
    expect(it.mayAnswer(PATRON)).toBe(true);
    expect(it.asked(PATRON)).toEqual({ frames: [frame(1)], retained: false });
    expect(it.isOwed(PATRON)).toBe(false);

    const other = 'f'.repeat(32);
    expect(it.mayAnswer(other)).toBe(false);
    vi.advanceTimersByTime(900);
    expect(it.mayAnswer(other)).toBe(true);
    for (let i = 0; i < 2000; i++) it.mayAnswer(String(i));
    // More are not remembered: they are answered as they come.
    expect(it.mayAnswer('one more')).toBe(true);
  });

  it('and has come before this end knew of the match: is not waited for', () => {
    const { errors, it } = recent();
    it.arrived(PATRON);
    void it.expect(PATRON);
    expect(it.add(frame(1))).toBeUndefined();
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
    // It was told what it has missed elsewhere, which is kept for it until it says so.
    expect(it.expect(PATRON, [frame(2)])).toBeUndefined();
    expect(it.add(frame(3))).toBeUndefined();
    expect(it.asked(PATRON)).toEqual({ frames: [frame(2), frame(3)], retained: false });
    it.arrived(PATRON);
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
    // The next match is another arrival.
    it.left(PATRON);
    void it.expect(PATRON);
    expect(it.add(frame(2))).toBeInstanceOf(Promise);
    it.clear();
  });

  it('and has asked before this end knew of the match: is known; one that does not get what it was sent is told of', () => {
    const { errors, it } = recent();
    expect(it.knows(PATRON)).toBe(false);
    expect(it.asked(PATRON)).toEqual({ frames: [], retained: false });
    expect(it.knows(PATRON)).toBe(true);
    expect(it.expect(PATRON, [frame(1), frame(2)])).toBeUndefined();
    vi.advanceTimersByTime(10_000);
    expect(errors).toEqual([expect.objectContaining({ code: 'BREW_FAILED', details: { patronId: PATRON, frames: 2 } })]);
  });
});
