import { PubkeeperClient } from '../../../src/index.js';
import type { ClientOptions } from '../../../src/client.js';
import { createServer } from '../../../src/server/index.js';
import type { PubkeeperServer, ServerOptions } from '../../../src/server/index.js';

export { inbox } from '../../awaited.js';

// Servers of a cluster and their clients, which are all ended after a test.

export const TOKEN = 'token-of-the-tests';
export const QUIET = { warn: () => undefined, error: () => undefined };

export interface Scene {
  server(cluster: string | readonly string[], options?: Partial<ServerOptions>): Promise<PubkeeperServer>;
  client(server: PubkeeperServer | string, options?: Partial<ClientOptions>): PubkeeperClient;
  /** Ends `thing` with the others. */
  own<T extends { kill(): Promise<unknown> }>(thing: T): T;
  end(): Promise<void>;
}

export function scene(): Scene {
  const undo: (() => unknown)[] = [];
  return {
    async server(servers, options = {}) {
      const made = await createServer({
        port: 0,
        tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] },
        logger: QUIET,
        cluster: { servers },
        ...options,
      });
      undo.push(() => made.close());
      return made;
    },
    client(server, options = {}) {
      const made = new PubkeeperClient({
        server: typeof server === 'string' ? server : server.url,
        token: TOKEN,
        logger: QUIET,
        reconnect: { delayMs: 50, maxDelayMs: 200 },
        ...options,
      });
      undo.push(() => made.disconnect());
      return made;
    },
    own(thing) {
      undo.push(() => thing.kill());
      return thing;
    },
    async end() {
      for (const run of undo.splice(0).reverse()) await run();
    },
  };
}

/** Resolves when `look` returns a result; calls it every 10 ms. */
export async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>, what: string, ms = 20_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > end) throw new Error(`It did not happen within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
