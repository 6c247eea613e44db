import { afterEach, describe, expect, it } from 'vitest';
import { NatsBus } from '../../../src/server/cluster/nats-bus.js';
import { readClusterOptions } from '../../../src/server/cluster/options.js';
import { QUIET, scene, until } from './kit.js';
import { NATS, startNats } from './nats.js';
import { Proxy } from './proxy.js';

// The connections of a server to NATS, with the limits of NATS.

const stage = scene();
afterEach(() => stage.end(), 60_000);

describe.skipIf(!NATS)('the connections of a cluster to NATS', { timeout: 60_000 }, () => {
  it('announce many topics in several messages if NATS allows only short ones', async () => {
    const nats = stage.own(await startNats({ config: 'max_payload: 8192' }));
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    await until(() => a.stats().cluster!.servers === 1 && b.stats().cluster!.servers === 1, 'both');
    const [reader, writer] = [stage.client(a), stage.client(b)];
    reader.addPatron('many.*');
    const brewers = Array.from({ length: 300 }, (_, n) => writer.addBrewer(`many.x${n}`));
    await writer.connect();
    await until(() => a.stats().cluster!.registrations === 300, 'the registrations');
    // All topics are joined in one tick, and do not fit into one message.
    await reader.connect();
    await until(() => a.stats().cluster!.topics === 300 && brewers.every(({ isMatched }) => isMatched), 'all topics');
  });

  it('report room again also after a message that is longer than all that may wait', async () => {
    const nats = stage.own(await startNats());
    let drained = 0;
    const options = { echo: false, name: 'test', logger: QUIET, changed: () => undefined, drained: () => void drained++ };
    const bus = await NatsBus.connect(readClusterOptions({ servers: nats.url })!, options);
    try {
      bus.publish('x', new Uint8Array(100));
      expect(bus.fits(17 * 1024 * 1024)).toBe(false);
      await until(() => drained === 1, 'room');
      expect(bus.fits(17 * 1024 * 1024)).toBe(true);
    } finally {
      await bus.close();
    }
  });

  it('stay while data comes, however late the answers to pings are, and end when nothing comes', async () => {
    const nats = stage.own(await startNats());
    const proxy = stage.own(await Proxy.to(nats.port));
    const changes: boolean[] = [];
    const options = { echo: true, name: 'test', logger: QUIET, changed: (isUp: boolean) => void changes.push(isUp), drained: () => undefined };
    const bus = await NatsBus.connect(readClusterOptions({ servers: `127.0.0.1:${proxy.port}` })!, options);
    try {
      let received = 0;
      bus.subscribe('much', () => void received++);
      await bus.connection.flush();
      proxy.limit(100_000);
      // This takes ten seconds, in which the answers to five pings wait behind the data.
      for (let n = 0; n < 100; n++) bus.publish('much', new Uint8Array(10_000));
      await until(() => received === 100, 'all messages');
      expect(changes).toEqual([]);
      proxy.limit(0);
      await until(() => changes.length, 'the end of the connection', 15_000);
      expect(changes).toEqual([false]);
      proxy.limit(Infinity);
      await until(() => bus.isUp, 'a new connection');
    } finally {
      await bus.close();
    }
  });

  it('come back when NATS has refused them for a while, and report each change once', async () => {
    const user = (password: string): string => `authorization { user: "u", password: "${password}" }`;
    const nats = stage.own(await startNats({ config: user('right') }));
    const told: string[] = [];
    const logger = { ...QUIET, warn: (text: unknown) => void told.push(String(text)) };
    const server = await stage.server('', { cluster: { servers: nats.url, username: 'u', password: 'right' }, logger });
    await until(() => server.stats().cluster!.ready, 'readiness');
    const { resyncs } = server.stats().cluster!;
    let attempts = 0;
    await nats.restart(user('other'));
    nats.child.stderr!.on('data', (text) => (attempts += String(text).split('authentication error').length - 1));
    await until(() => attempts >= 6, 'refusals');
    await nats.restart(user('right'));
    await until(() => server.stats().cluster!.ready && told.filter((text) => text.endsWith('again.')).length >= 2, 'readiness again');
    // Each line twice, for the two connections of a server.
    const each = [`The connection to NATS at 127.0.0.1:${nats.port} was lost; reconnecting.`, 'NATS says: Authorization Violation', `Connected to NATS at 127.0.0.1:${nats.port} again.`];
    expect(told.sort()).toEqual([...each, ...each].sort());
    expect(server.stats().cluster!.resyncs).toBe(resyncs + 1);
  });
});
