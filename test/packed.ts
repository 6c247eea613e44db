import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** A project in another directory, with only the package in it, installed from the tarball that would be published. */
export interface PackedProject {
  readonly directory: string;
  /** The path of the package in it. */
  readonly packageDirectory: string;
  remove(): void;
}

/** Packs dist as it is, and installs it as a user would. Its dependencies come from npm's cache if they are in it. */
export function installPacked(): PackedProject {
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-packed-'));
  const run = (cwd: string, ...args: string[]): string =>
    execFileSync(npm, [...args, '--ignore-scripts', '--loglevel=error'], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const [packed] = JSON.parse(run(root, 'pack', '--json', '--pack-destination', directory)) as { filename: string }[];
  if (!packed) throw new Error('npm pack made nothing.');
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'somewhere-else', private: true, type: 'module' }));
  run(directory, 'install', `./${packed.filename}`, '--prefer-offline', '--no-audit', '--no-fund');
  return {
    directory,
    packageDirectory: join(directory, 'node_modules/pubkeeper'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
