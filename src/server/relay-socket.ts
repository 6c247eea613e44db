import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Logger } from '../core/host.js';
import type { Heartbeat, Beating } from './heartbeat.js';
import { Bucket } from './bucket.js';
import { CloseCode, TOO_LONG } from './close-codes.js';
import type { LimitSettings } from './limits.js';
import { bytesOf, countFault, end } from './outbox.js';
import type { Outbox } from './outbox.js';
import { BEAT, type RelayVersion } from './relay-format.js';
import { Pacer } from './pacer.js';
import type { Paced } from './pacer.js';
import { Permits } from './permits.js';
import { Relay } from './relay.js';
import type { RelayBridge, RelayMember, TicketLack } from './relay.js';
import type { Drops } from './stats.js';
import type { Tickets } from './tickets.js';
import { Throttle } from './throttle.js';

type Write = (connection: RelayConnection, bytes: Buffer) => boolean;

const OPEN = 'Clients of the abandoned SDK know no tickets: they need the profile "open" (--profile).';
/** What the log says of a connection in the profile `secured` when it is refused. */
const LACKS: Readonly<Record<TicketLack, string>> = {
  none: `was refused a topic, because it has shown no ticket. ${OPEN}`,
  invalid: 'has shown a ticket that is not valid here, and was refused what it is for. It has expired, or another server has signed it: servers that serve together share their ticketKeys (--ticket-key-file).',
  ungranted: `has published for a brewer for which it has shown no valid ticket: that was dropped. ${OPEN}`,
};

/** A relay connection, as the relay, the pacer and the heartbeat use it. */
class RelayConnection implements Beating, RelayMember, Paced {
  readonly socket: WebSocket;
  /** The socket beneath, to which bytes are written that are framed already. */
  readonly tcp: Socket;
  readonly version: RelayVersion;
  readonly #drops: Drops;
  readonly #write: Write;
  /** Whether the client wants beats: signs of life that a page can see, because it does not see pings. */
  #beats = false;
  isFull = false;
  /** Whether the log has said that it wants to join too many topics, and that it lacks a ticket. */
  isToldOfTopics = false;
  isToldOfTickets = false;
  /** Whether nothing but the pacer wants its reading paused. */
  mayRead = (): boolean => true;

  constructor(socket: WebSocket, tcp: Socket, version: RelayVersion, drops: Drops, write: Write) {
    this.socket = socket;
    this.tcp = tcp;
    this.version = version;
    this.#drops = drops;
    this.#write = write;
  }

  get taken(): number {
    return this.tcp.bytesWritten - this.tcp.writableLength;
  }

  get received(): number {
    return this.tcp.bytesRead;
  }

  get isPaused(): boolean {
    return this.socket.isPaused;
  }

  hold(): void {
    this.socket.pause();
  }

  release(): void {
    if (this.mayRead()) this.socket.resume();
  }

  ping(): void {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.ping();
    // Also while its own packets are not read because a reader is slow.
    if (this.#beats) this.beat();
  }

  /** Sends a beat, now and with each ping from now on, but not while the connection is full: then it has enough to read. */
  beat(): void {
    this.#beats = true;
    if (!this.isFull) this.#write(this, BEAT);
  }

  cut(): void {
    this.#drops.add('silent');
    this.socket.terminate();
  }
}

export interface RelayPlaneOptions {
  /** The longest payload that may be published, in bytes. */
  readonly maxMessageBytes: number;
  readonly drops: Drops;
  readonly outbox: Outbox;
  readonly limits: LimitSettings;
  /** Checks tickets, in the profile `secured`; else undefined. */
  readonly tickets: Tickets | undefined;
  readonly heartbeat: Heartbeat;
  /** The way to the relays of other servers. */
  readonly bridge: RelayBridge<RelayMember> | undefined;
  /** A connection has joined the topic of this key. */
  readonly joined: (key: string) => void;
  readonly logger: Pick<Logger, 'warn'>;
}

/** The relay with its WebSockets. */
export class RelayPlane {
  readonly relay: Relay<RelayMember>;
  readonly #options: RelayPlaneOptions;
  readonly #connections = new Set<RelayConnection>();
  readonly #pacer = new Pacer<RelayConnection>();
  /** Sockets that were corked in this tick, because they were written to. */
  readonly #corked = new Set<Socket>();
  #ending = false;

  constructor(options: RelayPlaneOptions) {
    this.#options = options;
    const { drops, joined, limits } = options;
    this.relay = new Relay({
      // The bridge's member stands for other servers, and takes frames by `take`.
      write: (connection, bytes) => !(connection instanceof RelayConnection) || this.#write(connection, bytes),
      pinged: (connection) => connection instanceof RelayConnection && connection.beat(),
      full: (reader, publishers, others) => {
        // Publishers at other servers cannot be made to wait from here.
        const near = [...publishers].filter((from) => from instanceof RelayConnection);
        if (reader instanceof RelayConnection) this.#pacer.full(reader, near, others);
      },
      cork: () => this.#atEndOfTick(),
      dropped: (fault, connection, count) => {
        drops.add(fault, count);
        if (fault === 'too-long' && connection instanceof RelayConnection) end(connection.socket, CloseCode.TOO_LONG, TOO_LONG);
        if (fault === 'joined-topics' && connection instanceof RelayConnection) this.#hasTooMany(connection);
      },
      ungranted: (connection, lack) => {
        drops.add('no-ticket');
        if (connection instanceof RelayConnection) this.#lacksTicket(connection, lack);
      },
      ...(options.tickets && { permits: new Permits<RelayMember>(options.tickets, limits.registrations) }),
      maxMessage: options.maxMessageBytes,
      maxJoined: limits.joinedTopics,
      maxRetained: limits.retainedValues,
      maxRetainedBytes: limits.retainedBytes,
      joined,
      ...(options.bridge && { bridge: options.bridge }),
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Bytes that wait for the slowest reader. */
  get bufferedBytes(): number {
    let most = 0;
    for (const { socket } of this.#connections) most = Math.max(most, socket.bufferedAmount);
    return most;
  }

  readonly #write: Write = (connection, bytes) => {
    const { outbox } = this.#options;
    const { socket, tcp } = connection;
    if (socket.readyState !== WebSocket.OPEN) return true;
    // The kernel was never offered what is corked: only when it was, can one see whether the reader is slow.
    const fits = outbox.fits(socket, bytes.length) || (this.#uncork(tcp) && outbox.fits(socket, bytes.length));
    if (!fits) {
      this.#tooSlow(connection);
      return false;
    }
    // Several writes of one tick leave in one system call.
    if (!this.#corked.has(tcp)) {
      if (!this.#corked.size) this.#atEndOfTick();
      this.#corked.add(tcp);
      tcp.cork();
    }
    tcp.write(bytes);
    if (outbox.isFull(socket)) this.#uncork(tcp);
    // A socket that holds less than its own high-water mark emits no `drain`, so nobody may wait for it.
    connection.isFull = outbox.isFull(socket) && tcp.writableNeedDrain;
    return true;
  };

  /** Offers the kernel what was written to a socket in this tick; false when the socket was not corked. */
  #uncork(tcp: Socket): boolean {
    if (!this.#corked.delete(tcp)) return false;
    tcp.uncork();
    return true;
  }

  /** The relay's protocol has no packet that says so to the client: the log tells whoever runs the server, once per connection. */
  #hasTooMany(connection: RelayConnection): void {
    if (connection.isToldOfTopics) return;
    connection.isToldOfTopics = true;
    const { limits, logger } = this.#options;
    logger.warn(`A relay connection from ${fromOf(connection)} has joined ${limits.joinedTopics} topics and gets no data of others: raise limits.joinedTopics, or let its patrons subscribe to fewer.`);
  }

  /** Nor has it one for this. Its client would get nothing, and nobody would see why. */
  #lacksTicket(connection: RelayConnection, lack: TicketLack): void {
    if (connection.isToldOfTickets) return;
    connection.isToldOfTickets = true;
    this.#options.logger.warn(`A relay connection from ${fromOf(connection)} ${LACKS[lack]}`);
  }

  /** A connection has no room for more: closes it, or if slow readers may stay, makes sure that it gets what it missed once it has drained. */
  #tooSlow(connection: RelayConnection): void {
    const { drops, limits, outbox } = this.#options;
    if (limits.slowReader === 'cut') {
      outbox.cut(connection.socket);
      // Publishers do not wait for a connection that is being closed.
      connection.isFull = false;
      this.#pacer.drained(connection);
      return;
    }
    drops.add('slow-reader');
    // Below its high-water mark a socket emits no `drain`, but it calls back after each write, even of nothing.
    if (!connection.tcp.writableNeedDrain) connection.tcp.write('', () => this.#drained(connection));
  }

  #drained(connection: RelayConnection): void {
    connection.isFull = false;
    this.#pacer.drained(connection);
    this.relay.drained(connection);
  }

  /** Runs after all sockets that have data were read, and before the event loop waits for more. */
  #atEndOfTick(): void {
    if (this.#ending) return;
    this.#ending = true;
    setImmediate(() => {
      this.relay.flush();
      this.#ending = false;
      for (const tcp of this.#corked) tcp.uncork();
      this.#corked.clear();
    });
  }

  /** Takes a WebSocket that has just been opened. `tcp`: the socket beneath it. */
  accept(socket: WebSocket, tcp: Socket, version: RelayVersion): void {
    const { drops, heartbeat, outbox, limits } = this.#options;
    const { relayMessagesPerSecond: messages, relayBytesPerSecond: bytes } = limits;
    const budgets = [new Bucket(messages, 2 * messages), new Bucket(bytes, bytes)];
    const connection = new RelayConnection(socket, tcp, version, drops, this.#write);
    const throttle = new Throttle(socket, budgets, () => !this.#pacer.isHeld(connection));
    connection.mayRead = () => !throttle.isResting;
    socket.on('error', (error) => countFault(error, drops));
    socket.on('ping', (data) => {
      if (throttle.take(1, data.length)) drops.add('relay-rate');
      outbox.pong(socket, data);
    });
    socket.on('pong', (data) => {
      if (throttle.take(1, data.length)) drops.add('relay-rate');
    });
    socket.on('message', (data, isBinary) => {
      // What arrives after we have started to close is ignored.
      if (socket.readyState !== WebSocket.OPEN) return;
      const message = bytesOf(data);
      if (throttle.take(1, message.length)) drops.add('relay-rate');
      if (!isBinary) return drops.add('relay-text');
      this.relay.receive(connection, message);
    });
    socket.on('close', () => {
      throttle.end();
      this.#connections.delete(connection);
      heartbeat.delete(connection);
      this.#pacer.gone(connection);
      this.relay.gone(connection);
    });
    tcp.on('drain', () => this.#drained(connection));
    this.#connections.add(connection);
    heartbeat.add(connection);
  }
}

const fromOf = ({ tcp }: RelayConnection): string => tcp.remoteAddress ?? 'an unknown address';
