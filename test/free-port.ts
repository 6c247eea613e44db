import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what operating systems give to `listen(0)` and to connections that go out: nobody else gets one of these by chance. */
const FIRST = 10_000;
const LAST = 32_767;

/** A TCP port of 127.0.0.1 on which nobody listens, for a program that cannot choose one itself. */
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
