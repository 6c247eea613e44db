import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../src/index.js';
import { startDemo } from './demo.js';
import type { Demo } from './demo.js';

// Runs the script of `npm start`, without a browser.
const run = (args: readonly string[], env: Record<string, string> = {}) =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const script = fileURLToPath(new URL('../demo/start.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });

describe('npm start', () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await startDemo();
  });
  afterAll(() => demo?.end('SIGINT'));

  it('brews measurements of this machine every second, sealed', async () => {
    const client = new PubkeeperClient({ server: demo.server, token: demo.token });
    const seen = new Map<string, { value: Record<string, number>; live: number; sealed: boolean }>();
    client.addPatron(
      'host.**',
      (_data, message) => {
        const live = (seen.get(message.topic)?.live ?? 0) + (message.retained ? 0 : 1);
        seen.set(message.topic, { value: message.json() as Record<string, number>, live, sealed: message.sequence !== undefined });
      },
      { crypto: 'required' },
    );
    await client.connect();
    await expect.poll(() => [...seen.values()].filter(({ live }) => live >= 3).length, { timeout: 20_000 }).toBeGreaterThan(4);
    await client.disconnect();
    const [, host] = [...seen.keys()][0]!.split('.');
    for (const [topic, { value, sealed }] of seen) {
      expect(topic).toMatch(/^host\.[\p{L}\p{N}_-]+\.[\p{L}\p{N}_.-]+$/u);
      expect(sealed).toBe(true);
      for (const number of Object.values(value)) expect(Number.isFinite(number) && number >= 0, `${topic} ${JSON.stringify(value)}`).toBe(true);
    }
    const of = (name: string) => seen.get(`host.${host}.${name}`)?.value ?? {};
    expect(of('cpu.0')['load']).toBeLessThanOrEqual(100);
    expect(of('memory')['used']).toBeLessThan(of('memory')['total']!);
    expect(of('eventloop')['p50']).toBeLessThanOrEqual(of('eventloop')['p99']!);
    expect(of('uptime')['process']).toBeGreaterThan(0);
    if (process.platform === 'linux') expect([...seen.keys()].some((topic) => topic.includes('.net.'))).toBe(true);
  });

  it('says in one sentence that a port is in use', async () => {
    const { port } = new URL(demo.page);
    for (const { code, stdout, stderr } of [await run(['--port', port]), await run([], { PORT: port })]) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toBe(`pubkeeper: Port ${port} is in use: end what runs there, or choose another one (npm start -- --port 9900).\n`);
    }
  });

  it.each([[['--port', 'x']], [['--port', '70000']], [['--bogus']], [['stray']]])('refuses %j', async (args) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pubkeeper: .+\.\n$/);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends cleanly on %s, also with a page open, and frees the port', async (signal) => {
    const other = await startDemo();
    const client = new PubkeeperClient({ server: other.server, token: other.token, logger: { warn: () => undefined, error: () => undefined } });
    client.addPatron('**');
    await client.connect();
    const before = performance.now();
    expect(await other.end(signal)).toBe(0);
    expect(performance.now() - before).toBeLessThan(5000);
    await client.disconnect();
    const refused = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(other.page).port), '127.0.0.1');
      socket.on('connect', () => resolve('connected')).on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? ''));
    });
    expect(refused).toBe('ECONNREFUSED');
  });
});
