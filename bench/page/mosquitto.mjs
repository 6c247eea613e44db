import mqtt from 'mqtt';

export async function subscribe({ ws }, onMessage) {
  const client = await mqtt.connectAsync(`ws://127.0.0.1:${ws}`);
  client.on('message', (_, payload) => onMessage(payload));
  await client.subscribeAsync('bench/a/b');
}
