import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { afterEach, expect } from 'vitest';
import { type Brewer, PubkeeperClient, WebSocketBrew, type ClientOptions, type Status } from '../../src/compat/index.js';
import { PubkeeperClient as NativeClient, type ClientOptions as NativeOptions } from '../../src/index.js';
import { createServer, type PubkeeperServer, type ServerOptions } from '../../src/server/index.js';

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

/** Calls `run` after the test. */
export const later = (run: () => unknown): void => void clean.push(run);

export const JWT = 'secret';

/** An id, and the same id as foreign systems may write it. */
export const ID = '0123456789abcdef0123456789abcdef';
export const DASHED = '01234567-89AB-CDEF-0123-456789ABCDEF';

export async function serve(options: ServerOptions = {}): Promise<PubkeeperServer> {
  const server = await createServer({ port: 0, tokens: { [JWT]: [{ topic: '**', read: true, write: true }] }, ...options });
  later(() => server.close());
  return server;
}

/** A URL where nothing listens. */
export async function nowhere(): Promise<string> {
  const server = await serve();
  await server.close();
  return server.url;
}

/** The relay of a server, as the option `brewerConfig`. */
export function relayOf({ relayUrl }: PubkeeperServer): { hostname: string; port: number; secure: boolean } {
  const { hostname, port } = new URL(relayUrl);
  return { hostname, port: Number(port), secure: false };
}

/** A client of the compat API. With a running server it can both subscribe and brew. */
export function compat(server: PubkeeperServer | string, options: Partial<ClientOptions> = {}): PubkeeperClient {
  const brews = typeof server === 'string' ? [new WebSocketBrew()] : [new WebSocketBrew({ brewerConfig: relayOf(server) })];
  const url = typeof server === 'string' ? server : server.url;
  // Retries wait at random up to this time, so that tests are fast.
  const client = new PubkeeperClient({ server: url, jwt: JWT, maxTimeout: 40, brews, ...options });
  later(() => client.disconnect());
  return client;
}

/** Two clients that are connected to one server, and the server. */
export async function pair() {
  const server = await serve();
  const [reader, writer] = [compat(server), compat(server)];
  await Promise.all([reader.connect(), writer.connect()]);
  return { server, reader, writer };
}

export function native(server: PubkeeperServer, options: Partial<NativeOptions> = {}): NativeClient {
  const client = new NativeClient({ server: server.url, token: JWT, ...options });
  later(() => client.disconnect());
  return client;
}

/** A `ws` that counts its connections. */
export function counting(): { WebSocket: new (url: string, protocols?: string | string[]) => WebSocket; urls: string[] } {
  const urls: string[] = [];
  class Counting extends WebSocket {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      urls.push(url);
    }
  }
  return { WebSocket: Counting, urls };
}

/** The statuses of a client, in order. */
export const statuses = (client: PubkeeperClient): Status[] => {
  const all: Status[] = [];
  client.on('statuschange', ({ target, status }) => {
    expect(target).toBe(client);
    expect(target.status).toBe(status);
    all.push(status);
  });
  return all;
};

/** Resolves when the client has that status. */
export const status = (client: PubkeeperClient, wanted: Status): Promise<void> =>
  client.status === wanted
    ? Promise.resolve()
    : new Promise((resolve) => {
        const look = (): void => {
          if (client.status !== wanted) return;
          client.off('statuschange', look);
          resolve();
        };
        client.on('statuschange', look);
      });

/** Values as they come, each to be awaited once. */
export class Inbox<T> {
  readonly all: T[] = [];
  #taken = 0;
  #waiting: (() => void)[] = [];

  readonly put = (value: T): void => {
    this.all.push(value);
    for (const go of this.#waiting.splice(0)) go();
  };

  async next(): Promise<T> {
    const at = this.#taken++;
    while (at >= this.all.length) await new Promise<void>((go) => this.#waiting.push(go));
    return this.all[at]!;
  }
}

/** Settles when the next match begins or ends. */
export const next = (brewer: Brewer, name: 'added' | 'removed'): Promise<unknown> => new Promise((resolve) => brewer.once(name, resolve));

/** A promise and the function that resolves it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

export interface GatewayOptions {
  /** Which of the offered subprotocols to choose; default: the first. */
  readonly choose?: (offered: readonly string[]) => string;
  /** Whether a message from the server is forwarded to the client; a promise delays it. */
  readonly pass?: (message: Buffer) => boolean | Promise<boolean>;
  /** Closes each connection with this code as soon as it is open. */
  readonly closeAtOnce?: number;
}

/**
 * A proxy between clients and a server, so that a test can close connections with any code, delay messages, and see
 * the code with which a client closes.
 */
export class Gateway {
  readonly offered: string[][] = [];
  readonly closeCodes = new Inbox<number>();
  readonly #listener: WebSocketServer;
  readonly #target: string;
  readonly #options: GatewayOptions;

  private constructor(listener: WebSocketServer, target: string, options: GatewayOptions) {
    this.#listener = listener;
    this.#target = target;
    this.#options = options;
    listener.on('connection', (socket) => this.#connected(socket));
  }

  static async open(target: string, options: GatewayOptions = {}): Promise<Gateway> {
    let gateway: Gateway | undefined = undefined;
    const listener: WebSocketServer = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      handleProtocols: (offered) => {
        gateway?.offered.push([...offered]);
        return options.choose?.([...offered]) ?? [...offered][0]!;
      },
    });
    gateway = new Gateway(listener, target, options);
    await once(listener, 'listening');
    later(() => gateway.close());
    return gateway;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#listener.address() as AddressInfo).port}/ws`;
  }

  /** Closes all connections with this code. */
  cut(code: number): number {
    for (const socket of this.#listener.clients) socket.close(code);
    return this.#listener.clients.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#listener.clients) socket.terminate();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #connected(socket: WebSocket): void {
    const { closeAtOnce, pass } = this.#options;
    socket.on('error', () => undefined);
    socket.on('close', (code) => this.closeCodes.put(code));
    if (closeAtOnce !== undefined) return socket.close(closeAtOnce);
    const up = new WebSocket(this.#target, [socket.protocol]);
    const early: Buffer[] = [];
    up.on('error', () => undefined);
    up.on('open', () => early.splice(0).forEach((message) => up.send(message)));
    up.on('close', () => socket.close(1001));
    socket.on('close', () => up.close());
    socket.on('message', (message: Buffer) => {
      if (up.readyState === WebSocket.OPEN) up.send(message);
      else early.push(message);
    });
    let last: Promise<void> = Promise.resolve();
    up.on('message', (message: Buffer) => {
      const passes = pass?.(message) ?? true;
      last = last.then(async () => {
        if ((await passes) && socket.readyState === WebSocket.OPEN) socket.send(message);
      });
    });
  }
}

export const text = (data: Uint8Array): string => new TextDecoder().decode(data);
