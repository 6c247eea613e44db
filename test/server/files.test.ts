import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { serveFiles } from '../../src/server/index.js';
import type { PubkeeperServer } from '../../src/server/index.js';
import { connect, later, start, until } from './harness.js';

const faults: unknown[] = [];
let directory: string;
let server: PubkeeperServer;

beforeEach(async () => {
  faults.length = 0;
  const outside = await mkdtemp(join(tmpdir(), 'pubkeeper-files-'));
  later(() => rm(outside, { recursive: true }));
  await writeFile(join(outside, 'outside.txt'), 'outside');
  directory = join(outside, 'public');
  await mkdir(join(directory, 'sub'), { recursive: true });
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
    ...['/../outside.txt', '/%2e%2e/outside.txt', '/%2e%2e%2foutside.txt', '/sub/../../outside.txt'].map((path) => [path, 404, 'There is nothing at this address.\n', 'text/plain; charset=utf-8'] as const),
  ] as const)('%s: %i', async (path, status, text, type) => {
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
    ['bytes=17-', 416, 'There is no such range: request the whole file.\n', 'bytes */17'],
    ['bytes=5-2', 416, 'There is no such range: request the whole file.\n', 'bytes */17'],
    // Several ranges, and other units, may be answered with the whole file.
    ['bytes=0-1,3-4', 200, '<p>0123456789</p>', undefined],
    ['lines=0-1', 200, '<p>0123456789</p>', undefined],
  ])('the range %s: %i', async (range, status, text, content) => {
    const answer = await ask('/', { range });
    expect([answer.status, answer.text, answer.headers['content-range'], Number(answer.headers['content-length'])]).toEqual([status, text, content, text.length]);
    expect(faults).toEqual([]);
  });

  it('serves GET and HEAD only, and sends a file again only if it has changed', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect(await ask('/', {}, method)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    const { headers } = await ask('/', {}, 'HEAD');
    expect(headers['content-length']).toBe('17');
    expect(await ask('/', { 'if-none-match': `"x", ${headers.etag!}` })).toMatchObject({ status: 304, text: '' });
    const changed = await ask('/', { 'if-match': '"x"' });
    expect(changed).toMatchObject({ status: 412, text: 'The file has changed: request it without a condition.\n' });
    expect(Object.keys(changed.headers).filter((name) => ['accept-ranges', 'content-range', 'etag', 'last-modified'].includes(name))).toEqual([]);
    await writeFile(join(directory, 'index.html'), 'other');
    expect(await ask('/', { 'if-none-match': headers.etag! })).toMatchObject({ status: 200, text: 'other' });
    expect(await ask('/', { 'if-range': headers.etag!, range: 'bytes=0-1' })).toMatchObject({ status: 200, text: 'other' });
  });

  it('continues when its files are deleted', async () => {
    await rm(directory, { recursive: true });
    for (const path of ['/', '/sub/code.js']) expect((await ask(path)).status).toBe(404);
    expect((await connect(server)).socket.readyState).toBe(1);
    expect(faults).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('answers 503 when no file descriptor is left, and serves again when there is one', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { Agent, get } from 'node:http';
      import { createServer, serveFiles } from ${JSON.stringify(new URL('../../dist/node/server/index.js', import.meta.url).href)};
      const server = await createServer({ port: 0, tokens: { any: [] }, http: serveFiles(${JSON.stringify(directory)}) });
      const agent = new Agent({ keepAlive: true });
      const ask = (path) => new Promise((resolve, reject) => {
        get({ port: server.port, host: '127.0.0.1', path, agent }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject);
      });
      // A request that has opened a file closes it only after its answer, which would free a descriptor for the next; this one opens none.
      const answers = [await ask('/none')];
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch (error) { answers.push(error.code); }
      answers.push(await ask('/'));
      open.forEach((one) => closeSync(one));
      answers.push(await ask('/'));
      console.log(answers.join());
      process.exit();`;
    const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8' });
    expect([stdout.trim(), stderr]).toEqual(['404,EMFILE,503,200', '']);
  });

  it.skipIf(process.platform === 'win32')('logs that no file descriptor is left, as the connections are then refused below Node', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { createServer } from ${JSON.stringify(new URL('../../dist/node/server/index.js', import.meta.url).href)};
      let tell;
      const server = await createServer({ port: 0, heartbeatMs: 20, logger: { warn: () => undefined, error: (text) => tell(text) } });
      const told = new Promise((resolve) => (tell = resolve));
      const open = [];
      try { for (;;) open.push(openSync('/dev/null')); } catch {}
      console.log((await told).split(':')[0]);
      open.forEach((one) => closeSync(one));
      console.log((await fetch('http://127.0.0.1:' + server.port + '/healthz')).status);
      process.exit();`;
    const { stdout, stderr } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" --input-type=module -e "$1"', process.execPath, script], { encoding: 'utf8', timeout: 20_000 });
    expect([stdout.trim().split('\n'), stderr]).toEqual([['No file descriptor is left', '200'], '']);
  }, 30_000);

  it('ends the connection when a file becomes shorter than its Content-Length', async () => {
    const large = join(directory, 'large.bin');
    await writeFile(large, Buffer.alloc(32 * 1024 * 1024));
    server = await start({ http: serveFiles(directory) });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ port: server.port, host: '127.0.0.1', path: '/large.bin' }, resolve).on('error', reject).end();
    });
    // Nothing is read yet, so that the rest is still in the file.
    await truncate(large, 1024);
    response.resume();
    await expect(new Promise((resolve, reject) => response.on('end', resolve).on('error', reject))).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('a connection that sends requests without waiting for answers', () => {
  /** Opens a connection and sends this text. */
  async function say(text: string): Promise<Socket> {
    const socket = connectTcp(server.port, '127.0.0.1');
    later(async () => void socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(text);
    return socket;
  }

  /** Everything that is received until the connection ends. */
  async function hear(socket: Socket): Promise<string> {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    await once(socket, 'close');
    return Buffer.concat(parts).toString();
  }

  it('gets the answers one after the other, in order', async () => {
    let [working, most] = [0, 0];
    const served: (string | undefined)[] = [];
    server = await start({
      http: (request, response) => {
        most = Math.max(most, ++working);
        served.push(request.url);
        const end = (): void => {
          working--;
          response.end(`<${request.url}>`);
        };
        // Without the order, the later answers would be ready first.
        if (served.length === 1) setImmediate(end);
        else end();
      },
    });
    const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const text = await hear(await say(`${requests.join('')}GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));
    expect(text.match(/<[^<>]*>/g)).toEqual(['</1>', '</2>', '</3>', '</4>']);
    expect([served, most]).toEqual([['/1', '/2', '/3', '/4'], 1]);
  });

  it('is cut when it sends too many requests, and others are served', async () => {
    let calls = 0;
    server = await start({ http: (_request, response) => void response.end(`${++calls}`) });
    await hear(await say('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2_000)));
    expect(calls).toBeLessThan(20);
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
  });

  it.each(['GET /ahead HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /ahead HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'])(
    'is not parsed further when it is cut: %j',
    async (ahead) => {
      server = await start({ http: (_request, response) => void response.end() });
      let made = 0;
      const count = (message: unknown): void => void ((message as { request: IncomingMessage }).request.url === '/ahead' && made++);
      subscribe('http.server.request.start', count);
      later(async () => void unsubscribe('http.server.request.start', count));
      // Node gets all requests in one chunk, and would make an object or two for each.
      await hear(await say(ahead.repeat(1_000)));
      expect(made).toBeGreaterThan(0);
      expect(made).toBeLessThan(20);
      expect(server.stats().drops).toEqual({});
    },
  );

  it.skipIf(process.platform !== 'linux')('leaves no file open when it is reset', async () => {
    const large = join(directory, 'large.bin');
    await writeFile(large, Buffer.alloc(8 * 1024 * 1024));
    const open = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`) === large;
        } catch {
          return false;
        }
      }).length;
    const socket = await say('GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(16));
    // Nothing is read, so that the answers do not fit into the buffers on their way.
    await once(socket, 'readable');
    await until(() => open() > 0);
    socket.resetAndDestroy();
    await until(() => open() === 0);
    expect((await ask('/sub/code.js')).text).toBe('code');
    expect(open()).toBe(0);
  });

  it.each(['/', '/healthz', '/ws', '/dashboard.json'])('is closed after the answer when its request has a body that nobody reads: %s', async (path) => {
    const socket = await say(`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
    const answer = await hear(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 \d{3} /);
    expect(answer).toMatch(/\r\nConnection: close\r\n/);
  });
});
