import { PubkeeperError } from '../core/errors.js';
import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import { isTopicPattern } from '../core/topic.js';
import { hashToken } from './auth.js';
import type { Authenticator, Rights } from './auth.js';

/** After this long at most, in milliseconds, the time is looked at again: timers do not notice that the clock was set forward, or that the machine slept. */
const LOOK_MS = 30_000;

/** The token and the rights that a connection was let in with. Of the token only a hash is kept. */
export class Credential {
  readonly #tokenHash: string;
  readonly #rights: Rights;
  #timer: Timer | undefined;

  /** @param expired called when the rights have ended */
  constructor(token: string, rights: Rights, expired: () => void) {
    this.#tokenHash = hashToken(token);
    this.#rights = rights;
    if (rights.expiresAt !== undefined) this.#await(rights.expiresAt, expired);
  }

  /** Whether an authenticator would give the token the same rights now. */
  recheck(by: Authenticator): 'same' | 'changed' | 'unknown' {
    const verdict = by.compare?.(this.#tokenHash, this.#rights);
    // Any other value, such as a promise, must not let the connection stay.
    return verdict === 'same' || verdict === 'unknown' ? verdict : 'changed';
  }

  /** The connection has ended. */
  end(): void {
    cancel(this.#timer);
  }

  #await(expiresAt: number, expired: () => void): void {
    this.#timer = after(Math.min(expiresAt - Date.now(), LOOK_MS), () => {
      if (Date.now() < expiresAt) this.#await(expiresAt, expired);
      else expired();
    });
  }
}

/** Whether an authenticator's answer comes later: any thenable counts as a promise, because it may come from another realm or a library. */
export const isLater = (answer: object | undefined): answer is PromiseLike<Rights | undefined> =>
  typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';

/**
 * Returns the rights that an authenticator has given, if they are well-formed: other values would fail only at the client's first topic.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function checkRights(rights: Rights): Rights {
  const { mayRead, mayWrite, reads, expiresAt } = rights;
  const isFit = typeof mayRead === 'function' && typeof mayWrite === 'function' && (expiresAt === undefined || Number.isFinite(expiresAt));
  // Other servers of a cluster are told `reads`, and build rights from it.
  if (isFit && (reads === undefined || (Array.isArray(reads) && reads.every(isTopicPattern)))) return rights;
  const message = 'authenticate() must return { mayRead(topic), mayWrite(topic), reads?, expiresAt? }, reads as a list of topic patterns, expiresAt as Date.now(); or undefined, to refuse the token.';
  throw new PubkeeperError('OPTION_INVALID', message);
}
