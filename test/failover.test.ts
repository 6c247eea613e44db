import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Brewer, Patron, PubkeeperClient, WebSocketBrew, type Brew, type BrewHost, type ClientOptions, type Message } from '../src/index.js';
import { BroadcastChannelBrew } from '../src/brews/broadcast-channel.js';
import { failover } from '../src/brews/failover.js';
import { Relays } from '../src/brews/internal/relays.js';
import { MemoryBrew } from '../src/brews/memory.js';
import { MqttBrew } from '../src/brews/mqtt.js';
import { NatsBrew } from '../src/brews/nats.js';
import { LocalBrew } from '../src/brews/local.js';
import { nobleEngine } from '../src/core/ciphers/noble.js';
import type { WebSocketConstructor } from '../src/core/connection.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { findProgram, mosquitto, nats } from './brews/processes.js';
import { host } from './brews/rig.js';
import { freePort } from './free-port.js';
import { settle } from './helpers.js';

// A pair whose brew is down moves to the next common one, and comes back: with real brokers that are killed
// while messages flow.

const natsServer = findProgram('nats-server');
const mosquittoServer = findProgram('mosquitto');

const clean: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

async function serve(relayPort?: number): Promise<PubkeeperServer> {
  const server = await createServer({
    port: 0,
    ...(relayPort !== undefined && { relayPort }),
    tokens: { secret: [{ topic: '**', read: true, write: true }] },
  });
  clean.push(() => server.close());
  return server;
}

function client(server: string, brews: Brew[], options: Partial<ClientOptions> = {}): PubkeeperClient {
  const made = new PubkeeperClient({ server, token: 'secret', brews, reconnect: { delayMs: 20, maxDelayMs: 50 }, ...options });
  made.on('error', () => undefined); // brokers die here
  clean.push(() => made.disconnect());
  return made;
}

/** Resolves when `look` returns true; calls it at each of these events. */
function until(look: () => boolean, ...events: ((listener: () => void) => () => void)[]): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!look()) return;
      for (const undo of undos) undo();
      resolve();
    };
    const undos = events.map((subscribe) => subscribe(check));
    check();
  });
}

/** A brewer that brews ascending numbers, and a patron that records what comes. */
function flow(writer: PubkeeperClient, reader: PubkeeperClient) {
  const got: number[] = [];
  const gaps: number[] = [];
  const waiting = new Set<() => void>();
  const patron = new Patron('demo.**', (_data: Uint8Array, message: Message) => {
    got.push(Number(message.text()));
    for (const run of waiting) run();
  });
  patron.on('gap', ({ missing }) => gaps.push(missing));
  const brewer = new Brewer('demo.flow');
  let next = 0;
  let timer: NodeJS.Timeout | undefined;
  const start = async (): Promise<void> => {
    reader.addPatron(patron);
    writer.addBrewer(brewer);
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched && patron.isMatched, (run) => brewer.on('added', run), (run) => patron.on('added', run));
    timer = setInterval(() => void brewer.brewText(String(next++)).catch(() => undefined), 2);
    clean.push(async () => clearInterval(timer));
  };
  const over = (name: string): Promise<void> =>
    until(
      () => [...brewer.patrons.values(), ...patron.brewers.values()].every(({ brew }) => brew === name),
      (run) => brewer.on('added', run),
      (run) => patron.on('added', run),
    );
  /** Resolves when this many more messages have come. */
  const more = (count: number): Promise<void> => {
    const wanted = got.length + count;
    return until(
      () => got.length >= wanted,
      (run) => (waiting.add(run), () => waiting.delete(run)),
    );
  };
  return { got, gaps, patron, brewer, start, over, more, stop: () => clearInterval(timer) };
}

const expectAll = (got: readonly number[]): void => expect(got).toEqual(got.map((_, index) => index));

it('a relay that cannot be reached is not watched any more when the pairs over it have ended', async () => {
  const url = `ws://127.0.0.1:${await freePort()}`;
  const scope = { brewerId: '1', patronId: '2' };
  let tell: (up: boolean) => void = () => undefined;
  const told = new Promise<boolean>((resolve) => (tell = resolve));
  const relays = new Relays(WebSocket as unknown as WebSocketConstructor, (up) => tell(up));
  const free = relays.use(url, scope);
  const socket = new relays.WebSocket(url);
  socket.onerror = () => undefined;
  expect(await told).toBe(false);
  free();
  expect(relays.watch(url, () => undefined)).toBeDefined();
  relays.forget(scope);
  expect(relays.watch(url, () => undefined)).toBeUndefined();
});

/** A custom brew that has its own failover. */
class OwnBrew extends MemoryBrew {
  readonly failover = failover;
  host: BrewHost | undefined;
  override attach(host: BrewHost): void {
    super.attach((this.host = host));
  }
}

describe('failing over', () => {
  it('goes from a custom brew to the relay and back, when the brew reports its state', async () => {
    const { url } = await serve();
    const own = new OwnBrew();
    const pair = flow(client(url, [own, new WebSocketBrew()]), client(url, [new OwnBrew(), new WebSocketBrew()]));
    await pair.start();
    await pair.over(own.name);
    await pair.more(10);
    own.host!.state!(own.name, false);
    await pair.over('websocket');
    await pair.more(10);
    own.host!.state!(own.name, true);
    await pair.over(own.name);
    await pair.more(10);
  });

  it.skipIf(!natsServer)('goes from NATS to the relay and back without loss, repetition or reordering', async () => {
    const broker = await nats(natsServer!);
    let alive: { kill(): Promise<void> } = broker;
    clean.push(() => alive.kill());
    const { url } = await serve();
    const brews = (): Brew[] => [new NatsBrew({ url: broker.tcp }), new WebSocketBrew()];
    const pair = flow(client(url, brews()), client(url, brews()));
    const replayed: unknown[] = [];
    pair.patron.on('dropped', (drop) => replayed.push(drop));
    await pair.start();
    await pair.over('nats');
    await pair.more(100);
    await broker.kill();
    await pair.over('websocket');
    await pair.more(100);
    const [tcp, ws] = broker.ports;
    alive = await nats(natsServer!, { tcp, ws });
    await pair.over('nats');
    await pair.more(100);
    expectAll(pair.got);
    expect([pair.gaps, replayed]).toEqual([[], []]);
  }, 20_000);

  it.skipIf(!mosquittoServer)('goes from MQTT to NATS and back', async ({ skip }) => {
    if (!natsServer) return skip();
    const broker = await mosquitto(mosquittoServer!);
    const other = await nats(natsServer);
    let alive: { kill(): Promise<void> } = broker;
    clean.push(() => alive.kill(), () => other.kill());
    const { url } = await serve();
    const brews = (): Brew[] => [new MqttBrew({ url: broker.tcp }), new NatsBrew({ url: other.tcp })];
    const pair = flow(client(url, brews()), client(url, brews()));
    await pair.start();
    await pair.over('mqtt');
    await pair.more(100);
    await broker.kill();
    await pair.over('nats');
    await pair.more(100);
    const [tcp, ws] = broker.ports;
    alive = await mosquitto(mosquittoServer!, { tcp, ws });
    await pair.over('mqtt');
    await pair.more(100);
    expectAll(pair.got);
    expect(pair.gaps).toEqual([]);
  }, 20_000);

  it('goes from a lost relay to the local brew, and back', async () => {
    const relayPort = await freePort();
    const relays = await createServer({ port: relayPort, tokens: { x: [] } });
    let relay: PubkeeperServer = relays;
    clean.push(() => relay.close());
    const { url } = await serve();
    const options = { hostname: '127.0.0.1', port: relayPort };
    const pair = flow(client(url, [new WebSocketBrew(options), new LocalBrew()]), client(url, [new LocalBrew(), new WebSocketBrew(options)]));
    await pair.start();
    await pair.over('websocket');
    await pair.more(100);
    await relay.close();
    await until(() => [...pair.patron.brewers.values()][0]!.brew.startsWith('local-'), (run) => pair.patron.on('added', run));
    await pair.more(100);
    relay = await createServer({ port: relayPort, tokens: { x: [] } });
    await pair.over('websocket');
    await pair.more(100);
    const sorted = [...pair.got].sort((a, b) => a - b);
    expect(pair.got).toEqual(sorted);
    expect(new Set(pair.got).size).toBe(pair.got.length);
  }, 20_000);

  it('does not report a relay as down for brewers that have been removed', async () => {
    const relay = { hostname: '127.0.0.1', port: await freePort() };
    const server = await serve();
    let down = 0;
    class Counted extends WebSocket {
      override send(data: Uint8Array): void {
        if (Buffer.from(data).includes('"state":"down"')) down++;
        super.send(data);
      }
    }
    const brews = (): Brew[] => [new WebSocketBrew(relay), new LocalBrew()];
    const writer = client(server.url, brews(), { WebSocket: Counted as unknown as WebSocketConstructor });
    const reader = client(server.url, brews());
    await Promise.all([writer.connect(), reader.connect()]);
    // Repeat until the writer has noticed that its relay is down, as the reader may notice it first.
    for (let i = 0; i < 3 || !down; i++) {
      const brewer = writer.addBrewer(`demo.${i}`);
      const patron = reader.addPatron(`demo.${i}`);
      await until(() => [...patron.brewers.values()].some(({ brew }) => brew.startsWith('local-')), (run) => patron.on('added', run));
      writer.removeBrewer(brewer);
      await until(() => !patron.isMatched, (run) => patron.on('removed', run));
      reader.removePatron(patron);
    }
    // Down states are sent again with each registration, as that may go to another server.
    down = 0;
    writer.addBrewer('demo.last');
    await expect.poll(() => server.stats().brewers).toBe(1);
    expect(down).toBe(0);
  });

  it('does not choose a brew that is down from the start, and moves to it when it is up', async ({ skip }) => {
    if (!natsServer) return skip();
    const port = await freePort();
    const { url } = await serve();
    const brews = (): Brew[] => [new NatsBrew({ url: `nats://127.0.0.1:${port}` }), new WebSocketBrew()];
    const pair = flow(client(url, brews()), client(url, brews()));
    await pair.start();
    await pair.over('websocket');
    await pair.more(50);
    const broker = await nats(natsServer, { tcp: port });
    clean.push(() => broker.kill());
    await pair.over('nats');
    await pair.more(50);
    expect(pair.got).toEqual(pair.got.map((_, index) => index + pair.got[0]!));
  }, 20_000);

  it('leaves a pair where it is when there is no other brew', async ({ skip }) => {
    if (!natsServer) return skip();
    const broker = await nats(natsServer);
    let alive: { kill(): Promise<void> } = broker;
    clean.push(() => alive.kill());
    const { url } = await serve();
    const brews = (): Brew[] => [new NatsBrew({ url: broker.tcp })];
    const pair = flow(client(url, brews()), client(url, brews()));
    await pair.start();
    await pair.more(50);
    await broker.kill();
    const [tcp, ws] = broker.ports;
    alive = await nats(natsServer, { tcp, ws });
    await pair.more(50);
    expect(new Set(pair.got).size).toBe(pair.got.length);
    expect(pair.patron.brewers.size).toBe(1);
  }, 20_000);
});

describe('a move of which the brewer is told long after its patron', () => {
  it.skipIf(!natsServer)('loses and repeats nothing, blocks nobody, and reports no error', async () => {
    const broker = await nats(natsServer!);
    clean.push(() => broker.kill());
    const spy = await connect({ servers: broker.tcp });
    clean.push(() => spy.close());
    const ends = [host(), host()].map((rig) => {
      const brews: Brew[] = [new BroadcastChannelBrew({ scope: 'moved' }), new NatsBrew({ url: broker.tcp })];
      const moving = failover(rig.host, brews, () => undefined);
      for (const brew of moving) brew.attach(rig.host);
      clean.push(async () => Promise.all(moving.map((brew) => brew.close())));
      return { errors: rig.errors, lent: { brew: (name: string) => moving.find((brew) => brew.name === name), engine: nobleEngine } };
    });
    const [brewer, got, faults] = [new Brewer('demo.late'), [] as string[], [] as unknown[]];
    const waiting: (() => void)[] = [];
    const patron = new Patron('demo.*', (_data: Uint8Array, message: Message) => {
      got.push(message.text());
      for (const run of waiting.splice(0)) run();
    });
    const upTo = async (text: string): Promise<void> => {
      while (!got.includes(text)) await new Promise<void>((resolve) => waiting.push(resolve));
    };
    patron.on('gap', (gap) => faults.push(gap));
    patron.on('dropped', (drop) => faults.push(drop));
    brewer._lend(ends[0]!.lent);
    patron._lend(ends[1]!.lent);
    const { brewerId } = brewer;
    const { patronId } = patron;
    const told = async (name: string) => {
      const brew = (await ends[0]!.lent.brew(name)!.brewerDetails({ topic: 'demo.late', brewerId }))!;
      const asked = { patron_id: patronId, topic: 'demo.late', brew: ends[1]!.lent.brew(name)!.patronDetails({ topic: 'demo.*', patronId })! };
      return {
        patron: () => patron.newBrewers([{ topic: 'demo.late', brewer_id: brewerId, brewer_config: brewer.getConfig(), brew }]),
        brewer: () => brewer.newPatrons([asked]),
      };
    };
    const [near, far] = [await told('broadcast-moved'), await told('nats')];
    near.brewer();
    near.patron();
    await brewer.brewText('1');
    await upTo('1');
    // A patron publishes this when it has been answered, and asks no more then.
    const asking = spy.subscribe(`pubkeeper.demo.late.${brewerId}.join`);
    const answers = spy.subscribe(`pubkeeper.demo.late.${brewerId}.to.*`);
    await spy.flush();
    far.patron();
    for await (const { data } of asking) if (data.at(-1) === '+'.charCodeAt(0)) break;
    for (const lost of ['2', '3']) {
      await brewer.brewText(lost);
      await settle();
    }
    const begun = performance.now();
    far.brewer();
    await brewer.brewText('4');
    expect(performance.now() - begun).toBeLessThan(3000);
    await upTo('4');
    await brewer.brewText('5');
    await upTo('5');
    expect(got).toEqual(['1', '2', '3', '4', '5']);
    expect([faults, ends.map(({ errors }) => errors)]).toEqual([[], [[], []]]);
    // The missed messages came in an answer with bit 2, for which an older patron does not listen any more.
    for await (const { data } of answers) if (data[0] === 4) break;
  });
});
