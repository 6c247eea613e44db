import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { PubkeeperClient, WebSocketBrew } from '../../src/index.js';
import { serve, TOKEN, type Served } from '../cli/harness.js';
import { freePort } from '../free-port.js';
import { later } from '../server/harness.js';
import { LONG, report, scale } from './kit.js';

// Servers in processes of their own, ended by SIGKILL: nothing is flushed or announced.

const TIME = LONG ? 1_800_000 : 60_000;
const quiet = { warn: () => undefined, error: () => undefined };

const launch = (port: number): Promise<Served> => serve({ port, args: ['--token', TOKEN, '--log-level', 'error'] });

async function kill({ cli }: Served): Promise<void> {
  cli.kill('SIGKILL');
  await cli.exit;
}

function client(control: number, relay: number): PubkeeperClient {
  const made = new PubkeeperClient({
    server: `ws://127.0.0.1:${control}/ws`,
    token: TOKEN,
    brews: [new WebSocketBrew({ hostname: '127.0.0.1', port: relay })],
    reconnect: { delayMs: 50, maxDelayMs: 200 },
    logger: quiet,
  });
  made.on('error', () => undefined);
  later(() => made.disconnect());
  return made;
}

/** Whether `check` becomes true in time. It polls, as relays and servers die here and may send no event. */
async function settled(check: () => boolean, ms: number): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(2)) if (check()) return true;
  return check();
}

it('sealed messages while the relay is killed repeatedly: none is corrupt, reordered or repeated, and all are delivered or reported missing', async () => {
  const [messages, kills] = [scale(20_000, 1_000_000), scale(4, 100)];
  const [control, relayPort] = [await freePort(), await freePort()];
  await launch(control);
  let relay = await launch(relayPort);
  const [reading, writing] = [client(control, relayPort), client(control, relayPort)];
  const seen = { first: -1, delivered: 0, missing: 0, corrupt: 0, disorder: 0, last: -1 };
  const patron = reading.addPatron('run', (data, { sequence }) => {
    seen.delivered++;
    const number = Buffer.from(data.buffer, data.byteOffset, data.length).readUInt32LE(0);
    if (number !== sequence || data.length !== 16 || data.subarray(4).some((byte) => byte !== (number & 0xff))) seen.corrupt++;
    if (number <= seen.last) seen.disorder++;
    if (seen.first < 0) seen.first = number;
    seen.last = number;
  });
  patron.on('gap', ({ missing }) => (seen.missing += missing));
  const brewer = writing.addBrewer('run');
  const matched = new Promise<void>((resolve) => void brewer.on('matched', () => resolve()));
  await Promise.all([reading.connect(), writing.connect()]);
  await matched;

  let sent = 0;
  let refused = 0;
  const next = (): Promise<unknown> => {
    const message = Buffer.alloc(16, sent & 0xff);
    message.writeUInt32LE(sent++, 0);
    return brewer.brew(message).catch(() => refused++);
  };
  // Messages before the patron has joined are no gap, so count from the first message that it got.
  const began = await settled(() => (void next(), seen.first >= 0), 10_000);
  expect(began).toBe(true);

  let killing = true;
  const killer = (async () => {
    for (let i = 0; i < kills; i++) {
      // Kill the relay while the patron receives messages.
      const before = seen.delivered;
      await settled(() => seen.delivered > before && sent >= ((i + 0.5) * messages) / kills, TIME);
      await kill(relay);
      relay = await launch(relayPort);
    }
    killing = false;
  })();
  while (sent < messages || killing) {
    await Promise.all(Array.from({ length: 50 }, next));
    // Send no more than the patron can keep up with, so that the test ends.
    await settled(() => sent - seen.last < 50_000 || !killing, 1000);
  }
  await killer;
  // A loss at the end is noticed when a later message comes.
  const total = () => sent - seen.first;
  const ended = await settled(() => {
    if (seen.last >= messages && seen.delivered + seen.missing >= total()) return true;
    void next();
    return false;
  }, 30_000);
  await settled(() => seen.delivered + seen.missing === total(), 10_000);
  report('relay killed', { kills, sent, ...seen, refused, dropped: patron.dropped });
  expect(ended).toBe(true);
  expect({ corrupt: seen.corrupt, disorder: seen.disorder }).toEqual({ corrupt: 0, disorder: 0 });
  expect(seen.delivered + seen.missing).toBe(total());
  expect(seen.missing).toBeGreaterThan(0);
  expect(refused).toBe(0);
}, TIME);

it('the control server is killed repeatedly: matched pairs lose nothing, and the server has its old tables within 5 s of each return', async () => {
  const kills = scale(4, 100);
  const pairs = 20;
  const [port, relayPort] = [await freePort(), await freePort()];
  let control = await launch(port);
  await launch(relayPort);
  const [reading, writing] = [client(port, relayPort), client(port, relayPort)];
  const heard: number[][] = [];
  const joined = new Set<number>();
  let missing = 0;
  const brewers = Array.from({ length: pairs }, (_, at) => {
    const numbers: number[] = [];
    heard.push(numbers);
    const take = (number: number): unknown => (number < 0 ? joined.add(at) : numbers.push(number));
    reading.addPatron(`pair.${at}`, (_data, message) => take(message.json() as number)).on('gap', (gap) => (missing += gap.missing));
    return writing.addBrewer(`pair.${at}`);
  });
  await Promise.all([reading.connect(), writing.connect()]);
  await settled(() => brewers.every(({ isMatched }) => isMatched), 20_000);

  // A relay of another process has no barrier, so a message shows that a patron has joined.
  for (; joined.size < pairs; await sleep(2)) await Promise.all(brewers.map((brewer) => brewer.brewJSON(-1)));

  let sent = 0;
  let stop = false;
  const publishing = (async () => {
    for (; !stop; sent++) {
      await Promise.all(brewers.map((brewer) => brewer.brewJSON(sent)));
      // The pace of the messages, not a wait for an event.
      await sleep(2);
    }
  })();
  const tables = async (): Promise<string> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return ['brewers', 'patrons', 'matches', 'clients'].map((name) => new RegExp(`^pubkeeper_${name} (\\d+)$`, 'm').exec(text)?.[1]).join();
  };
  const model = [pairs, pairs, pairs, 2].join();
  const backAfter: number[] = [];
  for (let i = 0; i < kills; i++) {
    await kill(control);
    control = await launch(port);
    const begun = performance.now();
    // The tables of another process are read over HTTP, which announces no changes.
    while ((await tables()) !== model && performance.now() - begun < 10_000) await sleep(10);
    backAfter.push(performance.now() - begun);
  }
  stop = true;
  await publishing;
  await settled(() => heard.every(({ length }) => length === sent), 20_000);
  report('control server killed', { kills, sent: sent * pairs, missing, worstMs: Math.max(...backAfter) });
  for (const numbers of heard) expect(numbers).toEqual(Array.from({ length: sent }, (_, at) => at));
  expect(missing).toBe(0);
  expect(Math.max(...backAfter)).toBeLessThan(5_000);
}, TIME);
