import { close, open } from 'node:fs';
import { devNull } from 'node:os';
import type { Logger } from '../core/host.js';

/**
 * Tells when this process has no file descriptor left. Whoever connects is then let go at once by libuv, below Node, so that nobody else
 * would say a word of it.
 */
export class Descriptors {
  readonly #logger: Logger;
  #isOut = false;
  #isLooking = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** To be called now and then. */
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
