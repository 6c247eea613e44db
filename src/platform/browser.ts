/// <reference lib="dom" />
import type { ClientOptions, CryptoEngine, WebSocketConstructor } from '../core/index.js';

// What differs in a browser; `node.ts` beside this file has the same names. package.json chooses by export condition.

/**
 * The browser's own WebSocket, unless another one is given. Looked up when a client is made, and not by way of isomorphic-ws: a bundler
 * that ignores the field `browser` of that package would take its Node version.
 */
export const webSocket = (given?: WebSocketConstructor): Pick<ClientOptions, 'WebSocket' | 'prepare'> => ({
  WebSocket: given ?? globalThis.WebSocket,
  // While a page is prerendered, Chromium holds its connections back: `connect()` waits until it is visited, and no timeout runs.
  prepare: async () => {
    const page: (Document & { readonly prerendering?: boolean }) | undefined = globalThis.document;
    if (page?.prerendering) await new Promise((shown) => page.addEventListener('prerenderingchange', shown));
  },
});

/** The core's engine: WebCrypto, or plain JavaScript. */
export const engine: CryptoEngine | undefined = undefined;

/** A gap between ticks that only a sleeping machine or a frozen tab can make, in ms. */
const SLEEP = 15_000;
const TICK = 5000;

/**
 * Calls `wake` when the page or the network comes back: `online`, a tab that becomes visible or is thawed, a page that
 * returns from the back/forward cache, a machine that slept. Calls `rest` when the browser puts the page away: sockets
 * that stay open keep it out of that cache, or are cut there without a close event. Returns a function that stops all this.
 */
export function lifecycle(wake: () => void, rest: () => void): () => void {
  const stop = new AbortController(); // as options of a listener it gives its `signal`
  const on = (target: EventTarget | undefined, name: string, run: () => void): void => target?.addEventListener?.(name, run, stop);
  const page: Document | undefined = globalThis.document; // workers have none
  on(globalThis, 'online', wake);
  on(globalThis, 'pageshow', wake);
  on(globalThis, 'pagehide', rest);
  on(page, 'resume', wake);
  on(page, 'freeze', rest);
  on(page, 'visibilitychange', () => {
    if (page?.visibilityState === 'visible') wake();
  });
  let last = Date.now();
  const timer = setInterval(() => {
    const gap = Date.now() - last;
    last = Date.now();
    if (gap > SLEEP) wake();
  }, TICK);
  return () => {
    clearInterval(timer);
    stop.abort();
  };
}
