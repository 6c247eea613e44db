// Small helpers for servers and actors.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { residentBytes } from './forked.mjs';

/** A TCP port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether a program is on the PATH. */
export const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** Starts a program with this text as its configuration, and waits until it prints `ready`; returns functions that measure its memory and end it. */
export async function daemon(program, config, args, ready) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  const file = join(directory, `${program}.conf`);
  writeFileSync(file, config);
  const child = spawn(program, ['-c', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  await new Promise((resolve, reject) => {
    let said = '';
    const read = (chunk) => {
      said += chunk;
      if (said.includes(ready)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}: ${said.slice(-500)}`)));
  }).finally(() => rmSync(directory, { recursive: true }));
  child.removeAllListeners('exit');
  return {
    memory: async () => residentBytes(child.pid),
    close: () => new Promise((resolve) => (child.once('exit', resolve), child.kill())),
  };
}

/** Lets sockets be read and written. */
export const breathe = () => new Promise((resolve) => setImmediate(resolve));
