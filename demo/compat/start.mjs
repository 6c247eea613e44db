// A live dashboard as it was written for the old browser client, on `pubkeeper/compat`: `node demo/compat/start.mjs`
// after `npm run build`. The page (public/) uses the script tag's globals; this service uses the same API in Node.
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PubkeeperClient, WebSocketBrew } from 'pubkeeper/compat';
import { createServer } from 'pubkeeper/server';
import { dashboardHandler } from '../../dist/dashboard/handler.js';

const BUNDLE = '/pubkeeper-compat.umd.min.js';
const { port } = parseArgs({ options: { port: { type: 'string', short: 'p', default: '9897' } } }).values;

/** @type {Awaited<ReturnType<typeof createServer>> | undefined} */
let server;
const page = dashboardHandler({
  token: () => server?.token,
  directory: fileURLToPath(new URL('public', import.meta.url)),
});
server = await createServer({
  port: Number(port),
  http(request, response) {
    if (request.url !== BUNDLE) return page(request, response);
    response.setHeader('Content-Type', 'text/javascript; charset=utf-8');
    createReadStream(new URL(`../../dist${BUNDLE}`, import.meta.url)).pipe(response);
  },
});

const client = new PubkeeperClient({
  server: server.url,
  jwt: server.token ?? '',
  brews: [new WebSocketBrew({ brewerConfig: { hostname: '127.0.0.1', port: server.port, secure: false } })],
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
  // Measures only while somebody looks.
  client.addBrewer(topic, (brewer) => {
    const timer = setInterval(() => void brewer.brewJSON(Math.round(read() * 10) / 10), 250);
    return () => clearInterval(timer);
  });
}
client.addPatron('demo.note', (patron) => {
  patron.on('message', (data, { topic }) => console.log(`${topic}: ${new TextDecoder().decode(data)}`));
});
await client.connect();
console.log(`\n  Dashboard  http://127.0.0.1:${server.port}/\n  Ctrl-C ends it.\n`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    await client.disconnect();
    await server?.close();
  });
}
