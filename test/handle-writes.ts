import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';

type Methods = Record<string, (this: object, ...args: unknown[]) => unknown>;

/**
 * Calls `wrote` before each write to a TCP socket of this process, with the port at the other end. It watches below Node's streams, where
 * each call is a system call. Returns a function that ends it.
 */
export async function watchWrites(wrote: (remotePort: number) => void): Promise<() => void> {
  const undo: (() => void)[] = [];
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  const { constructor } = (socket as unknown as { _handle: { constructor: { prototype: object } } })._handle;
  const stream = Object.getPrototypeOf(constructor.prototype) as Methods;
  for (const name of Object.getOwnPropertyNames(stream).filter((key) => key.startsWith('write') && key !== 'writeQueueSize')) {
    const write = stream[name]!;
    undo.push(() => void (stream[name] = write));
    stream[name] = function (...args) {
      if (this instanceof (constructor as unknown as new () => object)) wrote(portOf(this));
      return write.apply(this, args);
    };
  }
  socket.destroy();
  server.close();
  return () => undo.forEach((run) => run());
}

function portOf(handle: object): number {
  const peer: { port?: number } = {};
  (handle as { getpeername(peer: object): unknown }).getpeername(peer);
  return peer.port ?? 0;
}
