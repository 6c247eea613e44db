import type { Brewer } from './brewer.js';
import { asPubkeeperError, type PubkeeperError } from './errors.js';
import { readId } from './id.js';
import type { Member } from './member.js';
import { type Packet, PacketType } from './packet.js';
import type { Patron } from './patron.js';
import { serverError } from './session.js';

/** What a registry needs of its owner. */
export interface RegistryOwner {
  /** Authenticated: registrations can be sent. */
  readonly isReady: boolean;
  /** Sends a packet if the client is connected. */
  send(packet: Packet): void;
  report(error: PubkeeperError): void;
  /** Called when the last outstanding registration has been answered. */
  answered(): void;
}

/** The patrons and brewers of a client, and which of their registrations the server has not answered yet. */
export class Registry {
  readonly #owner: RegistryOwner;
  readonly #members = new Map<string, Member>();
  readonly #awaited = new Set<Member>();
  /** The members whose registration has been sent over this connection. Each connection has its own set, by which steps that a former one began are recognised. */
  #sent = new Set<Member>();
  /** Of removed brewers: settles when their last messages have been sent. */
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

  /** Prepares all members for a new session, with fresh keys. */
  configure(): void {
    this.#members.forEach(({ target }) => target.configure());
  }

  reset(): void {
    this.#members.forEach(({ target, registration }) => {
      registration.clear();
      target.reset();
    });
  }

  /** Sends what brewers hold. Resolves when everything has been accepted; undefined when nothing waits. */
  flush(): Promise<unknown> | undefined {
    const waiting = [...this.#parting, ...[...this.#members.values()].flatMap(({ target }) => ('_flush' in target && target._flush()) || [])];
    return waiting.length ? Promise.all(waiting) : undefined;
  }

  /** Gives up on peers that have been missing for `ms` milliseconds. */
  expire(ms: number): void {
    this.#members.forEach(({ registration }) => registration.expire(ms));
  }

  /** Registers all members over a new connection. `isOther`: it leads to another server than before, which has another relay. */
  registerAll(isOther: boolean): void {
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
      // A refusal counts as an answer if the server says which registration it refused.
      const member = this.#members.get(`patron${readId(patron_id)}`) ?? this.#members.get(`brewer${readId(brewer_id)}`);
      if (this.#awaited.has(member!)) member!.registration.refused();
      this.#answered(member);
    }
    if (type === PacketType.BREWER_NOTIFY) this.#notify('patron' + payload.patron_id, payload.brewers);
    if (type === PacketType.PATRON_NOTIFY) this.#notify('brewer' + payload.brewer_id, payload.patrons);
    if (type === PacketType.BREWER_REMOVED) this.#members.get('patron' + payload.patron_id)?.registration.removed(payload.brewer_id);
    if (type === PacketType.PATRON_REMOVED) this.#members.get('brewer' + payload.brewer_id)?.registration.removed(payload.patron_id);
  }

  /**
   * The server may have sent this before it received our unregistration, so a notification for an unknown member is not an error. And if the
   * member was added again at once, ignore it until the new registration has been sent: its brews may not be ready, and the answer to the new
   * registration, which says the same, would then not start them.
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
