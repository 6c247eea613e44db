import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { createServer } from '../src/server/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The first output of a program, which is then ended. */
async function printedBy(code: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { cwd: root, env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    return printed.toString();
  } finally {
    child.kill();
    await exited;
  }
}

it('the first example of the README prints what it brews', { timeout: 30_000 }, async () => {
  const [, code = ''] = /In Node, or in anything with a bundler:\s+```js\n(.*?)```/s.exec(readFileSync(`${root}README.md`, 'utf8')) ?? [];
  expect(code).toContain("from 'pubkeeper'");
  const server = await createServer({ port: 0 });
  try {
    expect(await printedBy(code.replace('ws://127.0.0.1:9898/ws', server.url), { PUBKEEPER_TOKEN: server.token })).toBe("demo.hello { hello: 'world' }\n");
  } finally {
    await server.close();
  }
});

it('the example of requests and replies in docs/coming-from.md answers, and times out without an answer', { timeout: 30_000 }, async () => {
  const [, example = ''] = /## Requests and replies\n.*?```ts\n(.*?)```/s.exec(readFileSync(`${root}docs/coming-from.md`, 'utf8')) ?? [];
  expect(example).toContain('timeout(5000)');
  const server = await createServer({ port: 0 });
  const code = `
    import { PubkeeperClient } from 'pubkeeper';
    const client = new PubkeeperClient({ server: '${server.url}', token: '${server.token}' });
    ${example.replace('timeout(5000)', 'timeout(value === 21 ? 20_000 : 1)')}
    const matched = new Promise((resolve) => requests.on('matched', resolve));
    await client.connect();
    await matched;
    console.log(await ask(21), await ask(0).catch(({ message }) => message));
    process.exit();`;
  const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } });
  try {
    expect(await printedBy(outputText)).toBe('42 Nobody answered within 5 s.\n');
  } finally {
    await server.close();
  }
});

it('docs/operations.md explains each drop reason of the server in the words of the code', () => {
  const code = readFileSync(`${root}src/server/stats.ts`, 'utf8');
  const [, type = ''] = /export type DropReason =\n(.*?);\n/s.exec(code) ?? [];
  const reasons = [...type.matchAll(/\/\*\* (.+) \*\/\n {2}\| '([\w-]+)'/g)].map(([, why, name]) => `| \`${name}\` | ${why} |`);
  expect(reasons).toHaveLength(type.match(/\| '/g)!.length);
  const docs = readFileSync(`${root}docs/operations.md`, 'utf8');
  expect(reasons.filter((row) => !docs.includes(row))).toEqual([]);
});
