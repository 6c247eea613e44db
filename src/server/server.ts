/// <reference lib="esnext.disposable" preserve="true" />
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import { PubkeeperError } from '../core/errors.js';
import { Events } from '../core/events.js';
import { show } from '../core/id.js';
import type { Cluster } from './cluster/cluster.js';
import { after, cancel } from '../core/host.js';
import { Tokens } from './auth.js';
import { ControlPlane } from './control.js';
import { Heartbeat } from './heartbeat.js';
import { answer } from './http.js';
import { checkTls } from './listener.js';
import { logFault, sparing } from './log.js';
import type { Match } from './match.js';
import { RELOADED, checkNames, isAuthenticator, readOptions, type ReloadOptions, type ServerOptions, type ServerSettings } from './options.js';
import { Outbox } from './outbox.js';
import { addressOf, localAddresses, OwnRelays } from './own-address.js';
import { reachOf } from './own-relay.js';
import { Ports, relayPayload } from './ports.js';
import { RelayPlane } from './relay-socket.js';
import { Rota } from './rota.js';
import { Drops, type ServerStats } from './stats.js';
import { checkKeys } from './tickets.js';
import type { AcceptedRoute } from './upgrade.js';

/** A brewer and a patron that have been matched, or whose match has ended. */
export interface MatchEvent {
  /** The brewer's literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** The name of the brew that carries the pair's data. */
  readonly brew: string;
}

/** What a server emits: `server.on(name, listener)`. */
export type ServerEvents = Record<'matched' | 'unmatched', MatchEvent>;

/** How many times `bufferedBytes` may wait on a control connection: nothing can be left out, and a client that reconnects registers all at once. */
const CONTROL_BUFFER = 16;
/** How many times `bufferedBytes` may wait for a reader of the relay in a cluster. */
const CLUSTER_BUFFER = 16;

/** How long a join may outlive its ticket, in milliseconds; half of the ticket's life where that is less. */
const EXPIRY_MS = 5_000;

const DRAINING = 'The server is shutting down: it accepts no more connections.';

/** How long a connection has to give a sign of life when another connection wants one of its ids, in milliseconds, at most. */
const PROBE_MS = 2_000;

/** A running server: made by `createServer`, ended by `close()` or by `await using`. */
export class PubkeeperServer {
  /** The token that the server made because `tokens` was not given; else undefined. */
  readonly token: string | undefined;
  readonly #settings: ServerSettings;
  readonly #drops: Drops;
  readonly #cluster: Cluster | undefined;
  readonly #events = new Events<ServerEvents>();
  readonly #heartbeat = new Heartbeat();
  readonly #control: ControlPlane;
  readonly #relay: RelayPlane;
  readonly #ports: Ports;
  readonly #rota = new Rota();
  #beat: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  readonly #impatient: (() => void)[] = [];

  private constructor(settings: ServerSettings, drops: Drops, cluster: Cluster | undefined) {
    this.#settings = settings;
    this.#drops = drops;
    this.#cluster = cluster;
    this.token = settings.token;
    const { authenticator, heartbeatMs, authMs, holdMs, logger, limits, tickets, ticketSeconds } = settings;
    // Publishers at other servers cannot be made to wait for a reader here, so their bursts need a larger buffer.
    const outbox = new Outbox(drops, (cluster ? CLUSTER_BUFFER : 1) * limits.bufferedBytes);
    const relays = new OwnRelays(
      () => [this.#ports.main, this.#ports.relay],
      [settings.host, ...localAddresses()],
      settings.relayAddresses,
      (address) => tickets && logger.warn(`A brewer names the relay ${show(address)}, for which this server gives no tickets: it does not know it as its own. If it is, let the proxy in front of it pass on Host, or list it in relayAddresses (--relay-address).`),
    );
    this.#relay = new RelayPlane({ maxMessageBytes: settings.maxMessageBytes, drops, outbox, limits, tickets, heartbeat: this.#heartbeat, bridge: cluster?.bridge, joined: (key) => this.#control.arrived(key), logger });
    this.#control = new ControlPlane({
      authenticator,
      drops,
      outbox: new Outbox(drops, CONTROL_BUFFER * limits.bufferedBytes),
      limits,
      tickets,
      ticketSeconds,
      heartbeat: this.#heartbeat,
      heartbeatMs,
      authMs,
      probeMs: Math.min(PROBE_MS, heartbeatMs),
      holdMs,
      logger,
      joined: (key) => this.#relay.relay.joined(key) + (cluster?.bridge.joinedElsewhere(key) ?? 0),
      cluster,
      ownRelay: (brew, authority) => relays.has(brew, authority),
      listener: {
        matched: (match) => this.#events.emit('matched', eventOf(match)),
        unmatched: (match) => this.#events.emit('unmatched', eventOf(match)),
      },
    });
    this.#ports = new Ports(settings, drops, {
      accept: this.#accept.bind(this),
      answer: (request, response) => void this.#answer(request, response),
    });
  }

  /** @internal Use `createServer`. */
  static async start(options: ServerOptions): Promise<PubkeeperServer> {
    const settings = readOptions(options);
    const drops = new Drops();
    const server = new PubkeeperServer({ ...settings, logger: sparing(settings.logger) }, drops, await connectCluster(settings, drops));
    try {
      await server.#join();
      await server.#listen();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  /** The TCP port of control, relay and plain HTTP. */
  get port(): number {
    return this.#ports.main;
  }

  /** Where clients connect: `ws://127.0.0.1:9898/ws`. If the server is bound to all addresses, this is the loopback one. */
  get url(): string {
    return this.#ports.url;
  }

  /** Where the relay is: on the same port, or on its own one in the split layout. */
  get relayUrl(): string {
    return this.#ports.relayUrl;
  }

  /** The present numbers of connections, registrations, topics and so on, and what has been dropped since the start. */
  stats(): ServerStats {
    const { matchmaker } = this.#control;
    const { relay } = this.#relay;
    return {
      controlConnections: this.#control.connections,
      clients: matchmaker.clients,
      relayConnections: this.#relay.connections,
      brewers: matchmaker.brewers,
      patrons: matchmaker.patrons,
      matches: matchmaker.matches,
      heldNotifications: this.#control.held,
      bufferedBytes: this.#relay.bufferedBytes,
      topics: relay.topics,
      retained: relay.retained,
      retainedBytes: relay.retainedBytes,
      published: relay.published,
      delivered: relay.delivered,
      drops: this.#drops.toJSON(),
      ...(this.#cluster && { cluster: this.#cluster.stats() }),
    };
  }

  /** Calls `listener` whenever a pair is matched (`'matched'`) or its match ends (`'unmatched'`); returns a function that removes it. What `listener` throws is uncaught. */
  on<Name extends keyof ServerEvents>(name: Name, listener: (event: ServerEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Closes every connection with 1001 and frees the ports. Before that, it refuses new connections and fails /readyz for `drainMs` (in ms, default 0),
   * so that load balancers send no more clients. Resolves within about a second after that (in a cluster two). May be called twice:
   * a call without `drainMs` ends the wait.
   */
  async close({ drainMs = 0 }: { readonly drainMs?: number | undefined } = {}): Promise<void> {
    if (drainMs > 0 && !this.#closing) {
      this.#ports.drain();
      await new Promise<void>((over) => {
        const drained = after(drainMs, over);
        this.#impatient.push(() => (cancel(drained), over()));
      });
    }
    // Earlier calls that still wait for their `drainMs` stop waiting.
    for (const hurry of this.#impatient.splice(0)) hurry();
    return await (this.#closing ??= this.#close());
  }

  /**
   * Replaces tokens, ticket keys or certificates; what is left out stays. Data goes on meanwhile.
   *
   * `tokens`: connections whose token is no longer known are closed with 4401. Those whose rights have changed, and all if the
   * authenticator has no `compare`, are closed with 4403: their clients reconnect by themselves. The same authenticator, given again, is
   * asked again. `ticketKeys`: keep the former first key as the second until its tickets have expired (`ticketSeconds`). `tls`: for new connections.
   * @throws {PubkeeperError} `OPTION_INVALID`: then nothing changes
   */
  reload(options: ReloadOptions): void {
    checkNames('reload()', options, RELOADED);
    const { tokens, ticketKeys, tls } = options;
    const authenticator = tokens === undefined || isAuthenticator(tokens) ? tokens : new Tokens(tokens);
    const keys = ticketKeys && checkKeys(ticketKeys);
    if (keys && !this.#settings.tickets) {
      throw new PubkeeperError('OPTION_INVALID', 'There are no ticket keys in the profile "open": start the server with "secured".');
    }
    if (tls) {
      if (!this.#settings.tls) throw new PubkeeperError('OPTION_INVALID', 'The server does not speak TLS: start it with the option "tls".');
      // Check it before the first port takes it: if it is bad, nothing must change.
      checkTls(tls);
      this.#ports.secure(tls);
    }
    if (keys) this.#control.replaceKeys(keys);
    if (authenticator) this.#control.reload(authenticator);
  }

  /** Like {@link close}: `await using server = await createServer(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #join(): Promise<void> {
    const { elsewhere } = this.#control;
    if (!elsewhere) return;
    await this.#cluster?.start({
      relay: this.#relay.relay,
      set: (record, server) => elsewhere.set(record, server),
      delete: (kind, id) => elsewhere.delete(kind, id),
      usurped: (kind, id) => elsewhere.usurped(kind, id),
      matchedAt: (server) => elsewhere.matchedAt(server),
      arrived: (key) => this.#control.arrived(key),
    });
  }

  async #listen(): Promise<void> {
    await this.#ports.listen();
    const { heartbeatMs, tickets, ticketSeconds } = this.#settings;
    this.#beat = setInterval(() => {
      this.#heartbeat.beat();
      this.#ports.look();
      this.#relay.relay.age();
    }, heartbeatMs / 2);
    this.#beat.unref();
    if (!tickets) return;
    // With a timer of its own, because half a heartbeat may be half an hour.
    this.#expiry = setInterval(() => this.#relay.relay.expire(), Math.min(EXPIRY_MS, ticketSeconds * 500));
    this.#expiry.unref();
  }

  async #close(): Promise<void> {
    clearInterval(this.#beat);
    clearInterval(this.#expiry);
    // Still send what was published in this tick.
    this.#relay.relay.flush();
    await this.#ports.close();
    this.#control.close();
    await this.#cluster?.close();
  }

  #accept(socket: WebSocket, route: AcceptedRoute, request: IncomingMessage): void {
    this.#rota.watch(socket, request.socket);
    if (route.kind === 'relay') {
      this.#relay.accept(socket, request.socket, route.version);
      return;
    }
    this.#control.accept(socket, {
      version: route.version,
      ...reachOf(request, this.#settings.tls !== undefined),
      address: addressOf(request),
      tcp: request.socket,
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const isClosing = this.#closing !== undefined;
      const problem = isClosing || this.#ports.isDraining ? DRAINING : this.#cluster?.problem;
      const stats = this.#settings.metrics ? () => this.stats() : undefined;
      await answer(request, response, this.#settings.http, { isClosing, problem, stats });
    } catch (error) {
      logFault(this.#settings.logger, 'The handler of plain HTTP requests failed', error);
      if (!response.headersSent) response.statusCode = 500;
      response.end();
    }
  }
}

const eventOf = <C>({ brewer, patron, topic, brew }: Match<C>): MatchEvent => ({
  topic,
  brewerId: brewer.id,
  patronId: patron.id,
  brew: brew.name,
});

/** Connects to the cluster, if there is one: only then are the packages that it needs loaded. */
async function connectCluster({ cluster, logger, maxMessageBytes }: ServerSettings, drops: Drops): Promise<Cluster | undefined> {
  if (!cluster) return undefined;
  const { Cluster } = await import('./cluster/cluster.js');
  return Cluster.connect(cluster, { logger, drops, maxFrame: relayPayload(maxMessageBytes) });
}
