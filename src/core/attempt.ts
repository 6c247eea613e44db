import { PubkeeperError } from './errors.js';

/** A `connect()` that somebody waits for. */
export interface Attempt {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: PubkeeperError): void;
}

/** What `connect` needs of an `AbortSignal`. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export function newAttempt(): Attempt {
  let resolve!: () => void;
  let reject!: (error: PubkeeperError) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => undefined); // whoever called connect() is told; nobody else must be
  return { promise, resolve, reject };
}

export const aborted = ({ reason }: AbortSignalLike): PubkeeperError =>
  new PubkeeperError('ABORTED', 'connect() was aborted by its signal.', {}, reason);
