import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The package as it is installed, without the optional peer dependencies.

const root = fileURLToPath(new URL('../..', import.meta.url));
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-bare-'));
  const modules = join(directory, 'node_modules');
  mkdirSync(join(modules, '@noble'), { recursive: true });
  cpSync(join(root, 'dist'), join(modules, 'pubkeeper/dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(modules, 'pubkeeper/package.json'));
  for (const name of ['@noble/ciphers', '@noble/hashes', 'isomorphic-ws', 'ws']) {
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'dir');
  }
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What a client of a server says whose only brew lacks its library. */
function run(brew: string): { code: string; message: string }[] {
  const script = `
    import { PubkeeperClient } from 'pubkeeper';
    import { ${brew.split('(')[0]} } from 'pubkeeper/brews/${brew.startsWith('Mqtt') ? 'mqtt' : 'nats'}';
    const brew = new ${brew};
    const errors = [];
    brew.attach({ report: ({ code, message }) => errors.push({ code, message }), state: () => undefined, reconnect: {} });
    brew.patronDetails({ topic: 'a', patronId: '0'.repeat(32) });
    await brew.brewerDetails({ topic: 'a', brewerId: '0'.repeat(32) });
    for (let i = 0; i < 1000 && errors.length < 2; i++) await new Promise((resolve) => setImmediate(resolve));
    brew.startBrewer({ topic: 'a', brewerId: '0'.repeat(32), patronId: '1'.repeat(32), details: { name: brew.name } });
    try { brew.brew('0'.repeat(32), new Uint8Array(88)); } catch ({ code, message }) { errors.push({ code, message }); }
    console.log(JSON.stringify(errors));
    process.exit(0);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: directory, encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as { code: string; message: string }[];
}

describe('without its package', () => {
  it.each([
    ["MqttBrew({ url: 'mqtt://127.0.0.1:1' })", 'MqttBrew needs the package mqtt: run npm install mqtt.'],
    [
      "NatsBrew({ url: 'nats://127.0.0.1:1' })",
      'NatsBrew needs the packages @nats-io/nats-core @nats-io/transport-node: run npm install @nats-io/nats-core @nats-io/transport-node.',
    ],
    ["NatsBrew({ url: 'ws://127.0.0.1:1' })", 'NatsBrew needs the package @nats-io/nats-core: run npm install @nats-io/nats-core.'],
  ])('%s says what to install: at registration, and to whoever brews', (brew, message) => {
    const told = run(brew);
    expect(told.length).toBeGreaterThan(0);
    for (const error of told) expect(error).toEqual({ code: 'BREW_DEPENDENCY', message });
  });
});
