/// <reference lib="esnext.disposable" preserve="true" />
import type { Brew, BrewHost } from './brew.js';
import { Brewer, type BrewerOptions } from './brewer.js';
import { defaultEngine } from './ciphers/default-engine.js';
import type { CryptoEngine } from './ciphers/engine.js';
import { type ClientEvents, type ClientOptions, type ClientState, readOptions, type Settings } from './client-options.js';
import { Drops } from './drops.js';
import { asPubkeeperError, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { after, cancel, defaultLogger, type Timer } from './host.js';
import type { BrewerInfo, Packet, PatronInfo } from './packet.js';
import { PacketType } from './packet.js';
import { Patron, type PatronCallback, type PatronOptions } from './patron.js';
import { Registration } from './registration.js';
import { serverError, Session } from './session.js';

/** A patron or brewer of this client, and how to register it. */
interface Member {
  readonly target: Patron | Brewer;
  readonly registration: Registration<never>;
  readonly undo: readonly (() => void)[];
  register(): Promise<Packet>;
}

/** A `connect()` that somebody waits for. */
interface Attempt {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: PubkeeperError): void;
}

/**
 * A client of a Pubkeeper server: registers patrons and brewers, and lets their data flow over the brews that it was
 * given. Comes back by itself when the server was lost; matched pairs go on meanwhile.
 */
export class PubkeeperClient {
  readonly #settings: Settings;
  readonly #events = new Events<ClientEvents>();
  readonly #drops = new Drops((drop) => void this.#events.emit('dropped', drop));
  readonly #brews: ReadonlyMap<string, Brew>;
  readonly #engine: CryptoEngine;
  readonly #patrons = new Map<string, Member>();
  readonly #brewers = new Map<string, Member>();
  #state: ClientState = 'disconnected';
  #session: Session | undefined;
  #closed: Promise<void> | undefined;
  #attempt: Attempt | undefined;
  #ready = false;
  #answers: Timer | undefined;
  #grace: Timer | undefined;
  #asleep: (() => void) | undefined;

  /** @throws {PubkeeperError} `OPTION_INVALID`, `BREW_DUPLICATE` or `BREW_IN_USE` */
  constructor(options: ClientOptions) {
    this.#settings = readOptions(options);
    const { server, WebSocket, reconnect, logger, brews, engine } = this.#settings;
    this.#engine = engine ?? defaultEngine();
    const host: BrewHost = {
      server,
      WebSocket,
      reconnect,
      logger,
      report: (error) => this.#report(error),
      dropped: (reason) => this.#drops.add(reason, undefined),
    };
    for (const brew of brews) brew.attach(host);
    this.#brews = new Map(brews.map((brew) => [brew.name, brew]));
  }

  /** `'disconnected' | 'connecting' | 'connected' | 'reconnecting'` */
  get state(): ClientState {
    return this.#state;
  }

  /** Calls `listener` at each event of that name (see {@link ClientEvents}); returns what undoes it. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Connects; resolves when the server has accepted the token and answered every registration. While it is connecting
   * or reconnecting, waits for that; when it is connected, resolves at once.
   *
   * Rejects with {@link PubkeeperError} `CONNECT_FAILED`, `CONNECT_BLOCKED`, `SUBPROTOCOL_REFUSED`, `UNAUTHORIZED`,
   * `TIMEOUT`, `CONNECTION_CLOSED` (by `disconnect()`) or `ABORTED` (by `signal`), and is disconnected then.
   */
  connect({ signal }: { readonly signal?: AbortSignalLike } = {}): Promise<void> {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    if (this.#state === 'connected') return Promise.resolve();
    const attempt = (this.#attempt ??= newAttempt());
    if (this.#state === 'disconnected') this.#begin();
    if (!signal) return attempt.promise;
    const abort = (): void => this.#end(aborted(signal));
    signal.addEventListener('abort', abort);
    const done = (): void => signal.removeEventListener('abort', abort);
    attempt.promise.then(done, done);
    return attempt.promise;
  }

  /** Closes all connections, resets all patrons and brewers; they stay registered for the next `connect()`. Never rejects. */
  async disconnect(): Promise<void> {
    this.#end(new PubkeeperError('CONNECTION_CLOSED', 'The client was disconnected.'));
    await this.#closed;
  }

  /** As {@link disconnect}: `await using client = new PubkeeperClient(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Registers a patron, now if connected, else at `connect()`. A topic makes a new one of the other arguments.
   * @throws {PubkeeperError} `PATTERN_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addPatron(patron: Patron | string, callback?: PatronCallback, options?: PatronOptions): Patron {
    const target = patron instanceof Patron ? patron : new Patron(patron, callback, options);
    const { patronId, topic } = target;
    assertNew(this.#patrons, patronId);
    target._lend({ brew: (name) => this.#brews.get(name), engine: this.#engine });
    const registration = new Registration<BrewerInfo>(
      (info) => info.brewer_id,
      (infos) => target.newBrewers(infos),
      (id) => target.removeBrewer(id),
    );
    this.#add(this.#patrons, patronId, {
      target,
      registration: registration as Registration<never>,
      undo: [
        target.on('error', (error) => this.#report(error)),
        target.on('dropped', (drop) => void this.#events.emit('dropped', { ...drop, patronId })),
        target.on('added', (pair) => void this.#events.emit('matched', { ...pair, patronId })),
      ],
      register: () => {
        const brews = [...this.#brews.values()].flatMap((brew) => brew.patronDetails({ topic, patronId }) ?? []);
        return Promise.resolve({ type: PacketType.PATRON_REGISTER, payload: { topic, patron_id: patronId, brews } });
      },
    });
    return target;
  }

  /** Takes a patron back: unregisters and resets it. Does nothing for one that was not added. */
  removePatron(patron: Patron): void {
    const { topic, patronId } = patron;
    if (this.#remove(this.#patrons, patronId, patron)) {
      this.#send({ type: PacketType.PATRON_UNREGISTER, payload: { topic, patron_id: patronId } });
    }
  }

  /**
   * Registers a brewer, now if connected, else at `connect()`. A topic makes a new one of the other argument.
   * @throws {PubkeeperError} `TOPIC_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addBrewer(brewer: Brewer | string, options?: BrewerOptions): Brewer {
    const target = brewer instanceof Brewer ? brewer : new Brewer(brewer, options);
    const { brewerId, topic } = target;
    assertNew(this.#brewers, brewerId);
    target._lend({ brew: (name) => this.#brews.get(name), engine: this.#engine });
    const registration = new Registration<PatronInfo>(
      (info) => info.patron_id,
      (infos) => target.newPatrons(infos),
      (id) => target.removePatron(id),
    );
    this.#add(this.#brewers, brewerId, {
      target,
      registration: registration as Registration<never>,
      undo: [
        target.on('error', (error) => this.#report(error)),
        target.on('added', (pair) => void this.#events.emit('matched', { ...pair, brewerId })),
      ],
      register: async () => {
        const all = [...this.#brews.values()].map((brew) => brew.brewerDetails({ topic, brewerId }));
        const brews = (await Promise.all(all)).filter((details) => details !== undefined);
        const payload = { topic, brewer_id: brewerId, brewer_config: target.getConfig(), brews };
        return { type: PacketType.BREWER_REGISTER, payload };
      },
    });
    return target;
  }

  /** Takes a brewer back: unregisters and resets it. Does nothing for one that was not added. */
  removeBrewer(brewer: Brewer): void {
    const { topic, brewerId } = brewer;
    if (this.#remove(this.#brewers, brewerId, brewer)) {
      this.#send({ type: PacketType.BREWER_UNREGISTER, payload: { topic, brewer_id: brewerId } });
    }
  }

  #add(members: Map<string, Member>, id: string, member: Member): void {
    members.set(id, member);
    if (this.#state === 'disconnected') return;
    member.target.configure();
    if (this.#ready) this.#register(member);
  }

  #remove(members: Map<string, Member>, id: string, target: Patron | Brewer): boolean {
    const member = members.get(id);
    if (member?.target !== target) return false;
    members.delete(id);
    member.registration.clear();
    target.reset();
    target._lend(undefined);
    for (const undo of member.undo) undo();
    this.#settle();
    return true;
  }

  get #members(): Member[] {
    return [...this.#patrons.values(), ...this.#brewers.values()];
  }

  #begin(): void {
    const { server, token, WebSocket, reconnect, connectTimeoutMs, lifecycle } = this.#settings;
    this.#setState('connecting');
    for (const { target } of this.#members) target.configure();
    this.#asleep = lifecycle?.(() => {
      this.#session?.wake();
      for (const brew of this.#brews.values()) brew.wake?.();
    });
    let closed: (() => void) | undefined;
    this.#closed = new Promise((resolve) => (closed = resolve));
    const session: Session = new Session({
      server,
      token,
      WebSocket,
      reconnect,
      timeoutMs: connectTimeoutMs,
      brews: [...this.#brews.keys()],
      onReady: () => this.#registerAll(),
      onPacket: (packet) => this.#received(packet),
      onError: (error) => this.#report(error),
      onDown: (error) => {
        if (this.#session === session) this.#down(error);
      },
      onClose: (error) => {
        if (this.#session === session) this.#end(error);
        // The brews close after the control connection, so that what was brewed last still leaves.
        void Promise.all([...this.#brews.values()].map((brew) => brew.close()))
          .catch((cause: unknown) => this.#report(asPubkeeperError(cause, 'BREW_FAILED', 'A brew failed to close.')))
          .then(closed);
      },
    });
    this.#session = session;
  }

  /** The connection was lost, and is tried again: matched pairs go on for `graceMs`. */
  #down(error: PubkeeperError): void {
    this.#ready = false;
    cancel(this.#answers);
    // Nobody has to be told twice: the first attempt tells through connect().
    if (this.#attempt && this.#state === 'connecting') return this.#end(error);
    if (this.#state !== 'connected') return;
    this.#settings.logger?.debug?.(error.message);
    this.#setState('reconnecting');
    this.#grace = after(this.#settings.reconnect.graceMs, () => {
      this.#setState('disconnected');
      this.#reset();
      for (const { target } of this.#members) target.configure();
      this.#setState('connecting');
    });
  }

  /** Back to `disconnected`: by `disconnect()`, by a refused token, by a first attempt that failed. */
  #end(error: PubkeeperError): void {
    const session = this.#session;
    if (!session) return;
    const asked = error.code === 'CONNECTION_CLOSED' || error.code === 'ABORTED';
    this.#session = undefined;
    this.#ready = false;
    this.#asleep?.();
    cancel(this.#answers);
    cancel(this.#grace);
    session.close();
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#setState('disconnected');
    this.#reset();
    if (attempt) attempt.reject(error);
    else if (!asked) this.#report(error);
  }

  #reset(): void {
    for (const { target, registration } of this.#members) {
      registration.clear();
      target.reset();
    }
  }

  #registerAll(): void {
    this.#ready = true;
    const { connectTimeoutMs: ms } = this.#settings;
    this.#answers = after(ms, () => this.#unanswered(ms));
    for (const member of this.#members) this.#register(member);
    this.#settle();
  }

  #register(member: Member): void {
    const session = this.#session;
    member.registration.expectAnswer();
    member
      .register()
      .then((packet) => {
        // Removed, or another session has begun, while a brew got ready.
        if (this.#session === session && this.#members.includes(member)) this.#send(packet);
      })
      .catch((cause: unknown) => {
        this.#report(asPubkeeperError(cause, 'BREW_FAILED', `${member.target.topic} cannot be registered.`));
        this.#answer(member);
      });
  }

  #send(packet: Packet): void {
    if (this.#ready) this.#session?.send(packet);
  }

  #received(packet: Packet): void {
    const { type, payload } = packet;
    const patron = 'patron_id' in payload ? this.#patrons.get(payload.patron_id) : undefined;
    const brewer = 'brewer_id' in payload ? this.#brewers.get(payload.brewer_id) : undefined;
    // A notification for one that was just removed has crossed our word of it: nothing is wrong.
    if (type === PacketType.BREWER_NOTIFY) (patron?.registration as Registration<BrewerInfo> | undefined)?.notify(payload.brewers);
    else if (type === PacketType.PATRON_NOTIFY) (brewer?.registration as Registration<PatronInfo> | undefined)?.notify(payload.patrons);
    else if (type === PacketType.BREWER_REMOVED) patron?.registration.removed(payload.brewer_id);
    else if (type === PacketType.PATRON_REMOVED) brewer?.registration.removed(payload.patron_id);
    else if (type === PacketType.ERROR) {
      const error = serverError(payload);
      this.#report(error);
      const refused = this.#patrons.get(String(error.details.patron_id)) ?? this.#brewers.get(String(error.details.brewer_id));
      if (refused) return this.#answer(refused);
    }
    this.#settle();
  }

  /** Counts a registration as answered although no notification came. */
  #answer(member: Member): void {
    member.registration.answered = true;
    this.#settle();
  }

  /** Connected, once every registration was answered. */
  #settle(): void {
    if (!this.#ready || this.#state === 'connected' || !this.#members.every(({ registration }) => registration.answered)) return;
    cancel(this.#answers);
    cancel(this.#grace);
    this.#setState('connected');
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.resolve();
    // Peers that the server did not name may be on their way back too.
    this.#grace = after(this.#settings.reconnect.graceMs, () => {
      for (const { registration } of this.#members) registration.expire();
    });
  }

  #unanswered(ms: number): void {
    const missing = this.#members.filter(({ registration }) => !registration.answered).map(({ target }) => target.topic);
    this.#session?.abandon(
      new PubkeeperError('TIMEOUT', `The server did not answer the registration of ${missing.join(', ')} within ${ms} ms.`, {
        topics: missing,
      }),
    );
  }

  #setState(state: ClientState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.emit('state', state);
  }

  #report(error: PubkeeperError): void {
    if (!this.#events.emit('error', error)) (this.#settings.logger ?? defaultLogger()).error(error);
  }
}

/** What `connect` needs of an `AbortSignal`. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

function newAttempt(): Attempt {
  let resolve!: () => void;
  let reject!: (error: PubkeeperError) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => undefined); // whoever called connect() is told; nobody else must be
  return { promise, resolve, reject };
}

const aborted = ({ reason }: AbortSignalLike): PubkeeperError =>
  new PubkeeperError('ABORTED', 'connect() was aborted by its signal.', {}, reason);

function assertNew(members: ReadonlyMap<string, unknown>, id: string): void {
  if (!members.has(id)) return;
  throw new PubkeeperError('REGISTERED_TWICE', `${id} is registered with this client already: remove it first.`, { id });
}
