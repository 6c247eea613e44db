import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Recent, type Reply } from '../../src/brews/internal/recent.js';
import { PubkeeperError } from '../../src/index.js';

// The brewer's side of a patron's arrival, with fake timers.

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.advanceTimersByTime(5000); // with a clock that begins at 0, a wrong sum could pass
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
  it('and does not come keeps brew() waiting for 10 s, and is reported once with the number of frames that it misses', async () => {
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

  it('and comes after more than 512 frames has the rest held back until then, and sent in order', async () => {
    const { errors, it } = recent();
    const sent: number[] = [];
    const brew = (n: number): void | Promise<void> => it.add(frame(n), () => void sent.push(n));
    const numbers = Array.from({ length: 600 }, (_, n) => n);
    void it.expect(PATRON);
    const accepted = Promise.all(numbers.map(brew));
    expect(sent).toEqual(numbers.slice(0, 512));
    expect(it.asked(PATRON, true)?.frames).toHaveLength(512);
    const last = brew(600); // the patron has asked, and has not confirmed the answer
    expect(sent).toHaveLength(512);
    it.arrived(PATRON);
    expect(sent).toEqual([...numbers, 600]);
    await Promise.all([accepted, last]);
    expect(brew(601)).toBeUndefined();
    expect(errors).toEqual([]);
    // Frames that were kept for this match are not kept for the next one, and make room.
    it.left(PATRON);
    void it.expect(PATRON);
    void brew(602);
    expect([sent.at(-1), it.asked(PATRON, true)?.frames]).toEqual([602, [frame(602)]]);
    it.clear();
  });

  it('and comes after more than 1 MiB has the rest held back until then', () => {
    const { it } = recent();
    void it.expect(PATRON);
    const half = new Uint8Array(512 * 1024);
    const sent = vi.fn();
    for (let n = 0; n < 3; n++) void it.add(half, sent);
    expect(sent).toHaveBeenCalledTimes(2);
    // By identity: a comparison of so many bytes takes seconds.
    expect(it.asked(PATRON, true)?.frames.map((kept) => kept === half)).toEqual([true, true]);
    it.clear();
    expect(sent).toHaveBeenCalledTimes(3);
  });

  it('and comes late gets no short frame before a long one that waits; a frame of more than 16 MiB waits alone', () => {
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

  it('and comes after another one gets at most the newest 512 frames or 1 MiB since its match', () => {
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

  it('and does not come is waited for also if another one that has not come leaves', async () => {
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

  it('gets no last value when none is kept', () => {
    const { it } = recent(false);
    void it.add(frame(1));
    void it.expect(PATRON);
    expect(it.asked(PATRON, true)).toEqual({ frames: [], retained: false });
    it.clear();
  });

  it('and has come before asks again, as after a lost connection, and is answered at once', () => {
    const { it } = recent();
    it.arrived(PATRON);
    void it.add(frame(1));
    expect(it.asked(PATRON, false)).toEqual({ frames: [frame(1)], retained: true });
  });

  it('and does not come has the frames that wait sent and counted as missed; brew() rejects those that cannot be sent', async () => {
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

  it('and does not come makes at most 16 MiB wait, and then brew() throw BUFFER_FULL', () => {
    const { it } = recent();
    void it.expect(PATRON);
    const long = new Uint8Array(1024 * 1024);
    for (let n = 0; n < 17; n++) void it.add(long);
    expect(() => it.add(frame(1))).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }) as Error);
    it.left(PATRON);
    expect(it.add(frame(1))).toBeUndefined();
    // The frames that waited have been sent, which makes room.
    void it.expect(PATRON);
    for (let n = 0; n < 17; n++) void it.add(long);
    it.clear();
  });

  it('and cannot be heard yet has 10 s from when it can', () => {
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

  it('and cannot be heard any more, as after a lost connection, has 10 s again from when it can', () => {
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

  it('and has come before is given, after a lost connection, what was brewed since; it is not waited for, nor reported if it does not ask', () => {
    const { errors, it } = recent();
    const other = 'e'.repeat(32);
    for (const id of [PATRON, other]) {
      void it.expect(id);
      it.arrived(id);
    }
    expect(it.add(frame(1))).toBeUndefined();
    // Once for the loss, and once for a dial that fails.
    it.hear(false);
    expect(it.add(frame(2))).toBeUndefined();
    it.hear(false);
    expect(it.add(frame(3))).toBeUndefined();
    vi.advanceTimersByTime(60_000);
    it.hear(true);
    expect(it.add(frame(4))).toBeUndefined();
    vi.advanceTimersByTime(9_999);
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(2), frame(3), frame(4)], retained: false });
    it.arrived(PATRON);
    vi.advanceTimersByTime(1);
    expect(it.asked(other, true)).toEqual({ frames: [frame(4)], retained: true });
    expect([errors, it.isExpecting]).toEqual([[], false]);
  });

  it('and does not come is not reported when nothing is brewed', () => {
    const { errors, it } = recent();
    void it.add(frame(1));
    void it.expect(PATRON);
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
  });

  it('and leaves, or comes in time, is not reported', async () => {
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

  it.each([true, false])('and is matched again has 10 s from the new match (the end of the former match was known: %s)', async (hasLeft) => {
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

  it('and does not come is not waited for when another one has come', async () => {
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

  it('and leaves after its question is waited for again at its next match, also after clear()', () => {
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

  it('and asks before this end knows of the match is answered when it knows, or when the patron asks again after 900 ms', () => {
    const { it } = recent();
    const reply = vi.fn<Reply>();
    expect(it.asked(PATRON, false)).toBeUndefined();
    vi.advanceTimersByTime(899);
    expect(it.asked(PATRON, false)).toBeUndefined();
    expect(it.expect(PATRON, [frame(1)], reply)).toBeInstanceOf(Promise);
    // Sent as unasked, so that the patron takes it whether or not it still waits for an answer.
    expect(reply.mock.calls).toEqual([[{ frames: [frame(1)], retained: false }, true]]);
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(1)], retained: false });

    void it.add(frame(2));
    const second = 'e'.repeat(32);
    expect(it.asked(second, false)).toBeUndefined();
    expect(it.expect(second, [], reply)).toBeUndefined();
    expect(reply.mock.calls[1]).toEqual([{ frames: [frame(2)], retained: true }, false]);
    // A patron that has not asked yet will ask, and is not answered now.
    void it.expect('d'.repeat(32), [frame(3)], reply);
    expect(reply).toHaveBeenCalledTimes(2);

    const other = 'f'.repeat(32);
    expect(it.asked(other, false)).toBeUndefined();
    vi.advanceTimersByTime(900);
    expect(it.asked(other, false)).toEqual({ frames: [frame(2)], retained: true });
  });

  it('and asks early with more than 1024 others is answered at once, unless the others have stopped asking', () => {
    const { it } = recent();
    for (let i = 0; i < 1024; i++) expect(it.asked(String(i), false)).toBeUndefined();
    expect(it.asked('one more', false)).toBeDefined();
    vi.advanceTimersByTime(3000);
    expect(it.asked('a later one', false)).toBeUndefined();
  });

  it('and has come before this end knew of the match is not waited for', () => {
    const { errors, it } = recent();
    it.arrived(PATRON);
    void it.expect(PATRON);
    expect(it.add(frame(1))).toBeUndefined();
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
    // Frames that it has missed over another brew are kept for it until it confirms that it has got them.
    expect(it.expect(PATRON, [frame(2)])).toBeUndefined();
    expect(it.add(frame(3))).toBeUndefined();
    expect(it.asked(PATRON, true)).toEqual({ frames: [frame(2), frame(3)], retained: false });
    it.arrived(PATRON);
    vi.advanceTimersByTime(20_000);
    expect(errors).toEqual([]);
    // At the next match the patron has to come again.
    it.left(PATRON);
    void it.expect(PATRON);
    expect(it.add(frame(2))).toBeInstanceOf(Promise);
    it.clear();
  });

  it('and was answered before this end knew of the match is sent what it missed, and reported if it does not confirm that', () => {
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
