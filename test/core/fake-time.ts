import { afterEach, beforeEach, vi } from 'vitest';

/** Registers hooks so that time passes only in `pass`, and every random number is 0.5. */
export function fakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

/** Lets so many ms pass, and runs what is due in them. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
