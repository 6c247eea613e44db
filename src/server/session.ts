import { WebSocket } from 'ws';
import { PubkeeperError, type ErrorCode } from '../core/errors.js';
import { show } from '../core/id.js';
import { PING, PacketType, decodePacket, type Packet, type UnknownPacket } from '../core/packet.js';
import type { Rights } from './auth.js';
import { Bucket } from './bucket.js';
import { CloseCode } from './close-codes.js';
import type { ControlPlane } from './control.js';
import { Credential, checkRights, isLater } from './credential.js';
import type { Handshake } from './handshake.js';
import type { Beating } from './heartbeat.js';
import { excessOf, MOST_BEFORE_AUTH } from './limits.js';
import { logFault } from './log.js';
import { errorPacket } from './match.js';
import { bytesOf, countFault, end } from './outbox.js';
import { patience } from './patience.js';
import { registerIn } from './refusals.js';
import type { DropReason } from './stats.js';
import { Throttle } from './throttle.js';
import { Turns, type Work } from './turns.js';
import { encodeMessages, nameOf, pong } from './wire.js';

/** A packet that has arrived, and its length in bytes. */
type Arrived = { readonly packet: Packet | UnknownPacket; readonly length: number };

/** One control connection: authentication, then packets to the matchmaker and back (protocol, section 2). */
export class ControlSession implements Beating {
  readonly handshake: Handshake;
  readonly #plane: ControlPlane;
  readonly #socket: WebSocket;
  #authenticated = false;
  #credential: Credential | undefined;
  /** Ends the wait for authentication: the client has authenticated, or the connection has closed. */
  readonly #endWait: () => void;
  readonly #throttle: Throttle;
  readonly #turns: Turns;
  #probe: Promise<boolean> | undefined;
  #sign: ((alive: boolean) => void) | undefined;

  constructor(plane: ControlPlane, socket: WebSocket, handshake: Handshake) {
    this.#plane = plane;
    this.#socket = socket;
    this.handshake = handshake;
    const { packetsPerSecond, packetBurst } = plane.limits;
    this.#throttle = new Throttle(socket, [new Bucket(packetsPerSecond, packetBurst)], () => !this.#turns.isBusy);
    this.#turns = new Turns({
      pause: () => socket.pause(),
      resume: () => void (this.#throttle.isResting || socket.resume()),
      crash: (error) => this.#crash(error),
    });
    this.#endWait = patience(plane.authMs, () => this.#tooLate());
    socket.on('error', (error) => countFault(error, plane.drops));
    socket.on('ping', (data) => {
      if (this.#throttle.take(1)) this.#tooFast();
      // In order: when the client gets the pong, everything that it sent before the ping has been handled.
      if (this.#authenticated) this.#turns.take(() => void plane.outbox.pong(socket, data));
      else plane.outbox.pong(socket, data);
    });
    socket.on('pong', (data) => {
      // A client may send pongs that nobody asked for, so they count too.
      if (this.#throttle.take(1)) this.#tooFast();
      // In order too: packets before it may still wait for their turn. Only the pong for a probe has a payload; those for the heartbeat have none.
      if (data.length && this.#sign) this.#turns.take(() => void this.#sign?.(true));
    });
    socket.on('message', (data, isBinary) => {
      this.#guard(() => this.#message(bytesOf(data), isBinary));
    });
    socket.on('close', () => {
      this.#endWait();
      this.#throttle.end();
      this.#credential?.end();
      this.#sign?.(false);
      plane.gone(this);
    });
  }

  get #open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get received(): number {
    return this.handshake.tcp.bytesRead;
  }

  get isPaused(): boolean {
    return this.#socket.isPaused;
  }

  /** Sends a packet; does nothing if the connection is closing or closed. */
  deliver(packet: Packet): void {
    if (!this.#open) return;
    // If a packet cannot be sent, only this connection must end: not the connection that caused the packet, nor the server.
    this.#guard(() => {
      for (const bytes of encodeMessages(packet, this.handshake.version)) this.#plane.outbox.send(this.#socket, bytes);
    });
  }

  ping(): void {
    if (this.#open) this.#socket.ping();
  }

  cut(): void {
    if (this.#open) this.#plane.drops.add('silent');
    this.#socket.terminate();
  }

  /**
   * Whether the client is still there: true once it answers a ping, or if anything else has come from it when the time is over. The answer
   * counts only after the packets before it are handled: one of them may unregister the id that another connection wants.
   */
  answers(): Promise<boolean> {
    if (!this.#open) return Promise.resolve(false);
    return (this.#probe ??= new Promise((resolve) => {
      const before = this.received;
      // A paused connection counts as alive, because it cannot be heard: it has sent too much, or waits for earlier work.
      const cancel = patience(this.#plane.probeMs, () => this.#sign?.(this.#open && (this.received !== before || this.isPaused)));
      this.#sign = (alive) => {
        cancel();
        this.#sign = this.#probe = undefined;
        resolve(alive);
      };
      this.#socket.ping('?');
    }));
  }

  #message(bytes: Uint8Array, isBinary: boolean): void {
    // What arrives after we have started to close is ignored.
    if (!this.#open) return;
    if (this.#throttle.take(1)) this.#tooFast();
    if (!isBinary) return this.#bad('control-text', 'PACKET_INVALID', 'A control packet is a binary message; this one was text.');
    if (!this.#authenticated && bytes.length > MOST_BEFORE_AUTH) return this.#tooSoon(`a packet may have at most ${MOST_BEFORE_AUTH} bytes, not ${bytes.length}: shorten the token`);
    let packet: Packet | UnknownPacket;
    try {
      packet = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof PubkeeperError)) throw error;
      const register = this.#authenticated && registerIn(bytes);
      if (register) return this.#turns.take(() => void (this.#open && this.#plane.refuse(this, register, { reason: 'control-packet', code: error.code, message: error.message })));
      return this.#bad('control-packet', error.code, error.message);
    }
    this.#take({ packet, length: bytes.length });
  }

  #take(arrived: Arrived): void {
    this.#turns.take(() => {
      if (!this.#open) return undefined;
      return this.#authenticated ? this.#handle(arrived) : this.#authenticate(arrived.packet);
    });
    const most = this.#plane.limits.packetsBeforeAuth;
    if (!this.#authenticated && this.#turns.waiting >= most) this.#tooSoon(`a client may send at most ${most} packet(s): wait for CLIENT_AUTHENTICATED`);
  }

  #authenticate(packet: Packet | UnknownPacket): Promise<void> | undefined {
    if (packet.type !== PacketType.CLIENT_AUTHENTICATE) {
      return void this.#bad('control-packet', 'PROTOCOL_ERROR', `The first packet must be CLIENT_AUTHENTICATE, not ${nameOf(packet)}.`);
    }
    const { token } = packet.payload;
    const { gate } = this.#plane;
    const rights = gate.by.authenticate(token);
    if (isLater(rights)) return Promise.resolve(rights).then((known) => this.#admit(known, token, gate));
    return void this.#admit(rights, token, gate);
  }

  #admit(rights: Rights | undefined, token: string, gate: ControlPlane['gate']): void {
    if (!this.#open) return;
    this.#endWait();
    if (!rights) return this.#refuse();
    this.#credential = new Credential(token, checkRights(rights), () => this.#expire('The token has expired: connect again with a new one.'));
    this.#authenticated = true;
    // Clients that do not know `heartbeat` ignore it.
    const payload = { authenticated: true, heartbeat: this.#plane.heartbeatMs };
    this.deliver({ type: PacketType.CLIENT_AUTHENTICATED, payload });
    this.#plane.matchmaker.add(this, rights);
    // There was a reload while the token was checked.
    if (gate !== this.#plane.gate) this.recheck();
  }

  /** After a reload: closes the connection if the authenticator no longer knows the token, or gives it other rights. */
  recheck(): void {
    this.#guard(() => {
      const verdict = this.#open && this.#credential?.recheck(this.#plane.gate.by);
      if (verdict === 'unknown') this.#refuse();
      if (verdict === 'changed') this.#expire('What this token may do has changed: connect again.');
    });
  }

  #expire(why: string): void {
    if (!this.#open) return;
    this.#plane.drops.add('expired');
    end(this.#socket, CloseCode.TOKEN_EXPIRED, why);
  }

  #refuse(): void {
    this.#plane.drops.add('unauthorized');
    this.#plane.logger.warn(`A token from ${this.handshake.address} was refused.`);
    this.deliver({ type: PacketType.CLIENT_AUTHENTICATED, payload: { authenticated: false } }); // before the ERROR: a client may take what comes first for the answer
    this.deliver(errorPacket('UNAUTHORIZED', 'The server does not know this token: check it, or ask for one.'));
    end(this.#socket, CloseCode.UNAUTHORIZED, 'The token was refused.');
  }

  #handle({ packet, length }: Arrived): ReturnType<Work> {
    const { limits, matchmaker, drops, outbox } = this.#plane;
    if (packet.type === 'unknown') return void (packet.number === PING ? outbox.send(this.#socket, pong(this.handshake.version)) : drops.add('control-unknown'));
    const excess = excessOf(packet, length, limits, () => matchmaker.usage(this, packet));
    if (excess) return void this.#plane.refuse(this, packet, excess);
    switch (packet.type) {
      case PacketType.BREWER_REGISTER:
      case PacketType.PATRON_REGISTER: {
        const rival = this.#plane.rival(this, packet);
        return rival ? this.#contend(rival, packet, length) : void this.#plane.receive(this, packet, length);
      }
      case PacketType.BREWER_UNREGISTER:
      case PacketType.PATRON_UNREGISTER:
      case PacketType.BREWS_REGISTER:
        return void this.#plane.receive(this, packet, length);
      case PacketType.BREW_STATE:
        return this.#plane.move(this, packet);
      case PacketType.ERROR:
        return void this.#plane.logger.debug?.(`The client at ${this.handshake.address} reports: ${show(packet.payload.message)}`);
      case PacketType.CLIENT_AUTHENTICATE:
        return void this.#fault('PROTOCOL_ERROR', 'This connection is authenticated already: open another one for another token.');
      case PacketType.SEGMENT_CREATE:
      case PacketType.SEGMENT_DESTROY:
      case PacketType.SEGMENT_REGISTER:
      case PacketType.SEGMENT_CONNECT_BREWER:
        // These are for bridging between servers, which this server does not do.
        return void drops.add('control-unknown');
      default:
        return void this.#bad('control-packet', 'PACKET_INVALID', `${nameOf(packet)} is for servers to send, not for clients.`);
    }
  }

  /**
   * Another connection, `rival`, holds the id. It may be an old connection of the same client, which died without a FIN when
   * the network changed; so ask it for a sign of life before refusing the new one.
   */
  async #contend(rival: ControlSession, packet: Packet, length: number): Promise<void> {
    if (!(await rival.answers())) {
      rival.cut();
      this.#plane.gone(rival, packet);
    }
    if (this.#open) this.#plane.receive(this, packet, length);
  }

  #bad(reason: DropReason, code: ErrorCode, message: string): void {
    this.#plane.drops.add(reason);
    this.#fault(code, message);
  }

  /** Sends an ERROR. The connection stays open only if the client is authenticated. */
  #fault(code: ErrorCode, message: string): void {
    this.deliver(errorPacket(code, message));
    if (!this.#authenticated) end(this.#socket, CloseCode.BAD_PACKET, 'Send CLIENT_AUTHENTICATE first, and nothing else until it is answered.');
  }

  #tooLate(): void {
    if (!this.#open) return;
    this.#plane.drops.add('auth-timeout');
    // Busy: a token has come, and the authenticator is still checking it.
    const what = this.#turns.isBusy ? 'The token was not checked' : 'No CLIENT_AUTHENTICATE came';
    this.deliver(errorPacket('TIMEOUT', `${what} within ${this.#plane.authMs} ms.`));
    end(this.#socket, CloseCode.AUTH_TIMEOUT, `${what} in time.`);
  }

  #tooSoon(what: string): void {
    this.#plane.drops.add('before-auth');
    this.#fault('LIMIT_EXCEEDED', `Before authentication ${what}.`);
  }

  #tooFast(): void {
    this.#plane.drops.add('packet-rate');
    this.deliver(errorPacket('LIMIT_EXCEEDED', `This connection sends more than ${this.#plane.limits.packetsPerSecond} packets a second: the rest is read later. Send fewer.`));
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#crash(error);
    }
  }

  /** Ends this connection after a fault of the server's own: the other connections must go on. */
  #crash(error: unknown): void {
    const { drops, logger } = this.#plane;
    // That a token cannot be judged yet is not a fault: any stranger can cause it, as often as it likes.
    if (error instanceof PubkeeperError && error.code === 'UNAUTHORIZED') {
      drops.add('unauthorized');
      logger.warn(`A token from ${this.handshake.address} was not accepted: ${error.message}`);
    } else logFault(logger, 'A control connection ended by a fault of the server', error);
    end(this.#socket, CloseCode.SERVER_FAULT, 'Internal server error: its log says more.');
  }
}
