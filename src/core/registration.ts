/**
 * One patron or brewer as it is registered with the server, and the peers that the server matched it with.
 *
 * After a reconnect the answer to the registration is reconciled with what runs: pairs that are in it and have not
 * changed are not touched; pairs that are missing are kept until `expire`, since their peers may only be on their way back.
 */
export class Registration<Info> {
  /** Whether the server has answered since the last registration. */
  answered = false;
  readonly #peers = new Map<string, string>();
  readonly #missing = new Set<string>();
  readonly #idOf: (info: Info) => string;
  readonly #add: (infos: readonly Info[]) => void;
  readonly #remove: (id: string, now: boolean) => void;
  readonly #renew: (info: Info) => unknown;

  /**
   * @param remove `now`: not when the data that is under way has come, but at once
   * @param renew told of a pair that has not changed, unless it is by a fresh ticket for its relay
   */
  constructor(
    idOf: (info: Info) => string,
    add: (infos: readonly Info[]) => void,
    remove: (id: string, now: boolean) => void,
    renew: (info: Info) => unknown,
  ) {
    this.#idOf = idOf;
    this.#add = add;
    this.#remove = remove;
    this.#renew = renew;
  }

  /** The next notification is the answer to a registration, and lists all peers. `isOther`: by another server, so that they begin anew. */
  expectAnswer(isOther = false): void {
    this.answered = false;
    if (isOther) for (const id of this.#peers.keys()) this.#peers.set(id, '');
  }

  /** Takes a notification. */
  notify(infos: readonly Info[]): void {
    if (!this.answered) {
      this.answered = true;
      for (const id of this.#peers.keys()) this.#missing.add(id);
    }
    const fresh = infos.filter((info) => {
      const id = this.#idOf(info);
      let key = '';
      try {
        key = JSON.stringify(info, (name, value: unknown) => name === 'ticket' || value);
      } catch {
        // Nested too deep for the stack, by whoever registered it: it counts as new each time.
      }
      this.#missing.delete(id);
      if (key && this.#peers.get(id) === key) {
        this.#renew(info);
        return false;
      }
      this.#peers.set(id, key);
      return true;
    });
    if (fresh.length) this.#add(fresh);
  }

  removed(id: string, now = false): void {
    this.#missing.delete(id);
    if (this.#peers.delete(id)) this.#remove(id, now);
  }

  /** The server refuses the registration: what a former one led to ends with it. */
  refused(): void {
    for (const id of this.#peers.keys()) this.removed(id, true);
  }

  /** Removes the peers that have not come back. */
  expire(): void {
    for (const id of this.#missing) this.removed(id);
  }

  /** Forgets all peers, without a word: whoever calls this resets them too. */
  clear(): void {
    this.#peers.clear(); // and so none is removed that was missing
    this.answered = false;
  }
}
