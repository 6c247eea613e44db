import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { NodeWebSocket } from '../src/platform/node-socket.js';

/** What a NodeWebSocket sends to a server: the head of its request, and its first frame. */
async function sentTo(hostname: string): Promise<{ head: string; frame: Buffer }> {
  let peer: Socket | undefined;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '::', resolve));
  try {
    return await new Promise((resolve, reject) => {
      server.on('connection', (socket) => {
        peer = socket.on('error', () => undefined);
        let head = '';
        let frame = Buffer.alloc(0);
        socket.on('data', (chunk: Buffer) => {
          if (head.includes('\r\n\r\n')) {
            frame = Buffer.concat([frame, chunk]);
            if (frame.length >= 9) resolve({ head, frame });
            return;
          }
          head += chunk.toString('latin1');
          const [, key] = /sec-websocket-key: (\S+)\r\n/i.exec(head) ?? [];
          if (!head.includes('\r\n\r\n')) return;
          const accept = createHash('sha1').update(`${key!}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
          socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        });
      });
      const socket = new NodeWebSocket(`ws://${hostname}:${(server.address() as AddressInfo).port}`);
      socket.on('error', reject);
      socket.on('open', () => socket.send(Uint8Array.of(1, 2, 3)));
    });
  } finally {
    peer?.destroy();
    server.close();
  }
}

it.each(['127.0.0.1', 'localhost', '[::1]'])('a socket to %s neither compresses nor masks', async (hostname) => {
  const { head, frame } = await sentTo(hostname);
  expect(head).not.toMatch(/permessage-deflate/i);
  expect([...frame]).toEqual([0x82, 0x83, 0, 0, 0, 0, 1, 2, 3]);
});

it('a socket to an address that may be on another machine masks with random keys', async () => {
  // The address is of this machine, but is not recognised as such.
  const frames = await Promise.all([sentTo('0.0.0.0'), sentTo('0.0.0.0')]);
  const [one, two] = frames.map(({ frame }) => frame);
  expect(one!.subarray(2, 6)).not.toEqual(two!.subarray(2, 6));
  expect([...one!.subarray(6)].map((byte, at) => byte ^ one![2 + at]!)).toEqual([1, 2, 3]);
});
