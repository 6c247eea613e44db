import { createHash } from 'node:crypto';
import { hostname } from 'node:os';

/** An id that only the threads of this process share: a BroadcastChannel of Node reaches no further. */
export const scope = (): string =>
  createHash('sha256').update(`${hostname()} ${process.pid}`).digest('hex').slice(0, 16);
