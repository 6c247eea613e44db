import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { serve, TOKEN } from '../cli/harness.js';
import { later } from '../server/harness.js';
import { FaultProxy } from './proxy.js';
import { LONG, report, scale } from './kit.js';

/** The number of threads for the clients: in one thread, all timers that are due after a pause would dial at once. */
const FLOCKS = 10;

/** A thread of clients. It sends `ready` when all are connected, and when all have been cut and connected again, the times of their dials. */
async function flock(url: string, count: number): Promise<Worker> {
  const module = new URL('../../dist/node/index.js', import.meta.url).href;
  const worker = new Worker(
    `import(${JSON.stringify(module)}).then(async ({ PubkeeperClient }) => {
      const { parentPort } = require('node:worker_threads');
      const dials = [];
      class WebSocket extends require('ws') {
        constructor(...given) {
          dials.push(performance.timeOrigin + performance.now());
          super(...given);
        }
      }
      const logger = { warn: () => undefined, error: () => undefined };
      const clients = Array.from({ length: ${count} }, () => new PubkeeperClient({ server: '${url}', token: '${TOKEN}', logger, WebSocket, connectTimeoutMs: 60_000 }));
      for (const client of clients) client.on('error', () => undefined);
      for (let at = 0; at < clients.length; at += 100) await Promise.all(clients.slice(at, at + 100).map((client) => client.connect()));
      dials.length = 0;
      let back = 0;
      for (const client of clients) client.on('state', (state) => state === 'connected' && ++back === clients.length && parentPort.postMessage(dials));
      parentPort.once('message', () => Promise.all(clients.map((client) => client.disconnect())).then(() => parentPort.close()));
      parentPort.postMessage('ready');
    });`,
    { eval: true },
  );
  later(async () => {
    const over = once(worker, 'exit');
    worker.postMessage('disconnect');
    await over;
  });
  expect(await once(worker, 'message')).toEqual(['ready']);
  return worker;
}

it('thousands of clients whose connections are cut at once are back within 15 s, with at most some hundred attempts in 100 ms', async () => {
  const count = scale(500, 5_000);
  // The server is a process of its own, so that half of the work is not done here.
  const { port } = await serve({ args: ['--token', TOKEN, '--log-level', 'error', '--auth-ms', '60000'] });
  const proxy = await FaultProxy.listen(() => port);
  later(() => proxy.close());
  const flocks: Worker[] = [];
  for (let i = 0; i < FLOCKS; i++) flocks.push(await flock(`ws://127.0.0.1:${proxy.port}/ws`, count / FLOCKS));

  const begun = performance.now();
  const all = Promise.all(flocks.map((worker) => once(worker, 'message') as Promise<[number[]]>));
  proxy.reset();
  // As the clients report it, as the proxy needs a second to end so many connections, in which it does not see new ones.
  const dials = (await all).flat(2).sort((a, b) => a - b);
  const ms = performance.now() - begun;
  let densest = 0;
  for (let from = 0, to = 0; from < dials.length; from++) {
    while (to < dials.length && dials[to]! < dials[from]! + 100) to++;
    densest = Math.max(densest, to - from);
  }
  // Without the first and the last tenth: a uniform distribution over 1.5 s gives 1.2 s.
  const span = dials[Math.floor(dials.length * 0.9)]! - dials[Math.floor(dials.length * 0.1)]!;
  report('thrown off at once', { clients: count, ms, dials: dials.length, most100ms: densest, span });
  expect(ms).toBeLessThan(15_000);
  expect(densest).toBeLessThanOrEqual(500);
  // A busy machine bunches timers that are due during a pause, but cannot spread attempts that are made at once.
  expect(span).toBeGreaterThan(600);
}, LONG ? 300_000 : 60_000);
