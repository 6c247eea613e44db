import type { ConnectionOptions, NatsConnection, Subscription } from '@nats-io/nats-core';
import { type BrewHost, PubkeeperError } from '../../core/index.js';
import { deferred } from '../../core/deferred.js';
import { after, cancel, type Timer, wait } from '../../core/host.js';
import { knownRemedy, type Line, type LineOwner, type PageSockets, patience, remedy, type Target, tooLong } from './broker-line.js';

/** From this many bytes on that the server has not acknowledged, `publish` makes its caller wait. */
const HIGH_WATER = 1024 * 1024;
/** How long opening may take, in ms. */
const CONNECT_TIMEOUT = 10_000;
/** How often the server is asked for a sign of life, in ms; after two without an answer it is given up. */
const PING_INTERVAL = 5000;
/** How long closing may take, in ms. */
const CLOSE_TIMEOUT = 1000;
/** How many different refusals are remembered, to report each once. */
const MAX_TOLD = 1024;

/** `connect` of the TCP transport, or `wsconnect`. */
export type NatsConnect = (options: ConnectionOptions) => Promise<NatsConnection>;

/**
 * Connects by the NATS library, with everything off by which it would reconnect by itself: that is the task of `BrokerLink`.
 * @param known the servers that the own cluster has announced last; updated here
 * @param sockets in a page, those that `library` opens
 */
export async function openNats(
  library: () => Promise<NatsConnect>,
  packages: readonly string[],
  { urls, credentials }: Target,
  owner: LineOwner,
  host: BrewHost,
  known: Set<string>,
  sockets?: PageSockets,
): Promise<Line> {
  const connect = await loadNats(library, packages);
  const scheme = urls[0]!.slice(0, urls[0]!.indexOf('//') + 2);
  // Servers that the own ones have announced are trusted like them; they are not mixed with servers that a brewer names.
  const servers = credentials ? [...new Set([...urls, ...[...known].map((server) => scheme + server)])] : [...urls];
  let connection: NatsConnection;
  try {
    connection = await connect({
      servers,
      reconnect: false,
      timeout: CONNECT_TIMEOUT,
      pingInterval: PING_INTERVAL,
      maxPingOut: 2,
      ...(scheme === 'tls://' && { tls: {} }),
      ...(credentials?.username !== undefined && { user: credentials.username }),
      ...(credentials?.password !== undefined && { pass: credentials.password }),
      ...(credentials?.token !== undefined && { token: credentials.token }),
    });
  } catch (cause) {
    throw refused(urls, cause);
  }
  const learn = (): void => {
    const told = credentials && connection.info?.connect_urls;
    if (!told?.length) return;
    // Replaces the former list: where servers come and go, most of its entries would be out of date.
    known.clear();
    for (const server of told) known.add(server);
  };
  learn();
  return new NatsLine(connection, owner, host, learn, sockets);
}

class NatsLine implements Line {
  readonly #connection: NatsConnection;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #owner: LineOwner;
  /** Callbacks that wait until the server has what was sent. */
  readonly #flushes = new Set<() => void>();
  /** One round trip for all that is sent in this tick. */
  #shared: Promise<void> | undefined;
  #unflushed = 0;
  #flushing: Promise<void> | undefined;
  readonly #server: string;
  readonly #sockets: PageSockets | undefined;
  #checking: Timer | undefined;
  /** The line is being closed, or has ended. */
  #closing = false;

  /** @param learn called when the server has announced other servers */
  constructor(connection: NatsConnection, owner: LineOwner, host: BrewHost, learn: () => void, sockets: PageSockets | undefined) {
    this.#connection = connection;
    this.#sockets = sockets;
    this.#owner = owner;
    this.#server = connection.getServer();
    void connection.closed().then((cause) => this.#end(cause));
    void this.#watch(host, learn);
  }

  get most(): number | undefined {
    return this.#connection.info?.max_payload;
  }

  publish(address: string, payload: Uint8Array): void | Promise<void> {
    const limit = this.most;
    if (limit && payload.length > limit) throw tooLong(`NATS at ${this.#connection.getServer()}`, payload.length, limit, 'its max_payload');
    this.#connection.publish(address, payload);
    this.#unflushed += payload.length;
    if (this.#unflushed <= HIGH_WATER) return;
    return (this.#flushing ??= this.#flush());
  }

  async subscribe(address: string): Promise<void> {
    const subscription = this.#connection.subscribe(address, {
      callback: (error, { data }) => {
        // A plain view: in Node the library gives a Buffer, which behaves differently from a Uint8Array.
        if (!error && !this.#closing) this.#owner.message(address, new Uint8Array(data.buffer, data.byteOffset, data.length), false);
      },
    });
    // `#watch` hears of a refusal too, and sooner.
    subscription.closed.catch(() => undefined);
    this.#subscriptions.set(address, subscription);
    await this.#flushed(); // also when the line has ended: the link will subscribe again
  }

  unsubscribe(address: string): void {
    this.#subscriptions.get(address)?.unsubscribe();
    this.#subscriptions.delete(address);
  }

  check(): void {
    if (this.#closing || this.#checking !== undefined) return;
    this.#checking = after(patience(this.#unflushed), () => {
      this.#end(undefined);
      void this.#connection.close();
    });
    void this.#flushed().then(() => this.#checked());
  }

  #checked(): void {
    cancel(this.#checking);
    this.#checking = undefined;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#checked();
    const late = deferred();
    const timer = wait(CLOSE_TIMEOUT, late.resolve);
    await Promise.race([this.#flushed(), late.promise]);
    // A WebSocket that closes waits for the other side, which may have stopped answering.
    await Promise.race([this.#connection.close(), late.promise]);
    cancel(timer);
  }

  rest(): Promise<void> {
    if (!this.#sockets) return this.close();
    this.#closing = true;
    this.#checked();
    // The library gives the socket what was published in this tick only now, or later.
    this.#connection.flush().catch(() => undefined);
    this.#sockets.current?.close();
    for (const over of this.#flushes) over();
    void this.#connection.close();
    return Promise.resolve();
  }

  #end(cause: unknown): void {
    for (const over of this.#flushes) over();
    if (this.#closing) return;
    this.#closing = true;
    this.#owner.ended(lost(this.#server, cause));
  }

  async #flush(): Promise<void> {
    const bytes = this.#unflushed;
    await this.#flushed();
    this.#unflushed -= bytes;
    this.#flushing = undefined;
  }

  /** Resolves when the server has all that was sent, or when the connection has ended, which `#end` reports. */
  #flushed(): Promise<void> {
    return (this.#shared ??= Promise.resolve().then(() => {
      this.#shared = undefined;
      return this.#roundTrip();
    }));
  }

  #roundTrip(): Promise<void> {
    // No Promise.race() with closed(): that would remember each flush for as long as the connection lasts.
    return new Promise((resolve) => {
      const over = (): void => {
        this.#flushes.delete(over);
        resolve();
      };
      this.#flushes.add(over);
      this.#connection.flush().then(over, over);
    });
  }

  /** Reports what the server refuses: the server says so for each message, this says it once per subject. Also learns of servers that come and go. */
  async #watch(host: BrewHost, learn: () => void): Promise<void> {
    const told = new Set<string>();
    for await (const status of this.#connection.status()) {
      // A WebSocket to a server that has gone silent does not end for a minute or more: do not wait for that.
      if (status.type === 'staleConnection') this.#end(undefined);
      if (status.type === 'update') learn();
      if (status.type !== 'error') continue;
      const { message, name } = status.error;
      const forbidden = name === 'PermissionViolationError'; // its message names a subject, which may hold any word
      // The server ends the connection over it, and the next dial says the same as UNAUTHORIZED.
      if (told.has(message) || (!forbidden && isAboutCredentials(status.error))) continue;
      if (told.size >= MAX_TOLD) told.clear();
      told.add(message);
      const what = forbidden ? 'grant this client that subject and those below it' : knownRemedy(message);
      host.report(new PubkeeperError(forbidden ? 'FORBIDDEN' : 'BREW_FAILED', `NATS says ${message}${what ? `: ${what}` : ''}.`, {}, status.error));
    }
  }
}

/** Rejects with `BREW_DEPENDENCY` when a package is missing. */
export async function loadNats(library: () => Promise<NatsConnect>, packages: readonly string[]): Promise<NatsConnect> {
  try {
    return await library();
  } catch (cause) {
    const names = packages.join(' ');
    const what = packages.length > 1 ? 'the packages' : 'the package';
    throw new PubkeeperError('BREW_DEPENDENCY', `NatsBrew needs ${what} ${names}: run npm install ${names}.`, { packages }, cause);
  }
}

/** A server says "Authentication Timeout" to a client that was slow to send its credentials, which may be right. */
const isAboutCredentials = ({ name, message }: Error): boolean => /Authoriz|Authenticat/i.test(name + message) && !/timeout/i.test(message);

function refused(urls: readonly string[], cause: unknown): PubkeeperError {
  const where = urls.join(', ');
  if (cause instanceof Error && isAboutCredentials(cause)) {
    return new PubkeeperError(
      'UNAUTHORIZED',
      `NATS at ${where} refuses this client (${cause.message}): check the brew's username, password or token.`,
      { urls },
      cause,
    );
  }
  const why = cause instanceof Error && cause.message ? cause.message : 'no answer';
  return new PubkeeperError('CONNECT_FAILED', `Cannot connect to NATS at ${where} (${why}): ${remedy(why)}.`, { urls, ...(/maximum/i.test(why) && { says: why }) }, cause);
}

const lost = (server: string, cause: unknown): PubkeeperError =>
  new PubkeeperError('CONNECTION_LOST', `The connection to NATS at ${server} was lost.`, { server }, cause);
