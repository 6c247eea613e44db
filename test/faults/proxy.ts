import { createServer, connect, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** What happens to the bytes of one direction. */
export type Way = 'pass' | 'vanish' | 'slice';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  up: Way;
  down: Way;
  /** What the first request asked for: `/ws` is control. */
  path: string;
}

/** A TCP proxy on which a network's faults are made. Up: from the client to the server. */
export class FaultProxy {
  /** What happens to the bytes of connections that come from now on. */
  way: Way = 'pass';
  /** How long bytes take, in ms. */
  delayMs = 0;
  /** Told of what clients send. */
  sent: (bytes: Buffer) => void = () => undefined;
  /** When each connection was dialled, in ms. */
  readonly dials: number[] = [];
  /** Which new connections are not taken, by what is asked for. */
  refuses: (path: string) => boolean = () => false;
  readonly #pairs = new Set<Pair>();
  readonly #holds = new Set<() => void>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #target: () => number;

  private constructor(target: () => number) {
    this.#target = target;
    this.#server = createServer({ noDelay: true }, (near) => this.#accept(near));
  }

  /** @param target the port that it leads to, on this machine */
  static async listen(target: () => number, port = 0): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    proxy.#server.listen({ port, host: '127.0.0.1', backlog: 8_192 });
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Ends connections by RST, which no goodbye precedes. `isMeant`: which of them, by what was asked for at their beginning. */
  reset(isMeant: (path: string) => boolean = () => true): void {
    for (const { near, far, path } of this.#pairs) {
      if (!isMeant(path)) continue;
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /**
   * The connections that are there lead nowhere from now on, in one direction or in both; those that come are well. `isMeant`:
   * which of them, by what was asked for at their beginning.
   */
  blackhole(way: 'up' | 'down' | 'both', isMeant: (path: string) => boolean = () => true): void {
    for (const pair of this.#pairs) {
      if (!isMeant(pair.path)) continue;
      if (way !== 'down') pair.up = 'vanish';
      if (way !== 'up') pair.down = 'vanish';
    }
  }

  /** What comes from the server, or goes to it, waits until the function that is returned is called. `isMeant`: as with `reset`. */
  hold(isMeant: (path: string) => boolean, way: 'up' | 'down' = 'down'): () => void {
    const held = [...this.#pairs].filter(({ path }) => isMeant(path)).map(({ near, far }) => (way === 'up' ? near : far));
    for (const socket of held) socket.pause();
    const release = (): void => void (this.#holds.delete(release), held.forEach((socket) => socket.resume()));
    this.#holds.add(release);
    return release;
  }

  /** Nothing waits any longer. */
  letGo(): void {
    for (const release of this.#holds) release();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((done) => void this.#server.close(() => done()));
  }

  #accept(near: Socket): void {
    this.dials.push(performance.now());
    const far = connect({ port: this.#target(), host: '127.0.0.1', noDelay: true });
    const pair: Pair = { near, far, up: this.way, down: this.way, path: '' };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      // A link whose packets vanish brings no FIN either.
      if (pair.up !== 'vanish') far.destroy();
      if (pair.down !== 'vanish') near.destroy();
    };
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    for (const socket of [near, far]) socket.on('error', () => undefined).on('close', end);
    near.once('data', (bytes: Buffer) => {
      pair.path = bytes.toString('latin1').split(' ', 2)[1] ?? '';
      if (this.refuses(pair.path)) near.resetAndDestroy();
    });
    near.on('data', (bytes: Buffer) => {
      this.sent(bytes);
      this.#carry(bytes, pair.up, far);
    });
    far.on('data', (bytes: Buffer) => this.#carry(bytes, pair.down, near));
  }

  #carry(bytes: Buffer, way: Way, to: Socket): void {
    if (way === 'vanish') return;
    const write = (): void => {
      if (to.destroyed) return;
      if (way === 'pass') to.write(bytes);
      else for (const byte of bytes) to.write(Buffer.of(byte));
    };
    if (this.delayMs) setTimeout(write, this.delayMs);
    else write();
  }
}
