import { after } from '../core/host.js';

/** After so much work for one connection, in milliseconds, others have their turns. */
const TURN_MS = 10;

export interface TurnsHooks {
  /** Nothing more is to be read for now. */
  pause(): void;
  resume(): void;
  /** Work has failed. */
  crash(error: unknown): void;
}

/**
 * Does what one connection asks for, one after the other: work that has to wait for something holds up what is behind it. So
 * does work that took long, for as long again, or the connection would have the server to itself: a packet about a `**` among
 * many thousand brewers is short, and so may its answer be.
 */
export class Turns {
  readonly #hooks: TurnsHooks;
  /** What has come while earlier work is not done. */
  #later: (() => void)[] | undefined;
  #spentMs = 0;

  constructor(hooks: TurnsHooks) {
    this.#hooks = hooks;
  }

  get isBusy(): boolean {
    return this.#later !== undefined;
  }

  /** How much waits for what is not done. */
  get waiting(): number {
    return this.#later?.length ?? 0;
  }

  take(work: () => Promise<void> | undefined): void {
    if (this.#later) return void this.#later.push(() => this.take(work));
    const began = performance.now();
    const used = process.cpuUsage();
    const pending = work() ?? this.#rest(began, used);
    if (!pending) return;
    this.#later = [];
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

  /** What this process stood still for, while others had the machine, was no work. */
  #rest(began: number, used: NodeJS.CpuUsage): Promise<void> | undefined {
    const { user, system } = process.cpuUsage(used);
    const ms = Math.min(performance.now() - began, (user + system) / 1000);
    this.#spentMs += ms;
    if (this.#spentMs < TURN_MS) return undefined;
    this.#spentMs = 0;
    return new Promise((resolve) => void after(ms, resolve));
  }
}
