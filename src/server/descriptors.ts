import { close, open } from 'node:fs';
import { devNull } from 'node:os';
import type { Logger } from '../core/host.js';

/**
 * Logs when this process has no file descriptor left. libuv, below Node, then closes each new connection at once, so that nothing else
 * would report it.
 */
export class Descriptors {
  readonly #logger: Logger;
  #isOut = false;
  #isLooking = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Checks once; call it now and then. */
  look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    open(devNull, 'r', (error, descriptor) => {
      this.#isLooking = false;
      if (!error) close(descriptor, () => undefined);
      const isOut = error?.code === 'EMFILE' || error?.code === 'ENFILE';
      if (isOut && !this.#isOut) {
        this.#logger.error('No file descriptor is left: new connections are closed at once. Raise the limit of open files (LimitNOFILE in systemd, ulimit -n in a shell), or limit connections.');
      }
      this.#isOut = isOut;
    });
  }
}
