import type { Brew, BrewHost } from './brew.js';
import { asPubkeeperError } from './errors.js';
import type { Packet } from './packet.js';

/** Every brew that belongs to a client. A brew cannot be detached again, so a client that cannot attach all its brews must attach none. */
const attached = /* @__PURE__ */ new WeakSet<Brew>();

/** The brews of a client, by name. Its methods call all of them. */
export class BrewSet extends Map<string, Brew> {
  readonly #host: BrewHost;

  /** @throws {PubkeeperError} `BREW_IN_USE` */
  constructor(host: BrewHost, brews: readonly Brew[], send: (packet: Packet) => void) {
    super();
    this.#host = host;
    for (const brew of brews) if (attached.has(brew)) brew.attach(host); // throws
    for (const brew of brews.find(({ failover }) => failover)?.failover!(host, brews, send) ?? brews) {
      brew.attach(host);
      this.set(brew.name, brew);
    }
    brews.forEach((brew) => attached.add(brew));
  }

  rest(): void {
    this.forEach((brew) => brew.rest?.());
  }

  wake(silentMs?: number): void {
    this.forEach((brew) => brew.wake?.(silentMs));
  }

  /** Resolves when all brews have closed. Failures are reported and do not reject. */
  close(): Promise<unknown> {
    // Async, so that a `close()` that throws neither keeps the other brews open nor stops `disconnect()`.
    const closing = Array.from(this.values(), async (brew) => brew.close());
    // Each failure is caught by itself, so that the other brews are still waited for.
    return Promise.all(
      closing.map((closed) =>
        closed.catch((cause: unknown) => this.#host.report(asPubkeeperError(cause, 'BREW_FAILED', 'A brew failed to close.'))),
      ),
    );
  }
}
