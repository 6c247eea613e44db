/** A peer that the server has announced. */
interface Peer {
  /** What the server said about it, as JSON; empty if it counts as new when it is announced again. */
  key: string;
  /** Since when the server has not announced it any more, as `Date.now()`; undefined while it does. */
  missing?: number;
}

/**
 * The registration of one patron or brewer, and the peers that the server has matched it with.
 *
 * After a reconnect, the answer to the new registration is reconciled with the running pairs: those that are in it unchanged are
 * not touched, and those that are missing are kept until `expire`, since their peers may be reconnecting too.
 */
export class Registration<Info> {
  readonly #peers = new Map<string, Peer>();
  readonly #idOf: (info: Info) => string;
  readonly #add: (infos: readonly Info[]) => void;
  readonly #remove: (id: string, now?: boolean) => void;
  readonly #renew: (info: Info) => unknown;

  /**
   * @param remove `now`: at once, without waiting for data that is under way
   * @param renew called for a pair that is announced again and is unchanged, except perhaps for a new relay ticket
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

  /** The next notification answers a registration and so lists all peers. `isOther`: it comes from another server, so all pairs start anew. */
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
        // Nested too deeply for the stack (the peer decides that): it counts as new each time.
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

  /** The server refused the registration: pairs of an earlier registration end as well. */
  refused(): void {
    this.#peers.forEach((_peer, id) => this.removed(id, true));
  }

  /** Removes peers that have been missing for `ms` milliseconds or longer. */
  expire(ms: number): void {
    for (const [id, { missing }] of this.#peers) if (Date.now() - missing! >= ms) this.removed(id); // never true for a peer that is not missing
  }

  /** Forgets all peers without calling `remove`: the caller resets the target itself. */
  clear(): void {
    this.#peers.clear();
  }
}
