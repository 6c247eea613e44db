import { after } from '../core/host.js';

/** After this much work for one connection, in milliseconds, other connections have their turn. */
const TURN_MS = 10;

export interface TurnsHooks {
  /** Stop reading from the connection for now. */
  pause(): void;
  resume(): void;
  /** Work has failed. */
  crash(error: unknown): void;
}

/** A piece of work: it is done, has to wait for something, or is to go on with the work that it returns when others have had their turn. */
export interface Work {
  (): Promise<void> | Work | undefined;
}

/**
 * Does the work of one connection in order: work that has to wait for something holds up the work behind it. After work that
 * took long, the next one waits for as long again, or one connection could keep the server busy all the time: a packet about
 * a `**` among many thousand brewers is short, and its answer may be short too, but it is much work.
 */
export class Turns {
  readonly #hooks: TurnsHooks;
  /** Work that has come while earlier work is not finished; undefined when no work is in progress. */
  #later: (() => void)[] | undefined;
  #spentMs = 0;

  constructor(hooks: TurnsHooks) {
    this.#hooks = hooks;
  }

  get isBusy(): boolean {
    return this.#later !== undefined;
  }

  /** How many pieces of work wait for one that is not finished. */
  get waiting(): number {
    return this.#later?.length ?? 0;
  }

  take(work: Work): void {
    if (this.#later) return void this.#later.push(() => this.take(work));
    const began = performance.now();
    const used = process.cpuUsage();
    const left = work();
    const isMore = typeof left === 'function';
    const pending = isMore ? this.#rest(began, used, 0) : (left ?? this.#rest(began, used));
    if (!pending) return;
    this.#later = isMore ? [() => this.take(left)] : [];
    this.#hooks.pause();
    void pending
      .catch((error: unknown) => this.#hooks.crash(error))
      .then(() => {
        const later = this.#later ?? [];
        this.#later = undefined;
        this.#hooks.resume();
        for (const next of later) next();
      })
      .catch((error: unknown) => this.#hooks.crash(error));
  }

  /**
   * Returns a pause if the work took long: `least` ms. Time in which this process did not run, because others used the machine, does not
   * count.
   */
  #rest(began: number, used: NodeJS.CpuUsage, least = TURN_MS): Promise<void> | undefined {
    const { user, system } = process.cpuUsage(used);
    const ms = Math.min(performance.now() - began, (user + system) / 1000);
    this.#spentMs += ms;
    if (this.#spentMs < least) return undefined;
    this.#spentMs = 0;
    return new Promise((resolve) => void after(ms, resolve));
  }
}
