import type { BrewScope, PubkeeperError } from '../../core/index.js';
import { cancel, type Timer, wait } from '../../core/host.js';

/** How long a connection may be gone before pairs are moved to another brew, in ms. */
const TOLERATED = 500;

/**
 * Reports the state of one connection for all pairs that depend on it. Pairs for which it was reported as down may have moved to
 * another brew by the time it is up again; that is reported for them all the same, so that they come back.
 */
export class Outage {
  readonly #tell: (up: boolean, scope: BrewScope) => void;
  readonly #users = new Map<string, { readonly scope: BrewScope; count: number }>();
  readonly #told = new Map<string, BrewScope>();
  #timer: Timer | undefined;
  #isDown = false;

  constructor(tell: (up: boolean, scope: BrewScope) => void) {
    this.#tell = tell;
  }

  /** Whether the connection was reported as down for somebody, and not as up again since. */
  get isMissed(): boolean {
    return this.#told.size > 0;
  }

  /** A pair, or a whole brew, depends on the connection until the returned function is called. */
  use(scope: BrewScope): () => void {
    const key = JSON.stringify(scope);
    const user = this.#users.get(key) ?? { scope, count: 0 };
    user.count++;
    this.#users.set(key, user);
    if (this.#isDown) this.#down(key, scope);
    return () => {
      if (!--user.count) this.#users.delete(key);
    };
  }

  /** The pair or brewer of this scope has ended: it does not wait for the connection any more. */
  forget(scope: BrewScope): void {
    const key = JSON.stringify(scope);
    if (!this.#users.has(key)) this.#told.delete(key);
  }

  /** The connection is gone: reports that after `toleratedMs` (default: half a second), unless it is back by then. */
  down(toleratedMs = TOLERATED): void {
    if (this.#isDown) return;
    const tell = (): void => {
      this.#isDown = true;
      for (const [key, { scope }] of this.#users) this.#down(key, scope);
    };
    if (toleratedMs) this.#timer ??= wait(toleratedMs, tell);
    else tell();
  }

  /** The connection is closed for as long as the page is put away: that says nothing about the other side. */
  rest(): void {
    this.#settle();
  }

  up(): void {
    this.#settle();
    this.#isDown = false;
    const told = [...this.#told.values()];
    this.#told.clear();
    for (const scope of told) this.#tell(true, scope);
  }

  /** The connection will not come back: it was closed on purpose (`CONNECTION_CLOSED`), or failed for good. */
  end({ code }: PubkeeperError): void {
    if (code !== 'CONNECTION_CLOSED') return this.down(0);
    this.#settle();
    this.#told.clear();
  }

  #settle(): void {
    cancel(this.#timer);
    this.#timer = undefined;
  }

  #down(key: string, scope: BrewScope): void {
    if (this.#told.has(key)) return;
    this.#told.set(key, scope);
    this.#tell(false, scope);
  }
}
