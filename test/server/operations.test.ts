import { X509Certificate, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { CloseCode, createServer, jsonLogger } from '../../src/server/index.js';
import type { ReloadOptions, ServerOptions, TokenTable } from '../../src/server/index.js';
import { PubkeeperError } from '../../src/core/errors.js';
import type { TlsFiles } from '../../src/server/listener.js';
import { Tickets } from '../../src/server/tickets.js';
import { certificate } from '../brews/processes.js';
import { connect, joinRelay, later, start, until } from './harness.js';
import { sparing } from '../../src/server/log.js';
import { RawControl, encodeRelay, newId, refusal, sha256 } from './raw-client.js';

const get = async (port: number, path: string): Promise<{ status: number; type: string | null; body: string }> => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() };
};

const ALL = [{ topic: '**', read: true, write: true }];

describe('/metrics', () => {
  it('has every count of stats() in the text format of Prometheus', async () => {
    const server = await start();
    const client = await connect(server);
    client.send(20, { topic: 'a', patron_id: newId(), brews: [] });
    client.send(50, {});
    await client.settled();
    const { status, type, body } = await get(server.port, '/metrics');
    expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    expect(body).toContain('# TYPE pubkeeper_patrons gauge\npubkeeper_patrons 1\n');
    expect(body).toContain('# TYPE pubkeeper_published_total counter\npubkeeper_published_total 0\n');
    expect(body).toContain('pubkeeper_drops_total{reason="control-unknown"} 1\n');
    // Without a first 0, an alarm on its increase would miss the first drop.
    expect(body).toContain('pubkeeper_drops_total{reason="slow-reader"} 0\n');
    // Each line is a comment or `name{labels} value`, and each count has its line.
    for (const line of body.trimEnd().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) pubkeeper_\w+ .+|pubkeeper_\w+(\{reason="[\w-]+"\})? \d+)$/);
    expect(body.match(/^# TYPE/gm)).toHaveLength(Object.keys(server.stats()).length);
  });

  it('is public only when asked for', async () => {
    const options: ServerOptions = { host: '0.0.0.0', tokens: { t: ALL } };
    const [closed, open] = [await start(options), await start({ ...options, metrics: true })];
    expect((await get(closed.port, '/metrics')).status).toBe(404);
    expect((await get(open.port, '/metrics')).status).toBe(200);
  });
});

it('an offer of another upgrade than WebSocket is ignored, and the request answered', async () => {
  const server = await start({ relayPort: 0 });
  for (const [url, status] of [[server.url, 200], [server.relayUrl, 426]] as const) {
    const headers = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA' };
    const request = httpGet(new URL('/healthz', url.replace('ws:', 'http:')), { headers });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    expect([answer.statusCode, answer.headers.connection]).toEqual([status, status === 200 ? 'close' : 'Upgrade']);
    expect(await text(answer)).toMatch(status === 200 ? /^ok\n$/ : /^This port is for WebSockets/);
  }
});

it('a connection that offered another upgrade is cut after its answer if the other end does not close it', async () => {
  const server = await start({ limits: { connectionsPerAddress: 1 } });
  const halfOpen = connectTcp({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  later(async () => void halfOpen.destroy());
  halfOpen.resume();
  halfOpen.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  await once(halfOpen, 'end');
  // The connection no longer counts for the limit of this address.
  for (let status = 0; status !== 200; ) ({ status } = await fetch(`http://127.0.0.1:${server.port}/healthz`).catch(() => ({ status: 0 })));
});

describe('close', () => {
  it('drains: /readyz says so, new clients are refused, present ones stay, and then all are closed with 1001', async () => {
    const server = await createServer({ port: 0 });
    later(() => server.close());
    expect(await get(server.port, '/readyz')).toMatchObject({ status: 200, body: 'ok\n' });
    const [client, relay] = [await connect(server), await joinRelay(server)];
    const drained = server.close({ drainMs: 60_000 });
    expect((await get(server.port, '/readyz')).status).toBe(503);
    expect((await get(server.port, '/healthz')).status).toBe(200);
    expect((await refusal(server.url)).status).toBe(503);
    const patron_id = newId();
    client.send(20, { topic: 'a', patron_id, brews: [] });
    expect(await client.expect(12)).toEqual({ patron_id, brewers: [] });
    // Without drainMs it closes at once.
    await server.close();
    expect((await client.closed).code).toBe(CloseCode.GOING_AWAY);
    expect((await relay.closed).code).toBe(CloseCode.GOING_AWAY);
    // And the first call does not wait for its minute.
    await drained;
  });

  it('ends when drainMs is over', async () => {
    const server = await createServer({ port: 0 });
    const client = await connect(server);
    await server.close({ drainMs: 20 });
    expect((await client.closed).code).toBe(CloseCode.GOING_AWAY);
  });
});

describe('reload', () => {
  const table: TokenTable = { kept: ALL, changed: ALL, revoked: ALL };

  it('keeps clients with unchanged rights, closes those with revoked tokens, and makes those with changed rights reconnect', async () => {
    const server = await start({ tokens: table });
    const clients = Object.fromEntries(await Promise.all(Object.keys(table).map(async (token) => [token, await connect(server, { token })] as const)));
    const patron_id = newId();
    clients['kept']!.send(20, { topic: 'a', patron_id, brews: [] });
    await clients['kept']!.expect(12);
    server.reload({ tokens: { kept: ALL, changed: [{ topic: 'a', read: true }], fresh: ALL } });
    expect(await clients['revoked']!.expect(2)).toEqual({ authenticated: false });
    const told = await clients['revoked']!.expect(99);
    expect(told).toMatchObject({ code: 'UNAUTHORIZED' });
    expect((await clients['revoked']!.closed).code).toBe(CloseCode.UNAUTHORIZED);
    const { code, reason } = await clients['changed']!.closed;
    expect(code).toBe(CloseCode.TOKEN_EXPIRED);
    expect(reason).not.toMatch(/changed:? ?a/);
    clients['kept']!.send(60, {});
    await clients['kept']!.expect(60);
    await until(() => server.stats().clients === 1);
    expect(server.stats()).toMatchObject({ patrons: 1, drops: { unauthorized: 1, expired: 1 } });
    const there = [clients['kept']!, await connect(server, { token: 'fresh' }), await connect(server, { token: 'changed' })];
    await expect(connect(server, { token: 'revoked' })).rejects.toThrow('refused the token');
    // The second time nothing has changed.
    server.reload({ tokens: { kept: ALL, changed: [{ topic: 'a', read: true }], fresh: ALL } });
    for (const client of there) {
      client.send(60, {});
      await client.expect(60);
    }
    expect(server.stats()).toMatchObject({ clients: 3, drops: { unauthorized: 2, expired: 1 } });
  });

  it('changes nothing when the new options are invalid', async () => {
    const server = await start({ tokens: table });
    await connect(server, { token: 'kept' });
    expect(() => server.reload({ tokens: {} })).toThrow(PubkeeperError);
    // A misspelt option must not pass for a revocation that revokes nothing.
    expect(() => server.reload({ token: { kept: ALL } } as ReloadOptions)).toThrow(/no option "token" of reload\(\)/);
    expect(() => server.reload(undefined as unknown as ReloadOptions)).toThrow(PubkeeperError);
    await connect(server, { token: 'revoked' });
    expect(server.stats().clients).toBe(2);
  });

  it('replaces ticket keys, refuses them in the profile open, and changes nothing when they are invalid', async () => {
    const [old, next] = [randomBytes(32), randomBytes(32)];
    const server = await start({ profile: 'secured', ticketKeys: [old], ticketSeconds: 60 });
    const hash = sha256('a');
    const joined = async (key: Uint8Array): Promise<boolean> => {
      const relay = await joinRelay(server);
      const ticket = new Tickets([key]).issue({ operation: 'join', topicHash: hash }, Date.now() / 1000 + 30);
      const before = server.stats().topics;
      relay.socket.send(encodeRelay(0, 'a', ticket));
      await relay.settled();
      const is = server.stats().topics > before;
      await relay.close();
      await until(() => server.stats().relayConnections === 0);
      return is;
    };
    expect([await joined(old), await joined(next)]).toEqual([true, false]);
    server.reload({ ticketKeys: [next, old] });
    expect([await joined(old), await joined(next)]).toEqual([true, true]);
    server.reload({ ticketKeys: [next] });
    expect([await joined(old), await joined(next)]).toEqual([false, true]);
    for (const ticketKeys of [[], [randomBytes(31)], [old, randomBytes(31)], [old, next, old]]) expect(() => server.reload({ ticketKeys })).toThrow(PubkeeperError);
    expect([await joined(old), await joined(next)]).toEqual([false, true]);
    const open = await start();
    expect(() => open.reload({ ticketKeys: [old] })).toThrow(/profile "open"/);
    expect(() => open.reload({ tls: { cert: '', key: '' } })).toThrow(/does not speak TLS/);
  });

  it('replaces the certificate of each port, also from views into a larger buffer, and refuses one with the key of another', async () => {
    const made = [certificate(), certificate()];
    for (const { remove } of made) later(async () => remove());
    const read = (path: string): Uint8Array => Buffer.concat([Buffer.from('nonsense'), readFileSync(path)]).subarray(8);
    const [first, second] = made.map(({ cert, key }) => ({ cert: read(cert), key: read(key) })) as [TlsFiles, TlsFiles];
    const server = await start({ relayPort: 0, tls: first });
    const shown = async (url: string): Promise<string> => {
      const socket = connectTls({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const all = (): Promise<string[]> => Promise.all([server.url, server.relayUrl].map(shown));
    const [one, two] = [first, second].map(({ cert }) => new X509Certificate(cert).fingerprint256) as [string, string];
    expect(await all()).toEqual([one, one]);
    expect(() => server.reload({ tls: { cert: second.cert, key: first.key } })).toThrow(/the private key that belongs to it/);
    // OpenSSL takes what is empty, and then no handshake succeeds.
    for (const empty of [{ cert: second.cert, key: '' }, { cert: new Uint8Array(0), key: second.key }, { cert: '', key: '' }]) {
      expect(() => server.reload({ tls: empty })).toThrow(/the private key that belongs to it/);
      await expect(start({ tls: empty })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
    expect(await all()).toEqual([one, one]);
    server.reload({ tls: second });
    expect(await all()).toEqual([two, two]);
  });

  it('applies to a token that is being checked', async () => {
    let admit: (() => void) | undefined;
    const rights = { mayRead: () => true, mayWrite: () => true };
    const server = await start({ tokens: { authenticate: () => new Promise((resolve) => (admit = () => resolve(rights))) } });
    const client = await RawControl.open(server.url);
    client.send(1, { token: 'x' });
    await client.settled();
    server.reload({ tokens: { other: ALL } });
    admit?.();
    expect((await client.closed).code).toBe(CloseCode.UNAUTHORIZED);
    await until(() => server.stats().clients === 0);
  });
});

describe('jsonLogger', () => {
  it('writes a line of JSON for each entry of its level and above', () => {
    const lines: string[] = [];
    const logger = jsonLogger('warn', (line) => void lines.push(line));
    logger.debug('not told');
    logger.warn('a "word"\nand another');
    logger.error('It failed.', new PubkeeperError('TIMEOUT', 'Too slow.', {}, new Error('below')));
    logger.error(new Error('alone'));
    expect(lines.every((line) => line.endsWith('\n') && !line.slice(0, -1).includes('\n'))).toBe(true);
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries).toMatchObject([
      { level: 'warn', message: 'a "word"\nand another' },
      { level: 'error', message: 'It failed.', error: { code: 'TIMEOUT', message: 'Too slow.', cause: { message: 'below' } } },
      { level: 'error', message: 'alone' },
    ]);
    expect(Number.isNaN(Date.parse(String(entries[0]!['time'])))).toBe(false);
  });

  it('refuses an unknown level', () => {
    expect(() => jsonLogger('warning' as never)).toThrow('A log level is one of debug, info, warn, error, not "warning".');
  });

  it('does not get a line for each stranger, however many come', async () => {
    const lines: string[] = [];
    const server = await start({ logger: jsonLogger('warn', (line) => void lines.push(line)) });
    // One at a time, so that all earlier ones are logged already.
    for (let i = 0; i < 150; i++) await refusal(server.url, ['nonsense']);
    expect(server.stats().drops).toEqual({ handshake: 150 });
    expect(lines.length).toBeGreaterThanOrEqual(100);
    expect(lines.length).toBeLessThan(150);
  });

  it('is told how many lines were left out', () => {
    let now = 0;
    const lines: unknown[][] = [];
    const note = (level: string) => (...data: unknown[]) => void lines.push([level, ...data]);
    const logger = sparing({ warn: note('warn'), error: note('error'), debug: note('debug') }, () => now);
    for (let i = 0; i < 300; i++) logger.warn('one more');
    logger.error('a fault', new Error('why'));
    logger.debug?.('an oddity');
    expect(lines.filter(([level]) => level === 'warn').length).toBeLessThanOrEqual(101);
    expect(lines.slice(-2)).toEqual([['error', 'a fault', new Error('why')], ['debug', 'an oddity']]);
    const before = lines.length;
    now = 10_000;
    logger.warn('the next');
    logger.warn('the last');
    expect(lines.slice(before)).toEqual([['warn', expect.stringMatching(/^(199|200) lines were left out before this one/)], ['warn', 'the next'], ['warn', 'the last']]);
  });

  it('is never given a token by the server', async () => {
    const lines: string[] = [];
    const token = 'a-secret-that-nobody-may-see';
    const server = await start({ tokens: { [token]: ALL }, logger: jsonLogger('debug', (line) => void lines.push(line)) });
    await connect(server, { token });
    const stranger = await RawControl.open(server.url);
    stranger.send(1, { token: 'another-secret' });
    await stranger.closed;
    await refusal(`${server.url}?token=${token}`, ['nonsense']);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.join('')).not.toMatch(/secret/);
  });
});
