/** How often a hidden tab renders, in ms: it has no frames, but may show a title and notifications. */
const HIDDEN_MS = 1000;

/** What waits for the next frame. */
const waiting = /* @__PURE__ */ new Set<() => void>();

/** Takes the request for a frame back; undefined if there is none. */
let stop: (() => void) | undefined;

/**
 * Calls `run` before the next paint, or after a second if nothing is painted; once, however often it is given before. All that waits is called
 * in one task: React renders after each task, and would render once for each hook of a page if each had a frame of its own.
 */
export function nextFrame(run: () => void): void {
  waiting.add(run);
  stop ??= request();
}

/** Does not call `run` then. Leaves no timer if nothing else waits: a test may end its page in the meantime. */
export function cancelFrame(run: () => void): void {
  if (waiting.delete(run) && !waiting.size) stop?.();
}

function request(): () => void {
  const paints = typeof requestAnimationFrame === 'function';
  const end = (): void => {
    clearTimeout(timer);
    if (paints) cancelAnimationFrame(frame);
    stop = undefined;
  };
  const go = (): void => {
    const runs = [...waiting];
    waiting.clear();
    end();
    for (const run of runs) run();
  };
  // Both, since the tab may be hidden before its frame comes.
  const frame = paints ? requestAnimationFrame(go) : 0;
  const timer = setTimeout(go, paints ? HIDDEN_MS : 16);
  return end;
}
