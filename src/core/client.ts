/// <reference lib="esnext.disposable" preserve="true" />
import { aborted, type AbortSignalLike, type Attempt, newAttempt } from './attempt.js';
import type { Brew, BrewHost } from './brew.js';
import { Brewer, type BrewerOptions } from './brewer.js';
import { defaultEngine } from './ciphers/default-engine.js';
import type { CryptoEngine } from './ciphers/engine.js';
import { type ClientEvents, type ClientOptions, type ClientState, readOptions, type Settings } from './client-options.js';
import { Drops } from './drops.js';
import { asPubkeeperError, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { after, cancel, defaultLogger, type Timer, wait } from './host.js';
import { brewerMember, type Member, patronMember } from './member.js';
import type { Packet } from './packet.js';
import { Patron, type PatronCallback, type PatronOptions } from './patron.js';
import { Registry } from './registry.js';
import { Session } from './session.js';

/** What `connect()` begins and `disconnect()` ends. */
interface Run {
  /** Made when the brews of a former run have closed. */
  session: Session | undefined;
  /** Not connected yet: a failure is what `connect()` rejects with, and is not tried again. */
  first: boolean;
  /** How many servers it has failed to reach until then. */
  failed: number;
  /** The server at which all is registered. */
  server?: string;
}

/** How long `disconnect()` waits for what was brewed to be accepted, in ms. */
const FLUSH_TIMEOUT = 1000;

/**
 * A client of a Pubkeeper server: registers patrons and brewers, and lets their data flow over the brews that it was
 * given. Comes back by itself when the server was lost; matched pairs go on meanwhile.
 */
export class PubkeeperClient {
  readonly #settings: Settings;
  readonly #events = new Events<ClientEvents>();
  readonly #drops = new Drops((drop) => void this.#events.emit('dropped', drop));
  readonly #brews: ReadonlyMap<string, Brew>;
  readonly #lent: { brew(name: string): Brew | undefined; readonly engine: CryptoEngine };
  readonly #registry: Registry;
  #state: ClientState = 'disconnected';
  #run: Run | undefined;
  #closed: Promise<void> = Promise.resolve();
  #attempt: Attempt | undefined;
  /** Authenticated: registrations can be sent. */
  #ready = false;
  #answers: Timer | undefined;
  #grace: Timer | undefined;
  /** Stops listening to the life of the page. */
  #unbind: (() => void) | undefined;
  /** What brews are lent; its server is the one that is used, or tried. */
  readonly #host: BrewHost & { server: string };
  #turn = 0;
  /** The page is just being put away: what ends now is not lost. */
  #resting = false;

  /** @throws {PubkeeperError} `OPTION_INVALID`, `BREW_DUPLICATE` or `BREW_IN_USE` */
  constructor(options: ClientOptions) {
    this.#settings = readOptions(options);
    const { servers, WebSocket, reconnect, logger, brews, engine = defaultEngine() } = this.#settings;
    const host = (this.#host = {
      server: servers[0]!,
      WebSocket,
      reconnect,
      logger,
      report: (error) => this.#report(error),
      dropped: (reason) => this.#drops.add(reason, undefined),
    } as BrewHost & { server: string });
    const send = (packet: Packet): void => {
      if (this.#ready) this.#run?.session?.send(packet);
    };
    const used = brews.find((brew) => brew.failover)?.failover!(host, brews, send) ?? brews;
    this.#brews = new Map(
      used.map((brew) => {
        brew.attach(host);
        return [brew.name, brew];
      }),
    );
    this.#registry = new Registry({
      send,
      report: host.report,
      answered: () => this.#settle(),
    });
    this.#lent = { brew: (name) => this.#brews.get(name), engine };
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
    const { promise } = (this.#attempt ??= newAttempt());
    if (!this.#run) this.#begin();
    if (!signal) return promise;
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        // What was begun by a connect() ends with it; a client that only has to come back goes on doing so.
        if (this.#run?.first) this.#end(aborted(signal));
        reject(aborted(signal));
      };
      signal.addEventListener('abort', abort);
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  /** Sends what was brewed (for up to a second; an `error` event, `BREW_FAILED`, tells that it was not enough), closes all connections, resets all patrons and brewers; they stay registered for the next `connect()`. Never rejects. */
  async disconnect(): Promise<void> {
    const leaving = this.#registry.flush();
    if (leaving) {
      let timer: Timer | undefined;
      const lost = (): void => this.#report(new PubkeeperError('BREW_FAILED', 'What was brewed last was not accepted within 1 s.'));
      await Promise.race([leaving, new Promise<void>((over) => (timer = wait(FLUSH_TIMEOUT, () => over(lost()))))]);
      cancel(timer);
    }
    this.#end(new PubkeeperError('CONNECTION_CLOSED', 'The client was disconnected.'));
    await this.#closed;
  }

  /** As {@link disconnect}: `await using client = new PubkeeperClient(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Registers a patron, now if connected, else at `connect()`. A topic makes a new one of the other arguments. When
   * `options.signal` is aborted the patron is removed; when it is already, the patron is not even added.
   * @throws {PubkeeperError} `PATTERN_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addPatron(
    patron: Patron | string,
    callback?: PatronCallback,
    options?: PatronOptions & { readonly signal?: AbortSignalLike },
  ): Patron {
    const target = patron instanceof Patron ? patron : new Patron(patron, callback, options);
    const { patronId } = target;
    const signal = options?.signal;
    if (signal?.aborted) return target;
    this.#assertNew('patron', patronId);
    const leave = (): void => this.removePatron(target);
    target._lend(this.#lent, leave);
    signal?.addEventListener('abort', leave);
    const undo = [
      () => signal?.removeEventListener('abort', leave),
      target.on('error', (error) => this.#report(error)),
      target.on('dropped', (drop) => void this.#events.emit('dropped', { ...drop, patronId })),
      target.on('added', (pair) => void this.#events.emit('matched', { ...pair, patronId })),
    ];
    this.#add('patron' + patronId, patronMember(target, this.#brews, undo));
    return target;
  }

  /** Takes a patron back: unregisters and resets it. Does nothing for one that was not added. */
  removePatron(patron: Patron): void {
    this.#registry.remove('patron' + patron.patronId, patron);
  }

  /**
   * Registers a brewer, now if connected, else at `connect()`. A topic makes a new one of the other argument.
   * @throws {PubkeeperError} `TOPIC_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addBrewer(brewer: Brewer | string, options?: BrewerOptions): Brewer {
    const target = brewer instanceof Brewer ? brewer : new Brewer(brewer, options);
    const { brewerId } = target;
    this.#assertNew('brewer', brewerId);
    target._lend(this.#lent, () => this.removeBrewer(target));
    const undo = [
      target.on('error', (error) => this.#report(error)),
      target.on('added', (pair) => void this.#events.emit('matched', { ...pair, brewerId })),
    ];
    this.#add('brewer' + brewerId, brewerMember(target, this.#brews, undo));
    return target;
  }

  /** Takes a brewer back: unregisters and resets it. Does nothing for one that was not added. */
  removeBrewer(brewer: Brewer): void {
    this.#registry.remove('brewer' + brewer.brewerId, brewer);
  }

  #assertNew(kind: string, id: string): void {
    if (!this.#registry.has(kind + id)) return;
    throw new PubkeeperError('REGISTERED_TWICE', `The ${kind} ${id} is registered with this client already.`, { id });
  }

  #add(key: string, member: Member): void {
    this.#registry.add(key, member);
    if (!this.#run) return;
    member.target.configure();
    if (this.#ready) this.#registry.register(key, member);
  }

  #begin(): void {
    const { lifecycle } = this.#settings;
    const run: Run = (this.#run = { session: undefined, first: true, failed: 0 });
    this.#setState('connecting');
    if (this.#run !== run) return; // a listener has disconnected; likewise below
    this.#registry.configure();
    this.#unbind = lifecycle?.(
      () => {
        this.#run?.session?.wake();
        this.#wakeBrews();
      },
      () => {
        this.#resting = true;
        this.#run?.session?.rest();
        for (const brew of this.#brews.values()) brew.rest?.();
        this.#resting = false;
      },
    );
    // The brews of a former session may still be closing.
    void this.#closed.then(() => {
      if (this.#run === run) this.#open(run);
    });
  }

  #open(run: Run): void {
    const { token, WebSocket, reconnect, connectTimeoutMs } = this.#settings;
    let closed: (() => void) | undefined;
    this.#closed = new Promise((resolve) => (closed = resolve));
    run.session = new Session({
      place: this.#host,
      token,
      WebSocket,
      reconnect,
      timeoutMs: connectTimeoutMs,
      brews: [...this.#brews.keys()],
      onReady: () => this.#registerAll(),
      onPacket: (packet) => this.#registry.received(packet),
      onError: (error) => this.#report(error),
      onDown: (error) => this.#down(error),
      onClose: (error) => {
        if (this.#run === run) this.#end(error);
        // The brews close after the control connection, so that what was brewed last still leaves.
        void Promise.all([...this.#brews.values()].map((brew) => brew.close()))
          .catch((cause: unknown) => this.#report(asPubkeeperError(cause, 'BREW_FAILED', 'A brew failed to close.')))
          .then(closed);
      },
    });
  }

  /** The connection was lost, and is tried again: matched pairs go on for `graceMs`. */
  #down(error: PubkeeperError): void {
    this.#ready = false;
    cancel(this.#answers);
    const { silentMs } = error.details;
    if (silentMs) this.#wakeBrews(silentMs as number);
    const { retryFirst, servers } = this.#settings;
    if (!this.#resting) this.#host.server = servers[++this.#turn % servers.length]!;
    if (this.#run?.first && !this.#resting) return retryFirst || ++this.#run.failed < servers.length ? this.#report(error) : this.#end(error);
    if (this.#state !== 'connected') return;
    const run = this.#run;
    this.#setState('reconnecting');
    if (!this.#resting) this.#report(error);
    if (this.#run !== run) return;
    cancel(this.#grace);
    this.#grace = after(this.#settings.reconnect.graceMs, () => {
      this.#setState('disconnected');
      if (this.#run === run) this.#reset();
      if (this.#run !== run) return;
      this.#registry.configure();
      this.#setState('connecting');
    });
  }

  /** Back to `disconnected`: by `disconnect()`, by a refused token, by a first attempt that failed. */
  #end(error: PubkeeperError): void {
    const run = this.#run;
    if (!run) return;
    this.#run = undefined;
    this.#ready = false;
    this.#unbind?.();
    cancel(this.#answers);
    cancel(this.#grace);
    run.session?.close();
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#setState('disconnected');
    this.#reset();
    if (attempt) attempt.reject(error);
    else if (error.code !== 'CONNECTION_CLOSED') this.#report(error);
  }

  #wakeBrews(silentMs?: number): void {
    for (const brew of this.#brews.values()) brew.wake?.(silentMs);
  }

  #reset(): void {
    this.#registry.reset();
    this.#drops.flush();
  }

  #registerAll(): void {
    this.#ready = true;
    const run = this.#run!;
    const { connectTimeoutMs: ms } = this.#settings;
    this.#answers = after(ms, () => {
      const topics = this.#registry.unanswered;
      const message = `The server did not answer the registration of ${topics.join(', ')} within ${ms} ms.`;
      this.#run?.session?.abandon(new PubkeeperError('TIMEOUT', message, { topics }));
    });
    this.#registry.registerAll(run.server !== (run.server = this.#host.server));
  }

  /** Connected, once every registration was answered. */
  #settle(): void {
    if (!this.#ready || this.#state === 'connected') return;
    cancel(this.#answers);
    cancel(this.#grace);
    const run = this.#run!;
    run.first = false;
    this.#setState('connected');
    if (this.#run !== run) return;
    this.#attempt?.resolve();
    this.#attempt = undefined;
    // Peers that the server did not name may be on their way back too.
    this.#grace = after(this.#settings.reconnect.graceMs, () => this.#registry.expire());
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
