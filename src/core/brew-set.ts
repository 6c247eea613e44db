import type { Brew, BrewHost } from './brew.js';
import { asPubkeeperError } from './errors.js';
import type { Packet } from './packet.js';

/** All that were given to a client. A brew cannot be taken back, so a client that cannot have all must take none. */
const attached = /* @__PURE__ */ new WeakSet<Brew>();

/** The brews of a client, by name: what they are told together. */
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

  /** Resolves when all have closed. A brew that fails to is reported. */
  close(): Promise<unknown> {
    // In an async function, since one that throws must not keep the others open, nor the client from its end.
    const closing = Array.from(this.values(), async (brew) => brew.close());
    // Each by itself: the others are waited for all the same.
    return Promise.all(
      closing.map((closed) =>
        closed.catch((cause: unknown) => this.#host.report(asPubkeeperError(cause, 'BREW_FAILED', 'A brew failed to close.'))),
      ),
    );
  }
}
