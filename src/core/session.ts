import type { Complete } from './complete.js';
import { unreachable, type WebSocketConstructor } from './connection.js';
import { asPubkeeperError, type ErrorCode, PubkeeperError } from './errors.js';
import { after, cancel, type Timer } from './host.js';
import { decodeServerPacket, encodePacket, type Packet, PacketType, PING, type PacketVersion } from './packet.js';
import { isFatal, ReconnectingConnection, type ReconnectOptions } from './reconnect.js';

/** A token, or a function that returns one. It is called for each connection, so that a short-lived token can be renewed. */
export type TokenSource = string | (() => string | Promise<string>);

/** The options of a session, and its callbacks. */
export interface SessionOptions {
  /** The server's URL, read at each attempt to connect; and its heartbeat interval in ms, written when the server announces it. */
  readonly place: { readonly server: string; heartbeatMs?: number };
  readonly token: TokenSource;
  readonly WebSocket: WebSocketConstructor;
  readonly reconnect: Complete<ReconnectOptions>;
  /** The timeout in ms for dialling, and again for authentication. */
  readonly timeoutMs: number;
  /** The names of the brews, for BREWS_REGISTER. */
  readonly brews: readonly string[];
  /** Authenticated, at first and after each reconnect: register everything now. */
  onReady(): void;
  onPacket(packet: Packet): void;
  /** The connection ended and is retried. */
  onDown(error: PubkeeperError): void;
  /** The connection ended for good. */
  onClose(error: PubkeeperError): void;
  /** An error that does not end the connection. */
  onFault(error: PubkeeperError): void;
}

/** The control connection (protocol, section 2): authenticates, notices silence, and comes back when it is lost. */
export class Session extends ReconnectingConnection {
  /** Authenticated: everything else can be sent. */
  isReady = false;
  readonly #options: SessionOptions;
  #version: PacketVersion = '1.1';
  #timer: Timer | undefined;
  /** The error that the server sent before it closed: it explains more than the close does. */
  #refusal: PubkeeperError | undefined;

  constructor(options: SessionOptions) {
    super({
      ...options,
      get url() {
        return options.place.server;
      },
      protocols: ['pubkeeper-1.1', 'pubkeeper-1.0'],
      onOpen: (protocol) => this.#opened(protocol),
      onMessage: (bytes) => this.#received(bytes),
      onFault: (error) => this.#fault(error),
      onDown: (error) => {
        const why = this.#ended(error);
        // What the server said counts, not how it closed: a refused token would be refused again.
        if (isFatal(why)) this.close(why);
        else options.onDown(why);
      },
      onClose: (error) => options.onClose(this.#ended(error)),
    });
    this.#options = options;
  }

  /**
   * Sends a packet if the session is ready. If it is not, the packet is not needed: everything is registered anew later.
   * @throws {PubkeeperError} `PACKET_TOO_LONG`
   */
  tell(packet: Packet): void {
    // BREW_STATE has another meaning on deployed servers. Only servers of this project announce a heartbeat.
    const isMeant = packet.type !== PacketType.BREW_STATE || this.#options.place.heartbeatMs;
    if (this.isReady && isMeant) this.send(encodePacket(packet, this.#version));
  }

  #opened(protocol: string): void {
    this.#version = protocol === 'pubkeeper-1.0' ? '1.0' : '1.1';
    const { timeoutMs, token, place } = this.#options;
    let silent = 'The token function did not answer';
    const deadline = after(timeoutMs, () => this.abandon(new PubkeeperError('TIMEOUT', `${silent} within ${timeoutMs} ms.`, { timeoutMs })));
    this.#timer = deadline;
    const authenticate = async (): Promise<void> => {
      const text: unknown = typeof token === 'string' ? token : await token();
      // The connection may have ended while the token was fetched.
      if (this.#timer !== deadline) return;
      silent = `${place.server} did not authenticate`;
      if (typeof text !== 'string' || !text) throw new PubkeeperError('TOKEN_FAILED', 'The token function gave no text.');
      const packet: Packet = { type: PacketType.CLIENT_AUTHENTICATE, payload: { token: text } };
      this.send(encodePacket(packet, this.#version));
    };
    authenticate().catch((cause: unknown) => {
      if (this.#timer === deadline) this.abandon(asPubkeeperError(cause, 'TOKEN_FAILED', 'The token function failed: see the cause.'));
    });
  }

  #received(bytes: Uint8Array): void {
    try {
      const packet = decodeServerPacket(bytes, this.#options.onFault);
      if (packet.type === 'unknown') {
        if (packet.number !== PING) throw unexpected(packet.number);
      } else if (packet.type === PacketType.CLIENT_AUTHENTICATED) this.#authenticate(packet.payload);
      else if (this.isReady) this.#options.onPacket(packet);
      else if (packet.type === PacketType.ERROR) this.#refusal = serverError(packet.payload);
      else throw unexpected(packet.type);
    } catch (error) {
      this.#fault(asPubkeeperError(error, 'PROTOCOL_ERROR', 'A packet of the server could not be handled.'));
    }
  }

  /**
   * Reports what breaks the protocol. Before the token is accepted it ends the connection, since another kind of server may have picked the
   * first subprotocol, as many do; except packets of unknown types, or out of turn. Type 1 is an echo of our own packet.
   */
  #fault(error: PubkeeperError): void {
    if (this.isReady || (error.details['type'] as number) > 1) return this.#options.onFault(error);
    this.abandon(unreachable(this.#options.place.server, [], error.message));
  }

  #authenticate(payload: { readonly authenticated: boolean; readonly heartbeat?: unknown }): void {
    if (this.isReady) return;
    if (!payload.authenticated) {
      const why = this.#refusal?.message ?? 'Give a valid one and connect again.';
      this.abandon(new PubkeeperError('UNAUTHORIZED', `The server does not accept this token. ${why}`));
      return;
    }
    cancel(this.#timer);
    this.#refusal = undefined;
    this.isReady = true;
    const { brews, onReady, place } = this.#options;
    const beat = (place.heartbeatMs = typeof payload.heartbeat === 'number' && payload.heartbeat >= 100 ? payload.heartbeat : 0);
    this.watch(beat, encodePacket({ type: PING, payload: {} }, this.#version));
    this.tell({ type: PacketType.BREWS_REGISTER, payload: { brews, bridge_mode: false } });
    onReady();
  }

  /** Resets the state of the connection that ended; returns the error that explains it best. */
  #ended(error: PubkeeperError): PubkeeperError {
    const why = (error.code === 'CONNECTION_LOST' && this.#refusal) || error;
    cancel(this.#timer);
    this.#timer = undefined;
    this.isReady = false;
    this.#refusal = undefined;
    return why;
  }
}

/** An ERROR packet as an error. Servers of this project send its `code`. */
export function serverError(payload: { readonly message: string; readonly code?: unknown }): PubkeeperError {
  const code = SERVER_CODES.find((known) => known === payload.code) ?? 'SERVER_ERROR';
  const { message, ...details } = payload;
  return new PubkeeperError(code, message, details);
}

const SERVER_CODES: readonly ErrorCode[] = [
  'FORBIDDEN',
  'LIMIT_EXCEEDED',
  'PACKET_INVALID',
  'PACKET_TOO_LONG',
  'PATTERN_INVALID',
  'PROTOCOL_ERROR',
  'REGISTERED_TWICE',
  'TIMEOUT',
  'TOPIC_INVALID',
  'UNAUTHORIZED',
];

const unexpected = (number: number): PubkeeperError =>
  new PubkeeperError('PROTOCOL_ERROR', `A packet of the server is unknown or out of turn: type ${number}.`, {
    type: number,
  });

export const disconnected = (): PubkeeperError => new PubkeeperError('CONNECTION_CLOSED', 'The client was disconnected.');
