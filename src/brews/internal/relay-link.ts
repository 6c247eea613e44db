import { type BrewHost, type PatronPair, PubkeeperError } from '../../core/index.js';
import { bufferFull } from '../../core/errors.js';
import { identityOf, isFrame, topicHash } from '../../core/frame.js';
import { cancel, parseUrl, type Timer, wait } from '../../core/host.js';
import { type Deferred, deferred } from '../../core/deferred.js';
import { ReconnectingConnection } from '../../core/reconnect.js';
import { encodeRelayPacket, NOTHING, readRecords, RELAY_1, RELAY_2, RELAY_BATCH, RelayPacketType } from '../../core/relay.js';
import { join } from '../../core/ciphers/engine.js';
import { cork } from '../../core/cork.js';
import type { Outlet, Queued } from './relay-outlet.js';
import { Routes } from './routes.js';

/** While more than this many bytes are in the socket's buffer, `publish` makes its caller wait. */
const HIGH_WATER = 1024 * 1024;
/** How many bytes may wait, while the socket drains or is being connected; beyond that, `publish` throws. */
const MAX_BUFFERED = 16 * HIGH_WATER;
/** How often the buffer of a full socket is checked, in ms: WebSockets have no event for it. */
const DRAIN_POLL = 5;
const DIAL_TIMEOUT = 10_000;
const PING = encodeRelayPacket(RelayPacketType.PING, NOTHING);

/** A topic that patrons of this client read here. */
interface Joined {
  readonly hash: Uint8Array;
  pairs: number;
  ticket?: Uint8Array | undefined;
}

/** One connection to one relay (protocol, section 4), shared by all brewers and patrons of a client that use that relay. */
export class RelayLink {
  readonly url: string;
  /** How many pairs use the link; and the timer that closes it when none has for a while. */
  users = 0;
  idle: Timer | undefined;
  readonly #host: BrewHost;
  readonly #connection: ReconnectingConnection;
  readonly #joined = new Map<string, Joined>();
  /** Tickets for publishing. */
  readonly #grants = new Map<Outlet, Uint8Array>();
  readonly #routes: Routes;
  /** Whether the relay takes many packets in a message (relay protocol 2). */
  #batches: boolean | undefined;
  /** Packets of this tick, which leave in one message. */
  #batch: Uint8Array<ArrayBuffer>[] = [];
  #batchBytes = 0;
  readonly #touch = cork(() => this.#flush());
  /** How often control had been lost when the connection was made; 0 if the first attempt succeeded. */
  #losses = 0;
  /** Frames that were brewed while there was no connection, or for patrons that are not back yet. */
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #draining: Deferred | undefined;
  #poll: Timer | undefined;
  /** Whether the current outage was reported; undefined until the first attempt to connect has succeeded or failed. */
  #reported: boolean | undefined;
  /** Why the link has ended for good. */
  #over: PubkeeperError | undefined;
  readonly #ended = deferred();
  /** Resolves when the link has ended for good. */
  readonly ended = this.#ended.promise;

  constructor(url: string, host: BrewHost) {
    this.url = url;
    this.#host = host;
    this.#routes = new Routes(() => host.dropped('unknown-brewer'));
    const received = (frame: Uint8Array, retained?: boolean): void => {
      if (isFrame(frame)) this.#routes.deliver(frame, retained);
      else host.dropped('malformed');
    };
    this.#connection = new ReconnectingConnection({
      url,
      protocols: [RELAY_2, RELAY_1],
      WebSocket: host.WebSocket,
      timeoutMs: DIAL_TIMEOUT,
      reconnect: host.reconnect,
      onOpen: (protocol) => this.#opened(protocol === RELAY_2),
      onMessage: (bytes) => {
        if (!this.#batches) received(bytes);
        else if (!readRecords(bytes, received)) host.dropped('malformed');
        this.#routes.release(bytes);
      },
      onFault: (error) => host.report(error),
      onDown: (error) => this.#down(error),
      onClose: (error) => this.#end(error),
    });
  }

  /** Receives the frames of one brewer until the returned function is called. */
  join({ topic, brewerId, patronId, receive }: PatronPair, ticket?: Uint8Array): () => void {
    const joined: Joined = this.#joined.get(topic) ?? { hash: topicHash(topic), pairs: 0 };
    this.#joined.set(topic, joined);
    // Do not wait for the backoff: the first frames of a new brewer may be on their way.
    this.#told();
    // With a ticket, join even if others have joined: a relay that was restarted has refused their older tickets.
    if (!joined.pairs++ || ticket) this.#join(joined, ticket);
    const route = this.#routes.add(identityOf(topic, brewerId), receive, patronId);
    return () => {
      this.#routes.delete(route, receive);
      if (--joined.pairs) return;
      this.#joined.delete(topic);
      this.#send(encodeRelayPacket(RelayPacketType.LEAVE, joined.hash));
    };
  }

  /**
   * The server has announced a pair again: so its relay is there, and the server tells the brewer as soon as this client has joined.
   * Joins with the fresh ticket, if there is one: the relay would end a JOIN with the old ticket when that expires.
   */
  renew(topic: string, ticket: Uint8Array | undefined): void {
    this.#told();
    const joined = this.#joined.get(topic);
    if (joined && ticket) this.#join(joined, ticket);
  }

  /** The server has announced a pair of this brewer, with a ticket to publish if it gives tickets. */
  grant(outlet: Outlet, ticket: Uint8Array | undefined): void {
    outlet.toldAfter = this.#host.losses ?? 0;
    this.#told();
    if (ticket) {
      this.#grants.set(outlet, ticket);
      this.#send(encodeRelayPacket(RelayPacketType.GRANT, outlet.hash, ticket));
    }
    this.#release();
  }

  /** The brewer has no pairs here any more: its frames are not held back any longer. */
  revoke(outlet: Outlet): void {
    outlet.toldAfter = Infinity;
    this.#release();
    // While frames wait for the connection, keep the ticket: the relay would refuse them without it.
    if (!this.#queue.some((queued) => queued.outlet === outlet)) this.#grants.delete(outlet);
  }

  /**
   * Publishes a frame. Returns nothing if the socket took it and is not full, else a promise to wait for.
   * @throws {PubkeeperError} `BUFFER_FULL`; `BREW_FAILED` when the link has come to its end
   */
  publish(outlet: Outlet, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    this.#assertAlive();
    const held = this.#connection.bufferedAmount + this.#queuedBytes;
    if (held && held + frame.length > MAX_BUFFERED) {
      throw bufferFull(this.url, { url: this.url, limit: MAX_BUFFERED });
    }
    const packet = encodeRelayPacket(RelayPacketType.PUBLISH, outlet.hash, frame);
    // The relay does not send a frame back to the connection that it came from.
    this.#routes.deliver(frame, false, outlet);
    this.#assertAlive(); // a callback may have disconnected
    if (this.takes(outlet)) {
      this.#send(packet);
      return this.#connection.bufferedAmount > HIGH_WATER ? this.#drained() : undefined;
    }
    return this.#hold({ outlet, packet, ...deferred() });
  }

  /** Closes the socket until `wake`. What is published meanwhile waits. */
  rest(): void {
    this.#flush();
    this.#connection.rest();
  }

  /** Connects now if there is no connection, or if nothing has come for `silentMs`, since not every relay can be asked for a sign of life. */
  wake(silentMs = Infinity): void {
    if (Date.now() - this.#connection.heardAt > silentMs) this.rest();
    this.#connection.wake();
  }

  close(): Promise<void> {
    cancel(this.idle);
    this.#flush();
    this.#connection.close(new PubkeeperError('CONNECTION_CLOSED', `The connection to ${this.url} was closed.`, { url: this.url }));
    return this.ended;
  }

  #assertAlive(): void {
    if (this.#over) throw new PubkeeperError('BREW_FAILED', `The connection to ${this.url} has ended.`, { url: this.url }, this.#over);
  }

  #join(joined: Joined, ticket = joined.ticket): void {
    joined.ticket = ticket;
    this.#send(encodeRelayPacket(RelayPacketType.JOIN, joined.hash, ticket));
  }

  /** Sends a packet: by itself, or in relay protocol 2 with the others of this tick. */
  #send(packet: Uint8Array<ArrayBuffer>): void {
    if (!this.#batches) return void this.#connection.send(packet);
    if (this.#batchBytes + packet.length > RELAY_BATCH) this.#flush();
    this.#batch.push(packet);
    this.#batchBytes += packet.length;
    this.#touch();
  }

  #flush(): void {
    const batch = this.#batch;
    if (!batch.length) return;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#connection.send(batch.length > 1 ? join(...batch) : batch[0]!);
  }

  #opened(batches: boolean): void {
    this.#batches = batches;
    // A first attempt began with the server's notification of a pair: a loss of control since then does not lead to another relay.
    if (this.#reported !== undefined) this.#losses = this.#host.losses ?? 0;
    this.#reported = false;
    for (const [outlet, ticket] of this.#grants) {
      this.#send(encodeRelayPacket(RelayPacketType.GRANT, outlet.hash, ticket));
      if (!outlet.pairs) this.#grants.delete(outlet); // it was kept for the frames that wait
    }
    this.#joined.forEach((joined) => this.#join(joined));
    this.#watch();
    this.#release();
  }

  /**
   * Whether what a brewer publishes now is sent at once. After a loss of control, a new connection may lead to a relay that was restarted
   * together with its server, and knows neither the old tickets nor the patrons. So a brewer waits until the server announces its
   * pairs again.
   */
  takes({ toldAfter }: Outlet): boolean {
    return this.#connection.isOpen && toldAfter >= this.#losses;
  }

  #hold(queued: Queued): Promise<void> {
    this.#queue.push(queued);
    this.#queuedBytes += queued.packet.length;
    return queued.promise;
  }

  /** Sends the frames that need not wait any longer. Those of a brewer whose pairs have moved to another link move there, too. */
  #release(): void {
    this.#queue = this.#queue.filter((queued) => {
      const { outlet, packet, resolve } = queued;
      if (outlet.link !== this) void outlet.link.#hold(queued);
      else {
        if (!this.takes(outlet)) return true;
        this.#send(packet);
        resolve();
      }
      this.#queuedBytes -= packet.length;
    });
  }

  /** The server has announced a pair, so its relay is there. By then it is also known which of several servers the client uses. */
  #told(): void {
    this.#connection.hurry();
    this.#watch();
  }

  /** Asks the control server's own relay for signs of life: from then on it gives them even while it does not read. */
  #watch(): void {
    const { server, heartbeatMs } = this.#host;
    if (!heartbeatMs || !this.#batches || parseUrl(server).host !== parseUrl(this.url).host) return;
    this.#connection.watch(heartbeatMs, PING, true);
  }

  /**
   * Reports each outage once; the connection is made again by itself. That a server shuts down (1001) is reported only while pairs use
   * the link, which none do any more while a client disconnects.
   */
  #down(error: PubkeeperError): void {
    this.#settleDrain();
    this.#routes.interrupted();
    const { away, code } = error.details;
    const matters = !away && (code !== 1001 || !!this.users);
    if (!this.#reported && matters) this.#host.report(error);
    this.#reported = matters;
  }

  #end(error: PubkeeperError): void {
    this.#over = error;
    this.#settleDrain();
    if (error.code !== 'CONNECTION_CLOSED') this.#host.report(error);
    for (const queued of this.#queue.splice(0)) queued.reject(error);
    this.#routes.end();
    this.#ended.resolve();
  }

  /** Resolves when the socket's buffer has shrunk to the high-water mark, or is gone with its connection. */
  #drained(): Promise<void> {
    if (!this.#draining) {
      this.#draining = deferred();
      const look = (): void => {
        if (this.#connection.bufferedAmount <= HIGH_WATER) this.#settleDrain();
        else this.#poll = wait(DRAIN_POLL, look);
      };
      look();
    }
    return this.#draining.promise;
  }

  #settleDrain(): void {
    cancel(this.#poll);
    this.#draining?.resolve();
    this.#draining = undefined;
  }
}
