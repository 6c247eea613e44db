import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The built package as it is installed, with these packages and no others. Registers hooks that create and remove it. Returns
 * a function that runs a module there, expects nothing on stderr, and returns what the module printed.
 */
export function barePackage(packages: readonly string[]): (script: string) => string {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'pk-bare-'));
    const modules = join(directory, 'node_modules');
    mkdirSync(modules);
    cpSync(join(root, 'dist'), join(modules, 'pubkeeper/dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(modules, 'pubkeeper/package.json'));
    for (const name of packages) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(root, 'node_modules', name), join(modules, name), 'dir');
    }
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return (script) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: directory, encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout;
  };
}
