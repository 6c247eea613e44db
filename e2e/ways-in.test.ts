import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PubkeeperClient } from '../src/index.js';
import type { PubkeeperServer } from '../src/server/index.js';
import { installPacked, type PackedProject } from '../test/packed.js';
import { type Engine, engineKinds, titleOf, warnOfMissing } from './engines.js';
import { peer, serve, TOKEN } from './peer.js';
import { html, serveSite, type Site, STRICT_POLICY } from './site.js';
import { ResultTable } from './table.js';

// The ways to load the package that need a browser, with the packed tarball; the others are in test/ways-in.test.ts.

warnOfMissing();
const table = new ResultTable('way in');
afterAll(() => console.log(`\n${table.toString()}\n`));

const DIST = '/node_modules/pubkeeper/dist';
const sha = (algorithm: string, data: string | Buffer): string => `${algorithm}-${createHash(algorithm).update(data).digest('base64')}`;

/** A way in which a page or a worker loads the SDK. The page then defines `run(server, token)`. */
interface Way {
  readonly name: string;
  readonly page: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly policy?: string;
}

const run = (name: string) => `globalThis.run = (server, token) => exchange(Pubkeeper, server, token, '${name}');`;

// No Trusted Types here: a worker's URL counts as code, so the page itself would need a policy for it, whatever the SDK does.
const WORKER_POLICY = "default-src 'self'; connect-src ws: wss:";
const ask = (worker: string, port: string) =>
  `globalThis.run = (server, token) => new Promise((resolve, reject) => {
    const worker = ${worker};
    worker.onerror = (event) => reject(new Error('The worker failed: ' + event.message));
    ${port}.onmessage = ({ data }) => resolve(data);
    ${port}.postMessage({ server, token });
  });`;
const answer = (name: string) => `({ data }) => exchange(Pubkeeper, data.server, data.token, '${name}')`;
const classic = `importScripts('${DIST}/pubkeeper.umd.min.js', '/page/ways.js');`;
const module = `import * as Pubkeeper from '${DIST}/pubkeeper.esm.min.js';\nimport '/page/ways.js';`;

const importMap = JSON.stringify({ imports: { pubkeeper: `${DIST}/pubkeeper.esm.min.js` } });

function ways(integrity: string): Way[] {
  return [
    {
      name: 'script',
      page: html(`<script src="${DIST}/pubkeeper.umd.min.js" integrity="${integrity}"></script>`, '<script src="/page/ways.js"></script>', '<script src="/run.js"></script>'),
      files: { '/run.js': run('script') },
    },
    {
      name: 'import-map',
      page: html(`<script type="importmap">${importMap}</script>`, '<script type="module" src="/run.js"></script>'),
      files: { '/run.js': `import * as Pubkeeper from 'pubkeeper';\nimport '/page/ways.js';\n${run('import-map')}` },
      policy: `${STRICT_POLICY}; script-src 'self' '${sha('sha256', importMap)}'`,
    },
    { name: 'vite', page: '' }, // built below
    {
      name: 'worker',
      page: html('<script src="/run.js"></script>'),
      files: {
        '/run.js': ask("new Worker('/worker.js')", 'worker'),
        '/worker.js': `${classic}\nconst answer = ${answer('worker')};\nonmessage = async (event) => postMessage(await answer(event));`,
      },
      policy: WORKER_POLICY,
    },
    {
      name: 'module-worker',
      page: html('<script src="/run.js"></script>'),
      files: {
        '/run.js': ask("new Worker('/worker.js', { type: 'module' })", 'worker'),
        '/worker.js': `${module}\nconst answer = ${answer('module-worker')};\nonmessage = async (event) => postMessage(await answer(event));`,
      },
      policy: WORKER_POLICY,
    },
    {
      name: 'shared-worker',
      page: html('<script src="/run.js"></script>'),
      files: {
        '/run.js': ask("new SharedWorker('/worker.js')", 'worker.port'),
        '/worker.js': `${classic}\nconst answer = ${answer('shared-worker')};
          onconnect = ({ ports: [port] }) => { port.onmessage = async (event) => port.postMessage(await answer(event)); };`,
      },
      policy: WORKER_POLICY,
    },
  ];
}

let project: PackedProject;
let application: string;
let bundled: string;
let integrity: string;
beforeAll(async () => {
  project = installPacked();
  integrity = sha('sha384', readFileSync(join(project.packageDirectory, 'dist/pubkeeper.umd.min.js')));

  // An application as `npm create vite` makes it: index.html, main.js, and an import by name.
  application = join(project.directory, 'vite-app');
  mkdirSync(application);
  const main = `import * as sdk from 'pubkeeper';\nconst { PubkeeperClient } = sdk;\nglobalThis.run = (server, token) => exchange({ PubkeeperClient }, server, token, 'vite');`;
  writeFileSync(join(application, 'index.html'), html('<script src="/page/ways.js"></script>', '<script type="module" src="/main.js"></script>'));
  writeFileSync(join(application, 'main.js'), main);
  const warnings: string[] = [];
  await build({
    root: application,
    configFile: false,
    logLevel: 'error',
    build: { rolldownOptions: { onLog: (level, { message }) => void (level === 'warn' && warnings.push(message)) } },
  });
  // Users would see these warnings, for example of a Node module that is "externalized for browser compatibility".
  expect(warnings.filter((message) => !message.includes('/page/ways.js'))).toEqual([]);
  const assets = join(application, 'dist/assets');
  bundled = readdirSync(assets).map((name) => readFileSync(join(assets, name), 'utf8')).join('\n');
}, 180_000);
afterAll(() => project?.remove());

it('the bundle of the Vite application contains no Node code, and only what the application imports', () => {
  expect(bundled.match(/__vite-browser-external|\bcreateCipheriv\b|\bpermessage-deflate\b|\bBuffer\b/g)).toBeNull();
  expect(bundled).toContain('pubkeeper-1.1');
  expect(bundled).not.toContain('MemoryBrew');
});

describe.each(engineKinds.map((kind) => ({ kind, title: titleOf(kind) })))('$title', ({ kind }) => {
  const isMissing = kind.missing() !== null;
  // Hooks do not run for skipped tests: fill the table here.
  if (isMissing) table.set('ALL OF THEM', kind.name, 'SKIPPED');
  let engine: Engine;
  let server: PubkeeperServer;
  let node: PubkeeperClient;
  let site: Site | undefined;
  beforeAll(async () => {
    if (isMissing) return;
    engine = await kind.launch();
    server = await serve();
    node = peer(server.url);
    await node.connect();
  });
  afterAll(async () => {
    await engine?.close();
    await node?.disconnect();
    await server?.close();
  });
  afterEach(async ({ task }) => {
    table.set(task.name, kind.name, 'FAILED');
    await site?.close();
    site = undefined;
    if (task.result?.state === 'pass') table.set(task.name, kind.name, 'ok');
  });

  it.skipIf(isMissing).each(ways('').map(({ name }) => name))('%s', async (name) => {
    const way = ways(integrity).find((candidate) => candidate.name === name)!;
    const isVite = name === 'vite';
    site = await serveSite({
      directory: isVite ? join(application, 'dist') : project.directory,
      files: { '/': isVite ? readFileSync(join(application, 'dist/index.html'), 'utf8') : way.page, ...way.files },
      policy: way.policy ?? STRICT_POLICY,
    });
    const back = node.addBrewer(`ways.back.${name}`);
    const there = node.addPatron(`ways.there.${name}`, (_, message) => back.brewText(`${message.text()}, and back`));
    const page = await engine.open(`${site.url}/`);
    try {
      expect(await page.evaluate(`run('${server.url}', '${TOKEN}')`)).toBe(`${name}, and back`);
      expect(page.problems() ?? []).toEqual([]);
    } finally {
      await page.close();
      node.removePatron(there);
      node.removeBrewer(back);
    }
  });
});
