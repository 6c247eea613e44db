import { soon } from './host.js';

/** A tick counts as over after this many microtasks in a row without a write: a loop that awaits each `brew()` writes
 * every few microtasks. */
const QUIET = 4;

/**
 * Gathers the writes of one tick, so that they can be sent together. Call the returned function at each write; `flush` is called when
 * the tick brings no more of them. No timer is involved.
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
