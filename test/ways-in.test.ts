import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { rolldown } from 'rolldown';
import { rollup } from 'rollup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installPacked, type PackedProject } from './packed.js';

// The ways to load the package that need no browser, from the packed tarball; the others are in e2e/ways-in.test.ts.

let project: PackedProject;
beforeAll(() => {
  project = installPacked();
}, 120_000);
afterAll(() => project?.remove());

/** Runs a file of the project with Node; returns its output, and fails on errors and warnings. */
function runFile(name: string, code: string): string {
  const file = join(project.directory, name);
  writeFileSync(file, code);
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], { cwd: project.directory, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.trim();
}

const EXCHANGE = `
  const server = await createServer({ port: 0 });
  const client = new PubkeeperClient({ server: server.url, token: server.token });
  const text = new Promise((resolve) => client.addPatron('ways.*', (_, message) => resolve(message.text())));
  const brewer = client.addBrewer('ways.in');
  const matched = new Promise((resolve) => brewer.on('matched', resolve));
  await client.connect();
  await matched;
  await brewer.brewText('hello');
  console.log(await text);
  await client.disconnect();
  await server.close();
`;

describe('the package in Node', () => {
  it('can be imported', () => {
    const imports = `import { PubkeeperClient } from 'pubkeeper';\nimport { createServer } from 'pubkeeper/server';`;
    expect(runFile('import.mjs', imports + EXCHANGE)).toBe('hello');
  }, 30_000);

  it('can be required', () => {
    const imports = `const { PubkeeperClient } = require('pubkeeper');\nconst { createServer } = require('pubkeeper/server');`;
    expect(runFile('require.cjs', `${imports}\n(async () => {${EXCHANGE}})();`)).toBe('hello');
  }, 30_000);

  it('can be imported by its subpaths', () => {
    const code = `
      const names = ['pubkeeper/core', 'pubkeeper/brews/memory', 'pubkeeper/brews/websocket'];
      const modules = await Promise.all(names.map((name) => import(name)));
      console.log(modules.map((module) => ['PubkeeperClient', 'MemoryBrew', 'WebSocketBrew'].filter((name) => name in module)).join());`;
    expect(runFile('subpaths.mjs', code)).toBe('PubkeeperClient,MemoryBrew,WebSocketBrew');
  });

  it('has the same exports in each of its entries', () => {
    const code = `
      import * as main from 'pubkeeper';
      import * as core from 'pubkeeper/core';
      import { createServer } from 'pubkeeper/server';
      import { LocalBrew } from 'pubkeeper/brews/local';
      import { WebSocketBrew } from 'pubkeeper/brews/websocket';
      const thrown = await Promise.all([
        createServer({ port: -1 }).catch((error) => error),
        new Promise((resolve) => { try { new LocalBrew({ directory: 7 }); resolve('nothing') } catch (error) { resolve(error) } }),
      ]);
      const same = ['Patron', 'Brewer', 'PubkeeperError', 'matchTopic'].map((name) => main[name] === core[name]);
      console.log(...same, main.WebSocketBrew === WebSocketBrew, new main.PubkeeperClient({ server: 'ws://a/ws', token: 'x' }) instanceof core.PubkeeperClient,
        ...thrown.map((error) => error instanceof main.PubkeeperError));`;
    expect(runFile('same.mjs', code)).toBe(Array(8).fill('true').join(' '));
  });

  it('does not install React, and its hooks require it', () => {
    expect(existsSync(join(project.directory, 'node_modules/react'))).toBe(false);
    const code = `import('pubkeeper/react').then(() => console.log('found'), (error) => console.log(error.code, /'react'/.test(error.message)));`;
    expect(runFile('react.mjs', code)).toBe('ERR_MODULE_NOT_FOUND true');
  });
});

describe('server-side rendering', () => {
  // Globals of pages only. An access to one while a server renders is noticed, with `typeof` or without.
  const watch = `
    const touched = [];
    const names = ['window', 'self', 'document', 'navigator', 'location', 'localStorage', 'sessionStorage', 'indexedDB', 'history',
      'WebSocket', 'XMLHttpRequest', 'Worker', 'SharedWorker', 'HTMLElement', 'Image', 'requestAnimationFrame', 'matchMedia',
      'addEventListener', 'removeEventListener'];
    for (const name of names) {
      Object.defineProperty(globalThis, name, { configurable: true, get() { touched.push(name); throw new ReferenceError(name + ' is for pages'); } });
    }
    const loud = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch'];
    for (const name of loud) {
      const own = globalThis[name];
      globalThis[name] = (...args) => { if (new Error().stack.includes('node_modules/pubkeeper')) touched.push(name); return own(...args); };
    }
    const random = crypto.getRandomValues.bind(crypto);
    crypto.getRandomValues = (array) => { touched.push('getRandomValues'); return random(array); };
  `;

  it('importing the package touches no browser global, starts no timer and takes no randomness', () => {
    const code = `${watch}
      const { PubkeeperClient } = await import('pubkeeper');
      console.log(typeof PubkeeperClient, JSON.stringify(touched));`;
    expect(runFile('ssr.mjs', code)).toBe('function []');
  });

  it('making a client with patrons and brewers touches no browser global and starts no timer; only ids take randomness', () => {
    const code = `${watch}
      const { PubkeeperClient } = await import('pubkeeper');
      const client = new PubkeeperClient({ server: 'ws://127.0.0.1:9/ws', token: 'secret' });
      client.addPatron('ssr.*', () => undefined);
      client.addBrewer('ssr.x');
      console.log(client.state, JSON.stringify([...new Set(touched)]));`;
    expect(runFile('ssr-client.mjs', code)).toBe('disconnected ["getRandomValues"]');
  });
});

describe('the modules for bundlers', () => {
  it.each(['pubkeeper', 'pubkeeper/core', 'pubkeeper/compat'])('%s needs nothing of Node, also in a bundle that is not declared to be for browsers', async (name) => {
    const input = join(project.directory, 'entry.mjs');
    writeFileSync(input, `export * from '${name}';`);
    const warnings: string[] = [];
    const bundle = await rollup({ input, plugins: [nodeResolve()], onwarn: ({ message }) => void warnings.push(message) });
    const { output } = await bundle.generate({ format: 'es' });
    await bundle.close();
    expect([warnings, output.map(({ fileName }) => fileName), output[0].imports]).toEqual([[], ['entry.js'], []]);
  });

  it('the module without a platform runs without page events, as in React Native', async () => {
    const input = join(project.directory, 'entry.mjs');
    writeFileSync(input, `export { PubkeeperClient } from 'pubkeeper';`);
    const bundle = await rollup({ input, plugins: [nodeResolve()] });
    await bundle.write({ format: 'es', file: join(project.directory, 'bundled.mjs') });
    await bundle.close();
    const imports = `import { WebSocket } from 'ws';\nimport { PubkeeperClient } from './bundled.mjs';\nimport { createServer } from 'pubkeeper/server';`;
    expect(runFile('bare.mjs', `${imports}\nglobalThis.WebSocket = WebSocket;\nconsole.log(typeof addEventListener);${EXCHANGE}`)).toBe('undefined\nhello');
  }, 30_000);

  it('pubkeeper/server is bundled without the optional packages of a cluster', async () => {
    const input = join(project.directory, 'server-entry.mjs');
    writeFileSync(input, `export * from 'pubkeeper/server';`);
    const warnings: string[] = [];
    const bundle = await rolldown({ input, platform: 'node', onLog: (_, { message }) => void warnings.push(message) });
    await bundle.generate({ format: 'es' });
    await bundle.close();
    expect(warnings).toEqual([]);
  });

  describe('in a bundle that cannot load ws, as esbuild makes it as an ES module for Node,', () => {
    beforeAll(async () => {
      const input = join(project.directory, 'entry.mjs');
      writeFileSync(input, `export { PubkeeperClient } from 'pubkeeper';`);
      const withoutRequire = {
        name: 'without-require',
        resolveId: (id: string) => (id === 'isomorphic-ws' ? `\0${id}` : null),
        load: (id: string) => (id === '\0isomorphic-ws' ? `export default (() => { throw new Error('Dynamic require of "events" is not supported'); })();` : null),
      };
      const bundle = await rollup({ input, plugins: [withoutRequire, nodeResolve({ exportConditions: ['node'] })] });
      await bundle.write({ format: 'es', dir: join(project.directory, 'without-ws') });
      await bundle.close();
    });

    it('the client uses the runtime’s own WebSocket', () => {
      const imports = `import { WebSocket } from 'ws';\nimport { PubkeeperClient } from './without-ws/entry.js';\nimport { createServer } from 'pubkeeper/server';`;
      expect(runFile('own-socket.mjs', `${imports}\nglobalThis.WebSocket ??= WebSocket;${EXCHANGE}`)).toBe('hello');
    }, 30_000);

    it('connect() reports why it fails without one, as in Node 20', () => {
      const code = `
        import { PubkeeperClient } from './without-ws/entry.js';
        delete globalThis.WebSocket;
        const client = new PubkeeperClient({ server: 'ws://127.0.0.1:9/ws', token: 'secret' });
        await client.connect().catch(({ code, message }) => console.log(code, message));`;
      const printed = runFile('no-socket.mjs', code);
      expect(printed).toMatch(/^CONNECT_FAILED /);
      expect(printed).toContain('ws could not be loaded: Dynamic require of "events" is not supported');
    });
  });

  it.each(['nats://127.0.0.1:1', 'ws://127.0.0.1:1'])('NatsBrew dials %s when a bundler gives only the default export of a CommonJS module', (url) => {
    const names = ['@nats-io/nats-core', '@nats-io/transport-node'];
    for (const name of names) {
      const directory = join(project.directory, 'node_modules', name);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, type: 'module', exports: './chunk.js' }));
      const file = pathToFileURL(createRequire(import.meta.url).resolve(name)).href;
      writeFileSync(join(directory, 'chunk.js'), `export { default } from ${JSON.stringify(file)};`);
    }
    const code = `
      import { NatsBrew } from 'pubkeeper/brews/nats';
      const brew = new NatsBrew({ url: '${url}' });
      const report = ({ message }) => { console.log(message); process.exit(); };
      brew.attach({ report, state: () => undefined, reconnect: {}, WebSocket: (await import('ws')).WebSocket });
      await brew.brewerDetails({ topic: 'a', brewerId: '0'.repeat(32) });
      brew.startBrewer({ topic: 'a', brewerId: '0'.repeat(32), patronId: '1'.repeat(32), details: { name: brew.name } });`;
    const printed = runFile('default-only.mjs', code);
    for (const name of names) rmSync(join(project.directory, 'node_modules', name), { recursive: true });
    expect(printed).toContain('connection refused');
  });
});

describe('the bundles', () => {
  const bundles = ['pubkeeper.umd.min.js', 'pubkeeper.esm.min.js'];

  it.each(bundles)('%s makes no code from text', (name) => {
    const code = readFileSync(join(project.packageDirectory, 'dist', name), 'utf8');
    expect(code.match(/\beval\b|\bFunction\s*\(|\bimport\s*\(|document\.write|innerHTML|\bset(?:Timeout|Interval)\s*\(\s*["'`]/g)).toBeNull();
  });

  it.each(bundles)('%s uses nothing of Node', (name) => {
    const code = readFileSync(join(project.packageDirectory, 'dist', name), 'utf8');
    // A free \`process\`, not a method of that name, as the hashes of noble have one.
    expect(code.match(/(?<![.\w])process(?!\s*\()\b|\bBuffer\b|\brequire\s*\(|__dirname|\bsetImmediate\b|["'`]node:|\bcreateCipheriv\b/g)).toBeNull();
  });

  it.each(bundles)('%s has the source map that it names', (name) => {
    const directory = join(project.packageDirectory, 'dist');
    const code = readFileSync(join(directory, name), 'utf8');
    expect(/\/\/# sourceMappingURL=(\S+)\s*$/.exec(code)?.[1]).toBe(`${name}.map`);
    const { sources, sourcesContent } = JSON.parse(readFileSync(join(directory, `${name}.map`), 'utf8')) as {
      sources: string[];
      sourcesContent: (string | null)[];
    };
    const own = sources.map((source, at) => ({ source, isThere: sourcesContent[at] != null || existsSync(join(directory, source)) }));
    expect(own.filter(({ isThere }) => !isThere)).toEqual([]);
  });

  it('are the only minified files, as a bundler needs modules for tree shaking', () => {
    const minified = readdirSync(join(project.packageDirectory, 'dist')).filter((name) => name.endsWith('.min.js'));
    expect(minified.sort()).toEqual([...bundles, 'pubkeeper-compat.umd.min.js'].sort());
  });
});
