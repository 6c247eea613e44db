/* global WebSocket */
export async function subscribe({ port }, onMessage) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = onMessage;
  await new Promise((resolve) => (socket.onopen = resolve));
}
