/** After how many pulses of a server in a row that show the same difference the registry is read again: 6 s. */
const PULSES = 3;

/**
 * Compares how many registrations a server has with how many of them are known here. A watch may leave changes out without a word:
 * nats-server 2.9 moves all watches past what is on its way when keys are purged, as those of a server that has left or died are. Then clients would
 * not be matched, or stay matched, until the next interruption.
 */
export class Census {
  readonly #differences = new Map<string, { readonly by: number; pulses: number }>();

  /**
   * A server has written that it has `told` registrations, and `known` of them are known here. Returns true when the registry should be read
   * again: once for each difference, because one that remains after that is not the watch's fault.
   */
  differs(server: string, told: number, known: number): boolean {
    const by = told - known;
    const before = this.#differences.get(server);
    if (before?.by === by) return ++before.pulses === PULSES;
    if (by) this.#differences.set(server, { by, pulses: 1 });
    else this.#differences.delete(server);
    return false;
  }

  /** The keys of a server were removed. */
  forget(server: string): void {
    this.#differences.delete(server);
  }
}
