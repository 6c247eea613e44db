import { soon } from './host.js';

/** How many microtasks in a row must bring nothing new before the tick counts as over: a loop that awaits each step brings
 * something every few. */
const QUIET = 4;

/**
 * Gathers what is written in one tick, so that it can leave in one piece. What is returned is to be called at each write; `flush` is called
 * once the tick brings nothing more, and nothing is ever waited for.
 */
export function cork(flush: () => void): () => void {
  let quiet = 0;
  let looking = false;
  const look = (): void =>
    soon(() => {
      if (quiet++ < QUIET) return look();
      looking = false;
      flush();
    });
  return () => {
    quiet = 0;
    if (looking) return;
    looking = true;
    look();
  };
}
