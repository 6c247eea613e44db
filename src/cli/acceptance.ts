import type { Brewer } from '../index.js';

/** How often it is looked whether what was sent still waits, in ms. */
const LOOK = 5000;

interface Watcher {
  /** What was sent waits for so many ms at least: called at each look. */
  waits(ms: number): void;
  /** What has waited waits no more: it was accepted, or given up. */
  over(): void;
}

/**
 * Looks every 5 s whether what a brewer sends is accepted: where a relay or a broker is away, `brew()` resolves only when that is back.
 * What waits for less may never be seen.
 * @returns what ends it
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
