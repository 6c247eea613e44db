import { once } from '../brews/internal/once.js';
import { bufferFull } from '../core/errors.js';
import { type BrewHost, PubkeeperError } from '../core/index.js';
import type { Attached, BrewClient } from './attached.js';

type Details = Readonly<Record<string, unknown>>;

/** A brewer of this client and a patron, or the other way round, that the server matched over a brew. */
export interface BrewMatch {
  /** The brewer's literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** What the other side registered about the brew: its `brewerConfig` or `patronConfig`, and the `name`. Check it. */
  readonly config: Details;
}

/** A brewer's connection over a {@link CustomBrew}. */
export interface BrewerConnection {
  /** Carries a whole brew frame. A promise makes `brewer.brew()` wait for it. */
  brew(frame: Uint8Array): unknown;
  /** Called when its last match has ended. */
  close(): unknown;
}

/** A patron's connection over a {@link CustomBrew}. */
export interface PatronConnection {
  /** Called when its match has ended. */
  close(): unknown;
}

/** A brew of a third party. Brews of the SDK's own API (`pubkeeper`, `pubkeeper/brews/…`) are none, and are refused: `OPTION_INVALID`. */
export interface CustomBrew {
  /** Its name in registrations: both ends are matched by it. */
  readonly name: string;
  /** What brewers register about it. `null`: they do not use it. */
  readonly brewerConfig?: Details | null | undefined;
  /** What patrons register about it. `null`: they do not use it. */
  readonly patronConfig?: Details | null | undefined;
  /**
   * Called for each match of a brewer. If it returns the same connection for several matches, that gets each frame once, and
   * `close` when the last of these matches has ended.
   */
  connectBrewer?(match: BrewMatch): BrewerConnection | PromiseLike<BrewerConnection>;
  /** Called for each match of a patron; `receive` takes every brew frame of that brewer, in order. */
  connectPatron?(
    match: BrewMatch,
    receive: (frame: Uint8Array) => void,
  ): PatronConnection | PromiseLike<PatronConnection>;
  /** Only brews of the SDK's own API have this. */
  readonly startPatron?: undefined;
}

/** How many bytes are held at most for connections that are still being made. */
const MAX_HELD = 16 * 1024 * 1024;

/** A brewer's connections over a {@link CustomBrew}. */
interface Line {
  readonly open: BrewerConnection[];
  /** The number of matches, and of those whose connection is still being made (`pending`). */
  pairs: number;
  pending: number;
  /** Functions to call when none is pending any more: they send what was brewed meanwhile. */
  readonly held: (() => void)[];
  bytes: number;
}

/** Turns the brew of a third party into a brew of the SDK. */
export function attachCustom(brew: CustomBrew, { offers, look }: BrewClient): Attached {
  const { name } = brew;
  const lines = new Map<string, Line>();
  let host: BrewHost;
  const failed = (what: string, cause?: unknown) => new PubkeeperError('BREW_FAILED', `The brew ${name} ${what}.`, { brew: name }, cause);
  const report = (cause: unknown): void => host.report(failed('failed', cause));

  /** Async, so that what a connection throws becomes a rejection. */
  async function send({ open, pairs }: Line, frame: Uint8Array): Promise<void> {
    // There are matches, but their connections could not be made. Without a match there is nobody to send to.
    if (pairs && !open.length) throw failed('has no connection');
    await Promise.all([...new Set(open)].map((connection) => connection.brew(frame)));
  }

  /** Returns a function that ends the connection, even one that is still being made. `opened` returns a function that closes it. */
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
      const line = lines.get(brewerId) ?? { open: [], pairs: 0, pending: 0, held: [], bytes: 0 };
      lines.set(brewerId, line);
      line.pairs++;
      line.pending++;
      const opened = (made: BrewerConnection) => {
        // A connection that is made only after its match has ended may be in use by later matches.
        const { open } = lines.get(brewerId) ?? line;
        open.push(made);
        return async () => {
          open.splice(open.indexOf(made), 1);
          // A match whose connection is still being made may be given this same one.
          const now = lines.get(brewerId);
          if (now?.pending) await new Promise<void>((go) => now.held.push(go));
          if (!open.includes(made)) await made.close();
        };
      };
      // Called when the connection is made or has failed; or when its match ends, since it may never do either.
      const settle = once(() => {
        if (--line.pending) return;
        line.bytes = 0;
        for (const go of line.held.splice(0)) go();
        look();
      });
      const end = connect(connecting, opened, settle);
      return () => {
        if (!--line.pairs) lines.delete(brewerId);
        settle();
        end();
      };
    },
    startPatron: ({ topic, brewerId, patronId, details: config, receive }) =>
      connect(brew.connectPatron!({ topic, brewerId, patronId, config }, (frame) => receive(frame)), (made) => () => made.close()),
    brew(brewerId, frame) {
      const line = lines.get(brewerId);
      if (!line?.pending) return line && send(line, frame);
      if (line.bytes + frame.length > MAX_HELD) throw bufferFull(`the brew ${name}`, { brew: name });
      line.bytes += frame.length;
      return new Promise((resolve) => line.held.push(() => resolve(send(line, frame))));
    },
    ready: (brewerId) => !lines.get(brewerId)?.pending,
    close: () => undefined,
  };
  return attached;
}
