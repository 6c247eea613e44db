import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';

/** What timers are made by. */
export interface PatienceClock {
  after(ms: number, run: () => void): Timer;
  cancel(timer: Timer): void;
}

const STEPS = 5;

/**
 * As `after`, for what waits for the other end of a connection. After a pause of the whole process timers come first, before what has
 * arrived meanwhile. So this time passes in steps, between which that is read, and a pause of any length takes no more than one of them.
 * Returns what cancels it.
 */
export function patience(ms: number, run: () => void, clock: PatienceClock = { after, cancel }): () => void {
  let timer: Timer;
  const step = (left: number): void => {
    timer = clock.after(ms / STEPS, () => (left > 1 ? step(left - 1) : run()));
  };
  step(STEPS);
  return () => clock.cancel(timer);
}
