import { after, cancel } from '../core/host.js';
import type { Timer } from '../core/host.js';
import { hashToken } from './auth.js';
import type { Authenticator, Rights } from './auth.js';

/** What a connection was let in by. Of the token only a hash is kept. */
export class Credential {
  readonly #tokenHash: string;
  readonly #rights: Rights;
  #by: Authenticator;
  #timer: Timer | undefined;

  /** @param expired called when the rights have ended */
  constructor(token: string, rights: Rights, by: Authenticator, expired: () => void) {
    this.#tokenHash = hashToken(token);
    this.#rights = rights;
    this.#by = by;
    if (rights.expiresAt !== undefined) this.#await(rights.expiresAt, expired);
  }

  /** Whether another authenticator would give the same. */
  recheck(by: Authenticator): 'same' | 'changed' | 'unknown' {
    if (by === this.#by) return 'same';
    const verdict = by.compare?.(this.#tokenHash, this.#rights) ?? 'changed';
    if (verdict === 'same') this.#by = by;
    return verdict;
  }

  /** The connection has ended. */
  end(): void {
    cancel(this.#timer);
  }

  #await(expiresAt: number, expired: () => void): void {
    // Timers have 31 bits.
    this.#timer = after(Math.min(Math.max(expiresAt - Date.now(), 0), 2 ** 31 - 1), () => {
      if (Date.now() < expiresAt) this.#await(expiresAt, expired);
      else expired();
    });
  }
}
