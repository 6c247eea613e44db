import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { LocalAddress } from '../../src/brews/internal/local-outlet.js';
import { LocalBrew, type LocalBrewOptions } from '../../src/brews/local.js';
import { attached } from './rig.js';

// LocalBrews on real sockets, and sockets in the place of a brewer of another implementation; all of them end after the test.

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

/** Calls `run` after the test. The last `run` that was given is called first. */
export const later = (run: () => unknown): void => void clean.push(run);

/** A path of a directory for socket files, which does not exist yet. */
export function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'pk-local-'));
  later(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'sockets');
}

/** A LocalBrew with its host. */
export function local(options: LocalBrewOptions = {}) {
  const rig = attached(new LocalBrew(options));
  later(() => rig.brew.close());
  return rig;
}

/** A frame with a length prefix, which need not be its true length. */
export const padded = (length: number, frame: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(4 + frame.length);
  bytes.writeUInt32LE(length);
  bytes.set(frame, 4);
  return bytes;
};

export const connectTo = (sock: LocalAddress): Socket => (typeof sock === 'string' ? connect(sock) : connect(sock[1], sock[0]));

/** A server in the place of a brewer of another implementation: calls `talk` with each connection. */
export async function foreign(transport: 'unix' | 'tcp', talk: (socket: Socket) => void): Promise<{ server: Server; address: string | [string, number] }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    later(() => socket.destroy());
    talk(socket);
  });
  const folder = mkdtempSync(join(tmpdir(), 'pk-foreign-'));
  later(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 's');
  if (transport === 'unix') server.listen(path);
  else server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  later(() => server.close());
  return { server, address: transport === 'unix' ? path : ['127.0.0.1', (server.address() as AddressInfo).port] };
}
