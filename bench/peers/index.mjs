import { bareWs } from './bare-ws.mjs';
import { mosquitto } from './mosquitto.mjs';
import { nats } from './nats.mjs';
import { pubkeeper } from './pubkeeper.mjs';
import { socketIo } from './socket-io.mjs';

/** Every peer, by the name under which processes are started. */
export const peers = {
  sealed: pubkeeper('aes-gcm'),
  cbc: pubkeeper('aes-cbc'),
  plain: pubkeeper('none'),
  'nats-tcp': nats('tcp'),
  'nats-ws': nats('ws'),
  'mqtt-tcp': mosquitto('tcp'),
  'mqtt-ws': mosquitto('ws'),
  'socket.io': socketIo(),
  ws: bareWs(),
};
