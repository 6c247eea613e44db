// A live dashboard, written as for the old browser client but on `pubkeeper/compat`: `node demo/compat/start.mjs`
// after `npm run build`. The page (public/) uses the script tag's globals; this service uses the same API in Node.
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PubkeeperClient, WebSocketBrew } from 'pubkeeper/compat';
import { createServer } from 'pubkeeper/server';
import { dashboardHandler } from '../../dist/dashboard/handler.js';

const BUNDLE = '/pubkeeper-compat.umd.min.js';

/** What a person did wrong, or what is in the way: one sentence. @param {number} code @returns {(error: unknown) => never} */
const giveUp = (code) => (error) => {
  console.error(`pubkeeper: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(code);
};

function readPort() {
  const { port } = parseArgs({ options: { port: { type: 'string', short: 'p', default: '9897' } } }).values;
  if (/^\d{1,5}$/.test(port) && Number(port) < 65_536) return Number(port);
  throw new RangeError(`--port must be a number from 0 to 65535, not ${port}.`);
}

const port = await Promise.resolve().then(readPort).catch(giveUp(2));

/** @type {Awaited<ReturnType<typeof createServer>> | undefined} */
let server;
const page = dashboardHandler({
  token: () => server?.token,
  directory: fileURLToPath(new URL('public', import.meta.url)),
});
const running = await createServer({
  port,
  http(request, response) {
    if (request.url !== BUNDLE) return page(request, response);
    response.setHeader('Content-Type', 'text/javascript; charset=utf-8');
    createReadStream(new URL(`../../dist${BUNDLE}`, import.meta.url)).pipe(response);
  },
}).catch(giveUp(1));
server = running;

const client = new PubkeeperClient({
  server: running.url,
  jwt: running.token ?? '',
  brews: [new WebSocketBrew({ brewerConfig: { hostname: '127.0.0.1', port: running.port, secure: false } })],
});
client.on('error', (error) => console.error(`pubkeeper: ${error.message}`));

/** @type {Record<string, () => number>} */
const gauges = {
  'demo.wave.slow': () => 50 + 40 * Math.sin(Date.now() / 4000),
  'demo.wave.fast': () => 50 + 40 * Math.sin(Date.now() / 700),
  'demo.node.heap': () => process.memoryUsage().heapUsed / 2 ** 20,
  'demo.node.cpu': () => process.cpuUsage().user / 1000,
};
for (const [topic, read] of Object.entries(gauges)) {
  // Measures only while there is a patron.
  client.addBrewer(topic, (brewer) => {
    const timer = setInterval(() => void brewer.brewJSON(Math.round(read() * 10) / 10), 250);
    return () => clearInterval(timer);
  });
}
client.addPatron('demo.note', (patron) => {
  patron.on('message', (data, { topic }) => console.log(`${topic}: ${new TextDecoder().decode(data)}`));
});
await client.connect();
console.log(`\n  Dashboard  http://127.0.0.1:${running.port}/\n  Ctrl-C ends it.\n`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await client.disconnect();
    await running.close();
  });
}
