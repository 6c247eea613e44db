import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Recent, type Reply } from '../../src/brews/internal/recent.js';
import { PubkeeperError } from '../../src/index.js';

// The brewer's side of a patron's arrival, by an injected clock.

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.advanceTimersByTime(5000); // a clock that begins at 0 hides what is added up
});
afterEach(() => void vi.useRealTimers());

const PATRON = '1'.repeat(32);
const frame = (byte: number): Uint8Array => Uint8Array.of(byte);

class Kept extends Recent {
  override add(one: Uint8Array, send: () => void | Promise<void> = () => undefined): void | Promise<void> {
    return super.add(one, send);
  }
}

function recent(keepLast = true) {
  const errors: PubkeeperError[] = [];
  return { errors, it: new Kept(keepLast, (error) => errors.push(error)) };
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

  it('and comes after more than is kept for it: the rest waits, and leaves in its order', async () => {
    const { errors, it } = recent();
    const sent: number[] = [];
    const brew = (n: number): void | Promise<void> => it.add(frame(n), () => void sent.push(n));
    const numbers = Array.from({ length: 600 }, (_, n) => n);
    void it.expect(PATRON);
    const accepted = Promise.all(numbers.map(brew));
    expect(sent).toEqual(numbers.slice(0, 512));
    expect(it.asked(PATRON, true)?.frames).toHaveLength(512);
    const last = brew(600); // it has asked, and has no answer yet
    expect(sent).toHaveLength(512);
    it.arrived(PATRON);
    expect(sent).toEqual([...numbers, 600]);
    await Promise.all([accepted, last]);
    expect(brew(601)).toBeUndefined();
    expect(errors).toEqual([]);
    // What was kept for it is not for the next one, and leaves room.
    it.left(PATRON);
    void it.expect(PATRON);
    void brew(602);
    expect([sent.at(-1), it.asked(PATRON, true)?.frames]).toEqual([602, [frame(602)]]);
    it.clear();
  });

  it('and comes after more bytes than are kept for it: the rest waits', () => {
    const { it } = recent();
    void it.expect(PATRON);
    const half = new Uint8Array(512 * 1024);
    const sent = vi.fn();
    for (let n = 0; n < 3; n++) void it.add(half, sent);
    expect(sent).toHaveBeenCalledTimes(2);
    expect(it.asked(PATRON, true)?.frames).toEqual([half, half]);
    it.clear();
    expect(sent).toHaveBeenCalledTimes(3);
  });

  it('and is slow to come: nothing short overtakes what is too long to be kept, and what is longer than all that is kept leaves and waits alone', () => {
    const { it } = recent();
    const sent: number[] = [];
    const brew = (size: number): void | Promise<void> => it.add(new Uint8Array(size), () => void sent.push(size));
    void it.expect(PATRON);
    void brew(2 * 1024 * 1024);
    expect(sent).toEqual([2 * 1024 * 1024]);
    it.arrived(PATRON);
    it.left(PATRON);
    void it.expect(PATRON);
    const sizes = [1024, 17 * 1024 * 1024, 1];
    void brew(sizes[0]!);
    void brew(sizes[1]!);
    expect(() => brew(sizes[2]!)).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }) as Error);
    expect(sent.splice(0)).toEqual([2 * 1024 * 1024, 1024]);
    it.arrived(PATRON);
    void brew(sizes[2]!);
    expect(sent).toEqual(sizes.slice(1));
  });

  it('beside one that has come: is kept the newest 512 frames or 1 MiB of what was brewed since its match', () => {
    const { it } = recent();
    const [present, second, third] = ['d'.repeat(32), 'e'.repeat(32), 'f'.repeat(32)];
    void it.expect(present);
    it.arrived(present);
    void it.expect(second);
    for (let n = 0; n < 600; n++) void it.add(frame(n));
    expect(it.asked(second, true)?.frames).toEqual(Array.from({ length: 512 }, (_, n) => frame(n + 88)));
    void it.expect(third);
    void it.add(frame(7));
    expect(it.asked(third, true)).toEqual({ frames: [frame(7)], retained: false });
    const half = (byte: number): Uint8Array => new Uint8Array(512 * 1024).fill(byte);
    for (let n = 0; n < 3; n++) void it.add(half(n));
    expect(it.asked(second, true)?.frames.map(([byte]) => byte)).toEqual([1, 2]);
    it.clear();
  });

  it('beside others that have not come: one that leaves is not who is waited for', async () => {
    const { it } = recent();
    const other = 'e'.repeat(32);
    for (const id of [PATRON, other]) void it.expect(id);
    let isOver = false;
    const accepted = Promise.resolve(it.add(frame(1))).then(() => (isOver = true));
    it.left(other);
    await vi.advanceTimersByTimeAsync(0);
    expect(isOver).toBe(false);
    it.left(PATRON);
    await accepted;
  });

  it('is given no last value where none is kept', () => {
    const { it } = recent(false);
    void it.add(frame(1));
    void it.expect(PATRON);
    expect(it.asked(PATRON, true)).toEqual({ frames: [], retained: false });
    it.clear();
  });

  it('has come before its match was known, and asks again, as where its connection was lost: is answered at once', () => {
    const { it } = recent();
    it.arrived(PATRON);
    void it.add(frame(1));
    expect(it.asked(PATRON, false)).toEqual({ frames: [frame(1)], retained: true });
  });

  it('and does not come: what waits leaves all the same, and counts as missed; what cannot leave is told', async () => {
    const { errors, it } = recent();
    void it.expect(PATRON);
    for (let n = 0; n < 512; n++) void it.add(frame(n));
    const fault = new PubkeeperError('BREW_FAILED', 'of the test');
    const refused = it.add(frame(1), () => {
      throw fault;
    });
    const left = it.add(frame(2), () => Promise.resolve());
    vi.advanceTimersByTime(10_000);
    await expect(refused).rejects.toBe(fault);
    await left;
    expect(errors.map(({ details }) => details['frames'])).toEqual([514]);
  });

  it('and does not come: no more than 16 MiB wait', () => {
    const { it } = recent();
    void it.expect(PATRON);
    const long = new Uint8Array(1024 * 1024);
    for (let n = 0; n < 17; n++) void it.add(long);
    expect(() => it.add(frame(1))).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }) as Error);
    it.left(PATRON);
    expect(it.add(frame(1))).toBeUndefined();
    // What waited has left, and makes room.
    void it.expect(PATRON);
    for (let n = 0; n < 17; n++) void it.add(long);
    it.clear();
  });

  it('cannot be heard yet: the 10 s begin when it can', () => {
    const { errors, it } = recent();
    it.hear(false);
    void it.expect(PATRON);
    void it.add(frame(1));
    vi.advanceTimersByTime(60_000);
    it.hear(true);
    vi.advanceTimersByTime(9_999);
    expect(errors).toEqual([]);
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(1)], retained: false });
    vi.advanceTimersByTime(1);
    expect(errors).toHaveLength(1);
  });

  it('can be heard no more, as where the connection is lost: has 10 s again when it can', () => {
    const { errors, it } = recent();
    void it.expect(PATRON);
    void it.add(frame(1));
    vi.advanceTimersByTime(6000);
    it.hear(false);
    vi.advanceTimersByTime(6000);
    it.hear(true);
    vi.advanceTimersByTime(9_999);
    expect(errors).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(errors).toHaveLength(1);
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
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(2)], retained: false });
    it.arrived(PATRON);
    await second;
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
  });

  it.each([true, false])('and is matched again (its end was told: %s): has 10 s of its own', async (hasLeft) => {
    const { errors, it } = recent();
    void it.expect(PATRON);
    void it.add(frame(1));
    if (hasLeft) it.left(PATRON);
    vi.advanceTimersByTime(6000);
    void it.expect(PATRON);
    let isOver = false;
    void Promise.resolve(it.add(frame(2))).then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(9_999);
    expect([isOver, errors]).toEqual([false, []]);
    await vi.advanceTimersByTimeAsync(1);
    expect([isOver, errors.map(({ details }) => details['frames'])]).toEqual([true, [1]]);
  });

  it('beside another: whoever brewed goes on when one of them has come', async () => {
    const { it } = recent();
    const other = 'e'.repeat(32);
    for (const id of [PATRON, other]) void it.expect(id);
    const waiting = it.add(frame(1));
    expect(waiting).toBeInstanceOf(Promise);
    it.arrived(other);
    await waiting;
    expect([it.add(frame(2)), it.isExpecting]).toEqual([undefined, true]);
    it.clear();
  });

  it('and leaves after it has asked: its next match is another arrival, and so is that after all is cleared', () => {
    const { it } = recent();
    const reply = vi.fn<Reply>();
    expect(it.asked(PATRON, false)).toBeUndefined();
    it.left(PATRON);
    void it.expect(PATRON, [], reply);
    expect(reply).not.toHaveBeenCalled();
    it.arrived(PATRON);
    it.clear();
    void it.expect(PATRON);
    expect(it.add(frame(1))).toBeInstanceOf(Promise);
    it.clear();
  });

  it('and asks before this end knows of the match: is answered when it does, or when it asks again after a while', () => {
    const { it } = recent();
    const reply = vi.fn<Reply>();
    expect(it.asked(PATRON, false)).toBeUndefined();
    vi.advanceTimersByTime(899);
    expect(it.asked(PATRON, false)).toBeUndefined();
    expect(it.expect(PATRON, [frame(1)], reply)).toBeInstanceOf(Promise);
    // In whatever way it listens by now.
    expect(reply.mock.calls).toEqual([[{ frames: [frame(1)], retained: false }, true]]);
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(1)], retained: false });

    void it.add(frame(2));
    const second = 'e'.repeat(32);
    expect(it.asked(second, false)).toBeUndefined();
    expect(it.expect(second, [], reply)).toBeUndefined();
    expect(reply.mock.calls[1]).toEqual([{ frames: [frame(2)], retained: true }, false]);
    // One that has not asked will.
    void it.expect('d'.repeat(32), [frame(3)], reply);
    expect(reply).toHaveBeenCalledTimes(2);

    const other = 'f'.repeat(32);
    expect(it.asked(other, false)).toBeUndefined();
    vi.advanceTimersByTime(900);
    expect(it.asked(other, false)).toEqual({ frames: [frame(2)], retained: true });
  });

  it('and asks before it is, as thousands do: more than are remembered are answered as they come, those who ask no more are forgotten', () => {
    const { it } = recent();
    for (let i = 0; i < 1024; i++) expect(it.asked(String(i), false)).toBeUndefined();
    expect(it.asked('one more', false)).toBeDefined();
    vi.advanceTimersByTime(3000);
    expect(it.asked('a later one', false)).toBeUndefined();
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
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(2), frame(3)], retained: false });
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
    const reply = vi.fn<Reply>();
    expect(it.asked(PATRON, false)).toBeUndefined();
    vi.advanceTimersByTime(900);
    expect(it.asked(PATRON, false)).toEqual({ frames: [], retained: false });
    expect(it.expect(PATRON, [frame(1), frame(2)], reply)).toBeUndefined();
    expect(reply.mock.calls).toEqual([[{ frames: [frame(1), frame(2)], retained: false }, true]]);
    vi.advanceTimersByTime(10_000);
    expect(errors).toEqual([expect.objectContaining({ code: 'BREW_FAILED', details: { patronId: PATRON, frames: 2 } })]);
  });
});
