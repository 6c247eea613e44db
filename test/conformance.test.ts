import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { afterAll, describe, it } from 'vitest';
import { BroadcastChannelBrew } from '../src/brews/broadcast-channel.js';
import { LocalBrew } from '../src/brews/local.js';
import { MemoryBrew } from '../src/brews/memory.js';
import { MqttBrew } from '../src/brews/mqtt.js';
import { NatsBrew } from '../src/brews/nats.js';
import { WebSocketBrew } from '../src/brews/websocket.js';
import { newId } from '../src/core/index.js';
import type { Brew } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { brewSuite, type BrewFixture, type BrewSuiteOptions } from './brew-suite.js';
import { aedes } from './brews/aedes.js';
import { findProgram, mosquitto, nats } from './brews/processes.js';

// Every brew of this package with its real broker or server. `npm run conformance` prints the table.

/** What all tests of a brew share: a broker or a server. */
interface Shared {
  /** Returns a function that makes the brews of one test, which reach each other and those of no other test. */
  fresh(): () => Brew;
  stop(): unknown;
}
interface Candidate extends Omit<BrewSuiteOptions, 'make'> {
  readonly name: string;
  /** Undefined if a program is not installed. */
  readonly start: (() => Promise<Shared>) | undefined;
  readonly host?: BrewFixture['host'];
}

const natsServer = findProgram('nats-server');
const mosquittoServer = findProgram('mosquitto');
const unique = (): string => `test-${newId()}`;
const KEEPS = { lastValue: true, tellsRetained: true } as const;
/** Brews that are used together with others. */
const MOVES = { missed: true } as const;

/** An MqttBrew with the given broker. */
const mqtt = (name: string, start: (() => Promise<{ url: string; stop: () => unknown }>) | undefined, qos: 0 | 1 = 0): Candidate => ({
  name,
  ...KEEPS,
  ...MOVES,
  badDetails: [{ name: 'mqtt' }, { name: 'mqtt', topic: '#' }],
  start:
    start &&
    (async () => {
      const { url, stop } = await start();
      return { stop, fresh: () => ((prefix) => () => new MqttBrew({ url, qos, prefix }))(unique()) };
    }),
});

/** Starts mosquitto, if it is installed. Not with WebSocket, as 2.0.11 delays large messages there. */
const byMosquitto =
  mosquittoServer === undefined
    ? undefined
    : async () => {
        const broker = await mosquitto(mosquittoServer);
        return { url: broker.tcp, stop: () => broker.kill() };
      };

const candidates: readonly Candidate[] = [
  { name: 'memory', ...KEEPS, start: async () => ({ fresh: () => () => new MemoryBrew(), stop: () => undefined }) },
  {
    name: 'websocket',
    ...KEEPS,
    badDetails: [{ name: 'websocket' }, { name: 'websocket', hostname: 'a/b', port: 1 }, { name: 'websocket', hostname: 'a', port: 0 }],
    host: { WebSocket },
    start: async () => {
      const server = await createServer({ port: 0, maxMessageBytes: 2 * 1024 * 1024, tokens: { x: [] } });
      const options = { hostname: '127.0.0.1', port: server.port };
      return { fresh: () => () => new WebSocketBrew(options), stop: () => server.close() };
    },
  },
  ...(['unix', 'tcp'] as const).map((transport) => ({
    name: `local (${transport})`,
    lastValue: true,
    ...MOVES,
    badDetails: [{ name: 'local' }, { name: 'local', sock: 'relative' }, { name: 'local', sock: ['10.0.0.1', 1] }],
    start: async () => {
      const directory = mkdtempSync(join(tmpdir(), 'pk-conformance-'));
      const stop = () => rmSync(directory, { recursive: true, force: true });
      return { fresh: () => () => new LocalBrew({ transport, directory }), stop };
    },
  })),
  {
    name: 'broadcast-channel',
    ...KEEPS,
    ...MOVES,
    start: async () => ({
      fresh: () => ((scope) => () => new BroadcastChannelBrew({ scope }))(unique()),
      stop: () => undefined,
    }),
  },
  mqtt('mqtt, mosquitto, QoS 0', byMosquitto),
  mqtt('mqtt, mosquitto, QoS 1', byMosquitto, 1),
  ...(['tcp', 'ws'] as const).map((way) =>
    mqtt(`mqtt, aedes (${way})`, async () => {
      const broker = await aedes();
      return { url: broker[way], stop: () => broker.kill() };
    }),
  ),
  ...(['tcp', 'ws'] as const).map((way) => ({
    name: `nats (${way})`,
    ...KEEPS,
    ...MOVES,
    badDetails: [{ name: 'nats' }, { name: 'nats', subject: '>' }],
    start:
      natsServer === undefined
        ? undefined
        : async () => {
            const broker = await nats(natsServer, { maxPayload: 4 * 1024 * 1024 });
            const url = broker[way];
            const fresh = () => ((prefix) => () => new NatsBrew({ url, prefix }))(unique());
            return { fresh, stop: () => broker.kill() };
          },
    host: { WebSocket },
  })),
];

for (const { name, start, host, ...options } of candidates) {
  if (!start) {
    describe.skip(`the contract of a brew: ${name}`, () => it('needs a broker that is not installed', () => undefined));
    continue;
  }
  describe(name, () => {
    let shared: Promise<Shared> | undefined;
    afterAll(async () => (await shared)?.stop());
    brewSuite(name, {
      ...options,
      make: async () => ({ brew: (await (shared ??= start())).fresh(), ...(host && { host }) }),
    });
  });
}
