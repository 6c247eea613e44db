import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

type Target = string | null | { [condition: string]: Target };
interface Manifest {
  main: string;
  types: string;
  unpkg: string;
  jsdelivr: string;
  bin: Record<string, string>;
  exports: Record<string, Target>;
  imports: Record<string, Target>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

const leaves = (target: Target): string[] => (typeof target === 'string' ? [target] : Object.values(target ?? {}).flatMap(leaves));

describe('the published package', () => {
  let directory: string;
  let tarball: string;
  let packed: string[];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'pubkeeper-pack-'));
    const output = execFileSync(npm, ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [result] = JSON.parse(output) as { filename: string; files: { path: string }[] }[];
    if (!result) throw new Error(`npm pack made nothing: ${output}`);
    tarball = join(directory, result.filename);
    packed = result.files.map((file) => `./${file.path}`);
  }, 60_000);

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  const targets = [
    manifest.main,
    manifest.types,
    manifest.unpkg,
    manifest.jsdelivr,
    ...Object.values(manifest.bin),
    ...leaves(manifest.exports),
    ...leaves(manifest.imports),
  ].map((path) => (path.startsWith('./') ? path : `./${path}`));

  it.each([...new Set(targets)])('has %s', (target) => {
    const [before = '', after] = target.split('*');
    const found = packed.filter((path) => (after === undefined ? path === target : path.startsWith(before) && path.endsWith(after)));
    expect(found).not.toEqual([]);
  });

  // Jest with jsdom sets both conditions: then half of it from Node, and `ws` for browsers, would not work.
  it.each([...Object.entries(manifest.exports), ...Object.entries(manifest.imports)].filter(([name, target]) => name !== './server' && leaves(target).some((path) => /node/.test(path))))(
    '%s has the condition browser before node',
    (_, target) => {
      const { browser, default: elsewhere } = target as Record<string, Target>;
      expect(browser).toBe(elsewhere);
      expect(Object.keys(target!).filter((condition) => condition !== 'types')).toEqual(['browser', 'node', 'default']);
    },
  );

  it.each(['browser', 'node'])('lets nobody import what is internal to its brews, under the condition %s', (condition) => {
    const script = "await import('pubkeeper/brews/memory'); await import('pubkeeper/brews/internal/recent');";
    const { stderr } = spawnSync(process.execPath, ['-C', condition, '--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' });
    expect(stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('has the licences, and neither tests nor fixtures', () => {
    expect(packed).toContain('./LICENSE');
    expect(packed).toContain('./dist/THIRD-PARTY-LICENSES.txt');
    expect(packed.filter((path) => /^\.\/(test|e2e|bench|scripts|node_modules)\//.test(path))).toEqual([]);
  });

  it('has the TypeScript source of every source map', () => {
    const maps = packed.filter((path) => /^\.\/dist\/(?!pubkeeper[.-]).*\.js\.map$/.test(path));
    expect(maps).not.toEqual([]);
    for (const path of maps) {
      const { sources, sourcesContent } = JSON.parse(readFileSync(join(root, path), 'utf8')) as { sources: string[]; sourcesContent?: (string | null)[] };
      sources.forEach((source, index) => {
        const file = relative(root, join(root, path, '..', source));
        expect(packed.includes(`./${file}`) || typeof sourcesContent?.[index] === 'string', `${path} leads to ${file}`).toBe(true);
      });
    }
  });

  const runTool = (script: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
  };

  it('passes publint --strict', { timeout: 60_000 }, () => {
    runTool('node_modules/publint/src/cli.js', 'run', tarball, '--strict');
  });

  // esm-only, as Node >= 20.19 loads ES modules by require() too, and node10 resolution does not support `exports`.
  it('passes attw for ES modules', { timeout: 60_000 }, () => {
    runTool('node_modules/@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only', '--no-emoji');
  });
});
