import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The package as it is installed, without the optional packages of NATS.

const root = fileURLToPath(new URL('../../..', import.meta.url));
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-bare-'));
  const modules = join(directory, 'node_modules');
  mkdirSync(join(modules, '@noble'), { recursive: true });
  cpSync(join(root, 'dist'), join(modules, 'pubkeeper/dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(modules, 'pubkeeper/package.json'));
  for (const name of ['@noble/ciphers', '@noble/hashes', 'jose', 'sirv', 'ws', '@polka/url', 'mrmime', 'totalist']) {
    mkdirSync(join(modules, name, '..'), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'dir');
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(options: string): string {
  const script = `
    import { createServer } from 'pubkeeper/server';
    const server = await createServer({ port: 0, ${options} }).catch(({ code, message }) => ({ code, message }));
    console.log(JSON.stringify([server.code ?? 'runs', server.message ?? '']));
    process.exit(0);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: directory, encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout;
}

describe('without the packages of NATS', () => {
  it('a server runs, and one of a cluster says what to install', () => {
    expect(JSON.parse(run(''))).toEqual(['runs', '']);
    const [code, message] = JSON.parse(run("cluster: { servers: 'nats://127.0.0.1:1' }")) as [string, string];
    expect(code).toBe('CLUSTER_DEPENDENCY');
    expect(message).toMatch(/run npm install @nats-io\/transport-node @nats-io\/jetstream @nats-io\/kv\.$/);
  });
});
