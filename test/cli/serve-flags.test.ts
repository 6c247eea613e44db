import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { certificate } from '../brews/processes.js';
import { FaultProxy } from '../faults/proxy.js';
import { freePort } from '../free-port.js';
import { NATS, startNats } from '../server/cluster/nats.js';
import { RawControl, refusal } from '../server/raw-client.js';
import { type Cli, listen, pubkeeper, result, serve, TOKEN } from './harness.js';

// What the flags of `serve` do at a server that runs: that they are accepted is in `usage.test.ts`.

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'pubkeeper-flags-'))));
afterAll(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const urlOf = async (server: Cli): Promise<string> => ((await server.says(/Serving at (\w+:[^\s"]+)/)) as unknown as [string, string])[1];
const envOf = (url: string, token = TOKEN) => ({ env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: token } });

describe.concurrent('pubkeeper serve', () => {
  it('tells its page the generated token and the longest message, and prints the address of a relay port', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--relay-port', '0', '--max-message-bytes', '2048']);
    const [, token] = await server.says(/Token, made for this run: (\S+)\n/);
    const url = await urlOf(server);
    const page = await fetch(url.replace(/^ws(.*)\/ws$/, 'http$1/dashboard.json'));
    expect(await page.json()).toEqual({ server: url, maxMessageBytes: 2048, token });
    const [, relay] = await server.says(/Relay also at (ws:\S+)\n/);
    expect(new URL(relay!).port).not.toBe(new URL(url).port);
    expect((await fetch(relay!.replace('ws', 'http'))).status).toBe(426);
  });

  it('says nothing of a relay port without --relay-port', async () => {
    const server = pubkeeper(['serve', '--port', '0']);
    await server.says(/Token, made/);
    expect(server.stderr.all).not.toContain('Relay');
  });

  it('accepts pages of --origin and no others', async () => {
    const { url } = await serve({ args: ['--token', TOKEN, '--origin', 'https://a.example', '--origin', 'https://b.example'] });
    for (const origin of ['https://a.example', 'https://b.example']) await (await RawControl.open(url, '1.1', { origin })).close();
    expect(await refusal(url, ['pubkeeper-1.1'], { origin: 'https://c.example' })).toMatchObject({ status: 403 });
  });

  it('gives tickets for a relay that is reached at --relay-address', async () => {
    let port = 0;
    const mapped = await FaultProxy.listen(() => port);
    const address = `127.0.0.1:${mapped.port}`;
    const server = await serve({ args: ['--token', TOKEN, '--profile', 'secured', '--relay-address', address, '--hold-ms', '60000'] });
    port = server.port;
    const patron = await listen('mapped', ['-n', '1', '--lines'], server);
    expect(await result(['brew', 'mapped', 'through', '--brew', `websocket=ws://${address}`], server)).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.all).toBe('through\n');
    await mapped.close();
  });

  it('refuses new connections while it drains, for as long as --drain-ms says, and a second signal ends that', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--token', TOKEN, '--drain-ms', '3600000', '--log-format', 'json']);
    const env = envOf(await urlOf(server));
    const patron = await listen('drained', ['--lines'], env);
    const brewing = pubkeeper(['brew', 'drained', '--lines'], env);
    brewing.child.stdin!.write('one\n');
    await patron.prints(/^one\n/);
    server.kill('SIGTERM');
    await server.says(/Shutting down: new connections are refused, and those that are left are closed after 3600000 ms\./);
    expect(await result(['patron', 'drained', '--timeout', '30'], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('503') as string });
    brewing.child.stdin!.write('two\n');
    await patron.prints(/^one\ntwo\n/);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(143);
  });

  it('closes the connections that are left when --drain-ms is over', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--token', TOKEN, '--drain-ms', '1']);
    const patron = await listen('drained', [], envOf(await urlOf(server)));
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    await patron.says(/was lost; reconnecting/);
  });

  it('logs details with --verbose and with --log-level debug, alone or together, and not without', async () => {
    const details = async (...flags: string[]): Promise<boolean> => {
      const server = pubkeeper(['serve', '--port', '0', '--token', TOKEN, ...flags]);
      const client = await RawControl.open(await urlOf(server));
      client.send(1, { token: TOKEN });
      await client.expect(2);
      client.send(99, { message: 'a detail' });
      await client.settled();
      server.kill('SIGTERM');
      await server.exit;
      return server.stderr.all.includes('a detail');
    };
    const told = await Promise.all([details(), details('--verbose'), details('--log-level', 'debug'), details('--verbose', '--log-level', 'debug')]);
    expect(told).toEqual([false, true, true, true]);
  });

  it('keeps a generated token out of a JSON log, and prints it on stdout with --json', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--json', '--log-format', 'json']);
    const [, token] = await server.prints(/"token":"([\w-]{43})"/);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stderr.all).toContain('Shut down.');
    expect(server.stderr.all).not.toContain(token);
  });

  it('needs --profile secured for --ticket-key-file, except at an address where that is the default', async () => {
    const keys = ['--ticket-key-file', file('keys', randomBytes(32).toString('hex')), '--token', TOKEN];
    const open: string[][] = [[], ['--profile', 'open'], ['--host', '0.0.0.0', '--profile', 'open']];
    for (const flags of open) {
      const { code, stderr } = await result(['serve', '--port', '0', ...keys, ...flags]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: 'pubkeeper: --ticket-key-file is for --profile secured: in the profile open there are no tickets.\n' });
    }
    await Promise.all([['--profile', 'secured'], ['--host', '0.0.0.0']].map((flags) => serve({ args: [...keys, ...flags] })));
  });

  it('does not accept the token of the environment when --token, --tokens or a key says who may connect', async () => {
    const key = randomBytes(32).toString('hex');
    const ways: string[][] = [
      ['--token', TOKEN],
      ['--tokens', file('other.json', JSON.stringify({ [TOKEN]: [] }))],
      ['--jwt-key-file', file('secret', key), '--jwt-issuer', 'me', '--jwt-audience', 'it', '--jwt-algorithms', 'HS256'],
    ];
    for (const flags of ways) {
      const server = pubkeeper(['serve', '--port', '0', ...flags], { env: { PUBKEEPER_TOKEN: 'of-the-environment' } });
      const refused = await result(['patron', 'a', '--timeout', '30'], envOf(await urlOf(server), 'of-the-environment'));
      expect(refused, flags[0]).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not accept this token/) as string });
    }
  });

  it.skipIf(process.platform === 'win32')('reads the key of signed tokens again at SIGHUP, also where that is its only file', async () => {
    const claims = ['--jwt-issuer', 'me', '--jwt-audience', 'it', '--jwt-algorithms', 'ES256'];
    const [old, next] = [0, 1].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
    const path = (key: KeyObject): string => file('public.pem', key.export({ type: 'spki', format: 'pem' }).toString());
    const signed = (key: KeyObject): Promise<string> =>
      new SignJWT({ rights: [{ topic: 'a', read: true }] }).setProtectedHeader({ alg: 'ES256' }).setIssuer('me').setAudience('it').setExpirationTime('1h').sign(key);
    const server = pubkeeper(['serve', '--port', '0', '--jwt-key-file', path(old!.publicKey), ...claims]);
    const url = await urlOf(server);
    const patron = await listen('a', [], envOf(url, await signed(old!.privateKey)));
    path(next!.publicKey);
    server.kill('SIGHUP');
    await server.says(/were read again\.\n/);
    expect(await patron.exit).toBe(1);
    await listen('a', [], envOf(url, await signed(next!.privateKey)));
  });

  it.skipIf(process.platform === 'win32')('reads its certificate again at SIGHUP, also where that and the key are its only files', async ({ onTestFinished }) => {
    const { cert, key, remove } = certificate();
    onTestFinished(remove);
    const server = pubkeeper(['serve', '--port', '0', '--token', TOKEN, '--tls-cert', cert, '--tls-key', key]);
    await urlOf(server);
    server.kill('SIGHUP');
    await server.says(/were read again\.\n/);
  });
});

describe.skipIf(!NATS)('pubkeeper serve --cluster', () => {
  it.each([
    ['a name and a password', 'users: [{ user: "me", password: "right" }]', { PUBKEEPER_CLUSTER_USER: 'me', PUBKEEPER_CLUSTER_PASSWORD: 'right' }],
    ['a token', 'token: "right"', { PUBKEEPER_CLUSTER_TOKEN: 'right' }],
  ])('takes %s for NATS from the environment', async (_what, authorization, env) => {
    const nats = await startNats({ config: `authorization { ${authorization} }` });
    onTestFinished(() => nats.kill());
    const start = (more: Record<string, string>): Cli => pubkeeper(['serve', '--port', '0', '--token', TOKEN, '--cluster', nats.url], { env: more });
    const server = start(env);
    await server.says(/Serving at/);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    const stranger = start({});
    expect(await stranger.exit).toBe(1);
    expect(stranger.stderr.all).not.toMatch(/right/);
  });

  it('reads --cluster-credentials before anything else, and says which file it cannot read', async () => {
    const path = join(directory, 'none.creds');
    const { code, stderr } = await result(['serve', '--port', '0', '--token', TOKEN, '--cluster', `nats://127.0.0.1:${await freePort()}`, '--cluster-credentials', path]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `pubkeeper: The file ${JSON.stringify(path)} cannot be read (ENOENT): check its name and its rights.\n` });
  });
});
