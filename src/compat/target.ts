import type { CompatBrew } from './attached.js';
import { Emitter, type EventMap } from './emitter.js';

/** What patrons and brewers emit. */
export interface TargetEvents {
  /** A match: the brewer's literal topic, and the id of the other side. */
  added: [
    match: {
      /** The brewer's literal topic. */
      readonly topic: string;
      /** 32 hex digits. */
      readonly id: string;
    },
  ];
  /** A match has ended. */
  removed: [
    match: {
      /** The id of the other side: 32 hex digits. */
      readonly id: string;
    },
  ];
}

/**
 * Called with the patron or brewer at its first match. If it returns a function, that is called when the last match ends,
 * and at removal or disconnect; the next match then counts as a first one.
 */
export type Matched<Target> = (target: Target) => unknown;

/** The options that patrons and brewers share. */
export interface TargetOptions {
  /** A UUID to use instead of a generated one, with or without dashes. */
  readonly id?: string | undefined;
  /** Which of the client's brews to use, as names or as the brews themselves. Default: all. */
  readonly brews?: readonly (string | CompatBrew)[] | undefined;
  /** Whether all listeners are removed when the last match ends. Default `true`: `matched` adds them again. */
  readonly autoRemoveListeners?: boolean | undefined;
}

/** What the client gives to a patron or a brewer. */
export interface TargetHost {
  readonly brews: readonly CompatBrew[];
  readonly autoRemoveListeners: boolean;
  fail(error: unknown): void;
}

/** The SDK's patron or brewer. */
interface Core {
  readonly topic: string;
  on(name: 'added', listener: (match: Match & { readonly topic: string }) => void): unknown;
  on(name: 'removed', listener: (match: Match) => void): unknown;
}

/** The id of the other side, under its name. */
interface Match {
  readonly patronId?: string;
  readonly brewerId?: string;
}

/** What patrons and brewers of the old API have in common. */
export abstract class Target<Events extends EventMap<Events> & TargetEvents> extends Emitter<Events> {
  /** 32 hex digits. */
  readonly id: string;
  /** A patron's pattern, or a brewer's literal topic. */
  readonly topic: string;
  /** The brews that it may use. */
  readonly brews: readonly CompatBrew[];
  readonly #host: TargetHost;
  readonly #peers = new Set<string>();
  #teardown: unknown;

  protected constructor(core: Core, id: string, host: TargetHost, matched: Matched<never> | null | undefined) {
    super();
    this.id = id;
    this.topic = core.topic;
    this.brews = host.brews;
    this.#host = host;
    const peers = this.#peers;
    const idOf = ({ patronId, brewerId }: Match): string => (patronId ?? brewerId)!;
    core.on('added', (match) => {
      const peer = idOf(match);
      // Before the event, so that a listener that `matched` adds hears of the first match.
      if (peers.add(peer).size === 1) this.#teardown = this.run(() => matched?.(this as never));
      if (this.isMatched) this.emit('added', ...([{ topic: match.topic, id: peer }] as Events['added']));
      // `matched` has removed this patron or brewer.
      else this.#end();
    });
    core.on('removed', (match) => {
      const peer = idOf(match);
      peers.delete(peer);
      this.emit('removed', ...([{ id: peer }] as Events['removed']));
      if (!this.isMatched) this.#end();
    });
  }

  /** How many matches there are. */
  get size(): number {
    return this.#peers.size;
  }

  /** Whether there is a match. */
  get isMatched(): boolean {
    return this.size > 0;
  }

  protected override fail(error: unknown): void {
    this.#host.fail(error);
  }

  #end(): void {
    const teardown = this.#teardown;
    this.#teardown = undefined;
    if (typeof teardown === 'function') this.run(() => (teardown as () => unknown)());
    if (this.#host.autoRemoveListeners) this.removeAllListeners();
  }
}
