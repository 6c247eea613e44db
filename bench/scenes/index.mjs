import { patronAlone, patronSpaced } from './alone.mjs';
import { fanOut } from './fan-out.mjs';
import { idleAccept, idleMemory } from './idle.mjs';
import { latency } from './latency.mjs';
import { importInNode, parseInPage } from './load.mjs';
import { matching, registrations } from './matching.mjs';
import { oneToOne } from './one-to-one.mjs';
import { pageReceives } from './page-receive.mjs';
import { lookups, patternMemory, worstPattern } from './topics.mjs';

const ALL = ['sealed', 'plain', 'cbc', 'nats-tcp', 'nats-ws', 'mqtt-tcp', 'mqtt-ws', 'socket.io', 'ws'];

const IN_PAGES = ['sealed', 'nats-ws', 'mqtt-ws', 'socket.io'];
const IDLE = ['plain', 'nats-ws', 'socket.io', 'ws'];
/** With `ws`, the simplest relay, which shows what a relay in JavaScript costs at least. */
const LATENCY = ['sealed', 'nats-ws', 'ws'];
const OTHERS = ['webCrypto', 'cryptoJs'];

/** What is measured. Pubkeeper comes first, because ratios are to the first name. */
export const scenes = (quick) => (quick ? few : all)();

const few = () => [
  oneToOne(64, ['sealed', 'nats-ws', 'mqtt-tcp', 'mqtt-ws', 'ws']),
  oneToOne(64, ['plain', 'nats-ws']),
  oneToOne(1024, ['sealed', 'nats-ws']),
  fanOut(100, ['sealed', 'nats-tcp']),
  pageReceives('Chromium', 64, ['sealed', 'nats-ws']),
  latency(0.5, ['sealed', 'nats-ws']),
  patronAlone('Node', 'aes-cbc', 64, OTHERS),
  patronAlone('Chromium', 'aes-cbc', 64, OTHERS),
  lookups('fresh'),
  lookups('repeated'),
  matching(2000),
  importInNode(),
];

const all = () => [
  oneToOne(64, ALL),
  oneToOne(64, ['plain', 'nats-ws', 'ws']),
  oneToOne(1024, ['sealed', 'nats-ws', 'nats-tcp', 'mqtt-tcp', 'mqtt-ws', 'socket.io']),
  oneToOne(16_384, ['sealed', 'nats-ws', 'nats-tcp']),
  fanOut(100, ['sealed', 'nats-tcp']),
  fanOut(1000, ['sealed', 'nats-tcp']),
  // Before the browsers, which stay open until the end and use some CPU.
  latency(0.5, LATENCY),
  latency(0.99, LATENCY),
  latency(0.5, ['plain', 'nats-ws']),
  latency(0.99, ['plain', 'nats-ws']),
  ...['Chromium', 'Firefox'].flatMap((browser) => [64, 1024].map((size) => pageReceives(browser, size, IN_PAGES))),
  // The most that a page can receive: messages as long as a batch of ours.
  ...['Chromium', 'Firefox'].map((browser) => pageReceives(browser, 65_536, ['sealed', 'ws'])),
  ...['Node', 'Chromium', 'Firefox', 'WebKit'].flatMap((place) => [
    patronAlone(place, 'aes-cbc', 64, OTHERS),
    patronAlone(place, 'aes-cbc', 1024, OTHERS),
    patronAlone(place, 'aes-gcm', 64),
    ...[64, 1024, 16_384, 65_536].map((size) => patronSpaced(place, size)),
  ]),
  lookups('fresh'),
  lookups('repeated'),
  patternMemory(),
  worstPattern(),
  matching(5000),
  matching(10_000),
  registrations(100_000),
  idleMemory(10_000, IDLE),
  idleAccept(10_000, IDLE),
  importInNode(),
  parseInPage('Chromium'),
];
