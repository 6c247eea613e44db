import { once as event } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PubkeeperError } from '../../core/index.js';
import { type Deferred, deferred } from '../../core/deferred.js';
import { bufferFull } from '../../core/errors.js';
import { after, cancel, type Timer, wait } from '../../core/host.js';
import { show } from '../../core/id.js';
import { prefixed } from './length-prefixed.js';
import { Recent } from './recent.js';
import { sameBytes } from './small.js';
import { isOutOfFiles, MORE_FILES, removeAtExit } from './socket-directory.js';

/** While more than this many bytes wait for one reader, `brew` makes its caller wait. */
const HIGH_WATER = 1024 * 1024;
/** While more than this many bytes wait for one reader, `brew` throws. */
const MAX_BUFFERED = 16 * HIGH_WATER;
/** A reader above the high-water mark that has taken nothing for this long, in ms, is cut off. */
const STALLED = 5000;
/** So is one that has not caught up for this long, in ms, even if it reads: `brew` makes its caller wait for it. */
const LAGGED = 60_000;
/** A reader that connected longer than this, in ms, before a match became known here did not come for that match. */
const EARLY = 10_000;
/**
 * A reader that came before its match was known here is given nothing for this long, in ms: what it missed over another brew has
 * to come first. At most this many bytes are kept for it.
 */
const HELD = 1000;
const MAX_HELD = HIGH_WATER;
/**
 * How many connections are accepted beyond one per matched patron: readers that are early, readers whose match has just ended, and
 * whoever else can reach the socket, which is every user of this host if it is a port.
 */
const MAX_STRANGERS = 256;
/** Rejected connections are reported at most once in this many ms. */
const TOLD = 60_000;

/** Where patrons find a brewer: a path, or host and port (protocol, section 5). */
export type LocalAddress = string | readonly [host: string, port: number];

/** The address as text. */
export const placeOf = (address: LocalAddress): string => (typeof address === 'string' ? address : address.join(':'));

/** What is kept for a reader that came before its match was known. */
interface Held {
  /** What it would have been given when it connected. */
  readonly first: readonly Uint8Array[];
  readonly later: Uint8Array[];
  bytes: number;
  readonly timer: Timer;
}

interface Reader {
  readonly drained: Deferred;
  readonly lagged: Timer;
}

/** The socket at which one brewer gives its frames to whoever connects. */
export class LocalOutlet {
  readonly address: LocalAddress;
  readonly #recent: Recent;
  readonly #pairs = new Set<string>();
  readonly #server: Server;
  readonly #report: (error: PubkeeperError) => void;
  readonly #sockets = new Set<Socket>();
  /** Readers that came while nobody was expected, and when, oldest first: the server tells the patron of a match before the brewer. */
  readonly #early = new Map<Socket, number>();
  /** The readers among them that are given nothing yet. */
  readonly #held = new Map<Socket, Held>();
  /** Readers that lag behind. */
  readonly #slow = new Map<Socket, Reader>();
  readonly #forget: () => void;
  /** When a rejected connection was last reported. */
  #told = -Infinity;

  private constructor(server: Server, address: LocalAddress, lastValue: boolean, report: (error: PubkeeperError) => void) {
    this.#server = server;
    this.address = address;
    this.#recent = new Recent(lastValue);
    this.#report = report;
    this.#forget = typeof address === 'string' ? removeAtExit(address) : () => undefined;
    server.maxConnections = MAX_STRANGERS;
    server.on('drop', () => this.#turnedAway());
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (cause) => report(new PubkeeperError('BREW_FAILED', 'A local socket has a fault.', { address }, cause)));
    // A brewer without readers must not keep the process alive; its client's connection does.
    server.unref();
  }

  /**
   * Listens at a path, or at a free port of the loopback address.
   * @throws {PubkeeperError} `BREW_FAILED`
   */
  static async listen(path: string | undefined, lastValue: boolean, report: (error: PubkeeperError) => void): Promise<LocalOutlet> {
    const server = createServer({ noDelay: true });
    try {
      // Exclusive: otherwise all workers of a Node cluster share the first free port, and patrons reach another worker's brewer there.
      server.listen({ ...(path === undefined ? { port: 0, host: '127.0.0.1' } : { path }), exclusive: true });
      await event(server, 'listening');
    } catch (cause) {
      throw deaf(path, cause as NodeJS.ErrnoException);
    }
    const address = path ?? (['127.0.0.1', (server.address() as AddressInfo).port] as const);
    return new LocalOutlet(server, address, lastValue, report);
  }

  /**
   * A patron was matched, and will connect, unless it has already. Readers do not say who they are: the first one that came
   * too early is taken for it.
   */
  start(patronId: string, missed: readonly Uint8Array[] = []): void | Promise<void> {
    this.#pairs.add(patronId);
    this.#server.maxConnections = this.#pairs.size + MAX_STRANGERS;
    const accepted = this.#recent.expect(patronId, missed);
    const early = this.#takeEarly();
    if (!early) return accepted;
    this.#release(early, missed);
    this.#recent.arrived(patronId);
  }

  stop(patronId: string): void {
    this.#pairs.delete(patronId);
    this.#server.maxConnections = this.#pairs.size + MAX_STRANGERS;
    this.#recent.left(patronId);
    // One of the connected readers may still be this patron's, and stay for the same pair if it begins again.
    const [free] = [...this.#sockets].filter((socket) => !this.#early.has(socket));
    if (free && this.#sockets.size - this.#early.size > this.#pairs.size) this.#early.set(free, performance.now());
  }

  /**
   * Sends a frame to all connected readers, and keeps it for patrons that are expected.
   * @throws {PubkeeperError} `BUFFER_FULL`
   */
  write(frame: Uint8Array): void | Promise<void> {
    if (!this.#pairs.size) return;
    for (const socket of this.#slow.keys()) {
      if (socket.writableLength > MAX_BUFFERED) throw full();
    }
    return this.#recent.add(frame, () => this.#spread(frame));
  }

  #spread(frame: Uint8Array): void | Promise<void> {
    const bytes = prefixed(frame);
    for (const socket of this.#sockets) {
      const held = this.#held.get(socket);
      if (!held) this.#send(socket, bytes);
      else if (held.later.push(frame) && (held.bytes += frame.length) > MAX_HELD) this.#release(socket);
    }
    if (this.#slow.size) return Promise.all([...this.#slow.values()].map(({ drained }) => drained.promise)).then(() => undefined);
  }

  /** Ends all connections when what was written has left, or after a second. */
  async close(): Promise<void> {
    this.#recent.clear();
    const ended = new Promise((resolve) => this.#server.close(resolve));
    const timer = wait(1000, () => this.#sockets.forEach((socket) => socket.destroy()));
    for (const socket of this.#sockets) {
      this.#release(socket);
      socket.end();
    }
    await ended;
    cancel(timer);
    this.#forget();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.unref();
    // A patron only reads: discard what it sends, but notice its end.
    socket.resume();
    socket.on('error', () => socket.destroy());
    socket.on('end', () => {
      // Node emits this some turns before `close`: a pair that begins in between would take the socket for its patron's.
      this.#gone(socket);
      socket.destroy();
    });
    socket.on('drain', () => this.#drained(socket));
    socket.on('timeout', () => this.#cut(socket, `it did not read for ${STALLED} ms`));
    socket.on('close', () => this.#gone(socket));
    const { isExpecting } = this.#recent;
    if (!isExpecting) this.#early.set(socket, performance.now());
    this.#recent.somebody(({ frames: first }) => {
      // With no more readers than pairs, this is a matched patron that has come back.
      if (isExpecting || this.#sockets.size <= this.#pairs.size) return first.forEach((frame) => this.#send(socket, prefixed(frame)));
      this.#held.set(socket, { first, later: [], bytes: 0, timer: after(HELD, () => this.#release(socket)) });
    });
  }

  #gone(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#early.delete(socket);
    cancel(this.#held.get(socket)?.timer);
    this.#held.delete(socket);
    this.#drained(socket);
  }

  #turnedAway(): void {
    if (performance.now() - this.#told < TOLD) return;
    this.#told = performance.now();
    this.#report(crowded(this.address));
  }

  /** Gives a reader what it missed, or what it would have been given before, and what was kept for it since. */
  #release(socket: Socket, missed: readonly Uint8Array[] = []): void {
    const { first, later, timer } = this.#held.get(socket) ?? { first: [], later: [], timer: undefined };
    this.#held.delete(socket);
    cancel(timer);
    // Frames that were brewed while it was connected may be among the missed ones, too.
    const older = missed.filter((frame) => !later.some((other) => sameBytes(other, frame)));
    for (const frame of [...(missed.length ? older : first), ...later]) this.#send(socket, prefixed(frame));
  }

  /** The reader that has waited longest for its match to become known, and is still connected. */
  #takeEarly(): Socket | undefined {
    // With fewer readers than pairs, an early reader belongs to another pair and has come back.
    if (this.#sockets.size < this.#pairs.size) return undefined;
    for (const [socket, at] of this.#early) {
      this.#early.delete(socket);
      if (performance.now() - at <= EARLY) return socket;
    }
    return undefined;
  }

  #send(socket: Socket, bytes: Uint8Array): void {
    socket.write(bytes);
    if (socket.writableLength <= HIGH_WATER || this.#slow.has(socket)) return;
    // Node's own socket timer: it starts again whenever the other end has taken a part of what waits.
    socket.setTimeout(STALLED);
    const lagged = wait(LAGGED, () => this.#cut(socket, `it has not caught up for ${LAGGED} ms`));
    this.#slow.set(socket, { drained: deferred(), lagged });
  }

  #cut(socket: Socket, why: string): void {
    this.#report(slow(socket.writableLength, why));
    socket.destroy();
  }

  #drained(socket: Socket): void {
    const reader = this.#slow.get(socket);
    if (!reader) return;
    this.#slow.delete(socket);
    socket.setTimeout(0);
    cancel(reader.lagged);
    reader.drained.resolve();
  }
}

const full = (): PubkeeperError => bufferFull('a local patron', { limit: MAX_BUFFERED });

const crowded = (address: LocalAddress): PubkeeperError =>
  new PubkeeperError(
    'BREW_FAILED',
    `More than ${MAX_STRANGERS} connections to a local brewer, at ${placeOf(address)}, belong to no patron of it, and further ones are turned away: look who connects there.`,
    { address, limit: MAX_STRANGERS },
  );

function deaf(path: string | undefined, cause: NodeJS.ErrnoException): PubkeeperError {
  const hint =
    isOutOfFiles(cause)
      ? MORE_FILES
      : path === undefined
        ? 'check what this host lets a process listen at'
        : cause.code === 'EADDRINUSE'
          ? 'remove what is there'
          : 'give it a directory in which this user can make sockets, which not every file system takes';
  const where = path === undefined ? 'a port of 127.0.0.1' : show(path);
  return new PubkeeperError('BREW_FAILED', `A LocalBrew cannot listen at ${where} (${cause.code ?? cause.message}): ${hint}.`, { path }, cause);
}

const slow = (waiting: number, why: string): PubkeeperError =>
  new PubkeeperError('BUFFER_FULL', `A local patron was cut off: ${why} while ${waiting} bytes waited for it.`, { waiting });
