import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Heartbeat, Beating } from './heartbeat.js';
import { bytesOf, countFault } from './outbox.js';
import type { Outbox } from './outbox.js';
import type { RelayVersion } from './relay-format.js';
import { Relay } from './relay.js';
import type { RelayMember } from './relay.js';
import type { Drops } from './stats.js';

/** A relay connection; to the relay, a handle. */
class RelayConnection implements Beating, RelayMember {
  readonly socket: WebSocket;
  /** The connection beneath, to write to what is framed already. */
  readonly tcp: Socket;
  readonly version: RelayVersion;
  readonly #drops: Drops;
  silence = 0;

  constructor(socket: WebSocket, tcp: Socket, version: RelayVersion, drops: Drops) {
    this.socket = socket;
    this.tcp = tcp;
    this.version = version;
    this.#drops = drops;
  }

  ping(): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.ping();
  }

  cut(): void {
    this.#drops.add('silent');
    this.socket.terminate();
  }
}

export interface RelayPlaneOptions {
  readonly drops: Drops;
  readonly outbox: Outbox;
  readonly heartbeat: Heartbeat;
  /** A connection has joined the topic of this key. */
  readonly joined: (key: string) => void;
}

/** The relay with its WebSockets. */
export class RelayPlane {
  readonly relay: Relay<RelayConnection>;
  readonly #options: RelayPlaneOptions;
  readonly #connections = new Set<RelayConnection>();
  /** Sockets that were written to in this tick. */
  readonly #corked = new Set<Socket>();
  #ending = false;

  constructor(options: RelayPlaneOptions) {
    this.#options = options;
    const { drops, outbox, joined } = options;
    this.relay = new Relay({
      write: ({ socket, tcp }, bytes) => {
        if (!outbox.hasRoom(socket)) return;
        // Several writes of one tick leave in one system call.
        if (!this.#corked.has(tcp)) {
          if (!this.#corked.size) this.#atEndOfTick();
          this.#corked.add(tcp);
          tcp.cork();
        }
        tcp.write(bytes);
      },
      cork: () => this.#atEndOfTick(),
      dropped: (fault) => drops.add(fault),
      joined,
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** After the sockets that have something to read were read, and before any is waited for. */
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

  /** Takes a WebSocket that has just been opened. `tcp`: the connection beneath. */
  accept(socket: WebSocket, tcp: Socket, version: RelayVersion): void {
    const { drops, heartbeat, outbox } = this.#options;
    const connection = new RelayConnection(socket, tcp, version, drops);
    socket.on('error', (error) => countFault(error, drops));
    socket.on('ping', (data) => {
      connection.silence = 0;
      outbox.pong(socket, data);
    });
    socket.on('pong', () => {
      connection.silence = 0;
    });
    socket.on('message', (data, isBinary) => {
      connection.silence = 0;
      // What arrives behind our close is too late.
      if (socket.readyState !== WebSocket.OPEN) return;
      if (isBinary) this.relay.receive(connection, bytesOf(data));
      else drops.add('relay-text');
    });
    socket.on('close', () => {
      this.#connections.delete(connection);
      heartbeat.delete(connection);
      this.relay.gone(connection);
    });
    this.#connections.add(connection);
    heartbeat.add(connection);
  }
}
