import type { Deferred } from './deferred.js';
import { PubkeeperError } from './errors.js';
import { cancel, type Timer, wait } from './host.js';

/** Those who wait for a `connect()`, by their signals; all without one wait together. */
export type Attempt = Map<AbortSignalLike | undefined, Deferred>;

/** What `connect` and `addPatron` need of an `AbortSignal`: those of browsers and Node fit. */
export interface AbortSignalLike {
  /** Whether it is over already. */
  readonly aborted: boolean;
  /** Why: the `cause` of the error `ABORTED`. */
  readonly reason?: unknown;
  /** Calls `listener` when it is aborted. */
  addEventListener(type: 'abort', listener: () => void): void;
  /** Takes that back. */
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** What is wrong with something that should be a signal, if anything is. */
export const signalFault = (signal: AbortSignalLike | null | undefined): PubkeeperError | false | null | undefined =>
  signal && !signal.addEventListener && new PubkeeperError('OPTION_INVALID', 'signal must be an AbortSignal.');

/** Waits for what is being sent, but no longer than `ms`: then `late` is called. */
export async function within(ms: number, sending: Promise<unknown>, late: () => void): Promise<void> {
  let timer: Timer | undefined;
  await Promise.race([sending, new Promise<void>((over) => (timer = wait(ms, () => over(late()))))]);
  cancel(timer);
}

/** Waits for what was brewed last, but no longer than a second: then `report` is told. */
export const leaving = (sending: Promise<unknown>, report: (error: PubkeeperError) => void): Promise<void> =>
  within(1000, sending, () => report(new PubkeeperError('BREW_FAILED', 'What was brewed last was not accepted within 1 s.')));

export const aborted = ({ reason }: AbortSignalLike): PubkeeperError =>
  new PubkeeperError('ABORTED', 'connect() was aborted by its signal.', {}, reason);
