import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { Aedes } from 'aedes';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';

/** What tests need of a broker, whichever program it is. */
export interface Broker {
  readonly tcp: string;
  readonly ws: string;
  readonly ports: [number, number];
  kill(): Promise<void>;
}

interface AedesOptions {
  readonly tcp?: number;
  readonly ws?: number;
  /** Accepts only the user `me` with the password `right`. */
  readonly login?: boolean;
  /** Which topics may be read. */
  readonly mayRead?: (topic: string) => boolean;
}

/** Aedes calls read() once when a stream is readable. Since Node 26 that gives only the first chunk that waits: this makes it give all, as before. */
const readsAll = <T extends Duplex>(stream: T): T => {
  const read = stream.read.bind(stream);
  stream.read = (size?: number | null): unknown => {
    if (typeof size === 'number') return read(size);
    const chunks: Buffer[] = [];
    for (let chunk = read() as Buffer | null; chunk; chunk = read() as Buffer | null) chunks.push(chunk);
    return chunks.length > 0 ? Buffer.concat(chunks) : null;
  };
  return stream;
};

/**
 * Aedes delivers a message with the retain flag a moment later than others, and drops it as a duplicate if a later message has
 * overtaken it. The store is in memory, so this makes storing synchronous, which keeps the order.
 */
function keepsOrder(broker: Aedes): void {
  const { persistence } = broker as unknown as { persistence: { storeRetained(packet: unknown): { then(done: () => void): void } } };
  const store = persistence.storeRetained.bind(persistence);
  persistence.storeRetained = (packet) => {
    store(packet);
    return { then: (done) => done() };
  };
}

/** Runs Aedes in this process, over TCP and WebSocket. */
export async function aedes({ tcp = 0, ws = 0, login = false, mayRead = () => true }: AedesOptions = {}): Promise<Broker> {
  const broker = await Aedes.createBroker();
  keepsOrder(broker);
  broker.authorizeSubscribe = (_client, subscription, done) => done(null, mayRead(subscription.topic) ? subscription : null);
  if (login) {
    broker.authenticate = (_client, name, password, done) => {
      const right = name === 'me' && password?.toString() === 'right';
      if (right) done(null, true);
      else done(Object.assign(new Error('Refused'), { returnCode: 5 }), false);
    };
  }
  const sockets = new Set<{ destroy(): unknown }>();
  const track = <T extends { destroy(): unknown; on(name: 'close', run: () => void): unknown }>(socket: T): T => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const listen = async (server: Server, port: number): Promise<number> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const byTcp = createServer((socket) => broker.handle(readsAll(track(socket))));
  const byWs = createHttpServer();
  byWs.on('connection', track);
  const upgrades = new WebSocketServer({ server: byWs });
  upgrades.on('connection', (socket, request) => {
    const stream = createWebSocketStream(socket);
    stream.on('error', () => undefined);
    broker.handle(readsAll(stream), request);
  });
  const ports: [number, number] = [await listen(byTcp, tcp), await listen(byWs, ws)];
  const kill = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await Promise.all([byTcp, byWs].map((server) => new Promise((resolve) => server.close(resolve))));
    await new Promise<void>((resolve) => broker.close(resolve));
  };
  return { tcp: `mqtt://127.0.0.1:${ports[0]}`, ws: `ws://127.0.0.1:${ports[1]}`, ports, kill };
}
