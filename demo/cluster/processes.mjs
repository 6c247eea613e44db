import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
// Debian puts daemons into a directory that may not be on a user's PATH.
const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** @param {string} name */
export const find = (name) => directories.map((directory) => join(directory, name)).find((path) => existsSync(path));

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
let isOver = false;

/** @param {string} command @param {readonly string[]} args @param {Record<string, string>} [env] */
function start(command, args, env = {}) {
  if (isOver) throw new Error('The demo has been ended.');
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** @param {import('node:child_process').ChildProcess} child */
export async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Kills all processes; none is started after that. */
export const killAll = () => {
  isOver = true;
  return Promise.all([...running].map(kill));
};

/** @returns {Promise<number>} */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** @param {number} port @returns {Promise<boolean>} */
const answers = (port) =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });

/** Three NATS servers that know each other, with JetStream and WebSockets. @param {string} program */
export async function startNats(program) {
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-demo-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const ports = await Promise.all([0, 1, 2].map(async () => ({ tcp: await freePort(), ws: await freePort(), route: await freePort() })));
  const routes = ports.map(({ route }) => `nats://127.0.0.1:${route}`).join(', ');
  return Promise.all(
    ports.map(async ({ tcp, ws, route }, index) => {
      const file = join(directory, `n${index + 1}.conf`);
      const lines = [
        `server_name: n${index + 1}`,
        `listen: "127.0.0.1:${tcp}"`,
        `websocket { listen: "127.0.0.1:${ws}", no_tls: true }`,
        `jetstream { store_dir: "${join(directory, `n${index + 1}`)}", max_mem: 256MB, max_file: 64MB }`,
        `cluster { name: demo, listen: "127.0.0.1:${route}", routes: [${routes}] }`,
      ];
      writeFileSync(file, lines.join('\n'));
      const child = start(program, ['-c', file]);
      for (let tries = 0; !(await answers(tcp)); tries++) {
        if (child.exitCode !== null || tries > 200) throw new Error('nats-server does not start.');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return { child, tcp: `nats://127.0.0.1:${tcp}`, ws: `ws://127.0.0.1:${ws}` };
    }),
  );
}

/** `pubkeeper serve`. @param {string} cluster @param {string} token */
export async function startServer(cluster, token) {
  const child = start(process.execPath, [MAIN, 'serve', '--port', '0', '--json', '--cluster', cluster], { PUBKEEPER_TOKEN: token });
  let output = '';
  let trouble = '';
  child.stderr.on('data', (chunk) => (trouble += String(chunk)));
  for await (const chunk of child.stdout) {
    output += String(chunk);
    if (output.includes('\n')) break;
  }
  if (!output.includes('\n')) throw new Error(`pubkeeper serve does not start: ${trouble}`);
  /** @type {{ url: string }} */
  const { url } = JSON.parse(output);
  return { child, url };
}
