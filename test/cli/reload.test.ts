import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tickets } from '../../src/server/tickets.js';
import { until } from '../server/harness.js';
import { encodeRelay, RawRelay, sha256 } from '../server/raw-client.js';
import { listen, pubkeeper, result, type Cli } from './harness.js';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'pubkeeper-reload-'))));
afterAll(() => rmSync(directory, { recursive: true }));

const ALL = [{ topic: '**', read: true, write: true }];
const file = (name: string, content: unknown): string => {
  const path = join(directory, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};
/** What a link leads to; undefined when it is gone. */
const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
};
const urlOf = async (server: Cli): Promise<string> => ((await server.says(/Serving at (\w+:[^\s"]+)/)) as unknown as [string, string])[1];

describe.concurrent('SIGHUP', () => {
  it('reads the token file again: closes clients of removed tokens, accepts new tokens, and ignores a malformed file', async () => {
    const tokens = file('tokens.json', { stays: ALL, goes: ALL });
    const server = pubkeeper(['serve', '--port', '0', '--tokens', tokens]);
    const url = await urlOf(server);
    const env = (token: string) => ({ env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: token } });
    const [stays, goes] = await Promise.all([listen('a', ['-n', '1', '--lines'], env('stays')), listen('a', [], env('goes'))]);

    file('tokens.json', '{ broken');
    server.kill('SIGHUP');
    await server.says(/Nothing has changed, because not all files could be read again: [^\n]+is not JSON\.\n/);
    expect(await result(['token', 'verify', '--tokens', tokens], { input: 'stays' })).toMatchObject({ code: 1 });
    // New clients are still checked against the tokens in use.
    expect(await result(['patron', 'b', '--timeout', '0.2'], env('goes'))).toMatchObject({ code: 124, stdout: '' });
    expect(goes.stderr.lines).toHaveLength(1);

    file('tokens.json', { stays: ALL, comes: ALL });
    server.kill('SIGHUP');
    await server.says(/were read again\.\n/);
    expect(await goes.exit).toBe(1);
    expect(await result(['brew', 'a', 'hello'], env('comes'))).toMatchObject({ code: 0 });
    expect(await stays.exit).toBe(0);
    // It kept its connection.
    expect(stays.stderr.all).not.toMatch(/reconnecting/);
    expect(server.stderr.all).not.toMatch(/stays"|goes|comes/);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it('changes nothing at a server that has no files to read again', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--token', 'x']);
    const url = await urlOf(server);
    server.kill('SIGHUP');
    await server.says(/SIGHUP: there are no files to read again\.\n/);
    await listen('a', [], { env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: 'x' } });
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it.skipIf(process.platform === 'win32')('during the start of a server has the files read again as soon as the server runs', async () => {
    const path = join(directory, 'tokens.fifo');
    execFileSync('mkfifo', [path]);
    const server = pubkeeper(['serve', '--port', '0', '--tokens', path]);
    // A FIFO opens when both ends do: from here on the server waits for the tokens.
    const first = await open(path, 'w');
    server.kill('SIGHUP');
    await first.writeFile(JSON.stringify({ early: ALL }));
    await first.close();
    const url = await urlOf(server);
    await writeFile(path, JSON.stringify({ late: ALL }));
    await server.says(/were read again\.\n/);
    await listen('a', [], { env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: 'late' } });
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it.skipIf(process.platform !== 'linux')('does not keep a server from ending that waits for somebody to write into a named pipe', async () => {
    const path = join(directory, 'once.fifo');
    execFileSync('mkfifo', [path]);
    const server = pubkeeper(['serve', '--port', '0', '--tokens', path]);
    await writeFile(path, JSON.stringify({ once: ALL }));
    const url = await urlOf(server);
    server.kill('SIGHUP');
    const fds = `/proc/${server.child.pid}/fd`;
    await until(() => readdirSync(fds).some((fd) => linkOf(join(fds, fd)) === path));
    // It still serves.
    await listen('a', [], { env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: 'once' } });
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  it('reads the ticket keys again: the relay accepts tickets of the first key, and of the old one while it is the second key', async () => {
    const [old, next] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const tokens = file('shared.json', { t: ALL });
    const keys = file('keys', `${old}\n`);
    const server = pubkeeper(['serve', '--port', '0', '--tokens', tokens, '--profile', 'secured', '--ticket-key-file', keys]);
    const url = await urlOf(server);
    const env = { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: 't' };
    const patron = await listen('a', ['-n', '2', '--lines'], { env });
    expect(await result(['brew', 'a', 'one'], { env })).toMatchObject({ code: 0 });
    file('keys', `${next}\n${old}\n`);
    server.kill('SIGHUP');
    await server.says(/were read again\.\n/);
    expect(await result(['brew', 'a', 'two'], { env })).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.lines).toEqual(['one', 'two']);
    /** Whether the relay accepts a ticket that another server has issued with this key: if so, it sends the last value. */
    const takes = async (key: string): Promise<boolean> => {
      const relay = await RawRelay.open(url.replace(/ws$/, 'brew'));
      const ticket = new Tickets([Buffer.from(key, 'hex')]).issue({ operation: 'join', topicHash: sha256('a') }, Date.now() / 1000 + 60);
      relay.socket.send(encodeRelay(0, 'a', ticket));
      await relay.settled();
      const has = relay.inbox.waiting.length > 0;
      await relay.close();
      return has;
    };
    expect(await Promise.all([next, old, randomBytes(32).toString('hex')].map(takes))).toEqual([true, true, false]);
    file('keys', `${next}\n`);
    server.kill('SIGHUP');
    await server.says(/were read again\.\n[^]*were read again\.\n/);
    expect(await Promise.all([next, old].map(takes))).toEqual([true, false]);
    file('keys', 'SECRET-KEY\n');
    server.kill('SIGHUP');
    await server.says(/must hold one or two lines of 64 hex digits/);
    expect(server.stderr.all).not.toMatch(/SECRET/);
  });

  it('reads the certificate again for new connections, and keeps the present one if the files are malformed', async () => {
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const make = (name: string): void =>
      void execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const shown = async (port: number): Promise<unknown> => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return subject.CN;
    };
    make('before.example');
    const server = pubkeeper(['serve', '--port', '0', '--tokens', file('tls.json', { t: ALL }), '--tls-cert', cert, '--tls-key', key]);
    const port = Number(new URL(await urlOf(server)).port);
    expect(await shown(port)).toBe('before.example');
    make('after.example');
    server.kill('SIGHUP');
    await server.says(/were read again\.\n/);
    expect(await shown(port)).toBe('after.example');
    file('key.pem', 'nonsense');
    server.kill('SIGHUP');
    await server.says(/Nothing has changed[^\n]+certificate and the private key that belongs to it/);
    expect(await shown(port)).toBe('after.example');
  });
});

it.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGINT'] as const)('%s ends a server at once while it waits for NATS', async (signal) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const server = pubkeeper(['serve', '--port', '0', '--token', 't', '--cluster', `nats://127.0.0.1:${(silent.address() as AddressInfo).port}`]);
  await once(silent, 'connection');
  server.kill(signal);
  expect(await server.exit).toBe(signal);
  expect(server.stderr.all).toBe('');
  silent.close();
});

describe.concurrent('logs', () => {
  const text = async (args: string[]): Promise<string> => {
    const server = pubkeeper(['serve', '--port', '0', '--json', '--tokens', file('log.json', { 'log-token': ALL }), ...args]);
    await server.prints(/\n/);
    const { url } = JSON.parse(server.stdout.all) as { url: string };
    expect(await result(['patron', 'a', '--server', url, '--token', 'wrong-token'])).toMatchObject({ code: 1 });
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stderr.all).not.toMatch(/wrong-token|log-token/);
    return server.stderr.all;
  };

  it('are lines of JSON with --log-format json', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--log-format', 'json', '--tokens', file('json.json', { t: ALL })]);
    const url = await urlOf(server);
    await result(['patron', 'a', '--server', url, '--token', 'wrong']);
    await server.says(/was refused/);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    const entries = server.stderr.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries.map(({ level }) => level)).toEqual(expect.arrayContaining(['info', 'warn']));
    expect(entries.slice(-2)).toMatchObject([{ level: 'info', message: 'Shutting down.' }, { level: 'info', message: 'Shut down.' }]);
    expect(server.stdout.all).toBe('');
  });

  it('contain only messages of --log-level or more severe ones', async () => {
    expect(await text([])).toMatch(/^pubkeeper: A token from [^\n]+ was refused\.\n/);
    expect(await text(['--log-level', 'warn'])).toMatch(/was refused/);
    expect(await text(['--log-level', 'error'])).toBe('');
    expect(await text(['--log-level', 'error', '--log-format', 'json'])).toBe('');
  });
});

it('serve enforces a limit that is given by a flag', async () => {
  const server = pubkeeper(['serve', '--port', '0', '--tokens', file('limits.json', { t: ALL }), '--topic-length', '5', '--log-level', 'error', '--metrics']);
  await server.says(/Serving at/);
  const refused = await result(['patron', 'too.long', '--server', await urlOf(server), '--token', 't']);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/at most 5 characters/);
});

it('serve has /metrics on loopback, and not with --no-metrics', async () => {
  for (const [flags, status] of [[[], 200], [['--no-metrics'], 404]] as const) {
    const server = pubkeeper(['serve', '--port', '0', '--tokens', file('metrics.json', { t: ALL }), ...flags]);
    await server.says(/Serving at/);
    const url = new URL('/metrics', (await urlOf(server)).replace(/^ws/, 'http'));
    expect((await fetch(url)).status).toBe(status);
  }
});
