import { io } from 'socket.io-client';

export async function subscribe({ port }, onMessage) {
  const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'] });
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('b', (bytes) => onMessage(new Uint8Array(bytes)));
  await socket.emitWithAck('join');
}
