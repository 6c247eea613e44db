import { patronAlone } from './alone.mjs';
import { fanOut } from './fan-out.mjs';
import { latency } from './latency.mjs';
import { oneToOne } from './one-to-one.mjs';
import { lookups } from './topics.mjs';

const ALL = ['sealed', 'plain', 'cbc', 'nats-tcp', 'nats-ws', 'mqtt-tcp', 'mqtt-ws', 'socket.io', 'ws'];

/** What is measured, ours first: ratios are to the first name. */
export const scenes = (quick) => [
  oneToOne(64, ALL),
  oneToOne(64, ['plain', 'nats-ws', 'ws']),
  oneToOne(1024, quick ? ['sealed', 'nats-ws'] : ALL),
  oneToOne(16_384, ['sealed', 'nats-ws', 'nats-tcp']),
  fanOut(100, ['sealed', 'nats-tcp']),
  ...(quick ? [] : [fanOut(1000, ['sealed', 'nats-tcp'])]),
  latency(0.5, ['sealed', 'nats-ws']),
  latency(0.99, ['sealed', 'nats-ws']),
  patronAlone('aes-cbc', 64, 'node'),
  patronAlone('aes-cbc', 1024, 'node'),
  patronAlone('aes-cbc', 64, 'page'),
  patronAlone('aes-cbc', 1024, 'page'),
  patronAlone('aes-gcm', 64, 'node'),
  patronAlone('aes-gcm', 64, 'page'),
  patronAlone('aes-cbc', 64, 'node', 1),
  lookups(false),
  lookups(true),
];
