/**
 * Which servers are alive, by their signs of life. Uses no clock: `tick` is called at equal intervals, and only ticks count, so
 * that a process that was paused for a while does not take all others for dead when it goes on.
 *
 * A server hears its own signs of life as well. While those do not come back, this server is the one that is cut off, and no
 * other server ages; only if that lasts are all others given up.
 */
export class Leases {
  readonly #own: string;
  readonly #lease: number;
  readonly #isolation: number;
  /** Ticks since the last sign of life of each other server. */
  readonly #silent = new Map<string, number>();
  #ownSilent = 0;
  #heardOnce = false;

  /**
   * @param lease ticks of silence after which a server is taken for dead
   * @param isolation ticks without a sign of life of this server itself after which all others are given up
   */
  constructor(own: string, lease: number, isolation: number) {
    this.#own = own;
    this.#lease = lease;
    this.#isolation = isolation;
  }

  /** The other servers that are alive. */
  get others(): ReadonlySet<string> {
    return new Set(this.#silent.keys());
  }

  get size(): number {
    return this.#silent.size;
  }

  has(server: string): boolean {
    return this.#silent.has(server);
  }

  /** Whether this server does not hear its own signs of life. */
  get isCutOff(): boolean {
    return !this.#heardOnce || this.#ownSilent > this.#lease;
  }

  /** A sign of life has come; returns true when its server was not known as alive. */
  heard(server: string): boolean {
    if (server === this.#own) {
      // After an interruption every server has to connect again: each gets a whole lease for that.
      if (this.#ownSilent > GRACE) for (const other of this.#silent.keys()) this.#silent.set(other, 0);
      this.#ownSilent = 0;
      this.#heardOnce = true;
      return false;
    }
    const isNew = !this.#silent.has(server);
    this.#silent.set(server, 0);
    return isNew;
  }

  /** A server has said that it leaves; true when it was there. */
  left(server: string): boolean {
    return this.#silent.delete(server);
  }

  /** Another interval is over; returns the servers that are taken for dead now. */
  tick(): string[] {
    this.#ownSilent++;
    if (this.#ownSilent > this.#isolation) return this.#expire(() => true);
    if (this.#ownSilent > GRACE) return [];
    for (const [server, silent] of this.#silent) this.#silent.set(server, silent + 1);
    return this.#expire((silent) => silent > this.#lease);
  }

  #expire(isOver: (silent: number) => boolean): string[] {
    const over = [...this.#silent].filter(([, silent]) => isOver(silent)).map(([server]) => server);
    for (const server of over) this.#silent.delete(server);
    return over;
  }
}

/** For how many ticks this server's own sign of life may be missing before that counts: it comes every third tick. */
const GRACE = 4;
