/// <reference lib="esnext.disposable" preserve="true" />
import { type AbortSignalLike, signalFault } from './attempt.js';
import type { Brew } from './brew.js';
import { Brewer, type BrewerOptions } from './brewer.js';
import { defaultEngine } from './ciphers/default-engine.js';
import type { CryptoEngine } from './ciphers/engine.js';
import { type ClientEvents, type ClientOptions, type ClientState, readOptions, type Settings } from './client-options.js';
import { Drops } from './drops.js';
import { asPubkeeperError, optionInvalid, PubkeeperError } from './errors.js';
import { Events } from './events.js';
import { Lifecycle, type Place } from './lifecycle.js';
import { brewerMember, type Member, patronMember } from './member.js';
import { Patron, type PatronCallback, type PatronOptions } from './patron.js';

/** The options that go with a topic. With a finished patron or brewer none may be given. */
type OptionsOf<Given, Options> = Given extends string ? Options : { readonly [Name in keyof Options]?: undefined };

/**
 * A client of a Pubkeeper server. Registers patrons (subscribers) and brewers (publishers), which exchange data over the brews
 * (transports) of this client. Reconnects by itself; matched pairs go on meanwhile.
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
    this.#life = new Lifecycle(this.#settings, place, this.#events, this.#drops);
    this.#lent = { brew: (name) => this.#life.brews.get(name), engine };
  }

  /** The state of the client now; see {@link ClientState}. */
  get state(): ClientState {
    return this.#life.state;
  }

  /** Calls `listener` at each event of that name (see {@link ClientEvents}); returns a function that removes it. @throws {PubkeeperError} `OPTION_INVALID` when it is not a function */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Connects. Resolves when the server has accepted the token and answered every registration; at once if the client is connected
   * already. If it is connecting or reconnecting, waits for that.
   *
   * When it fails, rejects with a {@link PubkeeperError}, and the client is disconnected. The codes: `CONNECT_FAILED`, `CONNECT_BLOCKED`,
   * `SUBPROTOCOL_REFUSED`, `UNAUTHORIZED`, `TOKEN_FAILED`, `TIMEOUT`, `CONNECTION_LOST`, what the server says before it closes
   * (`SERVER_ERROR`, …), `CONNECTION_CLOSED` (by `disconnect()`), `OPTION_INVALID` (a cipher or `lifecycle` threw).
   *
   * When `signal` is aborted, rejects with `ABORTED`. The client is then disconnected, unless it was connected before or another `connect()`
   * waits. If `signal` was aborted before the call, or is not a signal, rejects with `ABORTED` or `OPTION_INVALID` and does nothing.
   */
  connect(options?: { readonly signal?: AbortSignalLike | undefined } | null): Promise<void> {
    return this.#life.connect(options?.signal);
  }

  /**
   * Sends what was brewed, closes all connections, and resets all patrons and brewers. They stay added for the next `connect()`. Sending
   * may take a second; what is not sent by then is an `error` event (`BREW_FAILED`). Never rejects.
   */
  disconnect(): Promise<void> {
    return this.#life.disconnect();
  }

  /** Like {@link disconnect}: `await using client = new PubkeeperClient(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Registers a patron: now if connected, else at `connect()`. Given a topic, makes a new patron with `callback` and `options`. Given a
   * patron, which has its callback and options already, uses only `options.signal`. When that signal is aborted, the patron is removed;
   * if it was aborted before, the patron is not added.
   * @throws {PubkeeperError} `PATTERN_INVALID`, `OPTION_INVALID`, `ID_INVALID` or `REGISTERED_TWICE`
   */
  addPatron<Given extends Patron | string>(
    patron: Given,
    callback?: Given extends string ? PatronCallback : undefined,
    options?: (OptionsOf<Given, PatronOptions> & { readonly signal?: AbortSignalLike | undefined }) | null,
  ): Patron {
    // Not `instanceof`: a page may load this package twice, by script tag and in an application's bundle.
    const target = (patron as Patron | null)?._retire ? (patron as Patron) : new Patron(patron as string, callback, options);
    if (callback && target === patron) throw optionInvalid('Give the callback to new Patron().');
    const { patronId } = target;
    const signal = options?.signal;
    const fault = signalFault(signal);
    if (fault) throw fault;
    if (signal?.aborted) {
      // Release it at once, so that a `for await` loop over it ends; unless it belongs to another client.
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

  /** Removes a patron: unregisters and resets it. Does nothing if it was not added. */
  removePatron(patron: Patron): void {
    this.#life.registry.remove('patron' + patron?.patronId, patron);
  }

  /**
   * Registers a brewer: now if connected, else at `connect()`. Given a topic, makes a new brewer with `options`; a brewer has its options already.
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
      // Only if the brewer has not been added again meanwhile.
      () => this.#life.registry.has(key) || this.#life.brews.all((brew) => brew.endBrewer?.(brewerId)),
    ];
    this.#add(key, brewerMember(target, this.#life.brews, undo));
    return target;
  }

  /** Removes a brewer: unregisters and resets it. What it has brewed is still sent. Does nothing if it was not added. */
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
      // A custom cipher may throw. The caller gets this error and no object to remove, so undo the addition here.
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
