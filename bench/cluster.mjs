// node bench/cluster.mjs [patrons] [busy]: what a registration costs in a cluster. One server of three has all the patrons. Measures the
// time until the others know of them, the memory that each server and NATS need for them, and how long a fourth server takes to start.
// Then, with `busy` busy processes running, the first server is killed: measures how long it takes until its registrations count nowhere
// any more, and until all brewers at another server that were matched with them have been told.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { PacketType, encodePacket, newId } from '../dist/core/index.js';
import { find, freePort } from '../demo/cluster/processes.mjs';

const patrons = Number(process.argv[2] ?? 100_000);
const busy = Number(process.argv[3] ?? 0);
const TOKEN = 'bench';
const PER_CONNECTION = 10_000;
/** One of this many patrons is matched with a brewer at another server. */
const MATCHED = 50;
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
const start = (command, args) => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  return child;
};

const nats = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const port = await freePort();
  const file = join(directory, 'nats.conf');
  writeFileSync(file, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${directory}", max_mem: 4GB, max_file: 64MB }`);
  const child = start(find('nats-server'), ['-c', file]);
  await pass(1000);
  return { pid: child.pid, url: `nats://127.0.0.1:${port}` };
};

const serve = async (cluster) => {
  const begun = performance.now();
  const child = start(process.execPath, [main, 'serve', '--json', '--port', '0', '--token', TOKEN, '--cluster', cluster]);
  let text = '';
  for await (const chunk of child.stdout) if ((text += String(chunk)).includes('\n')) break;
  child.stdout.resume();
  const { url } = JSON.parse(text);
  const metrics = url.replace(/^ws/, 'http').replace(/ws$/, 'metrics');
  const metric = async (name) => Number(new RegExp(`^pubkeeper_${name} (.*)$`, 'm').exec(await (await fetch(metrics)).text())?.[1]);
  return { pid: child.pid, url, metric, startMs: performance.now() - begun };
};

const megabytes = (pid) => Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024);
const until = async (look) => {
  while (!(await look())) await pass(50);
};

/** Opens a connection. `begin` is called when it is authenticated, `received` with each packet after that. */
function connect(url, failed, begin, received) {
  const socket = new WebSocket(url, ['pubkeeper-1.1'], { perMessageDeflate: false });
  const send = (type, payload) => socket.send(encodePacket({ type, payload }));
  socket.on('error', failed);
  socket.on('open', () => send(PacketType.CLIENT_AUTHENTICATE, { token: TOKEN }));
  socket.on('message', (data) => {
    const type = data.readUInt16LE(0);
    if (type === PacketType.CLIENT_AUTHENTICATED) begin(send);
    else received(type, data);
  });
  return socket;
}

/** Opens a connection with `count` patrons; resolves when all are answered. */
const register = (url, count, offset) =>
  new Promise((resolve, reject) => {
    let answers = 0;
    const begin = (send) => {
      for (let i = 0; i < count; i++) {
        const topic = `site.${(offset + i) % 1000}.device.${offset + i}.*`;
        send(PacketType.PATRON_REGISTER, { topic, patron_id: newId(), brews: [{ name: 'websocket' }] });
      }
    };
    const socket = connect(url, reject, begin, (type) => {
      if (type === PacketType.BREWER_NOTIFY && ++answers === count) resolve(socket);
    });
  });

/** Opens a connection with a brewer for each matched patron (see MATCHED); resolves when all are matched. */
const brew = (url) =>
  new Promise((resolve, reject) => {
    const count = Math.ceil(patrons / MATCHED);
    let [met, lost] = [0, 0];
    let over;
    const parted = new Promise((done) => (over = done));
    const begin = (send) => {
      for (let i = 0; i < patrons; i += MATCHED) {
        const topic = `site.${i % 1000}.device.${i}.x`;
        const brews = [{ name: 'websocket', hostname: null, port: null }];
        send(PacketType.BREWER_REGISTER, { topic, brewer_id: newId(), brewer_config: {}, brews });
      }
    };
    const socket = connect(url, reject, begin, (type, data) => {
      if (type === PacketType.PATRON_NOTIFY) {
        if ((met += JSON.parse(data.subarray(8)).patrons.length) === count) resolve({ socket, count, parted });
      } else if (type === PacketType.PATRON_REMOVED && ++lost === count) {
        over(performance.now());
      }
    });
  });

const broker = await nats();
const servers = [await serve(broker.url), await serve(broker.url), await serve(broker.url)];
const before = { nats: megabytes(broker.pid), servers: servers.map(({ pid }) => megabytes(pid)) };
const begun = performance.now();
const sockets = [];
for (let offset = 0; offset < patrons; offset += PER_CONNECTION) {
  sockets.push(await register(servers[0].url, Math.min(PER_CONNECTION, patrons - offset), offset));
}
const answered = performance.now() - begun;
await until(async () => (await servers[0].metric('cluster_pending_writes')) === 0);
const written = performance.now() - begun;
await until(async () => (await servers[1].metric('cluster_registrations')) >= patrons && (await servers[2].metric('cluster_registrations')) >= patrons);
const known = performance.now() - begun;
const fourth = await serve(broker.url);
const after = { nats: megabytes(broker.pid), servers: servers.map(({ pid }) => megabytes(pid)) };
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const each = (mb) => `${((mb * 1024) / patrons).toFixed(2)} KiB each`;
console.log(`${patrons} patrons at one of three servers`);
console.log(`  answered after ${seconds(answered)}, in the registry after ${seconds(written)} (${Math.round(patrons / (written / 1000))} a second), known everywhere after ${seconds(known)}`);
console.log(`  own server: ${after.servers[0] - before.servers[0]} MiB more, ${each(after.servers[0] - before.servers[0])}`);
console.log(`  another server: ${after.servers[1] - before.servers[1]} MiB more, ${each(after.servers[1] - before.servers[1])}`);
console.log(`  NATS: ${after.nats - before.nats} MiB more, ${each(after.nats - before.nats)}`);
console.log(`  a fourth server: started after ${seconds(fourth.startMs)}, ${megabytes(fourth.pid)} MiB`);
const brewing = await brew(servers[1].url);
sockets.push(brewing.socket);
for (let i = 0; i < busy; i++) start(process.execPath, ['-e', 'for (;;);']);
if (busy) await pass(2000);
const others = [servers[1], servers[2], fourth];
const dying = performance.now();
for (const child of children) if (child.pid === servers[0].pid) child.kill('SIGKILL');
// Only the brewers are left then, also in the count of servers that they are not connected to.
const expired = Promise.all(others.map((server) => until(async () => (await server.metric('cluster_registrations')) <= brewing.count))).then(() => performance.now());
const beside = busy ? `, with ${busy} busy processes beside` : '';
console.log(`  its death${beside}: it counts nowhere after ${seconds((await expired) - dying)}, the end of ${brewing.count} matches told after ${seconds((await brewing.parted) - dying)}`);
for (const socket of sockets) socket.terminate();
process.exit();
