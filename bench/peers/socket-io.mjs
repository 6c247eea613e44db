import { forkServer } from '../lib/forked.mjs';

/** socket.io as a relay of one event, WebSocket only. */
export const socketIo = () => ({
  name: 'socket.io',
  missing: () => undefined,
  server: () => forkServer('socket-io-server.mjs'),
  async subscribe({ port }, onMessage) {
    const socket = await open(port);
    socket.on('b', onMessage);
    await socket.emitWithAck('join');
  },
  idle: ({ port }) => open(port),

  async publisher({ port }) {
    const socket = await open(port);
    return { send: (bytes) => socket.emit('a', bytes), flush: () => socket.emitWithAck('sync') };
  },
});

async function open(port) {
  const { io } = await import('socket.io-client');
  const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'] });
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}
