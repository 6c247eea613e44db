import { fork } from 'node:child_process';
import { once } from 'node:events';

/** socket.io as a relay of one event, WebSocket only. */
export const socketIo = () => ({
  name: 'socket.io',
  missing: () => undefined,
  async server() {
    const child = fork(new URL('../lib/socket-io-server.mjs', import.meta.url));
    const [info] = await once(child, 'message');
    return { info, close: () => new Promise((resolve) => (child.once('exit', resolve), child.kill())) };
  },
  async subscribe({ port }, onMessage) {
    const socket = await open(port);
    socket.on('b', onMessage);
    await socket.emitWithAck('join');
  },
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
