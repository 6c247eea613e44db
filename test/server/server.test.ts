import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createServer, readTokens, serveFiles } from '../../src/server/index.js';
import type { ServerOptions } from '../../src/server/index.js';
import { certificate } from '../brews/processes.js';
import { connect, joinRelay, later, start } from './harness.js';
import { RawControl, dial, newId, refusal } from './raw-client.js';

/** The status, the headers and the body of a GET, with the path as it is written. */
async function get(port: number, path: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const sent = request({ port, path, headers, host: '127.0.0.1', agent: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const part of response) body += String(part);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

describe('createServer', () => {
  it('makes a random token when none is given, and gives its URLs', async () => {
    const [one, two] = [await start(), await start({ relayPort: 0 })];
    expect(one.token).toMatch(/^[\w-]{43}$/);
    expect(one.token).not.toBe(two.token);
    expect(one.url).toBe(`ws://127.0.0.1:${one.port}/ws`);
    expect(one.relayUrl).toBe(`ws://127.0.0.1:${one.port}/brew`);
    expect(two.relayUrl).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/$/);
    expect(two.relayUrl).not.toContain(`:${two.port}/`);
    await connect(one);
  });

  it('puts IPv6 addresses in brackets, and gives loopback in its URLs when bound to all addresses', async () => {
    const tokens = { t: [{ topic: '**', read: true }] };
    for (const [host, shown] of [['::1', '[::1]'], ['[::1]', '[::1]'], ['0.0.0.0', '127.0.0.1'], ['::', '[::1]'], ['localhost', 'localhost']] as const) {
      const server = await start({ host, tokens });
      expect(server.url).toBe(`ws://${shown}:${server.port}/ws`);
      expect(server.token).toBeUndefined();
      await (await connect(server, { token: 't' })).close();
    }
  });

  it.each<[string, ServerOptions, RegExp]>([
    ['no tokens beyond loopback', { host: '0.0.0.0' }, /give it "tokens"/],
    ['no tokens on a name', { host: 'example.org' }, /give it "tokens"/],
    ['an empty host', { host: '' }, /"host"/],
    ['a port that is none', { port: 70_000 }, /"port"/],
    ['half a port', { port: 1.5 }, /"port"/],
    ['a relay port that is none', { relayPort: -1 }, /"relayPort"/],
    ['no room for messages', { maxMessageBytes: 0 }, /"maxMessageBytes"/],
    ['a table without tokens', { tokens: {} }, /no token/],
    ['an address of somebody else', { host: '192.0.2.1', tokens: { t: [] } }, /cannot listen on "192\.0\.2\.1"/],
    ['a misspelt option', { orgins: [] } as ServerOptions, /no option "orgins" of createServer\(\): the options are .*origins/],
    ['a relay without a port', { relayAddresses: ['relay.example'] }, /"relayAddresses" must be a list of host:port/],
    ['a relay at a port that is none', { relayAddresses: ['relay.example:65536'] }, /"relayAddresses" must be a list of host:port/],
    ['a relay as a URL', { relayAddresses: ['wss://relay.example:443'] }, /"relayAddresses" must be a list of host:port/],
    ['one origin outside of a list', { origins: 'https://a.example' as never }, /"origins" must be a list/],
    ['a logger that is none', { logger: {} as never }, /"logger"/],
    ['no logger', { logger: null as never }, /"logger"/],
    ['a handler that is none', { http: 5 as never }, /"http"/],
    ['an origin check that is none', { allowOrigin: 'all' as never }, /"allowOrigin"/],
    ['metrics that are neither on nor off', { metrics: 'no' as never }, /"metrics"/],
    ['a certificate that could not be loaded', { tls: null as never }, /"tls" must be \{ cert, key \}.*leave it out/],
    ['a list of limits', { limits: [] as never }, /"limits"/],
    ['ticket keys that are no list', { profile: 'secured', ticketKeys: 'x' as never }, /ticket keys/],
    ['ticket keys in hex, by what they have to be, also where none are used', { profile: 'open', ticketKeys: ['ab'.repeat(32)] as never }, /ticket keys.*Uint8Arrays.*Buffer\.from/],
    ['the same port twice, which is no other program\'s', { port: 9898, relayPort: 9898 }, /"relayPort" must be another one than "port"/],
    ['a function in the place of tokens', { tokens: (() => undefined) as never }, /^The option "tokens" must not be a function: .* authenticate\(token\)\.$/],
    ['a check of tokens under a misspelt name', { tokens: { authenicate: () => undefined } as never }, /^The option "tokens" has a function in token number 1: .* authenticate\(token\)\.$/],
    ['two checks of origins', { origins: ['https://a.example'], allowOrigin: () => true }, /^The options "origins" and "allowOrigin" exclude each other: give one\.$/],
  ])('refuses %s', async (_what, options, message) => {
    await expect(createServer({ port: 0, ...options })).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringMatching(message) as string });
  });

  it('refuses options that are not an object', async () => {
    await expect(createServer(9898 as never)).rejects.toMatchObject({ code: 'OPTION_INVALID', message: 'createServer() takes an object of options, not a number.' });
    const server = await start({});
    expect(() => server.reload(undefined as never)).toThrow('reload() takes an object of options, not undefined.');
  });

  it('reports that a port is in use, and leaves nothing open', async () => {
    const holder = createTcpServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    later(async () => void (await new Promise((resolve) => holder.close(resolve))));
    const { port } = holder.address() as AddressInfo;
    await expect(createServer({ port })).rejects.toMatchObject({ code: 'PORT_IN_USE', details: { port, host: '127.0.0.1' } });
    const free = await createServer({ port: 0 });
    await free.close();
    await expect(createServer({ port: free.port, relayPort: port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await (await createServer({ port: free.port })).close();
  });

  it('takes the result of readTokens()', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pubkeeper-server-'));
    later(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'tokens.json'), '{"t": [{"topic": "a", "write": true}]}');
    const server = await start({ tokens: await readTokens(join(directory, 'tokens.json')) });
    const client = await connect(server, { token: 't' });
    client.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: [] });
    await client.expect(22);
  });

  it('emits events for matches', async () => {
    const server = await start();
    const events: unknown[] = [];
    server.on('matched', (event) => void events.push(['matched', event]));
    const undo = server.on('unmatched', (event) => void events.push(['unmatched', event]));
    const client = await connect(server);
    const [brewer_id, patron_id] = [newId(), newId()];
    client.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [{ name: 'mqtt' }] });
    client.send(20, { topic: '*', patron_id, brews: [{ name: 'mqtt' }] });
    client.send(21, { topic: '*', patron_id });
    await client.settled();
    const event = { topic: 'a', brewerId: brewer_id, patronId: patron_id, brew: 'mqtt' };
    expect(events).toEqual([['matched', event], ['unmatched', event]]);
    undo();
  });
});

describe('close', () => {
  it('closes everything with 1001, frees its ports, and may be called twice', async () => {
    const server = await createServer({ port: 0, relayPort: 0 });
    const [control, fresh, relay] = [await connect(server), await RawControl.open(server.url), await joinRelay(server)];
    await Promise.all([server.close(), server.close()]);
    expect((await control.closed).code).toBe(1001);
    expect((await fresh.closed).code).toBe(1001);
    expect((await relay.closed).code).toBe(1001);
    await server.close();
    await (await createServer({ port: server.port, relayPort: Number(new URL(server.relayUrl).port) })).close();
    expect(server.stats()).toMatchObject({ controlConnections: 0, clients: 0, relayConnections: 0 });
  });

  it('is called by await using', async () => {
    const server = await createServer({ port: 0 });
    await server[Symbol.asyncDispose]();
    await expect(dial(server.url, ['pubkeeper-1.1'])).rejects.toThrow('ECONNREFUSED');
  });

  it('does not wait for connections that neither send nor read', async () => {
    const server = await createServer({ port: 0 });
    const idle = connectTcp(server.port, '127.0.0.1');
    idle.on('error', () => undefined);
    await once(idle, 'connect');
    const half = connectTcp(server.port, '127.0.0.1');
    half.on('error', () => undefined);
    half.write('GET /healthz HTTP/1.1\r\nHost:');
    const deaf = await connect(server);
    deaf.socket.pause();
    const started = performance.now();
    await server.close();
    expect(performance.now() - started).toBeLessThan(3000);
    deaf.socket.resume();
    await deaf.closed;
  });

  it('does not wait for a token check that never ends', async () => {
    let asked: (() => void) | undefined;
    const wasAsked = new Promise<void>((resolve) => (asked = resolve));
    const authenticate = (): Promise<undefined> => {
      asked?.();
      return new Promise(() => undefined);
    };
    const server = await createServer({ port: 0, tokens: { authenticate } });
    const client = await RawControl.open(server.url);
    client.send(1, { token: 'x' });
    await wasAsked;
    await server.close();
    expect((await client.closed).code).toBe(1001);
    expect(server.stats().controlConnections).toBe(0);
  });

  it('does not hang while clients connect', async () => {
    const server = await createServer({ port: 0 });
    const dials = Array.from({ length: 50 }, () => dial(server.url, ['pubkeeper-1.1']));
    const ends = dials.map((opened) => opened.then((socket) => new RawControl(socket, '1.1').closed, () => undefined));
    await Promise.race(dials);
    await server.close();
    await Promise.all(ends);
    expect(server.stats().controlConnections).toBe(0);
  });
});

describe('plain HTTP', () => {
  it('has a health page, 426 for WebSocket paths, 404 for the rest, and security headers on all', async () => {
    const server = await start({ relayPort: 0 });
    for (const [path, status, body] of [
      ['/healthz', 200, 'ok\n'],
      ['/healthz?x', 200, 'ok\n'],
      ['/ws', 426, 'This address is for WebSockets: connect with a Pubkeeper client.\n'],
      ['/brew', 426, 'This address is for WebSockets: connect with a Pubkeeper client.\n'],
      ['/', 404, 'There is nothing at this address.\n'],
      ['/../../etc/passwd', 404, 'There is nothing at this address.\n'],
    ] as const) {
      const answer = await get(server.port, path);
      expect([answer.status, answer.body]).toEqual([status, body]);
      expect(answer.headers['content-security-policy']).toMatch(/^default-src 'self'; connect-src 'self' ws: wss:;/);
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
    }
    expect(await get(Number(new URL(server.relayUrl).port), '/healthz')).toMatchObject({ status: 426 });
  });

  it('sets Cross-Origin-Opener-Policy only where browsers respect it', async () => {
    const server = await start();
    const told = async (host: string) => (await get(server.port, '/', { host })).headers['cross-origin-opener-policy'];
    expect(await Promise.all(['localhost:1', '127.0.0.1', '[::1]:9898', '192.168.0.7:9898', 'plant.example'].map(told))).toEqual(['same-origin', 'same-origin', 'same-origin', undefined, undefined]);
    const { cert, key, remove } = certificate();
    const { port } = await start({ tls: { cert: await readFile(cert), key: await readFile(key) } });
    remove();
    const sent = requestTls({ port, host: '127.0.0.1', headers: { host: 'plant.example' }, agent: false, rejectUnauthorized: false }).end();
    const [{ headers }] = (await once(sent, 'response')) as [IncomingMessage];
    expect(headers['cross-origin-opener-policy']).toBe('same-origin');
  });

  it('serves files, and nothing outside of their directory', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'pubkeeper-http-'));
    later(() => rm(outside, { recursive: true }));
    await writeFile(join(outside, 'outside.html'), 'outside');
    const directory = join(outside, 'public');
    await mkdir(directory);
    await writeFile(join(directory, 'index.html'), '<h1>hello</h1>');
    const server = await start({ http: serveFiles(directory) });
    const page = await get(server.port, '/');
    expect(page).toMatchObject({ status: 200, body: '<h1>hello</h1>' });
    expect(page.headers['content-type']).toMatch('text/html');
    expect(page.headers['content-security-policy']).toBeDefined();
    for (const path of ['/none', '/../outside.html', '/%2e%2e/outside.html', '/..%2foutside', '/%2e%2e/%2e%2e/%2e%2e/etc/passwd', '/%', '/\\..\\outside.html']) {
      expect((await get(server.port, path)).status).toBe(404);
    }
    expect(() => serveFiles(join(directory, 'none'))).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    for (const wrong of [undefined, pathToFileURL(directory)]) {
      expect(() => serveFiles(wrong as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('fileURLToPath') as string }));
    }
  });

  it('answers 500 when a handler throws or rejects, and continues', async () => {
    const faults: unknown[] = [];
    const logger = { warn: () => undefined, error: (...data: unknown[]) => void faults.push(data) };
    const server = await start({
      logger,
      http: (request) => {
        if (request.url === '/later') return Promise.reject(new Error('boom'));
        throw new Error('boom');
      },
      allowOrigin: () => {
        throw new Error('boom');
      },
    });
    expect((await get(server.port, '/now')).status).toBe(500);
    expect((await get(server.port, '/later')).status).toBe(500);
    expect(await refusal(server.url, [], { origin: 'http://x' })).toMatchObject({ status: 500 });
    const handler = ['The handler of plain HTTP requests failed: boom', new Error('boom')];
    expect(faults).toEqual([handler, handler, ['A port of the server has a fault: boom', new Error('boom')]]);
    await connect(server);
  });
});
