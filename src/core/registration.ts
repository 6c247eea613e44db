/** A peer that the server has named. */
interface Peer {
  /** What it has said of it; empty for one that counts as new when it is named again. */
  key: string;
  /** Since when the server has not named it, as `Date.now()`; undefined where it does. */
  missing?: number;
}

/**
 * One patron or brewer as it is registered with the server, and the peers that the server matched it with.
 *
 * After a reconnect the answer to the registration is reconciled with what runs: pairs that are in it and have not
 * changed are not touched; pairs that are missing are kept until `expire`, since their peers may only be on their way back.
 */
export class Registration<Info> {
  readonly #peers = new Map<string, Peer>();
  readonly #idOf: (info: Info) => string;
  readonly #add: (infos: readonly Info[]) => void;
  readonly #remove: (id: string, now?: boolean) => void;
  readonly #renew: (info: Info) => unknown;

  /**
   * @param remove `now`: not when the data that is under way has come, but at once
   * @param renew told of a pair that is named again, and has not changed but for a fresh ticket for its relay
   */
  constructor(
    idOf: (info: Info) => string,
    add: (infos: readonly Info[]) => void,
    remove: (id: string, now?: boolean) => void,
    renew: (info: Info) => unknown,
  ) {
    this.#idOf = idOf;
    this.#add = add;
    this.#remove = remove;
    this.#renew = renew;
  }

  /** The next notification is the answer to a registration, and lists all peers. `isOther`: by another server, so that they begin anew. */
  expectAnswer(isOther?: boolean): void {
    this.#peers.forEach((peer) => {
      peer.missing ??= Date.now();
      if (isOther) peer.key = '';
    });
  }

  /** Takes a notification. */
  notify(infos: readonly Info[]): void {
    const fresh = infos.filter((info) => {
      const id = this.#idOf(info);
      let key = '';
      try {
        key = JSON.stringify(info, (name, value: unknown) => name === 'ticket' || value);
      } catch {
        // Nested too deep for the stack, by whoever registered it: it counts as new each time.
      }
      const isSame = key && this.#peers.get(id)?.key === key;
      this.#peers.set(id, { key });
      if (isSame) this.#renew(info);
      return !isSame;
    });
    if (fresh.length) this.#add(fresh);
  }

  removed(id: string, now?: boolean): void {
    if (this.#peers.delete(id)) this.#remove(id, now);
  }

  /** The server refuses the registration: what a former one led to ends with it. */
  refused(): void {
    this.#peers.forEach((_peer, id) => this.removed(id, true));
  }

  /** Removes the peers that have not come back for so long, in ms. */
  expire(ms: number): void {
    for (const [id, { missing }] of this.#peers) if (Date.now() - missing! >= ms) this.removed(id); // never of one that is here
  }

  /** Forgets all peers, without a word: whoever calls this resets them too. */
  clear(): void {
    this.#peers.clear();
  }
}
