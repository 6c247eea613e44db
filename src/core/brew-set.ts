import type { Brew, BrewHost } from './brew.js';
import { asPubkeeperError, guard } from './errors.js';
import type { Packet } from './packet.js';

/** Every brew that belongs to a client. A brew cannot be detached again, so a client that cannot attach all its brews must attach none. */
const attached = /* @__PURE__ */ new WeakSet<Brew>();

/** The brews of a client, by name. */
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

  /**
   * Calls `run` with each brew, and resolves when all are done. What a brew throws or rejects with is reported: it neither stops the other
   * brews nor reaches the caller, who may be removing a brewer or reconnecting.
   */
  all(run: (brew: Brew) => unknown): Promise<unknown> {
    return Promise.all(
      Array.from(this.values(), (brew) =>
        guard(
          () => run(brew),
          (cause) => this.#host.report(asPubkeeperError(cause, 'BREW_FAILED', `The brew ${brew.name} failed.`)),
        ),
      ),
    );
  }
}
