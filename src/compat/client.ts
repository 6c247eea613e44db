import { webSocket } from '#platform';
import { PubkeeperClient as CoreClient } from '../client.js';
import { asPubkeeperError, optionInvalid, PubkeeperError } from '../core/errors.js';
import { defaultLogger, microtask } from '../core/host.js';
import { Brewer as CoreBrewer, type ClientState, PacketType, Patron as CorePatron, type WebSocketConstructor, type WebSocketLike } from '../core/index.js';
import { attach, type Attached } from './attached.js';
import { Brewer, type BrewerOptions } from './brewer.js';
import { cipherFrom, type CryptoMap, openerFrom } from './ciphers.js';
import { type ClientEvents, type ClientOptions, type ConnectOptions, protocolsOf, read, type Rest, retriesOf, type Status, type Token } from './client-options.js';
import { Emitter } from './emitter.js';
import { Patron, type PatronOptions } from './patron.js';
import type { Matched, TargetHost, TargetOptions } from './target.js';
import { dial, WebSocketBrew } from './websocket-brew.js';

/** What `addPatron` returns. */
export type PatronToken = Token<'patron'>;
/** What `addBrewer` returns. */
export type BrewerToken = Token<'brewer'>;

/** The client of the old API, on top of the client of the SDK. */
export class PubkeeperClient extends Emitter<ClientEvents<PubkeeperClient>> {
  /** A {@link Status}, as are the four below. */
  static readonly CONNECTING = 'connecting';
  /** A {@link Status}. */
  static readonly CONNECTED = 'connected';
  /** A {@link Status}. */
  static readonly RECONNECTING = 'reconnecting';
  /** A {@link Status}. */
  static readonly DISCONNECTED = 'disconnected';
  /** A {@link Status}. */
  static readonly DEAD = 'dead';

  readonly #core: CoreClient;
  readonly #crypto: CryptoMap;
  readonly #brews: readonly Attached[];
  /** The brews that each patron and brewer offers. */
  readonly #offers = new Map<string, readonly Attached[]>();
  /** Functions to call when a brew may have become ready. */
  readonly #waiting = new Set<() => void>();
  readonly #tokens = new WeakMap<object, () => void>();
  #status: Status = 'disconnected';
  /** The current control connection; undefined after a clean end. */
  #socket: WebSocketLike | undefined;
  #closeCode = 1000;
  #closed: Promise<void> = Promise.resolve();
  /** Settles when all registrations are answered, or when the attempt has ended. */
  #answered: Promise<void> = this.#closed;
  /** Callbacks of callers that wait only for the connection (`wait: false`). */
  readonly #eager: (() => void)[] = [];
  /** After a disconnect() the core may still be sending what was brewed, but must not connect again. */
  #isLeaving = false;
  /** Statuses that listeners are to be told of; they are being told of the first one. */
  readonly #changes: Status[] = [];

  /** @throws {PubkeeperError} `OPTION_INVALID`, `BREW_DUPLICATE` or `BREW_CONFIG_INVALID` */
  constructor(options: ClientOptions) {
    super();
    const { server, jwt, brews = [new WebSocketBrew()], crypto } = options ?? {};
    if (!server || !jwt) throw optionInvalid('PubkeeperClient needs a server and a jwt.');
    const { WebSocket, ...rest } = webSocket(options.WebSocket);
    const host = { offers: this.#offers, look: () => this.#waiting.forEach((look) => look()) };
    this.#brews = [brews].flat().map((brew) => attach(brew, host));
    this.#crypto = crypto ?? new Map();
    this.#core = new CoreClient({
      server,
      token: jwt,
      brews: this.#brews,
      ...rest,
      WebSocket: this.#dialer(WebSocket, protocolsOf(options.protocols)),
      retryFirst: true,
      reconnect: retriesOf(options),
    });
    this.#core.on('error', (error) => this.fail(error));
    this.#core.on('dropped', (drop) => this.emit('dropped', drop));
    let before: ClientState = 'disconnected';
    this.#core.on('state', (state) => {
      // If no retry is left, the core does not become `reconnecting`.
      const isOver = state === 'disconnected' && before === 'connected';
      before = state;
      if (this.#isLeaving) return;
      if (isOver && this.#socket) this.#set('dead');
      if (state !== 'reconnecting') return;
      this.#follow(this.#core.connect());
      this.#lost();
    });
  }

  /** The status of the client now. */
  get status(): Status {
    return this.#status;
  }

  /**
   * Connects. Resolves to the client once every registered brewer and patron has been answered, or with `wait: false`
   * once the server has accepted the token; at once if that is so already. Rejects with `unable to connect`
   * (and the reason as its `cause`) after a clean close, the last retry, or an error that no retry can help.
   */
  connect(options?: ConnectOptions | null): Promise<this> {
    const wait = options?.wait ?? true;
    const closed = this.#closed;
    // A disconnect() ends this attempt, whatever follows; even one by a listener, after all is answered and before callers are told.
    const going = (): void => {
      if (closed !== this.#closed) throw new PubkeeperError('CONNECTION_CLOSED', 'The client was disconnected.');
    };
    if (this.#isIdle) {
      this.#follow(
        // The core may still be sending what was brewed before disconnect().
        closed.then(() => {
          going();
          this.#isLeaving = false;
          return this.#core.connect();
        }),
      );
      this.#set('connecting');
    }
    if (!wait && this.#status === 'connected') return Promise.resolve(this);
    const answered = this.#answered.then(going).then(
      () => this,
      (error: PubkeeperError) => {
        throw new PubkeeperError(error.code, 'unable to connect', error.details, error);
      },
    );
    const promise = wait ? answered : Promise.race([answered, new Promise<this>((up) => this.#eager.push(() => up(this)))]);
    // No unhandled rejection: callers that do not wait have the status and the `error` event.
    promise.catch(() => undefined);
    return promise;
  }

  /**
   * Closes the connection with this code (1000, or 3000 to 4999) and resets all patrons and brewers; they stay added for
   * the next `connect()`. Resolves when everything is closed.
   * @throws {PubkeeperError} `OPTION_INVALID`
   */
  disconnect(code = 1000): Promise<void> {
    if (code !== 1000 && !(code >= 3000 && code < 5000 && Number.isInteger(code))) throw optionInvalid('A close code must be 1000 or from 3000 to 4999.');
    this.#closeCode = code;
    return this.#stop();
  }

  /** Subscribes to a topic, which may have wildcards: now if connected, else at `connect()`. @throws {PubkeeperError} `PATTERN_INVALID`, `ID_INVALID`, `OPTION_INVALID` or `REGISTERED_TWICE` */
  addPatron(topic: string, matched?: Matched<Patron> | null): PatronToken;
  addPatron(topic: string, options?: PatronOptions | null, matched?: Matched<Patron> | null): PatronToken;
  addPatron(topic: string, ...rest: Rest<PatronOptions, Patron>): PatronToken {
    const [options, matched] = read(rest);
    const [host, offer] = this.#offer(options);
    const core = new CorePatron(
      topic,
      (data, { topic, brewerId }) => void patron.emit('message', data, { topic, from: brewerId, createdBy: brewerId }),
      { patronId: options.id, opener: (config) => openerFrom(this.#crypto, config) },
    );
    const patron = new Patron(core, host, matched);
    return this.#add('patron', patron.id, offer, () => this.#core.addPatron(core), () => this.#core.removePatron(core));
  }

  /** Publishes on a topic, which has no wildcards: now if connected, else at `connect()`. @throws {PubkeeperError} `TOPIC_INVALID`, `ID_INVALID`, `OPTION_INVALID` or `REGISTERED_TWICE` */
  addBrewer(topic: string, matched?: Matched<Brewer> | null): BrewerToken;
  addBrewer(topic: string, options?: BrewerOptions | null, matched?: Matched<Brewer> | null): BrewerToken;
  addBrewer(topic: string, ...rest: Rest<BrewerOptions, Brewer>): BrewerToken {
    const [options, matched] = read(rest);
    const { id, cipher = 2, waitForBrews = true } = options;
    const [host, offer] = this.#offer(options);
    const core = new CoreBrewer(topic, {
      brewerId: id,
      cipher: cipherFrom(this.#crypto, cipher),
    });
    const ready = (): boolean => offer.every((brew) => brew.ready(brewer.id));
    const brewer = new Brewer(core, { ...host, waitForBrews, ready, waiting: this.#waiting }, matched);
    const remove = (): void => this.#core.removeBrewer(core);
    return this.#add('brewer', brewer.id, offer, () => this.#core.addBrewer(core), remove);
  }

  /** Removes a patron. Does nothing the second time. @throws {PubkeeperError} `OPTION_INVALID`: it was never added */
  removePatron(token: PatronToken): void {
    this.#remove('patron', token);
  }

  /** Removes a brewer. Does nothing the second time. @throws {PubkeeperError} `OPTION_INVALID`: it was never added */
  removeBrewer(token: BrewerToken): void {
    this.#remove('brewer', token);
  }

  protected override fail(cause: unknown): void {
    const error = asPubkeeperError(cause, 'CALLBACK_FAILED', 'A listener or callback of the application failed.');
    if (!this.emit('error', error)) defaultLogger().error(error);
  }

  get #isIdle(): boolean {
    return this.#status === 'disconnected' || this.#status === 'dead';
  }

  #offer({ brews, autoRemoveListeners = true }: TargetOptions): [host: TargetHost, offer: readonly Attached[]] {
    const offer =
      brews?.map((brew) => {
        const name = typeof brew === 'string' ? brew : brew.name;
        const found = this.#brews.find((other) => other.name === name);
        if (!found) throw optionInvalid(`This client has no brew ${name}.`);
        return found;
      }) ?? [...this.#brews];
    const fail = (error: unknown): void => this.fail(error);
    return [{ brews: offer.map(({ origin }) => origin), autoRemoveListeners, fail }, offer];
  }

  #add<Kind extends string>(kind: Kind, id: string, offer: readonly Attached[], add: () => void, remove: () => void): Token<Kind> {
    const key = kind + id;
    const former = this.#offers.get(key);
    this.#offers.set(key, offer);
    try {
      add();
    } catch (error) {
      // Another one with this id is registered, and keeps its own brews.
      if (former) this.#offers.set(key, former);
      else this.#offers.delete(key);
      throw error;
    }
    const token = Object.freeze({ kind, id });
    this.#tokens.set(token, () => {
      // Another one may have this id at the second call; or already after `remove`, if a teardown has added it.
      this.#tokens.set(token, () => undefined);
      remove();
      if (this.#offers.get(key) === offer) this.#offers.delete(key);
    });
    return token;
  }

  #remove(kind: string, token: Token<string>): void {
    const remove = token?.kind === kind && this.#tokens.get(token);
    if (!remove) throw optionInvalid(`This is no token of a ${kind} of this client.`);
    remove();
  }

  /**
   * The WebSocket implementation for the core. On a control connection it notices what the core does not tell: that the
   * server has accepted the token but not answered everything yet, and that it has closed the connection cleanly (1000).
   */
  #dialer(WebSocket: WebSocketConstructor, protocols: string[]): WebSocketConstructor {
    return new Proxy(WebSocket, {
      construct: (Dialled, [url, offered]: [string, string[]]) => {
        // Brews use this constructor too; only control connections offer this protocol.
        if (!offered.includes('pubkeeper-1.0')) return new Dialled(url, offered);
        // A socket that never opens: after a clean close the core may still send through the relay, but must not connect again.
        if (this.#isLeaving) return { readyState: 0, close: () => undefined };
        this.#lost();
        const socket = dial(Dialled, url, protocols);
        const { send, close } = socket;
        this.#socket = socket;
        socket.send = (bytes) => {
          send.call(socket, bytes);
          // The first packet after the token was accepted. Not at once: a listener may disconnect only after the core has registered all.
          if (bytes[0] === PacketType.BREWS_REGISTER) microtask(() => this.#socket === socket && this.#set('connected'));
        };
        // After the core has heard of the close: the core reports no loss before all was answered, and has ended if no retry is left.
        const gone = (): unknown => this.#socket === socket && this.#core.state !== 'disconnected' && this.#lost();
        socket.close = (code, reason) => close.call(socket, code === 1000 ? this.#closeCode : code, reason);
        microtask(() => socket.addEventListener('close', gone));
        // Before the core hears of the close, and would try again.
        socket.addEventListener('close', ({ code }) => {
          if (code === 1000 && this.#socket === socket) void this.#stop();
        });
        return socket;
      },
    });
  }

  #lost(): void {
    if (this.#status === 'connected') this.#set('reconnecting');
  }

  /** Follows an attempt to its end. */
  #follow(answered: Promise<void>): void {
    this.#answered = answered;
    answered.catch((error: PubkeeperError) => {
      if (this.#answered !== answered || this.#isIdle) return;
      this.#set('dead');
      this.fail(error);
    });
  }

  #stop(): Promise<void> {
    this.#socket = undefined;
    this.#isLeaving = true;
    this.#closed = this.#core.disconnect();
    this.#set('disconnected');
    return this.#closed;
  }

  #set(status: Status): void {
    if (this.#status === status) return;
    this.#status = status;
    // A listener may cause the next change: tell of that only after all listeners have been told of this one.
    if (this.#changes.push(status) > 1) return;
    for (let told; (told = this.#changes[0]); this.#changes.shift()) {
      this.emit('statuschange', { target: this, status: told });
      if (told === 'connected') this.emit('connected');
      else if (told !== 'connecting') this.emit('closed');
    }
    if (this.#isIdle) this.#eager.length = 0; // the end of their attempt rejects their promises
    if (this.#status === 'connected') for (const up of this.#eager.splice(0)) up();
  }
}
