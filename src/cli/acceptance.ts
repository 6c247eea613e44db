import type { Brewer } from '../index.js';

/** How often to check whether what was sent still waits, in ms. */
const LOOK = 5000;

interface Watcher {
  /** Called at each check at which what was sent still waits. `ms`: for how long at least. */
  waits(ms: number): void;
  /** Called when what has waited was accepted or given up. */
  over(): void;
}

/**
 * Checks every 5 s whether what a brewer sends is accepted: while a relay or a broker is away, `brew()` does not resolve. A wait shorter
 * than that may go unnoticed.
 * @returns a function that ends the checks
 */
export function watchAcceptance(brewer: Pick<Brewer, '_flush'>, { waits, over }: Watcher): () => void {
  let since: number | undefined;
  const timer = setInterval(() => {
    if (since !== undefined) return waits(performance.now() - since);
    const sending = brewer._flush();
    if (!sending) return;
    since = performance.now();
    void sending.then(() => {
      since = undefined;
      over();
    });
  }, LOOK);
  return () => clearInterval(timer);
}
