/// <reference lib="esnext.disposable" preserve="true" />
import type { IncomingMessage, ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import type { WebSocket } from 'ws';
import { Events } from '../core/events.js';
import type { Cluster } from './cluster/cluster.js';
import type { BrewDetails } from '../core/packet.js';
import { AddressBook } from './address-book.js';
import { Tokens } from './auth.js';
import { ControlPlane } from './control.js';
import { Heartbeat } from './heartbeat.js';
import { answer, answerRelayPort } from './http.js';
import { Listener } from './listener.js';
import type { Match } from './match.js';
import { wait } from '../core/host.js';
import { isAuthenticator, readOptions } from './options.js';
import type { ServerOptions, ServerSettings } from './options.js';
import { Outbox } from './outbox.js';
import { isSecure } from './own-relay.js';
import type { Transport } from './own-relay.js';
import { RelayPlane } from './relay-socket.js';
import { Drops } from './stats.js';
import type { ServerStats } from './stats.js';
import { authorityOf, isLoopback, mayConnect, routeMain, routeRelay } from './upgrade.js';
import type { AcceptedRoute, Route, UpgradeRequest } from './upgrade.js';

/** A pair that has been matched, or has come apart. */
export interface MatchEvent {
  /** The brewer's literal topic. */
  readonly topic: string;
  readonly brewerId: string;
  readonly patronId: string;
  /** The name of the brew over which they meet. */
  readonly brew: string;
}

export interface ServerEvents {
  matched: MatchEvent;
  unmatched: MatchEvent;
}

// A message is the payload and the headers around it: 40 bytes for the relay, 88 of the brew frame and room for what a
// cipher adds; 8 on control.
const RELAY_OVERHEAD = 40 + 88 + 32;
const CONTROL_OVERHEAD = 8;

const DRAINING = 'The server shuts down: it takes no more connections.';

/** How long a connection has to give a sign of life when another one wants its id, in milliseconds, at most. */
const PROBE_MS = 2_000;

/** A running server: made by `createServer`, ended by `close()` or by `await using`. */
export class PubkeeperServer {
  /** The token that was made up because none was given; else undefined. */
  readonly token: string | undefined;
  readonly #settings: ServerSettings;
  readonly #drops: Drops;
  readonly #cluster: Cluster | undefined;
  readonly #events = new Events<ServerEvents>();
  readonly #heartbeat = new Heartbeat();
  readonly #control: ControlPlane;
  readonly #relay: RelayPlane;
  readonly #main: Listener;
  readonly #relayOnly: Listener | undefined;
  readonly #addresses: ReadonlySet<string>;
  #port = 0;
  #relayPort: number | undefined;
  #beat: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor(settings: ServerSettings, drops: Drops, cluster: Cluster | undefined) {
    this.#settings = settings;
    this.#drops = drops;
    this.#cluster = cluster;
    this.token = settings.token;
    const { authenticator, heartbeatMs, authMs, holdMs, logger, maxMessageBytes, limits, tickets, ticketSeconds } = settings;
    const heartbeat = this.#heartbeat;
    const outbox = new Outbox(drops, limits.bufferedBytes);
    this.#addresses = new Set([settings.host, ...localAddresses()]);
    this.#relay = new RelayPlane({ drops, outbox, limits, tickets, heartbeat, bridge: cluster?.bridge, joined: (key) => this.#control.arrived(key) });
    this.#control = new ControlPlane({
      authenticator,
      drops,
      outbox: new Outbox(drops, limits.bufferedBytes),
      limits,
      tickets,
      ticketSeconds,
      heartbeat,
      heartbeatMs,
      authMs,
      probeMs: Math.min(PROBE_MS, heartbeatMs),
      holdMs,
      logger,
      joined: (key) => this.#relay.relay.joined(key) + (cluster?.bridge.joinedElsewhere(key) ?? 0),
      cluster,
      ownRelay: (brew, authority) => this.#isOwnRelay(brew, authority),
      listener: {
        matched: (match) => this.#events.emit('matched', eventOf(match)),
        unmatched: (match) => this.#events.emit('unmatched', eventOf(match)),
      },
    });
    const maxPayload = { control: maxMessageBytes + CONTROL_OVERHEAD, relay: maxMessageBytes + RELAY_OVERHEAD };
    const shared = {
      maxPayload,
      addresses: new AddressBook(limits.connectionsPerAddress),
      tls: settings.tls,
      crowded: () => drops.add('connections'),
      accept: this.#accept.bind(this),
      refused: this.#refused.bind(this),
      fault: (error: unknown) => logger.error('A port of the server has a fault.', error),
    };
    this.#main = new Listener({
      ...shared,
      route: (upgrade) => this.#checkOrigin(upgrade) ?? routeMain(upgrade),
      answer: (request, response) => void this.#answer(request, response),
    });
    this.#relayOnly =
      settings.relayPort === undefined
        ? undefined
        : new Listener({
            ...shared,
            route: (upgrade) => this.#checkOrigin(upgrade) ?? routeRelay(upgrade),
            answer: (_request, response) => answerRelayPort(response),
          });
  }

  /** See `createServer`. */
  static async start(options: ServerOptions): Promise<PubkeeperServer> {
    const settings = readOptions(options);
    const drops = new Drops();
    const server = new PubkeeperServer(settings, drops, await connectCluster(settings, drops));
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
    return this.#port;
  }

  /** Where clients connect: `ws://127.0.0.1:9898/ws`. When bound to all addresses, the loopback one is named. */
  get url(): string {
    return `${this.#scheme}://${this.#urlHost()}:${this.#port}/ws`;
  }

  /** Where the relay is: on the same port, or on its own one in the split layout. */
  get relayUrl(): string {
    return this.#relayPort === undefined
      ? `${this.#scheme}://${this.#urlHost()}:${this.#port}/brew`
      : `${this.#scheme}://${this.#urlHost()}:${this.#relayPort}/`;
  }

  /** Counts of what is there and of what has been dropped. */
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

  /** Calls `listener` whenever a pair is matched or comes apart. Returns its own undo. */
  on<Name extends keyof ServerEvents>(name: Name, listener: (event: ServerEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Closes every connection with 1001 and frees the ports. Resolves within about a second after `drainMs`, for which it
   * only takes no more connections and says so at /readyz, so that whoever sends clients here stops. May be called twice.
   */
  async close({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    if (drainMs > 0 && !this.#closing) {
      this.#drain();
      await new Promise<void>((over) => wait(drainMs, over));
    }
    return await (this.#closing ??= this.#close());
  }

  /**
   * Takes other tokens. Connections whose token is not known any more are closed with 4401; those with other rights, and
   * all those of an authenticator that cannot tell, with 4403: their clients come back by themselves. Data goes on meanwhile.
   * @throws {PubkeeperError} `OPTION_INVALID`: then everything stays as it was
   */
  reload({ tokens }: { readonly tokens: NonNullable<ServerOptions['tokens']> }): void {
    this.#control.reload(isAuthenticator(tokens) ? tokens : new Tokens(tokens));
  }

  #drain(): void {
    this.#main.isDraining = true;
    if (this.#relayOnly) this.#relayOnly.isDraining = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #join(): Promise<void> {
    const { elsewhere } = this.#control;
    if (!elsewhere) return;
    await this.#cluster?.start({
      relay: this.#relay.relay,
      set: (record) => elsewhere.set(record),
      delete: (kind, id) => elsewhere.delete(kind, id),
      usurped: (kind, id) => elsewhere.usurped(kind, id),
      arrived: (key) => this.#control.arrived(key),
    });
  }

  async #listen(): Promise<void> {
    const { port, relayPort, host, heartbeatMs } = this.#settings;
    await this.#main.listen(port, host);
    this.#port = this.#main.port;
    if (this.#relayOnly) {
      await this.#relayOnly.listen(relayPort ?? 0, host);
      this.#relayPort = this.#relayOnly.port;
    }
    this.#beat = setInterval(() => {
      this.#heartbeat.beat();
      this.#relay.relay.expire();
    }, heartbeatMs / 2);
    this.#beat.unref();
  }

  async #close(): Promise<void> {
    clearInterval(this.#beat);
    // What was published in this tick still leaves.
    this.#relay.relay.flush();
    await Promise.all([this.#main.close(), this.#relayOnly?.close()]);
    this.#control.close();
    await this.#cluster?.close();
  }

  #accept(socket: WebSocket, route: AcceptedRoute, request: IncomingMessage): void {
    if (route.kind === 'relay') {
      this.#relay.accept(socket, request.socket, route.version);
      return;
    }
    this.#control.accept(socket, {
      version: route.version,
      authority: request.headers.host ?? '',
      secure: isSecure(transportOf(request, this.#settings.tls !== undefined)),
      address: addressOf(request),
    });
  }

  #refused(sentence: string, request: IncomingMessage): void {
    this.#drops.add('handshake');
    this.#settings.logger.warn(`A WebSocket from ${addressOf(request)} was refused: ${sentence}`);
  }

  #checkOrigin(upgrade: UpgradeRequest): Route | undefined {
    const { allowOrigin, loopback } = this.#settings;
    const { origin } = upgrade;
    const allowed =
      origin !== undefined && allowOrigin ? allowOrigin(origin, upgrade) : mayConnect(upgrade, loopback);
    if (allowed) return undefined;
    return { kind: 'refused', status: 403, sentence: 'Pages of this origin may not connect to this server.' };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const isClosing = this.#closing !== undefined;
      const problem = isClosing || this.#main.isDraining ? DRAINING : this.#cluster?.problem;
      const stats = this.#settings.metrics ? () => this.stats() : undefined;
      await answer(request, response, this.#settings.http, { isClosing, problem, stats });
    } catch (error) {
      this.#settings.logger.error('The handler of plain HTTP requests failed.', error);
      if (!response.headersSent) response.statusCode = 500;
      response.end();
    }
  }

  /** Whether details name the relay on the main port: by the name that the client knows us by, or by one of ours. */
  #isOwnRelay({ name, hostname, port, secure }: BrewDetails, authority: string): boolean {
    if (name !== 'websocket' || typeof hostname !== 'string') return false;
    const bare = hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
    const host = bare.includes(':') ? `[${bare}]` : bare;
    if (`${host}:${String(port)}` === authorityOf(secure ? 'wss' : 'ws', authority)) return true;
    return Number(port) === this.#port && (isLoopback(bare) || this.#addresses.has(bare));
  }

  get #scheme(): string {
    return this.#settings.tls ? 'wss' : 'ws';
  }

  #urlHost(): string {
    const { host } = this.#settings;
    if (host === '0.0.0.0') return '127.0.0.1';
    if (host === '::') return '[::1]';
    return host.includes(':') ? `[${host}]` : host;
  }
}

const eventOf = <C>({ brewer, patron, topic, brew }: Match<C>): MatchEvent => ({
  topic,
  brewerId: brewer.id,
  patronId: patron.id,
  brew: brew.name,
});

/** The packages that a cluster needs are loaded only where there is one. */
async function connectCluster({ cluster, logger, maxMessageBytes }: ServerSettings, drops: Drops): Promise<Cluster | undefined> {
  if (!cluster) return undefined;
  const { Cluster } = await import('./cluster/cluster.js');
  return Cluster.connect(cluster, { logger, drops, maxFrame: maxMessageBytes + RELAY_OVERHEAD });
}

const transportOf = ({ headers }: IncomingMessage, isTls: boolean): Transport => ({
  isTls,
  forwarded: String(headers['x-forwarded-proto'] ?? '') || undefined,
  origin: headers.origin,
  authority: headers.host ?? '',
});

const addressOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? 'an unknown address';

const localAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address.toLowerCase()) ?? []);
