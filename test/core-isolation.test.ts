import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { rollup } from 'rollup';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const core = join(root, 'src/core');
const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { imports: Record<string, Record<string, string>> };
const sources = readdirSync(core, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

describe('src/core', () => {
  it('compiles with neither DOM nor Node types', { timeout: 60_000 }, () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', join(core, 'tsconfig.json')], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
  });

  it.each(sources)('%s imports nothing but the core and @noble', (name) => {
    const file = join(core, name);
    const specifiers = ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles.map((imported) => imported.fileName);
    const isOutside = (path: string) => {
      const target = relative(core, path);
      return target === '..' || target.startsWith(`..${sep}`);
    };
    const outside = specifiers.filter((specifier) => {
      if (specifier.startsWith('@noble/')) return false;
      // package.json chooses these by condition: each choice must be in the core.
      const choices = specifier.startsWith('#') ? Object.values(imports[specifier] ?? {}) : [];
      if (choices.length) return choices.some((path) => isOutside(resolve(root, path.replace(/^\.\/dist\//, 'src/'))));
      return !specifier.startsWith('.') || isOutside(resolve(file, '..', specifier));
    });
    expect(outside).toEqual([]);
  });

  it('accesses no global but the intrinsics of ECMAScript when it is imported', { timeout: 60_000 }, async () => {
    const realm = createBareRealm();
    const loaded = realm.run(await bundleCore());
    expect(Object.keys(loaded as object)).toContain('Patron');
    expect(realm.touched()).toEqual([]);
    expect(realm.added()).toEqual(['pubkeeperCore']);
  });
});

describe('the bare realm of this test', () => {
  it.each(['typeof setTimeout', 'globalThis.crypto', '"process" in globalThis', 'typeof console', 'new TextEncoder()', 'globalThis.self'])(
    'notices %s',
    (code) => {
      const realm = createBareRealm();
      try {
        realm.run(code);
      } catch {
        // A missing global may throw; the question is whether the access was noticed.
      }
      expect(realm.touched()).toHaveLength(1);
    },
  );

  it('allows the intrinsics', () => {
    const realm = createBareRealm();
    realm.run('[new Map(), new Uint8Array(1), Promise.resolve(), globalThis.Array, Symbol.iterator, globalThis.toString]');
    expect(realm.touched()).toEqual([]);
  });
});

async function bundleCore(): Promise<string> {
  const bundle = await rollup({
    input: join(root, 'dist/core/index.js'),
    plugins: [nodeResolve({ browser: true })],
    onwarn(warning) {
      throw new Error(warning.message);
    },
  });
  const { output } = await bundle.generate({ format: 'iife', name: 'pubkeeperCore', exports: 'named' });
  await bundle.close();
  return `${output[0].code}\npubkeeperCore;`;
}

/** A realm without the host's globals, which records the name of every global that was not found. */
function createBareRealm() {
  const context = vm.createContext(Object.create(null) as object, { codeGeneration: { strings: false, wasm: false } });
  const run = (code: string): unknown => vm.runInContext(code, context);
  // V8 adds these two to every realm; neither is ECMAScript.
  run('delete globalThis.console; delete globalThis.WebAssembly;');

  // A lookup that the global object cannot answer goes to its prototype.
  const names = new Set<PropertyKey>();
  const inherited = run('Object.prototype') as object;
  const note = (name: PropertyKey) => Reflect.has(inherited, name) || names.add(name);
  const watcher = new Proxy(inherited, {
    has: (target, name) => (note(name), Reflect.has(target, name)),
    get: (target, name, receiver): unknown => (note(name), Reflect.get(target, name, receiver)),
  });
  (run('(prototype) => { Object.setPrototypeOf(globalThis, prototype); }') as (prototype: object) => void)(watcher);

  const globals = () => run('Object.getOwnPropertyNames(globalThis)') as string[];
  const before = new Set(globals());
  return { run, touched: () => [...names], added: () => globals().filter((name) => !before.has(name)) };
}
