import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Pacer } from '../../src/server/pacer.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

/** A connection that takes bytes when the test says so, and writes down when it is not read from. */
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

/** Lets so many ms pass, in each 10 of which the reader takes something. */
function reading(reader: End, ms: number): void {
  for (let left = ms; left > 0; left -= 10) {
    reader.taken++;
    vi.advanceTimersByTime(10);
  }
}

function made() {
  return { pacer: new Pacer<End>(), reader: new End(), writer: new End(), other: new End() };
}

describe('who publishes for a full reader', () => {
  it('waits until that has drained, however long it takes, as long as it takes something', () => {
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

  it('waits for 2 s where it takes nothing, and no more until it has drained', () => {
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

  it('is read again when the last of those has drained for whom it waits', () => {
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

describe('where somebody else reads what is published', () => {
  it('it waits for 20 ms where the reader takes nothing', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], somebody);
    expect(writer.log).toEqual(['held']);
    vi.advanceTimersByTime(19);
    expect(writer.log).toEqual(['held']);
    vi.advanceTimersByTime(1);
    expect([writer.log, vi.getTimerCount()]).toEqual([['held', 'released'], 0]);
  });

  it('a pause of this process is not the reader\'s: it had no turn to take anything', async () => {
    vi.useRealTimers();
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], somebody);
    for (const end = performance.now() + 100; performance.now() < end; );
    // The first turn ends behind the timers, the second has had them.
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
    expect(writer.log).toEqual(['held']);
    pacer.gone(reader);
  });

  it('nor do such pauses use the reader\'s credit up: it takes something whenever it has a turn', () => {
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
      // Each of them costs as much as a late timer does.
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

  it('it waits for a second, then for a hundredth of the time', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], somebody);
    reading(reader, 980);
    expect(writer.log).toEqual(['held']);
    reading(reader, 60);
    expect(writer.log).toEqual(['held', 'released']);
    // The credit is used up: for this reader nobody waits now. Another one has its own.
    pacer.drained(reader);
    pacer.full(reader, [writer], somebody);
    expect([writer.log, pacer.isHeld(writer)]).toEqual([['held', 'released'], false]);
    // Who publishes for it alone is not asked for it.
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
    // 30 s have 300 ms more.
    vi.advanceTimersByTime(30_000);
    writer.log.length = 0;
    pacer.full(reader, [writer], somebody);
    reading(reader, 220);
    expect(writer.log).toEqual(['held']);
    reading(reader, 120);
    expect(writer.log).toEqual(['held', 'released']);
  });

  it('time in which nobody waited costs nothing', () => {
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

  it('neither does time in which the one that waited is gone', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], somebody);
    pacer.gone(writer);
    reading(reader, 5_000);
    pacer.full(reader, [other], somebody);
    reading(reader, 900);
    expect(other.log).toEqual(['held']);
  });

  // The shorter ones are over before anybody has looked.
  it.each([10, 4])('short waits count, too: %i ms', (ms) => {
    const { pacer, reader, writer } = made();
    for (let i = 0; i < 2_000 / ms; i++) {
      pacer.full(reader, [writer], somebody);
      vi.advanceTimersByTime(ms);
      pacer.drained(reader);
    }
    // A second, and what that has brought.
    expect(writer.log.filter((word) => word === 'held').length * ms).toSatisfy((held: number) => held > 1_000 && held < 1_100);
  });

  it('counts from when that is so: a neighbour may have been full, too', () => {
    const { pacer, reader, writer } = made();
    let isBeside = false;
    pacer.full(reader, [writer], () => isBeside);
    vi.advanceTimersByTime(500);
    expect(writer.log).toEqual(['held']);
    isBeside = true;
    vi.advanceTimersByTime(20);
    expect(writer.log).toEqual(['held', 'released']);
  });

  it('goes for all who wait, where it is so for one of them', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer], nobody);
    vi.advanceTimersByTime(500);
    pacer.full(reader, [other], somebody);
    expect([writer.log, other.log]).toEqual([['held'], ['held']]);
    vi.advanceTimersByTime(20);
    expect([writer.log, other.log]).toEqual([['held', 'released'], ['held', 'released']]);
  });
});

describe('a connection that is gone', () => {
  it('is waited for by nobody', () => {
    const { pacer, reader, writer } = made();
    pacer.full(reader, [writer], nobody);
    pacer.gone(reader);
    expect([writer.log, pacer.isHeld(writer), vi.getTimerCount()]).toEqual([['held', 'released'], false, 0]);
  });

  it('waits for nobody', () => {
    const { pacer, reader, writer, other } = made();
    pacer.full(reader, [writer, other], nobody);
    pacer.gone(writer);
    expect([writer.log, pacer.isHeld(writer), pacer.isHeld(other)]).toEqual([['held'], false, true]);
    pacer.drained(reader);
    expect([writer.log, other.log]).toEqual([['held'], ['held', 'released']]);
  });
});
