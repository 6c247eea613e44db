import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from '../../free-port.js';

// NATS servers for tests: processes of their own, on free ports, with JetStream.

const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** The path of nats-server; undefined with a loud warning when it is not installed. */
export const NATS = directories.map((directory) => join(directory, 'nats-server')).find((path) => existsSync(path));
if (!NATS) console.warn('\n*** nats-server is not installed: tests of the cluster are SKIPPED. Install it with: apt-get install nats-server ***\n');

export interface Nats {
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** Kills it, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again with the same or other lines of configuration. */
  restart(config?: string): Promise<void>;
}

export interface NatsOptions {
  readonly config?: string;
  readonly cluster?: { readonly name: string; readonly port: number; readonly routes: readonly number[] };
  readonly name?: string;
  readonly jetstream?: boolean;
}

export async function startNats({ config = '', cluster, name = 'n1', jetstream = true }: NatsOptions = {}): Promise<Nats> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'pk-nats-'));
  const file = join(directory, 'nats.conf');
  const routes = cluster?.routes.map((route) => `nats://127.0.0.1:${route}`).join(', ');
  const write = (more: string): void => writeFileSync(file, [...lines, more].join('\n'));
  const lines = [
    `listen: "127.0.0.1:${port}"`,
    `server_name: ${name}`,
    jetstream ? `jetstream { store_dir: "${directory}", max_mem: 256MB, max_file: 16MB }` : '',
    cluster ? `cluster { name: ${cluster.name}, listen: "127.0.0.1:${cluster.port}", routes: [${routes}] }` : '',
  ];
  write(config);
  let child = await run(file, port);
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get child() {
      return child;
    },
    async kill() {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }
      if (!restarts.has(child)) rmSync(directory, { recursive: true, force: true });
    },
    async restart(other) {
      if (other !== undefined) write(other);
      restarts.add(child);
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      child = await run(file, port);
    },
  };
}

const restarts = new Set<ChildProcess>();

/** Three servers that form a cluster. */
export async function startCluster(): Promise<Nats[]> {
  for (let tries = 1; ; tries++) {
    const ports = [await freePort(), await freePort(), await freePort()];
    const name = `c${ports[0]}`;
    const starts = ports.map((port, index) => startNats({ name: `n${index + 1}`, cluster: { name, port, routes: ports } }));
    const settled = await Promise.allSettled(starts);
    const failure = settled.find((one) => one.status === 'rejected');
    if (!failure) return Promise.all(starts);
    for (const one of settled) if (one.status === 'fulfilled') await one.value.kill();
    // Another process may have taken one of the six ports meanwhile.
    if (tries === 3) throw failure.reason;
  }
}

async function run(file: string, port: number): Promise<ChildProcess> {
  const child = spawn(NATS!, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (output += String(chunk)));
  for (let tries = 0; !(await answers(port)); tries++) {
    if (child.exitCode !== null || tries > 400) throw new Error(`nats-server did not start: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return child;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
