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
  /** The path of the first request: `/ws` is control. */
  path: string;
}

/** A TCP proxy that causes network faults. Up: from the client to the server. */
export class FaultProxy {
  /** What happens to the bytes of later connections. */
  way: Way = 'pass';
  /** The delay of bytes, in ms. */
  delayMs = 0;
  /** Called with the bytes that clients send. */
  sent: (bytes: Buffer) => void = () => undefined;
  /** The time of each dial, in ms. */
  readonly dials: number[] = [];
  /** Which new connections are refused, by their path. */
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

  /** @param target the port of this machine that it leads to */
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

  /** Ends connections by RST, without a close. `isMeant`: which of them, by their path. */
  reset(isMeant: (path: string) => boolean = () => true): void {
    for (const { near, far, path } of this.#pairs) {
      if (!isMeant(path)) continue;
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /**
   * Makes present connections lose all bytes, in one direction or in both; later ones work. `isMeant`: which of them,
   * by their path.
   */
  blackhole(way: 'up' | 'down' | 'both', isMeant: (path: string) => boolean = () => true): void {
    for (const pair of this.#pairs) {
      if (!isMeant(pair.path)) continue;
      if (way !== 'down') pair.up = 'vanish';
      if (way !== 'up') pair.down = 'vanish';
    }
  }

  /** Delays what comes from the server, or goes to it, until the returned function is called. `isMeant`: as with `reset`. */
  hold(isMeant: (path: string) => boolean, way: 'up' | 'down' = 'down'): () => void {
    const held = [...this.#pairs].filter(({ path }) => isMeant(path)).map(({ near, far }) => (way === 'up' ? near : far));
    for (const socket of held) socket.pause();
    const release = (): void => void (this.#holds.delete(release), held.forEach((socket) => socket.resume()));
    this.#holds.add(release);
    return release;
  }

  /** Releases everything that is held. */
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
