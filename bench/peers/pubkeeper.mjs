// Pubkeeper with one of its ciphers. The server runs in a process of its own, as every peer's does.
import { once } from 'node:events';
import { connect } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';
import { forkServer } from '../lib/forked.mjs';
import { openControl } from '../lib/raw-control.mjs';

const TOPIC = 'bench.a.b';

export const pubkeeper = (cipher) => ({
  name: `pubkeeper, ${{ 'aes-gcm': 'sealed', 'aes-cbc': 'AES-CBC', none: 'plaintext' }[cipher]}`,
  missing: () => undefined,

  server: () => forkServer('our-server.mjs'),

  async subscribe({ url, token }, onMessage) {
    const { PubkeeperClient } = await import('../../dist/index.js');
    const client = new PubkeeperClient({ server: url, token });
    client.addPatron(TOPIC, onMessage);
    await client.connect();
  },

  async publisher({ url, token }) {
    const { PubkeeperClient } = await import('../../dist/index.js');
    const client = new PubkeeperClient({ server: url, token });
    const brewer = client.addBrewer(TOPIC, { cipher });
    await client.connect();
    if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve));
    return { send: (bytes) => brewer.brew(bytes), flush: () => undefined };
  },

  /** A connection that has joined the topic and only counts bytes: decoding them is no work of the server, which is measured. */
  async rawSubscriber({ url }, onBytes) {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    socket.write(
      `GET /brew HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n` +
        'Sec-WebSocket-Protocol: pubkeeper-relay-2, pubkeeper-1.0.0\r\n\r\n',
    );
    await once(socket, 'data');
    const join = Buffer.alloc(40);
    createHash('sha256').update(TOPIC).digest().copy(join, 4);
    // Masked with zeros, which servers accept as any other mask.
    socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | 40, 0, 0, 0, 0]), join]));
    socket.on('data', (chunk) => onBytes(chunk.length));
    return socket;
  },
  /** A connection that is authenticated, and then does nothing. */
  idle: (info) => openControl(info),

  // Without a patron to match it with, a brewer would send nothing.
  needsPatron: true,
});
