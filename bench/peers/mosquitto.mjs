import { daemon, freePort, has } from '../lib/net.mjs';

const TOPIC = 'bench/a/b';

/** mosquitto with MQTT.js at QoS 0, over TCP or over WebSocket, with Nagle's algorithm off. Nothing is encrypted. */
export const mosquitto = (transport) => {
  const open = async ({ tcp, ws }) => {
    const { connectAsync } = (await import('mqtt')).default;
    const client = await connectAsync(transport === 'tcp' ? `mqtt://127.0.0.1:${tcp}` : `ws://127.0.0.1:${ws}`);
    client.stream.setNoDelay?.(true);
    return client;
  };
  return {
    name: `mosquitto with MQTT.js, ${transport === 'tcp' ? 'TCP' : 'WebSocket'}`,
    missing: () => (has('mosquitto') ? undefined : 'mosquitto is not installed (apt-get install mosquitto)'),

    async server() {
      const [tcp, ws] = [await freePort(), await freePort()];
      const config =
        `listener ${tcp} 127.0.0.1\nlistener ${ws} 127.0.0.1\nprotocol websockets\nallow_anonymous true\n` +
        'max_queued_messages 0\nset_tcp_nodelay true\n';
      const server = await daemon('mosquitto', config, ['-v'], 'running');
      return { info: { tcp, ws }, ...server };
    },

    async subscribe(info, onMessage) {
      const client = await open(info);
      client.on('message', (_, payload) => onMessage(payload));
      await client.subscribeAsync(TOPIC);
    },

    async publisher(info) {
      const client = await open(info);
      let last;
      return { send: (bytes) => void (last = client.publishAsync(TOPIC, Buffer.from(bytes))), flush: () => last };
    },
  };
};
