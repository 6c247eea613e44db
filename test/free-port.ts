import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that operating systems use for `listen(0)` and for outgoing connections, so that nobody else gets one of these by chance. */
const FIRST = 10_000;
const LAST = 32_767;

/** A TCP port of 127.0.0.1 on which nobody listens, for a program that cannot choose a port itself. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST + 1);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    await new Promise<void>((closed) => void server.close(() => closed()));
    return port;
  }
}
