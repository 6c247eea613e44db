import { ServerResponse, createServer as createHttp } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { PubkeeperError } from '../core/errors.js';
import { after, cancel } from '../core/host.js';
import { show } from '../core/id.js';
import type { AddressBook } from './address-book.js';
import { CloseCode, TOO_LONG } from './close-codes.js';
import { refuse, refuseRequest } from './http.js';
import { LateRequest } from './late-request.js';
import { end } from './outbox.js';
import { readPath, readProtocols } from './upgrade.js';
import type { AcceptedRoute, Route, UpgradeRequest } from './upgrade.js';

/** How long connections have to end by themselves once the server is done with them, in milliseconds. */
const GRACE_MS = 1_000;

const CROWDED = 'There are too many connections from this address: close some.';

/** How many requests of a connection may wait for the answer to an earlier one. Browsers send no requests ahead. */
const MOST_AHEAD = 16;

/** Adds a reason where `ws` closes with the code alone: clients report the reason, and the code by itself does not say what to do. */
class Telling extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? (code === CloseCode.TOO_LONG ? TOO_LONG : undefined));
  }
}

const HTTP = { IncomingMessage: LateRequest };

/** What a listener does not decide itself. */
export interface ListenerHooks {
  route(upgrade: UpgradeRequest): Route;
  /** Takes a WebSocket in the tick in which it was opened, so that no event of it is missed. */
  accept(socket: WebSocket, route: AcceptedRoute, request: IncomingMessage): void;
  /** A handshake was refused. */
  refused(sentence: string, request: IncomingMessage): void;
  answer(request: IncomingMessage, response: ServerResponse): void;
  /** A connection was refused, because there are too many from its address. */
  crowded(address: string): void;
  /** Something went wrong with the port itself, or with a hook. */
  fault(error: unknown): void;
  readonly addresses: AddressBook;
  /** Certificate and key, checked by `checkTls`; undefined: no TLS. */
  readonly tls: TlsFiles | undefined;
  /** The longest message of a kind of connection, in bytes. */
  readonly maxPayload: { readonly control: number; readonly relay: number };
}

/** One TCP port: plain HTTP, and WebSockets of control and relay, which their handshakes tell apart. */
export class Listener {
  readonly #hooks: ListenerHooks;
  readonly #http: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #control: WebSocketServer;
  readonly #relay: WebSocketServer;
  /** The subprotocol that was chosen for each handshake that `ws` is working on. */
  readonly #protocols = new WeakMap<IncomingMessage, string>();
  /** The answers that each connection waits for: the first is in progress. */
  readonly #turns = new WeakMap<Duplex, (() => void)[]>();
  #closing: Promise<void> | undefined;
  /** Connections that are there may stay for a while; new ones are refused. */
  isDraining = false;

  constructor(hooks: ListenerHooks) {
    this.#hooks = hooks;
    this.#control = this.#webSockets(hooks.maxPayload.control);
    this.#relay = this.#webSockets(hooks.maxPayload.relay);
    const answer = (request: IncomingMessage, response: ServerResponse): void => this.#answerInTurn(request, response);
    this.#http = hooks.tls ? createHttps({ ...pem(hooks.tls), ...HTTP }, answer) : createHttp(HTTP, answer);
    this.#http.on('connection', (socket) => {
      const { addresses } = hooks;
      const address = socket.remoteAddress ?? '';
      // Twice the limit are let in: those beyond the limit stay for as long as it takes to tell them why they are refused.
      if (addresses.count(address) >= 2 * addresses.limit(address)) {
        hooks.crowded(address);
        socket.destroy();
        return;
      }
      const leave = addresses.enter(address);
      this.#sockets.add(socket);
      socket.once('close', () => {
        leave();
        this.#sockets.delete(socket);
      });
      // If a connection breaks while neither `http` nor `ws` listens for its errors, the process must not end.
      socket.on('error', () => socket.destroy());
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** The TCP port that it listens on. */
  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /**
   * Starts to listen.
   * @throws {PubkeeperError} `PORT_IN_USE`, or `OPTION_INVALID` when the host or the port cannot be had
   */
  async listen(port: number, host: string): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#http.once('error', reject);
        this.#http.listen({ port, host }, () => {
          this.#http.off('error', reject);
          // For example, no file descriptor is left. Report it and go on.
          this.#http.on('error', (error) => this.#hooks.fault(error));
          resolve();
        });
      });
    } catch (cause) {
      throw listenError(cause, port, host);
    }
  }

  /** Uses another certificate for new connections. */
  secure(tls: TlsFiles): void {
    if ('setSecureContext' in this.#http) (this.#http as HttpsServer).setSecureContext(pem(tls));
  }

  /** Closes every WebSocket with 1001 and frees the port. Connections that do not end within a second are cut. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    const ended = [this.#http, this.#control, this.#relay].map(
      // An error means that it was not running, which is fine.
      (part) => new Promise<void>((resolve) => void part.close(() => resolve())),
    );
    for (const sockets of [this.#control, this.#relay]) {
      for (const socket of sockets.clients) end(socket, CloseCode.GOING_AWAY, 'The server is shutting down.');
    }
    const grace = after(GRACE_MS, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    await Promise.all(ended);
    cancel(grace);
  }

  #webSockets(maxPayload: number): WebSocketServer {
    const sockets = new WebSocketServer({
      noServer: true,
      WebSocket: Telling,
      maxPayload,
      // Each part of a message takes more memory than it has bytes. Browsers send long messages in parts too, but not in so many.
      maxFragments: 256,
      maxBufferedChunks: 16_384,
      // Compression costs a lot of memory, and ciphertext does not shrink.
      perMessageDeflate: false,
      autoPong: false,
      handleProtocols: (_offered, request) => this.#protocols.get(request) || false,
    });
    // Handshakes that `ws` refuses count too, and are in the log: perhaps a proxy does not pass them on as they are.
    sockets.on('wsClientError', ({ message }, socket, request) => {
      this.#hooks.refused(`${message}.`, request);
      const isGet = request.method === 'GET';
      refuse(socket, isGet ? 400 : 405, `${message}.`, ['Sec-WebSocket-Version: 13, 8', ...(isGet ? [] : ['Allow: GET'])]);
    });
    return sockets;
  }

  /**
   * Answers requests that a connection has sent ahead one after the other. Node hands over all of them at once, perhaps thousands, each of
   * which may open a file; and if the connection breaks, Node emits nothing on answers whose turn had not come.
   */
  #answerInTurn(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const turns = this.#turns.get(socket) ?? [];
    this.#turns.set(socket, turns);
    if (turns.length > MOST_AHEAD) return void socket.destroy();
    const next = (): void => void (socket.destroyed || turns[0]?.());
    turns.push(() => {
      response.once('close', () => {
        turns.shift();
        next();
      });
      this.#answer(request, response);
    });
    if (turns.length === 1) next();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#isCrowded(request)) return this.#hooks.answer(request, response);
    this.#hooks.crowded(request.socket.remoteAddress ?? '');
    refuseRequest(response, 429, CROWDED);
  }

  #isCrowded({ socket: { remoteAddress = '' } }: IncomingMessage): boolean {
    const { addresses } = this.#hooks;
    return addresses.count(remoteAddress) > addresses.limit(remoteAddress);
  }

  /**
   * Answers a request that offers an upgrade other than a WebSocket as if it was plain: some HTTP clients offer HTTP/2 with each
   * request. Node hands these requests over like WebSockets, without a response.
   */
  #answerInstead(request: IncomingMessage, socket: Duplex): void {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    // Node does not handle this socket any more: it has to be read so that its end is seen, and one that never ends has to be cut.
    socket.resume();
    response.on('finish', () => {
      socket.end();
      const grace = after(GRACE_MS, () => socket.destroy());
      socket.once('close', () => cancel(grace));
    });
    this.#answer(request, response);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A request that came after the connection was cut: see LateRequest.
    if (socket.destroyed) return;
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return this.#answerInstead(request, socket);
    if (this.#isCrowded(request)) {
      this.#hooks.crowded(request.socket.remoteAddress ?? '');
      return refuse(socket, 429, CROWDED);
    }
    const upgrade: UpgradeRequest = {
      path: readPath(request.url),
      protocols: readProtocols(request.headers['sec-websocket-protocol']),
      origin: request.headers.origin,
      host: request.headers.host ?? '',
    };
    const route = this.#route(upgrade);
    if (route.kind === 'refused') {
      this.#hooks.refused(route.sentence, request);
      refuse(socket, route.status, route.sentence);
      return;
    }
    if (route.protocol) this.#protocols.set(request, route.protocol);
    const sockets = route.kind === 'control' ? this.#control : this.#relay;
    sockets.handleUpgrade(request, socket, head, (webSocket) => this.#hooks.accept(webSocket, route, request));
  }

  #route(upgrade: UpgradeRequest): Route {
    if (this.#closing || this.isDraining) return { kind: 'refused', status: 503, sentence: 'The server is shutting down: try again later.' };
    try {
      return this.#hooks.route(upgrade);
    } catch (error) {
      // The user's `allowOrigin` has thrown.
      this.#hooks.fault(error);
      return { kind: 'refused', status: 500, sentence: 'Internal server error: its log says more.' };
    }
  }
}

/** Certificate chain and private key, both in PEM. */
export interface TlsFiles {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
}

function pem({ cert, key }: TlsFiles): { cert: string | Buffer; key: string | Buffer } {
  const text = (file: string | Uint8Array): string | Buffer => (typeof file === 'string' ? file : Buffer.from(file));
  return { cert: text(cert), key: text(key) };
}

/**
 * Checks that a TLS server can work with these.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function checkTls(tls: TlsFiles): void {
  try {
    const { cert, key } = pem(tls);
    // Of one that is empty, as a file is in the midst of being copied, it makes a context all the same, and no handshake would succeed.
    if (!cert.length || !key.length) throw new Error('empty');
    createSecureContext({ cert, key });
  } catch {
    // What OpenSSL says is not passed on: it may quote the key.
    throw new PubkeeperError('OPTION_INVALID', 'The option "tls" (--tls-cert, --tls-key) must hold a certificate and the private key that belongs to it, both in PEM, the key without a passphrase.');
  }
}

function listenError(cause: unknown, port: number, host: string): PubkeeperError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const details = { port, host };
  if (code === 'EADDRINUSE') {
    const message = `Port ${port} on ${host} is in use: end the program that has it, or choose another (0: any).`;
    return new PubkeeperError('PORT_IN_USE', message, details, cause);
  }
  if (code === 'EACCES') {
    const message = `Port ${port} on ${host} is not allowed for this user: choose one above 1023.`;
    return new PubkeeperError('OPTION_INVALID', message, details, cause);
  }
  const why = code || 'unknown reason';
  const message = `The server cannot listen on ${show(host)}, port ${port} (${why}): check both.`;
  return new PubkeeperError('OPTION_INVALID', message, details, cause);
}
