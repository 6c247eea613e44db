import type { Deferred } from './deferred.js';
import { optionInvalid, PubkeeperError } from './errors.js';
import { cancel, type Timer, wait } from './host.js';

/** The callers that wait for a `connect()`, by their signal; callers without a signal share one entry. */
export type Attempt = Map<AbortSignalLike | undefined, Deferred>;

/** What `connect` and `addPatron` need of an `AbortSignal`: those of browsers and Node fit. */
export interface AbortSignalLike {
  /** Whether it has been aborted. */
  readonly aborted: boolean;
  /** Why: the `cause` of the error `ABORTED`. */
  readonly reason?: unknown;
  /** Calls `listener` when it is aborted. */
  addEventListener(type: 'abort', listener: () => void): void;
  /** Removes such a listener. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** The error for a value that should be a signal and is not; falsy when it is one, or when none was given. */
export const signalFault = (signal: AbortSignalLike | null | undefined): PubkeeperError | false | null | undefined =>
  signal && !signal.addEventListener && optionInvalid('signal must be an AbortSignal.');

/** Waits for `sending`, for `ms` milliseconds at most; calls `late` when that is not enough. */
export async function within(ms: number, sending: Promise<unknown>, late: () => void): Promise<void> {
  let timer: Timer | undefined;
  await Promise.race([sending, new Promise<void>((over) => (timer = wait(ms, () => over(late()))))]);
  cancel(timer);
}

/** Waits for the messages brewed last, for a second at most; calls `report` with an error when that is not enough. */
export const leaving = (sending: Promise<unknown>, report: (error: PubkeeperError) => void): Promise<void> =>
  within(1000, sending, () => report(new PubkeeperError('BREW_FAILED', 'What was brewed last was not accepted within 1 s.')));

export const aborted = ({ reason }: AbortSignalLike): PubkeeperError =>
  new PubkeeperError('ABORTED', 'connect() was aborted by its signal.', {}, reason);
