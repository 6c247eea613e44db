import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { serve, TOKEN } from '../cli/harness.js';
import { later, start, until } from '../server/harness.js';
import { RawRelay, encodeFrame, encodeRelay, newId } from '../server/raw-client.js';
import { LONG, MiB, quantile, report, scale } from './kit.js';

// The server is a process of its own, so that this process does not slow it down.

const FRAME = 32 * 1024;
const BYTES_PER_SECOND = scale(10, 50) * 1e6;

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`^pubkeeper_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** Publishes at the given rate for `ms`; returns the delays of the healthy reader in ms. */
async function run(publisher: RawRelay, healthy: RawRelay, ms: number): Promise<{ delays: number[]; sent: number }> {
  const delays: number[] = [];
  healthy.socket.removeAllListeners('message');
  healthy.socket.on('message', (data: Buffer) => void delays.push(performance.now() - data.readDoubleLE(88)));
  const frame = Buffer.from(encodeFrame('t', newId(), 'x'.repeat(FRAME)));
  const packet = Buffer.from(encodeRelay(2, 't', frame));
  const begun = performance.now();
  let sent = 0;
  while (performance.now() - begun < ms) {
    // As many frames as are due by now.
    const due = ((performance.now() - begun) / 1000) * (BYTES_PER_SECOND / FRAME);
    while (sent < due) {
      packet.writeDoubleLE(performance.now(), 40 + 88);
      publisher.socket.send(Buffer.from(packet));
      sent++;
    }
    await sleep(1);
  }
  while (delays.length < sent) await sleep(1);
  return { delays, sent };
}

describe.each(['drop', 'cut'] as const)('a stalled patron (--slow-reader %s)', (mode) => {
  it('holds at most 1 MiB, is cut or skipped within 10 s, and does not slow down its neighbour, which gets everything', async () => {
    const { port, url, cli } = await serve({ args: ['--token', TOKEN, '--slow-reader', mode, '--log-level', 'error'] });
    const relayUrl = url.replace('/ws', '/brew');
    const [publisher, healthy] = [await RawRelay.open(relayUrl), await RawRelay.open(relayUrl)];
    healthy.join('t');
    await healthy.settled();
    // Not shorter: a reader that stalls holds its publisher up once, for 20 ms (pacer.ts), which is two of a second's hundred messages.
    const phase = scale(1_000, 4_000);
    const p99: { alone: number[]; beside: number[] } = { alone: [], beside: [] };
    let most = 0;
    let within = 0;
    let begun = NaN;
    let before = NaN;
    // Poll in both halves of a round, as polling costs the server time in both.
    let watching = true;
    const watch = (async () => {
      while (watching) {
        most = Math.max(most, await metric(port, 'slowest_reader_buffered_bytes'));
        if (!within && (await metric(port, 'drops_total\\{reason="slow-reader"\\}')) > before) within = performance.now() - begun;
        await sleep(50);
      }
    })();
    // Several rounds: a pause of the whole machine falls into one of them, and not into the median.
    for (let round = 0; round < scale(1, 7); round++) {
      const alone = await run(publisher, healthy, phase);
      p99.alone.push(quantile(alone.delays, 0.99));
      const stalled = await RawRelay.open(relayUrl);
      stalled.join('t');
      await stalled.settled();
      begun = performance.now();
      stalled.socket.pause();
      before = await metric(port, 'drops_total\\{reason="slow-reader"\\}');
      const beside = await run(publisher, healthy, phase);
      p99.beside.push(quantile(beside.delays, 0.99));
      report('a round', { alone: p99.alone.at(-1), beside: p99.beside.at(-1), most, within });
      expect(beside.delays).toHaveLength(beside.sent);
      stalled.socket.resume();
      if (mode === 'cut') expect((await stalled.closed).code).toSatisfy((code: number) => code === 4413 || code === 1006);
      else stalled.socket.terminate();
    }
    watching = false;
    await watch;
    const [alone, beside] = [quantile(p99.alone, 0.5), quantile(p99.beside, 0.5)];
    report(`stalled patron, ${mode}`, { bytesPerSecond: BYTES_PER_SECOND, most, withinMs: within, p99AloneMs: alone, p99BesideMs: beside, rounds: p99 });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(MiB);
    expect(within).toBeGreaterThan(0);
    expect(within).toBeLessThan(10_000);
    if (LONG) expect(beside).toBeLessThan(1.2 * alone);
    cli.kill('SIGTERM');
    expect(await cli.exit).toBe(0);
  }, LONG ? 600_000 : 60_000);
});

describe('a burst', () => {
  it.each([[1], [3]])('of 20 MB reaches %i healthy patrons completely', async (patrons) => {
    const server = await start();
    const clients = Array.from({ length: patrons + 1 }, () => new PubkeeperClient({ server: server.url, token: server.token! }));
    for (const client of clients) later(() => client.disconnect());
    const heard = clients.slice(1).map((client) => {
      const sequences: (number | undefined)[] = [];
      client.addPatron('burst', (_, { sequence }) => sequences.push(sequence));
      return sequences;
    });
    const brewer = clients[0]!.addBrewer('burst');
    let added = 0;
    brewer.on('added', () => added++);
    await Promise.all(clients.map((client) => client.connect()));
    await until(() => added === patrons);
    const part = randomBytes(20_000);
    for (let i = 0; i < 1_000; i++) await brewer.brew(part);
    await until(() => heard.every(({ length }) => length === 1_000));
    for (const sequences of heard) expect(sequences).toEqual(Array.from({ length: 1_000 }, (_, at) => at));
    expect(server.stats().drops).toEqual({});
  });

  it('of many publishers in one tick reaches a healthy reader completely, as bytes not yet offered to the kernel do not count', async () => {
    const server = await start({ limits: { bufferedBytes: 256 * 1024 } });
    const reader = await RawRelay.open(server.relayUrl);
    const writers = await Promise.all(Array.from({ length: 20 }, () => RawRelay.open(server.relayUrl)));
    writers.forEach((_writer, i) => reader.join(`t.${i}`));
    await reader.settled();
    for (const [i, writer] of writers.entries()) for (let n = 0; n < 3; n++) writer.publish(`t.${i}`, newId(), 'x'.repeat(10_000));
    await Promise.all(writers.map((writer) => writer.settled()));
    await reader.settled();
    expect(server.stats().drops).toEqual({});
    expect(reader.inbox.waiting).toHaveLength(60);
  });

  it('beyond a small limit does not cut a healthy reader, and does not hold its publisher up', async () => {
    const server = await start({ limits: { bufferedBytes: 8 * 1024 } });
    const [publisher, reader] = [await RawRelay.open(server.relayUrl, ['pubkeeper-relay-2']), await RawRelay.open(server.relayUrl)];
    const topics = Array.from({ length: 6 }, (_topic, i) => `t.${i}`);
    for (const topic of topics) reader.join(topic);
    await reader.settled();
    const packet = (topic: string, text: string): Buffer => encodeRelay(2, topic, encodeFrame(topic, newId(), text));
    publisher.socket.send(Buffer.concat(topics.map((topic) => packet(topic, 'x'.repeat(1_950)))));
    publisher.socket.send(packet('t.0', 'after'));
    for (let text = ''; text !== 'after'; ) text = await reader.text();
    expect(server.stats().drops).toEqual({});
  });

  it('to a slow patron without others makes its brewer wait, and loses nothing', async () => {
    const server = await start();
    const [publisher, reader] = [await RawRelay.open(server.relayUrl), await RawRelay.open(server.relayUrl)];
    reader.join('t');
    await reader.settled();
    const [count, id] = [400, newId()];
    let read = 0;
    reader.socket.removeAllListeners('message');
    reader.socket.on('message', () => {
      // Pause after each MiB, so that it reads far slower than the brewer sends.
      if (++read % 16) return;
      reader.socket.pause();
      setTimeout(() => reader.socket.resume(), 20);
    });
    const frame = encodeRelay(2, 't', encodeFrame('t', id, 'x'.repeat(64 * 1024)));
    let most = 0;
    for (let i = 0; i < count; i++) publisher.socket.send(frame);
    await until(() => ((most = Math.max(most, server.stats().bufferedBytes)), read === count));
    expect(most).toBeLessThanOrEqual(MiB);
    expect(server.stats().drops).toEqual({});
  });
});
