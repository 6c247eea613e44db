import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';

/** Makes and cancels timers. */
export interface PatienceClock {
  after(ms: number, run: () => void): Timer;
  cancel(timer: Timer): void;
}

const STEPS = 5;

/**
 * Like `after`, for a wait for the other end of a connection. After a pause of the whole process, timers fire before the data that has
 * arrived meanwhile is read. So the time is divided into steps, and data is read between them: a pause of any length uses up at most one step.
 * Returns a function that cancels the wait.
 */
export function patience(ms: number, run: () => void, clock: PatienceClock = { after, cancel }): () => void {
  let timer: Timer;
  const step = (left: number): void => {
    timer = clock.after(ms / STEPS, () => (left > 1 ? step(left - 1) : run()));
  };
  step(STEPS);
  return () => clock.cancel(timer);
}
