import { wsconnect } from '@nats-io/nats-core';

export async function subscribe({ ws }, onMessage) {
  const connection = await wsconnect({ servers: `ws://127.0.0.1:${ws}` });
  connection.subscribe('bench.a.b', { callback: (_, message) => onMessage(message.data) });
  await connection.flush();
}
