import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { once } from 'node:events';
import { freePort } from '../free-port.js';

// Brokers for tests: each is a separate process, on free ports, with its own configuration.

const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** The path of a program; undefined, with a warning, if it is not installed. */
export function findProgram(name: string): string | undefined {
  const found = directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
  if (!found) console.warn(`\n*** ${name} is not installed: its tests are SKIPPED. Install it with: apt-get install ${name} ***\n`);
  return found;
}

export interface Running {
  readonly child: ChildProcess;
  /** Kills the process as a crash would, and waits until it has exited. */
  kill(): Promise<void>;
}

async function run(program: string, args: readonly string[], ports: readonly number[]): Promise<Running> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout!.on('data', (chunk) => (output += String(chunk)));
  child.stderr!.on('data', (chunk) => (output += String(chunk)));
  const gone = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
  };
  const ready = async (): Promise<boolean> => (await Promise.all(ports.map(answers))).every(Boolean);
  for (let tries = 0; !(await ready()); tries++) {
    if (child.exitCode !== null || tries > 200) throw new Error(`${program} did not start: ${output}`);
    // A broker logs that it is ready before all of its ports are open, so try the ports until all answer, or the process has exited.
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  // If the broker could not listen, another process has answered at its port.
  if (child.exitCode !== null) throw new Error(`${program} did not start: ${output}`);
  return { child, kill };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    // If nobody listens at a port, the socket may connect to itself.
    socket.on('connect', () => (resolve(socket.localPort !== port), socket.destroy()));
    socket.on('error', () => resolve(false));
  });

/** A temporary directory with files in it, and a function that removes it. */
export function files(contents: Record<string, string>): { path: (name: string) => string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'pk-broker-'));
  const path = (name: string): string => join(directory, name);
  for (const [name, text] of Object.entries(contents)) writeFileSync(path(name), text);
  return { path, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** The files of a self-signed certificate for an address, which is valid for a day from now; `hasExpired`: which was valid until yesterday. */
export function certificate(address = '127.0.0.1', hasExpired = false): { cert: string; key: string; remove: () => void } {
  const { path, remove } = files({});
  const [cert, key] = [path('cert.pem'), path('key.pem')];
  const subject = ['-subj', '/CN=broker', '-addext', `subjectAltName=IP:${address}`];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  // Dated back; `req` does not take such a date.
  if (hasExpired) execFileSync('openssl', ['x509', '-in', cert, '-signkey', key, '-days', '-1', '-out', cert], { stdio: 'ignore' });
  return { cert, key, remove };
}

export interface MosquittoOptions {
  readonly tcp?: number;
  readonly ws?: number;
  /** Lines of `name:hash` as mosquitto_passwd writes them. If given, only these users are accepted. */
  readonly passwords?: string;
  /** The content of `acl_file`. */
  readonly acl?: string;
  /** In bytes: the broker disconnects a client that sends a longer packet. */
  readonly maxPacket?: number;
  /** In bytes: the broker drops a longer message without saying so. */
  readonly maxMessage?: number;
}

export async function mosquitto(program: string, options: MosquittoOptions = {}): Promise<Running & { tcp: string; ws: string; ports: [number, number] }> {
  const { tcp = await freePort(), ws = await freePort(), passwords, acl, maxPacket, maxMessage } = options;
  const made = files({
    passwords: passwords ?? '',
    acl: acl ?? '',
    conf: '',
  });
  const config = [
    'persistence false',
    'max_queued_messages 0',
    'set_tcp_nodelay true',
    'user root',
    ...(maxPacket === undefined ? [] : [`max_packet_size ${maxPacket}`]),
    ...(maxMessage === undefined ? [] : [`message_size_limit ${maxMessage}`]),
    ...(acl === undefined ? [] : [`acl_file ${made.path('acl')}`]),
    passwords === undefined ? 'allow_anonymous true' : `allow_anonymous false\npassword_file ${made.path('passwords')}`,
    `listener ${tcp} 127.0.0.1`,
    `listener ${ws} 127.0.0.1\nprotocol websockets`,
  ].join('\n');
  writeFileSync(made.path('conf'), config + '\n');
  const running = await run(program, ['-c', made.path('conf')], [tcp, ws]);
  const kill = async (): Promise<void> => {
    await running.kill();
    made.remove();
  };
  return { ...running, kill, tcp: `mqtt://127.0.0.1:${tcp}`, ws: `ws://127.0.0.1:${ws}`, ports: [tcp, ws] };
}

export interface NatsOptions {
  readonly tcp?: number;
  readonly ws?: number;
  /** How many clients may be connected. */
  readonly maxConnections?: number;
  /** In bytes; default 1 MiB, as nats-server has it. */
  readonly maxPayload?: number;
  /** How many subscriptions a connection may have. */
  readonly maxSubscriptions?: number;
  /** `timeout`: how long the client may take to send its credentials, in seconds. `publish`: the only subjects that it may publish to. */
  readonly user?: { readonly name: string; readonly password: string; readonly timeout?: number; readonly publish?: string };
  readonly cluster?: { readonly port: number; readonly routes: readonly number[] };
  /** Paths of files. If given, the server speaks TLS at its TCP port. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function nats(program: string, options: NatsOptions = {}): Promise<Running & { reload: (change: (config: string) => string) => void; tcp: string; ws: string; ports: [number, number] }> {
  const { tcp = await freePort(), ws = await freePort(), user, cluster, maxConnections, maxPayload, maxSubscriptions, tls } = options;
  const routes = cluster?.routes.map((port) => `nats://127.0.0.1:${port}`).join(', ');
  const config = [
    `listen: 127.0.0.1:${tcp}`,
    ...(maxConnections === undefined ? [] : [`max_connections: ${maxConnections}`]),
    ...(maxPayload === undefined ? [] : [`max_payload: ${maxPayload}`]),
    ...(maxSubscriptions === undefined ? [] : [`max_subscriptions: ${maxSubscriptions}`]),
    tls ? `tls { cert_file: "${tls.cert}", key_file: "${tls.key}" }` : '',
    `websocket { listen: "127.0.0.1:${ws}", no_tls: true }`,
    user
      ? `authorization { timeout: ${user.timeout ?? 2}, users: [{ user: "${user.name}", password: "${user.password}"${user.publish ? `, permissions: { publish: "${user.publish}", subscribe: ">" }` : ''} }] }`
      : '',
    cluster ? `cluster { name: test, listen: "127.0.0.1:${cluster.port}", routes: [${routes}] }` : '',
  ].join('\n');
  const made = files({ conf: config });
  const running = await run(program, ['-c', made.path('conf')], [tcp, ws]);
  const kill = async (): Promise<void> => {
    await running.kill();
    made.remove();
  };
  /** Lets the server read its configuration again, changed. */
  const reload = (change: (config: string) => string): void => {
    writeFileSync(made.path('conf'), change(config));
    running.child.kill('SIGHUP');
  };
  return { ...running, kill, reload, tcp: `nats://127.0.0.1:${tcp}`, ws: `ws://127.0.0.1:${ws}`, ports: [tcp, ws] };
}
