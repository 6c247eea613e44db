import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { serveFiles } from '../../src/server/index.js';
import type { PubkeeperServer } from '../../src/server/index.js';
import { connect, later, start } from './harness.js';

const faults: unknown[] = [];
let directory: string;
let server: PubkeeperServer;

beforeEach(async () => {
  faults.length = 0;
  directory = await mkdtemp(join(tmpdir(), 'pubkeeper-files-'));
  later(() => rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'sub'));
  await writeFile(join(directory, 'index.html'), '<p>0123456789</p>');
  await writeFile(join(directory, 'sub', 'index.html'), 'sub');
  await writeFile(join(directory, 'sub', 'code.js'), 'code');
  await writeFile(join(directory, 'empty.bin'), '');
  await writeFile(join(directory, '.secret'), 'secret');
  await symlink(join(directory, 'nowhere'), join(directory, 'broken'));
  server = await start({ http: serveFiles(directory), logger: { warn: () => undefined, error: (...data: unknown[]) => void faults.push(data) } });
});

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ port: server.port, host: '127.0.0.1', path, method, headers }, resolve).on('error', reject).end();
  });
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() };
}

describe('serveFiles', () => {
  it.each([
    ['/', 200, '<p>0123456789</p>', 'text/html; charset=utf-8'],
    ['/index.html?x', 200, '<p>0123456789</p>', 'text/html; charset=utf-8'],
    ['/index', 200, '<p>0123456789</p>', 'text/html; charset=utf-8'],
    ['http://any.example/', 200, '<p>0123456789</p>', 'text/html; charset=utf-8'],
    ['/sub', 200, 'sub', 'text/html; charset=utf-8'],
    ['/sub/', 200, 'sub', 'text/html; charset=utf-8'],
    ['/sub/code.js', 200, 'code', 'text/javascript; charset=utf-8'],
    ['/sub/c%6fde.js', 200, 'code', 'text/javascript; charset=utf-8'],
    ['/empty.bin', 200, '', 'application/octet-stream'],
    ['/%00', 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'],
    ['/%zz', 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'],
    ['/.secret', 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'],
    ['/broken', 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'],
    ['/%2e%2e%2fpackage.json', 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'],
  ])('%s: %i', async (path, status, text, type) => {
    const answer = await ask(path);
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([status, text, type]);
    expect(answer.headers['cache-control']).toBe(status === 200 ? 'no-cache' : 'no-store');
    expect(faults).toEqual([]);
  });

  it.each([
    ['bytes=0-3', 206, '<p>0', 'bytes 0-3/17'],
    ['bytes=0-0', 206, '<', 'bytes 0-0/17'],
    ['bytes=12-', 206, '9</p>', 'bytes 12-16/17'],
    ['bytes=12-99999', 206, '9</p>', 'bytes 12-16/17'],
    ['bytes=-4', 206, '</p>', 'bytes 13-16/17'],
    ['bytes=17-', 416, 'There is no such part of this: ask for all of it.\n', 'bytes */17'],
    ['bytes=5-2', 416, 'There is no such part of this: ask for all of it.\n', 'bytes */17'],
    // More than one part, and other units, may be answered by all of it.
    ['bytes=0-1,3-4', 200, '<p>0123456789</p>', undefined],
    ['lines=0-1', 200, '<p>0123456789</p>', undefined],
  ])('the part %s: %i', async (range, status, text, content) => {
    const answer = await ask('/', { range });
    expect([answer.status, answer.text, answer.headers['content-range'], Number(answer.headers['content-length'])]).toEqual([status, text, content, text.length]);
    expect(faults).toEqual([]);
  });

  it('is only read, and sends again only what has changed', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect(await ask('/', {}, method)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    const { headers } = await ask('/', {}, 'HEAD');
    expect(headers['content-length']).toBe('17');
    expect(await ask('/', { 'if-none-match': `"x", ${headers.etag!}` })).toMatchObject({ status: 304, text: '' });
    await writeFile(join(directory, 'index.html'), 'other');
    expect(await ask('/', { 'if-none-match': headers.etag! })).toMatchObject({ status: 200, text: 'other' });
    expect(await ask('/', { 'if-range': headers.etag!, range: 'bytes=0-1' })).toMatchObject({ status: 200, text: 'other' });
  });

  it('goes on serving when its files have gone', async () => {
    await rm(directory, { recursive: true });
    for (const path of ['/', '/sub/code.js']) expect((await ask(path)).status).toBe(404);
    expect((await connect(server)).socket.readyState).toBe(1);
    expect(faults).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('says that it is busy when no descriptor is left, and goes on', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { Agent, get } from 'node:http';
      import { createServer, serveFiles } from ${JSON.stringify(new URL('../../dist/node/server/index.js', import.meta.url).href)};
      const server = await createServer({ port: 0, tokens: { any: [] }, http: serveFiles(${JSON.stringify(directory)}) });
      const agent = new Agent({ keepAlive: true });
      const ask = () => new Promise((resolve, reject) => {
        get({ port: server.port, host: '127.0.0.1', agent }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject);
      });
      const answers = [await ask()];
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch (error) { answers.push(error.code); }
      answers.push(await ask());
      open.forEach((one) => closeSync(one));
      answers.push(await ask());
      console.log(answers.join());
      process.exit();`;
    const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8' });
    expect([stdout.trim(), stderr]).toEqual(['200,EMFILE,503,200', '']);
  });

  it('ends the connection where a file has become shorter than it was said to be', async () => {
    const large = join(directory, 'large.bin');
    await writeFile(large, Buffer.alloc(32 * 1024 * 1024));
    server = await start({ http: serveFiles(directory) });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ port: server.port, host: '127.0.0.1', path: '/large.bin' }, resolve).on('error', reject).end();
    });
    // Nobody reads yet: the rest is still in the file.
    await truncate(large, 1024);
    response.resume();
    await expect(new Promise((resolve, reject) => response.on('end', resolve).on('error', reject))).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
});
