import { type BrewHost, PubkeeperError } from '../core/index.js';
import type { Attached, BrewClient } from './attached.js';

type Details = Readonly<Record<string, unknown>>;

/** A brewer of this client and a patron, or the other way round, that the server matched over a brew. */
export interface BrewMatch {
  /** The brewer's literal topic. */
  readonly topic: string;
  readonly brewerId: string;
  readonly patronId: string;
  /** What the other side registered about the brew: its `brewerConfig` or `patronConfig`, and the `name`. Check it. */
  readonly config: Details;
}

/** A brewer's connection over a {@link CustomBrew}. */
export interface BrewerConnection {
  /** Carries a whole brew frame. A promise makes `brewer.brew()` wait for it. */
  brew(frame: Uint8Array): unknown;
  close(): unknown;
}

/** A patron's connection over a {@link CustomBrew}. */
export interface PatronConnection {
  close(): unknown;
}

/** A brew of a third party. */
export interface CustomBrew {
  /** What it is called in registrations: both ends are matched by it. */
  readonly name: string;
  /** What brewers register about it. `null`: they do not use it. */
  readonly brewerConfig?: Details | null | undefined;
  /** What patrons register about it. `null`: they do not use it. */
  readonly patronConfig?: Details | null | undefined;
  /**
   * Called for each match of a brewer. Who returns the same connection for several matches gets each frame once, and
   * `close` when the last of them has gone.
   */
  connectBrewer?(match: BrewMatch): BrewerConnection | PromiseLike<BrewerConnection>;
  /** Called for each match of a patron; `receive` takes every brew frame of that brewer, in order. */
  connectPatron?(
    match: BrewMatch,
    receive: (frame: Uint8Array) => void,
  ): PatronConnection | PromiseLike<PatronConnection>;
}

/** Makes a brew of the SDK of one of a third party. */
export function attach(brew: CustomBrew, { offers, waiting }: BrewClient): Attached {
  const { name } = brew;
  const open = new Map<string, BrewerConnection[]>();
  let host: BrewHost;
  let pending = 0;
  const report = (cause: unknown): void =>
    host.report(new PubkeeperError('BREW_FAILED', `The brew ${name} failed.`, { brew: name }, cause));

  /** Returns what ends the connection, also one that is still being made. `opened` returns what closes it. */
  function connect<T>(connecting: T | PromiseLike<T>, opened: (made: T) => () => unknown, settled?: () => void): () => void {
    let close: (() => unknown) | undefined;
    let ended = false;
    const end = async (): Promise<void> => {
      ended = true;
      await close?.();
    };
    Promise.resolve(connecting)
      .then((made) => {
        close = opened(made);
        if (ended) return close();
      })
      .catch(report)
      .finally(settled);
    return () => void end().catch(report);
  }

  const detailsOf = (key: string, connects: unknown, config: Details | null | undefined) =>
    connects && config !== null && offers.get(key)?.includes(attached) ? { ...config, name } : undefined;

  const attached: Attached = {
    origin: brew,
    name,
    attach: (lent) => void (host = lent),
    brewerDetails: ({ brewerId }) => detailsOf('brewer' + brewerId, brew.connectBrewer, brew.brewerConfig),
    patronDetails: ({ patronId }) => detailsOf('patron' + patronId, brew.connectPatron, brew.patronConfig),
    startBrewer({ topic, brewerId, patronId, details: config }) {
      const connecting = brew.connectBrewer!({ topic, brewerId, patronId, config });
      const opened = (made: BrewerConnection) => {
        const list = open.get(brewerId) ?? [];
        open.set(brewerId, list);
        list.push(made);
        return () => {
          list.splice(list.indexOf(made), 1);
          if (!list.length && open.get(brewerId) === list) open.delete(brewerId);
          if (!list.includes(made)) return made.close();
        };
      };
      pending++;
      return connect(connecting, opened, () => {
        pending--;
        waiting.forEach((look) => look());
      });
    },
    startPatron: ({ topic, brewerId, patronId, details: config, receive }) =>
      connect(brew.connectPatron!({ topic, brewerId, patronId, config }, (frame) => receive(frame)), (made) => () => made.close()),
    brew: (brewerId, frame) =>
      Promise.all([...new Set(open.get(brewerId))].map((connection) => connection.brew(frame))).then(() => undefined),
    ready: () => !pending,
    close: () => undefined,
  };
  return attached;
}
