import { aborted, type AbortSignalLike, type Attempt, leaving, signalFault } from './attempt.js';
import type { BrewHost } from './brew.js';
import { BrewSet } from './brew-set.js';
import type { ClientEvents, ClientState, Settings } from './client-options.js';
import { deferred } from './deferred.js';
import type { Drops } from './drops.js';
import { asPubkeeperError, guard, PubkeeperError } from './errors.js';
import type { Events } from './events.js';
import { after, cancel, throwLater, type Timer } from './host.js';
import type { Packet } from './packet.js';
import { Registry } from './registry.js';
import { disconnected, Session } from './session.js';

/** The host object of the brews. The session writes the heartbeat into it, and the lifecycle the server and the losses. */
export type Place = BrewHost & { server: string; heartbeatMs?: number; losses: number };

/** Everything from a `connect()` to its `disconnect()`. */
interface Run {
  /** Created once the brews of the former run have closed. */
  session?: Session;
  /** How many servers are still to be tried before `connect()` rejects. 0 once the run has been connected. */
  untried: number;
  /** The server that the last registrations were sent to. */
  server?: string;
  /** Stops listening to events of the page. */
  unbind?: (() => void) | undefined;
}

/** The state machine of a client, from `connect()` to `disconnect()`. */
export class Lifecycle {
  readonly brews: BrewSet;
  readonly registry: Registry;
  readonly #settings: Settings;
  readonly #events: Events<ClientEvents>;
  readonly #drops: Drops;
  #state: ClientState = 'disconnected';
  #run: Run | undefined;
  #closed: Promise<void> = Promise.resolve();
  /** Set while a `disconnect()` waits until brewed messages have been accepted. */
  #leaving: Promise<void> | undefined;
  #attempt: Attempt | undefined;
  #answers: Timer | undefined;
  #grace: Timer | undefined;
  /** The host object of the brews; its `server` is the one that is used or being tried. */
  readonly #place: Place;
  #turn = 0;
  /** State changes that not all listeners have been told yet. */
  readonly #told: ClientState[] = [];
  /** How often `disconnect()` has been called. */
  #ends = 0;

  /**
   * @throws {PubkeeperError} `BREW_IN_USE`
   */
  constructor(settings: Settings, place: Place, events: Events<ClientEvents>, drops: Drops) {
    this.#settings = settings;
    this.#place = place;
    this.#events = events;
    this.#drops = drops;
    this.brews = new BrewSet(place, settings.brews, (packet) => this.send(packet));
    this.registry = new Registry(this);
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Between `connect()` and its end. */
  get isRunning(): boolean {
    return !!this.#run;
  }

  /** Authenticated: registrations can be sent. */
  get isReady(): boolean {
    return !!this.#run?.session?.isReady;
  }

  send(packet: Packet): void {
    this.#run?.session?.tell(packet);
  }

  report(error: PubkeeperError): void {
    this.#place.report(error);
  }

  connect(signal?: AbortSignalLike): Promise<void> {
    const fault = signalFault(signal) || (signal?.aborted && aborted(signal));
    if (fault) return Promise.reject(fault);
    if (this.#leaving) {
      // Connect after that `disconnect()`, unless another one is called meanwhile.
      const ends = this.#ends;
      const later = this.#leaving.then(() => (ends !== this.#ends ? Promise.reject(disconnected()) : this.connect(signal)));
      later.catch(() => undefined);
      return later;
    }
    if (this.#state === 'connected') return Promise.resolve();
    const attempt: Attempt = (this.#attempt ??= new Map());
    const caller = attempt.get(signal) ?? deferred();
    if (!attempt.has(signal)) {
      attempt.set(signal, caller);
      const abort = (): void => {
        const error = aborted(signal!);
        // Aborting the last waiting `connect()` ends the run that it began. A client that has been connected keeps reconnecting, and the
        // signal of an attempt that is over must not end a later one.
        if (attempt.size < 2 && this.#attempt === attempt && this.#run?.untried) this.#end(error);
        caller.reject(error);
        // An outage may outlast many signals.
        attempt.delete(signal);
      };
      const over = (): void => signal?.removeEventListener('abort', abort);
      signal?.addEventListener('abort', abort);
      caller.promise.then(over, over); // only the caller of connect() sees the rejection
    }
    if (!this.#run) this.#begin();
    return caller.promise;
  }

  async disconnect(): Promise<void> {
    this.#ends++;
    const sending = this.registry.flush();
    if (sending) {
      const left = (this.#leaving = leaving(sending, (error) => this.report(error)));
      await left;
      if (this.#leaving === left) this.#leaving = undefined;
    }
    this.#end(disconnected());
    await this.#closed;
  }

  #begin(): void {
    const { lifecycle, prepare, servers } = this.#settings;
    const run: Run = (this.#run = { untried: servers.length });
    this.#setState('connecting');
    if (this.#run !== run) return; // a listener has called disconnect(); likewise below
    this.#configure(() => {
      run.unbind = lifecycle?.(
        () => {
          this.#run?.session?.wake();
          void this.brews.all((brew) => brew.wake?.());
        },
        () => {
          this.#run?.session?.rest();
          void this.brews.all((brew) => brew.rest?.());
        },
      );
    });
    const open = (): void => void (this.#run === run && this.#open(run));
    // The brews of the former run may still be closing. A failure to prepare shows when the connection is dialled.
    void this.#closed.then(() => prepare?.()).then(open, open);
  }

  #open(run: Run): void {
    const closed = deferred();
    this.#closed = closed.promise;
    run.session = new Session({
      ...this.#settings,
      place: this.#place,
      brews: [...this.brews.keys()],
      onReady: () => this.#registerAll(),
      // Faults in a packet are reported before its valid parts are processed, so a listener may have called disconnect().
      onPacket: (packet) => this.#run === run && this.registry.received(packet),
      onFault: (error) => this.report(error),
      onDown: (error) => this.#down(error),
      onClose: (error) => {
        if (this.#run === run) this.#end(error);
        // Close the brews after the control connection, so that the last messages are still sent.
        void this.brews.all((brew) => brew.close()).then(() => closed.resolve());
      },
    });
  }

  /** Prepares patrons and brewers for a new session. Custom ciphers and `lifecycle` may throw, which ends the run. */
  #configure(bind?: () => void): void {
    try {
      this.registry.configure();
      bind?.();
    } catch (error) {
      this.#end(asPubkeeperError(error, 'OPTION_INVALID', 'lifecycle or a cipher threw: see the cause.'));
    }
  }

  /** The connection was lost and will be retried; matched pairs go on for `graceMs`. */
  #down(error: PubkeeperError): void {
    this.#place.losses++;
    cancel(this.#answers);
    const { silentMs, away } = error.details;
    if (silentMs) void this.brews.all((brew) => brew.wake?.(silentMs as number));
    const { retryFirst, servers } = this.#settings;
    if (!away) this.#place.server = servers[++this.#turn % servers.length]!;
    if (this.#run?.untried && !away) return retryFirst || --this.#run.untried ? this.report(error) : this.#end(error);
    if (this.#state !== 'connected') {
      // A repeated loss is not reported again. But a token function that fails or does not answer is a fault of the application, which
      // would otherwise stay hidden.
      if (error.code === 'TOKEN_FAILED' || (error.code === 'TIMEOUT' && !error.details.url)) this.report(error);
      return;
    }
    const run = this.#run;
    this.#setState('reconnecting');
    if (!away) this.report(error);
    if (this.#run !== run) return;
    cancel(this.#grace);
    const { graceMs } = this.#settings.reconnect;
    this.#grace = after(graceMs, () => {
      // Registrations that are under way contain the old keys.
      if (this.isReady) run?.session?.abandon(error);
      this.#setState('disconnected');
      if (this.#run === run) this.#reset();
      if (this.#run === run) this.#configure();
      if (this.#run === run) this.#setState('connecting');
    });
    // If no single connection lasts that long, give up on peers that have been missing for this long across several connections.
    this.registry.expire(graceMs);
  }

  /** Back to `disconnected`: by `disconnect()`, by a refused token, by a first attempt that failed. */
  #end(error: PubkeeperError): void {
    const run = this.#run;
    // Ends `for await` loops also on a client that was never connected.
    if (!run) return this.#reset();
    this.#run = undefined;
    void guard(() => run.unbind?.(), throwLater);
    cancel(this.#answers);
    cancel(this.#grace);
    run.session?.close(disconnected());
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#setState('disconnected');
    this.#reset();
    if (attempt?.size) attempt.forEach(({ reject }) => reject(error));
    else if (error.code !== 'CONNECTION_CLOSED') this.report(error);
  }

  #reset(): void {
    this.registry.reset();
    this.#drops.flush();
  }

  #registerAll(): void {
    const run = this.#run!;
    const { timeoutMs: ms } = this.#settings;
    this.#answers = after(ms, () => {
      const topics = this.registry.unanswered;
      const message = `The server did not answer all registrations within ${ms} ms, such as that of ${topics[0]}.`;
      this.#run?.session?.abandon(new PubkeeperError('TIMEOUT', message, { topics }));
    });
    this.registry.registerAll(run.server !== (run.server = this.#place.server));
  }

  /** Connected, once every registration was answered. */
  answered(): void {
    if (!this.isReady || this.#state === 'connected') return;
    cancel(this.#answers);
    cancel(this.#grace);
    const run = this.#run!;
    run.untried = 0;
    this.#setState('connected');
    if (this.#run !== run) return;
    this.#attempt?.forEach(({ resolve }) => resolve());
    this.#attempt = undefined;
    // Peers that the server did not list may be reconnecting as well.
    this.#grace = after(this.#settings.reconnect.graceMs, () => this.registry.expire(-Infinity)); // also when the clock was set back
  }

  #setState(state: ClientState): void {
    if (this.#state === state) return;
    this.#state = state;
    // A listener may cause the next change: it is told when every listener has heard of this one.
    if (this.#told.push(state) > 1) return;
    for (; this.#told.length; this.#told.shift()) this.#events.emit('state', this.#told[0]!);
  }
}
