import { WebSocket } from 'ws';
import type { Heartbeat, Beating } from './heartbeat.js';
import { bytesOf, countFault } from './outbox.js';
import type { Outbox } from './outbox.js';
import { Relay } from './relay.js';
import type { Drops } from './stats.js';

/** A relay connection; to the relay, a handle. */
class RelayConnection implements Beating {
  readonly socket: WebSocket;
  readonly #drops: Drops;
  silence = 0;

  constructor(socket: WebSocket, drops: Drops) {
    this.socket = socket;
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

  constructor(options: RelayPlaneOptions) {
    this.#options = options;
    const { drops, outbox, joined } = options;
    this.relay = new Relay({
      send: (connection, frame) => outbox.send(connection.socket, frame),
      dropped: (fault) => drops.add(fault),
      joined,
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Takes a WebSocket that has just been opened. */
  accept(socket: WebSocket): void {
    const { drops, heartbeat, outbox } = this.#options;
    const connection = new RelayConnection(socket, drops);
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
