/// <reference lib="esnext.disposable" preserve="true" />
import { type AbortSignalLike, signalFault } from './attempt.js';
import type { Brew } from './brew.js';
import { Brewer, type BrewerOptions } from './brewer.js';
import { defaultEngine } from './ciphers/default-engine.js';
import type { CryptoEngine } from './ciphers/engine.js';
import { type ClientEvents, type ClientOptions, type ClientState, readOptions, type Settings } from './client-options.js';
import { Drops } from './drops.js';
import { asPubkeeperError, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { Lifecycle, type Place } from './lifecycle.js';
import { brewerMember, type Member, patronMember } from './member.js';
import { Patron, type PatronCallback, type PatronOptions } from './patron.js';

/** The options of what is made of a topic; a patron or a brewer that is there already takes none. */
type OptionsOf<Given, Options> = Given extends string ? Options : { readonly [Name in keyof Options]?: undefined };

/**
 * A client of a Pubkeeper server: registers patrons and brewers, and lets their data flow over the brews that it was
 * given. Comes back by itself when the server was lost; matched pairs go on meanwhile.
 */
export class PubkeeperClient {
  readonly #settings: Settings;
  readonly #events = new Events<ClientEvents>();
  readonly #drops = new Drops((drop) => this.#events.emit('dropped', drop));
  readonly #lent: { brew(name: string): Brew | undefined; readonly engine: CryptoEngine };
  readonly #life: Lifecycle;

  /** @throws {PubkeeperError} `OPTION_INVALID`, `BREW_DUPLICATE` or `BREW_IN_USE` */
  constructor(options: ClientOptions) {
    this.#settings = readOptions(options);
    const { servers, WebSocket, reconnect, logger, engine = defaultEngine() } = this.#settings;
    const place: Place = {
      server: servers[0]!,
      losses: 0,
      WebSocket,
      reconnect,
      logger,
      report: (error) => this.#report(error),
      dropped: (reason) => this.#drops.add(reason, undefined),
    };
    this.#life = new Lifecycle(this.#settings, place, {
      state: (state) => this.#events.emit('state', state),
      reset: () => this.#drops.flush(),
    });
    this.#lent = { brew: (name) => this.#life.brews.get(name), engine };
  }

  /** What the client is at present; see {@link ClientState}. */
  get state(): ClientState {
    return this.#life.state;
  }

  /** Calls `listener` at each event of that name (see {@link ClientEvents}); returns what undoes it. @throws {PubkeeperError} `OPTION_INVALID` when it is no function */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Connects; resolves when the server has accepted the token and answered every registration. While it is connecting
   * or reconnecting, waits for that; when it is connected, resolves at once.
   *
   * Rejects with {@link PubkeeperError} `CONNECT_FAILED`, `CONNECT_BLOCKED`, `SUBPROTOCOL_REFUSED`, `UNAUTHORIZED`,
   * `TOKEN_FAILED`, `TIMEOUT`, `CONNECTION_LOST`, what the server says before it closes (`SERVER_ERROR`, …), `CONNECTION_CLOSED`
   * (by `disconnect()`) or `OPTION_INVALID` (a cipher or `lifecycle` threw), and is disconnected then; or with `ABORTED` (by `signal`),
   * and is disconnected unless it was connected before or another `connect()` waits. Where `signal` is aborted already or is no signal,
   * rejects with `ABORTED` or `OPTION_INVALID`, and does nothing.
   */
  connect(options?: { readonly signal?: AbortSignalLike | undefined } | null): Promise<void> {
    return this.#life.connect(options?.signal);
  }

  /**
   * Sends what was brewed (for up to a second; an `error` event, `BREW_FAILED`, tells that it was not enough), closes all connections,
   * resets all patrons and brewers; they stay registered for the next `connect()`. Never rejects.
   */
  disconnect(): Promise<void> {
    return this.#life.disconnect();
  }

  /** As {@link disconnect}: `await using client = new PubkeeperClient(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Registers a patron, now if connected, else at `connect()`. A topic makes a new one of the other arguments; a patron has its callback
   * and options already, and only `options.signal` counts. When that is aborted the patron is removed; when it is already, the patron
   * is not even added.
   * @throws {PubkeeperError} `PATTERN_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addPatron<Given extends Patron | string>(
    patron: Given,
    callback?: Given extends string ? PatronCallback : undefined,
    options?: (OptionsOf<Given, PatronOptions> & { readonly signal?: AbortSignalLike | undefined }) | null,
  ): Patron {
    // Not `instanceof`: a page may hold this package twice, as a script's and as an application's own.
    const target = (patron as Patron | null)?._retire ? (patron as Patron) : new Patron(patron as string, callback, options);
    if (callback && target === patron) throw new PubkeeperError('OPTION_INVALID', 'Give the callback to new Patron().');
    const { patronId } = target;
    const signal = options?.signal;
    const fault = signalFault(signal);
    if (fault) throw fault;
    if (signal?.aborted) {
      // Removed at once, so that a loop over it ends; unless it is somebody's.
      if (target._lend(this.#lent)) target._release();
      return target;
    }
    const leave = (): void => this.removePatron(target);
    this.#lend('patron', patronId, target, leave);
    signal?.addEventListener('abort', leave);
    const undo = [
      () => signal?.removeEventListener('abort', leave),
      target.on('error', (error) => this.#report(error)),
      target.on('dropped', (drop) => this.#events.emit('dropped', { ...drop, patronId })),
      target.on('added', (pair) => this.#events.emit('matched', { ...pair, patronId })),
    ];
    this.#add('patron' + patronId, patronMember(target, this.#life.brews, undo));
    return target;
  }

  /** Takes a patron back: unregisters and resets it. Does nothing for one that was not added. */
  removePatron(patron: Patron): void {
    this.#life.registry.remove('patron' + patron?.patronId, patron);
  }

  /**
   * Registers a brewer, now if connected, else at `connect()`. A topic makes a new one of the other argument; a brewer has its options already.
   * @throws {PubkeeperError} `TOPIC_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addBrewer<Given extends Brewer | string>(brewer: Given, options?: OptionsOf<Given, BrewerOptions> | null): Brewer {
    const target = (brewer as Brewer | null)?._flush ? (brewer as Brewer) : new Brewer(brewer as string, options);
    const { brewerId } = target;
    const key = 'brewer' + brewerId;
    this.#lend('brewer', brewerId, target, () => this.removeBrewer(target));
    const undo = [
      target.on('error', (error) => this.#report(error)),
      target.on('added', (pair) => this.#events.emit('matched', { ...pair, brewerId })),
      // Unless it has been added again meanwhile.
      () => this.#life.registry.has(key) || this.#life.brews.forEach((brew) => brew.endBrewer?.(brewerId)),
    ];
    this.#add(key, brewerMember(target, this.#life.brews, undo));
    return target;
  }

  /** Takes a brewer back: unregisters and resets it. What it has brewed still leaves. Does nothing for one that was not added. */
  removeBrewer(brewer: Brewer): void {
    this.#life.registry.remove('brewer' + brewer?.brewerId, brewer);
  }

  #lend(kind: string, id: string, target: Patron | Brewer, leave: () => void): void {
    const isHere = this.#life.registry.has(kind + id);
    if (!isHere && target._lend(this.#lent, leave)) return;
    const where = isHere ? 'this' : 'another';
    throw new PubkeeperError('REGISTERED_TWICE', `The ${kind} ${id} is registered with ${where} client already: remove it there first.`, { id });
  }

  #add(key: string, member: Member): void {
    try {
      if (this.#life.isRunning) member.target.configure();
    } catch (error) {
      // Its cipher is the application's. Whoever adds it gets this error, and nothing to remove it by: so it is taken back here.
      void member.target._release();
      member.undo.forEach((run) => run());
      throw asPubkeeperError(error, 'OPTION_INVALID', 'A cipher threw: see the cause.');
    }
    this.#life.registry.add(key, member);
  }

  #report(error: PubkeeperError): void {
    this.#events.report(error, this.#settings.logger);
  }
}
