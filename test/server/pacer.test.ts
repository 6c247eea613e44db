import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Pacer } from '../../src/server/pacer.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** A connection whose reading the test controls, and which logs when it is held and released. */
class End {
  taken = 0;
  readonly log: string[] = [];
  hold(): void {
    this.log.push('held');
  }
  release(): void {
    this.log.push('released');
  }
}

const nobody = (): boolean => false;
const somebody = (): boolean => true;

/** Lets so many ms pass, and the reader take something in each 10 of them. */
function reading(reader: End, ms: number): void {
  for (let left = ms; left > 0; left -= 10) {
    reader.taken++;
    vi.advanceTimersByTime(10);
  }
}

function made() {
  return { pacer: new Pacer<End>(), reader: new End(), writer: new End(), other: new End() };
}

describe('a publisher for a full reader', () => {
  it('waits until the reader has drained, however long that takes, as long as the reader takes something', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], nobody);
    pacer.full(reader, [writer], nobody);
    expect([writer.log, pacer.isHeld(writer)]).toEqual([['held'], true]);
    reading(reader, 60_000);
    expect(writer.log).toEqual(['held']);
    pacer.drained(reader);
    expect([writer.log, pacer.isHeld(writer), vi.getTimerCount()]).toEqual([['held', 'released'], false, 0]);
    pacer.full(reader, [writer], nobody);
    expect(writer.log).toEqual(['held', 'released', 'held']);
  });

  it('waits for 2 s when the reader takes nothing, and not again until the reader has drained', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], nobody);
    reading(reader, 1_000);
    vi.advanceTimersByTime(1_980);
    expect(writer.log).toEqual(['held']);
    vi.advanceTimersByTime(40);
    expect([writer.log, pacer.isHeld(writer), vi.getTimerCount()]).toEqual([['held', 'released'], false, 0]);
    pacer.full(reader, [writer], nobody);
    expect([writer.log, vi.getTimerCount()]).toEqual([['held', 'released'], 0]);
    pacer.drained(reader);
    pacer.full(reader, [writer], nobody);
    expect(writer.log).toEqual(['held', 'released', 'held']);
  });

  it('is read again when the last reader for which it waits has drained', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], nobody);
    pacer.full(other, [writer], nobody);
    expect(writer.log).toEqual(['held']);
    pacer.drained(reader);
    expect([writer.log, pacer.isHeld(writer)]).toEqual([['held'], true]);
    pacer.drained(other);
    expect([writer.log, pacer.isHeld(writer)]).toEqual([['held', 'released'], false]);
  });

  it('does not wait for itself', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [reader], nobody);
    expect([reader.log, pacer.isHeld(reader), vi.getTimerCount()]).toEqual([[], false, 0]);
    pacer.full(reader, [reader, writer], nobody);
    expect([reader.log, writer.log]).toEqual([[], ['held']]);
  });
});

describe('a publisher for a full reader that has other readers too', () => {
  it('waits for 20 ms when the reader takes nothing', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], somebody);
    expect(writer.log).toEqual(['held']);
    vi.advanceTimersByTime(19);
    expect(writer.log).toEqual(['held']);
    vi.advanceTimersByTime(1);
    expect([writer.log, vi.getTimerCount()]).toEqual([['held', 'released'], 0]);
  });

  it('waits on after a pause of this process, as the reader had no turn to take anything', async () => {
    vi.useRealTimers();
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], somebody);
    for (const end = performance.now() + 100; performance.now() < end; );
    // The first turn ends behind the timers, the second has had them.
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
    expect(writer.log).toEqual(['held']);
    pacer.gone(reader);
  });

  it('loses no credit for such pauses, as the reader takes something whenever it has a turn', () => {
    const { pacer, reader, writer } = made();
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    try {
      pacer.full(reader, [writer], somebody);
      for (let look = 0; look < 50; look++) {
        now += 1_500;
        reader.taken++;
        vi.advanceTimersByTime(5);
      }
      expect(writer.log).toEqual(['held']);
      // Each of these costs as much as a late timer.
      for (let look = 0; look < 200; look++) {
        now += 10;
        reader.taken++;
        vi.advanceTimersByTime(5);
      }
      expect(writer.log).toEqual(['held', 'released']);
    } finally {
      clock.mockRestore();
    }
  });

  it('waits for a second, then for a hundredth of the time', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], somebody);
    reading(reader, 980);
    expect(writer.log).toEqual(['held']);
    reading(reader, 60);
    expect(writer.log).toEqual(['held', 'released']);
    // The credit of this reader is used up, so that nobody waits for it now. Another reader has its own.
    pacer.drained(reader);
    pacer.full(reader, [writer], somebody);
    expect([writer.log, pacer.isHeld(writer)]).toEqual([['held', 'released'], false]);
    // A publisher with no other reader needs no credit.
    pacer.drained(reader);
    pacer.full(reader, [other], nobody);
    reading(reader, 3_000);
    expect(other.log).toEqual(['held']);
    pacer.drained(reader);
    const another = new End();
    pacer.full(another, [writer], somebody);
    expect(writer.log).toEqual(['held', 'released', 'held']);
    pacer.drained(another);
    pacer.drained(reader);
    // 30 s give 300 ms more.
    vi.advanceTimersByTime(30_000);
    writer.log.length = 0;
    pacer.full(reader, [writer], somebody);
    reading(reader, 220);
    expect(writer.log).toEqual(['held']);
    reading(reader, 120);
    expect(writer.log).toEqual(['held', 'released']);
  });

  it('uses no credit while nobody waits', () => {
    const { pacer, reader, writer } = made();
    for (let i = 0; i < 5; i++) {
      pacer.full(reader, [writer], somebody);
      reading(reader, 100);
      pacer.drained(reader);
      reading(reader, 1_000);
    }
    pacer.full(reader, [writer], somebody);
    reading(reader, 400);
    expect(writer.log.at(-1)).toBe('held');
  });

  it('uses no credit after the waiting publisher has gone', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], somebody);
    pacer.gone(writer);
    reading(reader, 5_000);
    pacer.full(reader, [other], somebody);
    reading(reader, 900);
    expect(other.log).toEqual(['held']);
  });

  // The shorter ones are over before the pacer checks them.
  it.each([10, 4])('uses credit for short waits, too: %i ms', (ms) => {
    const { pacer, reader, writer } = made();
    for (let i = 0; i < 2_000 / ms; i++) {
      pacer.full(reader, [writer], somebody);
      vi.advanceTimersByTime(ms);
      pacer.drained(reader);
    }
    // A second, and the credit that has been added meanwhile.
    expect(writer.log.filter((word) => word === 'held').length * ms).toSatisfy((held: number) => held > 1_000 && held < 1_100);
  });

  it('counts from the time at which it has another reader, which may have been full, too', () => {
    const { pacer, reader, writer } = made();
    let isBeside = false;
    pacer.full(reader, [writer], () => isBeside);
    vi.advanceTimersByTime(500);
    expect(writer.log).toEqual(['held']);
    isBeside = true;
    vi.advanceTimersByTime(20);
    expect(writer.log).toEqual(['held', 'released']);
  });

  it('is released with all others that wait for the reader, when one of them has another reader', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], nobody);
    vi.advanceTimersByTime(500);
    pacer.full(reader, [other], somebody);
    expect([writer.log, other.log]).toEqual([['held'], ['held']]);
    vi.advanceTimersByTime(20);
    expect([writer.log, other.log]).toEqual([['held', 'released'], ['held', 'released']]);
  });
});

describe('a connection that has gone', () => {
  it('is not waited for', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], nobody);
    pacer.gone(reader);
    expect([writer.log, pacer.isHeld(writer), vi.getTimerCount()]).toEqual([['held', 'released'], false, 0]);
  });

  it('does not wait', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer, other], nobody);
    pacer.gone(writer);
    expect([writer.log, pacer.isHeld(writer), pacer.isHeld(other)]).toEqual([['held'], false, true]);
    pacer.drained(reader);
    expect([writer.log, other.log]).toEqual([['held'], ['held', 'released']]);
  });
});
