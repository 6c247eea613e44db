import { PubkeeperError } from '../core/errors.js';
import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import { isTopicPattern } from '../core/topic.js';
import { hashToken } from './auth.js';
import type { Authenticator, Rights } from './auth.js';

/** What a connection was let in by. Of the token only a hash is kept. */
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

  /** Whether an authenticator would give the same now. */
  recheck(by: Authenticator): 'same' | 'changed' | 'unknown' {
    const verdict = by.compare?.(this.#tokenHash, this.#rights);
    // What is no verdict, such as a promise of one, must let nobody stay.
    return verdict === 'same' || verdict === 'unknown' ? verdict : 'changed';
  }

  /** The connection has ended. */
  end(): void {
    cancel(this.#timer);
  }

  #await(expiresAt: number, expired: () => void): void {
    // A timer ends after 24 days at the latest.
    this.#timer = after(expiresAt - Date.now(), () => {
      if (Date.now() < expiresAt) this.#await(expiresAt, expired);
      else expired();
    });
  }
}

/** Whether an authenticator's answer comes later: its promise need not be one of this realm, nor one of the language's. */
export const isLater = (answer: object | undefined): answer is PromiseLike<Rights | undefined> =>
  typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';

/**
 * What an authenticator has given, if it can be used: who is let in by anything else would find out at the first topic.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function checkRights(rights: Rights): Rights {
  const { mayRead, mayWrite, reads, expiresAt } = rights;
  const isFit = typeof mayRead === 'function' && typeof mayWrite === 'function' && (expiresAt === undefined || Number.isFinite(expiresAt));
  // Other servers of a cluster are told `reads`, and make rights of it.
  if (isFit && (reads === undefined || (Array.isArray(reads) && reads.every(isTopicPattern)))) return rights;
  const message = 'authenticate() must return { mayRead(topic), mayWrite(topic), reads?, expiresAt? }, reads as a list of topic patterns, expiresAt as Date.now(); or undefined, to refuse the token.';
  throw new PubkeeperError('OPTION_INVALID', message);
}
