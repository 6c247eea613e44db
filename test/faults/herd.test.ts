import { expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { serve, TOKEN } from '../cli/harness.js';
import { later } from '../server/harness.js';
import { FaultProxy } from './proxy.js';
import { LONG, report, scale } from './kit.js';

it('thousands of clients that are thrown off at once come back within 15 s, and never more than a few hundred in 100 ms', async () => {
  const count = scale(500, 5_000);
  // The server in a process of its own: half the work is not done here.
  const { port } = await serve({ args: ['--token', TOKEN, '--log-level', 'error', '--auth-ms', '60000'] });
  const proxy = await FaultProxy.listen(() => port);
  const clients = Array.from({ length: count }, () => {
    const client = new PubkeeperClient({ server: `ws://127.0.0.1:${proxy.port}/ws`, token: TOKEN, logger: { warn: () => undefined, error: () => undefined }, connectTimeoutMs: 60_000 });
    client.on('error', () => undefined);
    return client;
  });
  later(async () => {
    await Promise.all(clients.map((client) => client.disconnect()));
    await proxy.close();
  });
  for (let at = 0; at < count; at += 100) await Promise.all(clients.slice(at, at + 100).map((client) => client.connect()));

  proxy.dials.length = 0;
  let back = 0;
  const begun = performance.now();
  const all = Promise.all(clients.map((client) => new Promise<void>((resolve) => {
    client.on('state', (state) => {
      if (state !== 'connected') return;
      back++;
      resolve();
    });
  })));
  proxy.reset();
  await all;
  const ms = performance.now() - begun;
  const dials = [...proxy.dials].sort((a, b) => a - b);
  let densest = 0;
  for (let from = 0, to = 0; from < dials.length; from++) {
    while (to < dials.length && dials[to]! < dials[from]! + 100) to++;
    densest = Math.max(densest, to - from);
  }
  // Without the first and the last tenth: even chances over 1.5 s make that 1.2 s.
  const span = dials[Math.floor(dials.length * 0.9)]! - dials[Math.floor(dials.length * 0.1)]!;
  report('thrown off at once', { clients: count, back, ms, dials: dials.length, most100ms: densest, span });
  expect(back).toBe(count);
  expect(ms).toBeLessThan(15_000);
  expect(densest).toBeLessThanOrEqual(500);
  // A busy machine bunches what comes due while it is held up; it cannot spread what comes at once.
  expect(span).toBeGreaterThan(600);
}, LONG ? 300_000 : 60_000);
