import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { createServer as createSecureServer, request as secureRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dashboardHandler } from '../../src/dashboard/handler.js';
import { PubkeeperError } from '../../src/index.js';
import { certificate } from '../brews/processes.js';

describe('dashboardHandler', () => {
  const outside = mkdtempSync(join(tmpdir(), 'pubkeeper-dashboard-'));
  writeFileSync(join(outside, 'outside.js'), 'outside');
  const directory = join(outside, 'public');
  mkdirSync(directory);
  writeFileSync(join(directory, 'index.html'), '<!doctype html><title>page</title>');
  let token: string | undefined = 'made-up';
  let server: Server;
  let port: number;
  const handler = dashboardHandler({ directory, token: () => token });

  beforeAll(async () => {
    server = createServer((incoming, response) => void handler(incoming, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => {
    server.close();
    rmSync(outside, { recursive: true });
  });

  const get = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ port, host: '127.0.0.1', path, method, headers }, resolve).on('error', reject).end();
    });
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    return { status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() };
  };
  const ask = (headers: Record<string, string>) => get('/dashboard.json', headers);

  it('serves the page under a policy that requires Trusted Types', async () => {
    const { status, headers, text } = await get('/');
    expect(status).toBe(200);
    expect(text).toContain('<title>page</title>');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    expect(headers['content-security-policy']).toContain("require-trusted-types-for 'script'");
    expect(headers['content-security-policy']).not.toContain('unsafe');
    // No other page may frame it, forms lead nowhere, and it connects to WebSockets of any server and to nothing else.
    const rules = headers['content-security-policy']!.toString().split('; ');
    for (const name of ['trusted-types', 'object-src', 'base-uri', 'form-action', 'frame-ancestors']) expect(rules).toContain(`${name} 'none'`);
    expect(rules).toContain("connect-src 'self' ws: wss:");
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('answers 404 for a path that does not exist, also with tricks', async () => {
    for (const path of ['/nothing', '/../outside.js', '/%2e%2e/outside.js', '/%2e%2e%2foutside.js', '/constructor', '/__proto__']) {
      expect((await get(path)).status, path).toBe(404);
    }
  });

  it.each([
    ['127.0.0.1', {}],
    ['localhost', {}],
    ['[::1]', {}],
    ['localhost', { 'sec-fetch-site': 'same-origin' }],
    // An address that was typed.
    ['localhost', { 'sec-fetch-site': 'none' }],
  ])('tells the token to a page at %s %o', async (name, more) => {
    const { status, headers, text } = await ask({ host: `${name}:${port}`, ...more });
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' });
    expect(JSON.parse(text)).toEqual({ server: `ws://${name}:${port}/ws`, maxMessageBytes: 1_048_576, token: 'made-up' });
  });

  it('names wss: addresses to a page that came by TLS, and takes only its https origin for its own', async () => {
    const { cert, key, remove } = certificate();
    const secure = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }, (incoming, response) => void handler(incoming, response));
    remove();
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const host = `localhost:${(secure.address() as AddressInfo).port}`;
    try {
      for (const [origin, told] of [[`https://${host}`, { token }], [`http://${host}`, { reason: expect.stringContaining('only to its own page') as string }]] as const) {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          secureRequest(`https://${host}/dashboard.json`, { lookup: (_name, _options, found) => found(null, [{ address: '127.0.0.1', family: 4 }]), rejectUnauthorized: false, headers: { origin } }, resolve)
            .on('error', reject)
            .end();
        });
        expect(await json(response)).toEqual({ server: `wss://${host}/ws`, maxMessageBytes: 1_048_576, ...told });
      }
    } finally {
      secure.close();
    }
  });

  it('closes a connection after the answer if its request has a body', async () => {
    const host = `localhost:${port}`;
    expect((await ask({ host, connection: 'keep-alive' })).headers.connection).toBe('keep-alive');
    expect((await ask({ host, connection: 'keep-alive', 'transfer-encoding': 'chunked' })).headers.connection).toBe('close');
  });

  it('tells the token to its own origin and to no other', async () => {
    const host = `localhost:${port}`;
    expect((await ask({ host, origin: `http://${host}` })).text).toContain('made-up');
    for (const origin of ['http://evil.example', `http://localhost:${port + 1}`, `https://${host}`, 'null', 'garbage']) {
      const { status, text } = await ask({ host, origin });
      expect(status, origin).toBe(200);
      expect(JSON.parse(text), origin).toEqual({ server: `ws://${host}/ws`, maxMessageBytes: 1_048_576, reason: expect.stringMatching(/only to its own page\.$/) });
    }
  });

  it.each([
    [{ host: 'evil.example' }, 'on its own machine'],
    [{ host: '127.0.0.1.evil.example' }, 'on its own machine'],
    [{ host: ':::' }, 'on its own machine'],
    [{ host: 'localhost', 'sec-fetch-site': 'cross-site' }, 'only to its own page'],
    [{ host: 'localhost', 'x-forwarded-for': '203.0.113.9' }, 'through a proxy'],
    // With a forged Host, through the proxy of docs/operations.md.
    [{ host: 'localhost', 'x-forwarded-proto': 'https' }, 'through a proxy'],
    [{ host: 'localhost', 'x-real-ip': '203.0.113.9' }, 'through a proxy'],
    [{ host: 'localhost', forwarded: 'for=203.0.113.9' }, 'through a proxy'],
    [{ host: 'localhost', via: '1.1 proxy' }, 'through a proxy'],
  ])('does not tell the token to %o, and says why', async (headers, why) => {
    const { status, text } = await ask(headers);
    expect(status).toBe(200);
    expect(text).not.toContain('made-up');
    expect(JSON.parse(text)).toEqual({ server: `ws://${headers.host}/ws`, maxMessageBytes: 1_048_576, reason: expect.stringContaining(why) });
  });

  it('tells only the server when there is no token', async () => {
    token = undefined;
    try {
      const { status, text } = await ask({ host: 'plant.example:9898' });
      expect(status).toBe(200);
      expect(JSON.parse(text)).toEqual({ server: 'ws://plant.example:9898/ws', maxMessageBytes: 1_048_576 });
    } finally {
      token = 'made-up';
    }
  });

  it('allows GET and HEAD only', async () => {
    const { status, headers } = await get('/dashboard.json', { host: 'localhost' }, 'POST');
    expect(status).toBe(405);
    expect(headers.allow).toBe('GET, HEAD');
    expect(await get('/dashboard.json', { host: 'localhost' }, 'HEAD')).toMatchObject({ status: 200, text: '' });
  });

  it('throws when the page was not built', () => {
    expect(() => dashboardHandler({ directory: join(directory, 'missing') })).toThrow(PubkeeperError);
  });
});
