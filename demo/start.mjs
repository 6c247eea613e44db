// `npm start`: a server, a client that brews measurements of this machine, and the dashboard to watch them.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { PubkeeperClient, PubkeeperError } from 'pubkeeper';
import { createServer } from 'pubkeeper/server';
import { dashboardHandler } from '../dist/dashboard/handler.js';
import { HostMetrics, toSegment } from './host-metrics.mjs';

const EVERY_MS = 1000;
const DEFAULT_PORT = 9898;

/** @param {string} sentence @param {number} code @returns {never} */
function fail(sentence, code) {
  console.error(`pubkeeper: ${sentence}`);
  process.exit(code);
}

function readPort() {
  let given;
  try {
    given = parseArgs({ options: { port: { type: 'string', short: 'p' } } }).values.port ?? process.env.PORT;
  } catch (error) {
    const [why = ''] = error instanceof Error ? error.message.split('. ') : [String(error)];
    fail(`${why}; the one option is --port <number>.`, 2);
  }
  if (given === undefined || given === '') return DEFAULT_PORT;
  const port = Number(given);
  if (!/^\d+$/.test(given) || port > 65_535) fail(`${JSON.stringify(given)} is not a port: give a number from 0 (any that is free) to 65535.`, 2);
  return port;
}

/** @param {number} port */
async function startServer(port) {
  /** @type {Awaited<ReturnType<typeof createServer>> | undefined} */
  let server;
  try {
    server = await createServer({ port, http: dashboardHandler({ token: () => server?.token }) });
    return server;
  } catch (error) {
    if (!(error instanceof PubkeeperError)) throw error;
    if (error.code === 'PORT_IN_USE') fail(`Port ${port} is in use: end what runs there, or choose another one (npm start -- --port 9900).`, 1);
    fail(error.message, 1);
  }
}

/**
 * Brews every sample on a topic of its own. Topics come and go with network interfaces.
 * @param {PubkeeperClient} client
 */
function brewMetrics(client) {
  const prefix = `host.${toSegment(hostname())}`;
  const metrics = new HostMetrics();
  /** @type {Map<string, import('pubkeeper').Brewer>} */
  const brewers = new Map();
  const timer = setInterval(() => {
    const left = new Set(brewers.keys());
    for (const { topic, value } of metrics.sample()) {
      const brewer = brewers.get(topic) ?? client.addBrewer(`${prefix}.${topic}`);
      brewers.set(topic, brewer);
      left.delete(topic);
      // A failure is an `error` event as well, and the next second brings the next value.
      brewer.brewJSON(value).catch(() => undefined);
    }
    for (const topic of left) {
      const brewer = brewers.get(topic);
      if (brewer) client.removeBrewer(brewer);
      brewers.delete(topic);
    }
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    metrics.stop();
  };
}

/** @param {Awaited<ReturnType<typeof createServer>>} server */
function tell({ url, port, token }) {
  const elsewhere = port === DEFAULT_PORT ? '' : ` --server ${url}`;
  const lines = ['', `  Dashboard  http://127.0.0.1:${port}/`, `  Server     ${url}`, `  Token      ${token}`, ''];
  if (existsSync(new URL('../dist/cli/main.js', import.meta.url))) {
    lines.push(
      '  Or in another terminal:',
      `    npx pubkeeper patron 'host.**' --token ${token}${elsewhere}`,
      `    npx pubkeeper brew demo.hello 'Hello!' --token ${token}${elsewhere}`,
      '',
    );
  }
  lines.push('  Ctrl-C ends it.', '');
  console.log(lines.join('\n'));
}

const server = await startServer(readPort());
const client = new PubkeeperClient({ server: server.url, token: server.token ?? '' });
client.on('error', (error) => console.error(`pubkeeper: ${error.message}`));
// A patron of our own: brewers are silent without one, and a page that comes should find last values on the relay, and still get
// new ones when its control connection is cut.
client.addPatron('host.**');
await client.connect();
const stopMetrics = brewMetrics(client);
tell(server);

let ending = false;
async function end() {
  // The second Ctrl-C means "at once".
  if (ending) process.exit(130);
  ending = true;
  stopMetrics();
  await client.disconnect();
  await server.close();
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void end());
