import { connect as dial } from 'node:net';
import { once } from 'node:events';
import { daemon, freePort, has } from '../lib/net.mjs';

const SUBJECT = 'bench.a.b';

/** nats-server with @nats-io, over TCP or over WebSocket. Nothing is encrypted. */
export const nats = (transport) => {
  const open = async ({ tcp, ws }) => {
    if (transport === 'tcp') return (await import('@nats-io/transport-node')).connect({ servers: `127.0.0.1:${tcp}` });
    // In Node, nats-core needs a global WebSocket: give it the one that we use, too.
    globalThis.WebSocket ??= (await import('ws')).WebSocket;
    return (await import('@nats-io/nats-core')).wsconnect({ servers: `ws://127.0.0.1:${ws}` });
  };
  return {
    name: `nats-server, ${transport === 'tcp' ? 'TCP' : 'WebSocket'}`,
    missing: () => (has('nats-server') ? undefined : 'nats-server is not installed (apt-get install nats-server)'),

    async server() {
      const [tcp, ws] = [await freePort(), await freePort()];
      const config = `host: 127.0.0.1\nport: ${tcp}\nwebsocket { host: 127.0.0.1, port: ${ws}, no_tls: true }\n`;
      const server = await daemon('nats-server', config, [], 'Server is ready');
      return { info: { tcp, ws }, ...server };
    },

    async subscribe(info, onMessage) {
      const connection = await open(info);
      connection.subscribe(SUBJECT, { callback: (_, message) => onMessage(message.data) });
      await connection.flush();
    },

    idle: (info) => open(info),

    async publisher(info) {
      const connection = await open(info);
      return { send: (bytes) => connection.publish(SUBJECT, bytes), flush: () => connection.flush() };
    },

    async rawSubscriber({ tcp }, onBytes) {
      const socket = dial({ host: '127.0.0.1', port: tcp, noDelay: true });
      await once(socket, 'data');
      socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${SUBJECT} 1\r\nPING\r\n`);
      await once(socket, 'data');
      socket.on('data', (chunk) => onBytes(chunk.length));
      return socket;
    },
  };
};
