import { createServer } from 'node:http';
import { connect as dial, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { later, start, until } from './harness.js';

// A server that is reached by a path of a host that others share, as behind a proxy: wss://app.example/pubkeeper/ws.

const TOKEN = 'path-secret';

/** A proxy that leads from `/pubkeeper/` to a server, and refuses all else; returns its `host:port`. */
async function proxy(port: number): Promise<{ authority: string; refused: string[] }> {
  const refused: string[] = [];
  const http = createServer((_, response) => void response.writeHead(404).end());
  http.on('upgrade', (incoming, socket, head) => {
    const path = incoming.url ?? '';
    socket.on('error', () => undefined);
    if (!path.startsWith('/pubkeeper/')) {
      refused.push(path);
      return socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
    }
    const up = dial(port, '127.0.0.1', () => {
      const headers = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, i) => `${incoming.rawHeaders[2 * i]}: ${incoming.rawHeaders[2 * i + 1]}\r\n`);
      up.write(`GET ${path.slice('/pubkeeper'.length)} HTTP/1.1\r\n${headers.join('')}\r\n`);
      up.write(head);
      up.pipe(socket).pipe(up);
    });
    up.on('error', () => socket.destroy());
    socket.on('close', () => up.destroy());
  });
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  later(async () => {
    http.closeAllConnections();
    await new Promise((done) => http.close(done));
  });
  return { authority: `127.0.0.1:${(http.address() as AddressInfo).port}`, refused };
}

describe.each(['open', 'secured'] as const)('a server under a path, %s', (profile) => {
  it.each([
    ['from a client that uses the path to another', true, true],
    ['from a client that uses the path to one that connects directly', true, false],
    ['from a client that connects directly to one that uses the path', false, true],
  ])('carries data through its relay, which is there too: %s', async (_, writesByPath, readsByPath) => {
    const server = await start({ profile, tokens: { [TOKEN]: [{ topic: '**', read: true, write: true }] } });
    const { authority, refused } = await proxy(server.port);
    const urls = [writesByPath, readsByPath].map((byPath) => (byPath ? `ws://${authority}/pubkeeper/ws` : server.url));
    const [writing, reading] = urls.map((url) => new PubkeeperClient({ server: url, token: TOKEN }));
    for (const client of [writing!, reading!]) later(() => client.disconnect());
    const heard: string[] = [];
    reading!.addPatron('path.*', (_, message) => heard.push(message.text()));
    const brewer = writing!.addBrewer('path.x');
    await Promise.all([writing!.connect(), reading!.connect()]);
    await until(() => brewer.isMatched);
    await brewer.brewText('under a path');
    await until(() => heard.length === 1);
    expect(heard).toEqual(['under a path']);
    expect(refused).toEqual([]);
    expect(server.stats().drops).toEqual({});
  });
});
