import type { Brewer } from './brewer.js';
import { asPubkeeperError, type PubkeeperError } from './errors.js';
import { readId } from './id.js';
import type { Member } from './member.js';
import { type Packet, PacketType } from './packet.js';
import type { Patron } from './patron.js';
import { serverError } from './session.js';

/** Whom a registry tells. */
export interface RegistryOwner {
  /** Authenticated: registrations can be sent. */
  readonly isReady: boolean;
  /** Sends a packet if the server is there to get it. */
  send(packet: Packet): void;
  report(error: PubkeeperError): void;
  /** The last answer that was waited for has come. */
  answered(): void;
}

/** The patrons and brewers of a client: who is registered, and whose registration the server has not answered yet. */
export class Registry {
  readonly #owner: RegistryOwner;
  readonly #members = new Map<string, Member>();
  readonly #awaited = new Set<Member>();
  /** Whose registration has been sent over this connection. Each connection has a set of its own: so what was begun for a former one is told apart. */
  #sent = new Set<Member>();
  /** Brewers that were removed, and what they brewed before has not left yet. */
  readonly #parting = new Set<Promise<void> | undefined>();

  constructor(owner: RegistryOwner) {
    this.#owner = owner;
  }

  /** `key`: `patron` or `brewer` and the id. */
  has(key: string): boolean {
    return this.#members.has(key);
  }

  /** Registers it now, if that is possible. */
  add(key: string, member: Member): void {
    this.#members.set(key, member);
    if (this.#owner.isReady) this.#register(key, member);
  }

  /** Takes a member back and unregisters it; does nothing for a target that was not added. */
  remove(key: string, target: Patron | Brewer): void {
    const member = this.#members.get(key);
    if (!member || member.target !== target) return;
    this.#members.delete(key);
    const left = target._release();
    const end = (): void => {
      this.#parting.delete(left);
      member.undo.forEach((run) => run());
    };
    if (left) {
      this.#parting.add(left);
      void left.then(end);
    } else end();
    if (this.#sent.delete(member)) this.#owner.send(member.unregister);
    this.#answered(member);
  }

  /** Makes all ready for a new session: with fresh keys. */
  configure(): void {
    this.#members.forEach(({ target }) => target.configure());
  }

  reset(): void {
    this.#members.forEach(({ target, registration }) => {
      registration.clear();
      target.reset();
    });
  }

  /** Sends what brewers hold; resolves when it is accepted. Nothing when it is. */
  flush(): Promise<unknown> | undefined {
    const waiting = [...this.#parting, ...[...this.#members.values()].flatMap(({ target }) => ('_flush' in target && target._flush()) || [])];
    return waiting.length ? Promise.all(waiting) : undefined;
  }

  /** Gives up on the peers that have not come back for so long, in ms. */
  expire(ms: number): void {
    this.#members.forEach(({ registration }) => registration.expire(ms));
  }

  /** The connection is new: registers all. `isOther`: it leads to another server than the one before, whose relay is another one too. */
  registerAll(isOther: boolean): void {
    this.#awaited.clear();
    this.#sent = new Set();
    for (const [key, member] of this.#members) this.#register(key, member, isOther);
    if (!this.#awaited.size) this.#owner.answered();
  }

  #register(key: string, member: Member, isOther?: boolean): void {
    const sent = this.#sent;
    this.#awaited.add(member);
    member.registration.expectAnswer(isOther);
    member
      .register()
      .then((packet) => {
        // It may have been removed, or the session may have ended, while a brew got ready.
        if (this.#sent !== sent || this.#members.get(key) !== member) return;
        sent.add(member);
        this.#owner.send(packet);
      })
      .catch((cause: unknown) => {
        if (this.#sent !== sent) return;
        this.#owner.report(asPubkeeperError(cause, 'BREW_FAILED', `${member.target.topic} cannot be registered.`));
        this.#answered(member);
      });
  }

  /** The topics whose registration the server has not answered. */
  get unanswered(): readonly string[] {
    return [...this.#awaited].map(({ target }) => target.topic);
  }

  received(packet: Packet): void {
    const { type, payload } = packet;
    if (type === PacketType.ERROR) {
      const error = serverError(payload);
      const { patron_id, brewer_id } = error.details;
      this.#owner.report(error);
      // A refusal is an answer too, where the server says whom it refused.
      const member = this.#members.get(`patron${readId(patron_id)}`) ?? this.#members.get(`brewer${readId(brewer_id)}`);
      if (member && this.#awaited.has(member)) member.registration.refused();
      this.#answered(member);
    }
    if (type === PacketType.BREWER_NOTIFY) this.#notify('patron' + payload.patron_id, payload.brewers);
    if (type === PacketType.PATRON_NOTIFY) this.#notify('brewer' + payload.brewer_id, payload.patrons);
    if (type === PacketType.BREWER_REMOVED) this.#members.get('patron' + payload.patron_id)?.registration.removed(payload.brewer_id);
    if (type === PacketType.PATRON_REMOVED) this.#members.get('brewer' + payload.brewer_id)?.registration.removed(payload.patron_id);
  }

  /**
   * One for a member that was just removed has crossed our word of it: nothing is wrong. Where that was added again at once, it is not for the
   * one that has still to be registered: its brews may not be ready, and the answer, which says the same, would not start them any more.
   */
  #notify(key: string, infos: readonly unknown[]): void {
    const member = this.#members.get(key)!;
    if (!this.#sent.has(member)) return;
    member.registration.notify(infos as readonly never[]);
    this.#answered(member);
  }

  #answered(member: Member | undefined): void {
    if (this.#awaited.delete(member!) && !this.#awaited.size) this.#owner.answered();
  }
}
