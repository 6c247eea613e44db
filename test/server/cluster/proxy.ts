import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

/** A TCP proxy to a port, which can be cut and healed. */
export class Proxy {
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server!: Server;
  #isOpen = true;
  #rate = Infinity;
  port = 0;

  private constructor(target: number) {
    this.#target = target;
  }

  static async to(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server = createServer((near) => proxy.#join(near));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.port = (proxy.#server.address() as { port: number }).port;
    return proxy;
  }

  cut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isOpen = true;
  }

  /** Limits what comes back from the port to so many bytes a second; with 0 nothing comes, and the connection stays open. */
  limit(bytesPerSecond: number): void {
    this.#rate = bytesPerSecond;
  }

  async kill(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    near.on('error', () => undefined);
    if (!this.#isOpen) return void near.destroy();
    const far = connect(this.#target, '127.0.0.1');
    far.on('error', () => undefined);
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      if (this.#rate) near.write(chunk);
      if (this.#rate === Infinity) return;
      far.pause();
      if (this.#rate) setTimeout(() => far.resume(), (chunk.length / this.#rate) * 1000);
    });
  }
}
