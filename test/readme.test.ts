import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createServer } from '../src/server/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));

it('the first example of the README prints what it brews', { timeout: 30_000 }, async () => {
  const [, code = ''] = /In Node, or in anything with a bundler:\s+```js\n(.*?)```/s.exec(readFileSync(`${root}README.md`, 'utf8')) ?? [];
  expect(code).toContain("from 'pubkeeper'");
  const server = await createServer({ port: 0 });
  const child = spawn(process.execPath, ['--input-type=module', '-e', code.replace('ws://127.0.0.1:9898/ws', server.url)], {
    cwd: root,
    env: { ...process.env, PUBKEEPER_TOKEN: server.token, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    expect(printed.toString()).toBe("demo.hello { hello: 'world' }\n");
  } finally {
    child.kill();
    await exited;
    await server.close();
  }
});

it('docs/operations.md explains each reason for which the server drops something, in the words of the code', () => {
  const code = readFileSync(`${root}src/server/stats.ts`, 'utf8');
  const [, type = ''] = /export type DropReason =\n(.*?);\n/s.exec(code) ?? [];
  const reasons = [...type.matchAll(/\/\*\* (.+) \*\/\n {2}\| '([\w-]+)'/g)].map(([, why, name]) => `| \`${name}\` | ${why} |`);
  expect(reasons).toHaveLength(type.match(/\| '/g)!.length);
  const docs = readFileSync(`${root}docs/operations.md`, 'utf8');
  expect(reasons.filter((row) => !docs.includes(row))).toEqual([]);
});
