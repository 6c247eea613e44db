import { once } from 'node:events';
import { forkServer } from '../lib/forked.mjs';

/** The simplest relay, as a limit: `ws` alone, with a `send()` to everybody else for each message. */
export const bareWs = () => ({
  name: 'bare ws relay',
  missing: () => undefined,
  server: () => forkServer('bare-ws-server.mjs'),
  async subscribe({ port }, onMessage) {
    const socket = await open(port);
    socket.on('message', onMessage);
  },
  idle: ({ port }) => open(port),

  async publisher({ port }) {
    const socket = await open(port);
    return {
      send: (bytes) => socket.send(bytes),
      async flush() {
        while (socket.bufferedAmount > 0) await new Promise((resolve) => setImmediate(resolve));
      },
    };
  },
});

async function open(port) {
  const { WebSocket } = await import('ws');
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  await once(socket, 'open');
  return socket;
}
