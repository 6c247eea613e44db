import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { createServer } from '../../src/server/index.js';
import type { PubkeeperServer, ServerOptions } from '../../src/server/index.js';
import { RawControl, RawRelay } from './raw-client.js';

const toEnd: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(toEnd.splice(0).map((end) => end()));
});

/** Calls `end` after the test. */
export const later = (end: () => Promise<void>): void => void toEnd.push(end);

/** Starts a server on a free port, which is closed after the test. */
export async function start(options: ServerOptions = {}): Promise<PubkeeperServer> {
  const server = await createServer({ port: 0, ...options });
  later(() => server.close());
  return server;
}

/** An authenticated control connection. */
export async function connect(
  server: PubkeeperServer,
  { version = '1.1', token = server.token ?? '', ...options }: { version?: '1.0' | '1.1'; token?: string; autoPong?: boolean } = {},
): Promise<RawControl> {
  const client = await RawControl.open(server.url, version, options);
  const { authenticated } = await client.authenticate(token);
  if (authenticated !== true) throw new Error('was not authenticated');
  return client;
}

export const joinRelay = (server: PubkeeperServer): Promise<RawRelay> => RawRelay.open(server.relayUrl);

/** A WebSocket as a TCP socket, after its handshake; it is destroyed after the test. */
export async function openSocket(url: string, protocol?: string): Promise<Socket> {
  const { hostname, port, host, pathname } = new URL(url);
  const tcp = connectTcp(Number(port), hostname);
  later(async () => void tcp.destroy());
  tcp.on('error', () => undefined);
  const key = Buffer.alloc(16).toString('base64');
  const lines = [`GET ${pathname} HTTP/1.1`, `Host: ${host}`, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`];
  if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  tcp.write(`${lines.join('\r\n')}\r\n\r\n`);
  await once(tcp, 'data');
  return tcp;
}

/** Resolves when `check` holds, which is called after each turn of the event loop; for changes without an event. */
export async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise<void>((resolve) => void setImmediate(resolve));
}
