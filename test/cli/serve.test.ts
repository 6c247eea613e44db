import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listen, pubkeeper, result, serve, TOKEN, type Served } from './harness.js';

let directory: string;
let shared: Served;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pubkeeper-cli-'));
  shared = await serve();
});

afterAll(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

describe.concurrent('pubkeeper serve', () => {
  it('prints its address and, once, the token that it made on stderr, and clients connect with these', async () => {
    const server = pubkeeper(['serve', '--port', '0']);
    const [, token] = (await server.says(/Token, made for this run: (\S+)\n/)) as unknown as [string, string];
    const [, url] = (await server.says(/Serving at (ws:\S+\/ws)\n/)) as unknown as [string, string];
    const patron = await listen('demo.**', ['--token', token], { env: { PUBKEEPER_SERVER: url } });
    expect(await result(['brew', 'demo.x', 'hello', '--token', token, '--server', url])).toEqual({ code: 0, stdout: '', stderr: '' });
    await patron.prints(/^demo\.x {2}\d\d:\d\d:\d\d\.\d\d\d {2}hello\n$/);
    patron.kill('SIGINT');
    expect(await patron.exit).toBe(0);

    server.kill('SIGINT');
    expect(await server.exit).toBe(0);
    expect(server.stdout.all).toBe('');
    expect(server.stderr.all.split(token)).toHaveLength(2);
    expect(server.stderr.all).toMatch(/^(pubkeeper: [^\n]+\n)+$/);
  });

  it('prints its addresses and its token as JSON on stdout with --json, and nothing on stderr', async () => {
    const server = pubkeeper(['serve', '--port', '0', '--relay-port', '0', '--json']);
    await server.prints(/\n/);
    const told = JSON.parse(server.stdout.all) as Record<string, unknown>;
    expect(told).toEqual({
      url: `ws://127.0.0.1:${String(told['port'])}/ws`,
      relayUrl: expect.stringMatching(/^ws:\/\/127\.0\.0\.1:\d+\/$/) as string,
      port: expect.any(Number) as number,
      token: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    expect((await fetch(String(told['relayUrl']).replace('ws:', 'http:'))).status).toBe(426);
    server.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    expect(server.stdout.lines).toHaveLength(1);
    expect(server.stderr.all).toBe('');
  });

  it('never prints a token that it was given, or that it refused', async () => {
    const path = file('tokens.json', '{"from-the-file": []}');
    const server = pubkeeper(['serve', '--port', '0', '--verbose', '--token', 'plain-one', '--token', 'limited-one=read:a', '--tokens', path]);
    const [, url] = (await server.says(/Serving at (\S+)\n/)) as unknown as [string, string];
    expect(await result(['patron', 'a', '--server', url, '--token', 'wrong-one'])).toMatchObject({ code: 1 });
    await server.says(/refused/);
    server.kill('SIGINT');
    await server.exit;
    expect(server.stdout.all + server.stderr.all).not.toMatch(/(plain|limited|wrong)-one|from-the-file|Token, made/);
  });

  it('accepts the token of the environment, with all rights', async () => {
    const server = pubkeeper(['serve', '--port', '0'], { env: { PUBKEEPER_TOKEN: 'a=b' } });
    const [, url] = (await server.says(/Serving at (\S+)\n/)) as unknown as [string, string];
    const env = { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: 'a=b' };
    const patron = await listen('x', ['-n', '1'], { env });
    expect(await result(['brew', 'x', 'y'], { env })).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    expect(server.stderr.all).not.toContain('a=b');
  });

  it('gives tokens of flags and of a file the rights that are written there', async () => {
    const path = file('rights.json', JSON.stringify({ all: [{ topic: '**', read: true, write: true }] }));
    const server = await serve({ args: ['--token', 'r=read:plant.*', '--token', 'w=write:plant.1', '--tokens', path] });
    const as = (token: string): { env: Record<string, string> } => ({ env: { PUBKEEPER_SERVER: server.url, PUBKEEPER_TOKEN: token } });
    const reader = await listen('**', ['--json'], as('r'));
    const other = await listen('**', ['--json'], as('all'));

    const refused = await result(['brew', 'plant.1', 'x'], as('r'));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^pubkeeper: This token may not write "plant\.1"[^\n]*\n$/);
    expect(await result(['brew', 'plant.2', 'x'], as('w'))).toMatchObject({ code: 1 });

    expect(await result(['brew', 'secret.1', 'only for all'], as('all'))).toMatchObject({ code: 0 });
    await other.prints(/only for all/);
    expect(await result(['brew', 'plant.1', 'for both'], as('w'))).toMatchObject({ code: 0 });
    await Promise.all([other.prints(/for both/), reader.prints(/for both/)]);
    expect(reader.stdout.lines).toHaveLength(1);
  });
});

it('pubkeeper serve --profile secured delivers messages between matched clients', async () => {
  const server = await serve({ args: ['--token', TOKEN, '--profile', 'secured'] });
  const env = { PUBKEEPER_SERVER: server.url, PUBKEEPER_TOKEN: TOKEN };
  const patron = await listen('demo.**', ['-n', '1'], { env });
  expect(await result(['brew', 'demo.x', 'granted'], { env })).toMatchObject({ code: 0 });
  await patron.prints(/granted/);
  expect(await patron.exit).toBe(0);
});

describe.concurrent('pubkeeper serve refuses', () => {
  it.each([
    ['a port in use', () => ['--port', String(shared.port)], /Port \d+ on 127\.0\.0\.1 is in use/],
    ['a relay port in use', () => ['--port', '0', '--relay-port', String(shared.port)], /Port \d+ on 127\.0\.0\.1 is in use/],
    ['a missing token file', () => ['--port', '0', '--tokens', join(directory, 'none.json')], /none\.json" does not exist/],
    ['a token file that is not JSON', () => ['--port', '0', '--tokens', file('a.json', '{"secret-token": [}')], /a\.json" is not JSON/],
    ['a token file of another shape', () => ['--port', '0', '--tokens', file('b.json', '["secret-token"]')], /must be an object/],
    ['a token file with a wrong right', () => ['--port', '0', '--tokens', file('c.json', '{"secret-token": [{"topic": "a..b"}]}')], /must have a topic pattern, such as "plant\.\*\*"/],
    ['a missing certificate', () => ['--port', '0', '--tls-cert', join(directory, 'no.pem'), '--tls-key', join(directory, 'no.key')], /no\.pem" cannot be read \(ENOENT\)/],
    ['an address that it cannot have', () => ['--port', '0', '--host', '192.0.2.1', '--token', 'secret-token'], /cannot listen on "192\.0\.2\.1"/],
  ])('%s with one sentence and exit code 1', async (_what, args, sentence) => {
    const { code, stdout, stderr } = await result(['serve', ...args()]);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^pubkeeper: [^\n]+\n$/);
    expect(stderr).not.toContain('secret-token');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });

  it.each([
    ['an origin that is none', ['--origin', 'app.example'], /The origin must be/],
    ['a certificate without its key', ['--tls-cert', 'cert.pem'], /--tls-cert and --tls-key go together/],
    ['an unknown profile', ['--profile', 'closed'], /Allowed choices are open, secured/],
  ])('%s with exit code 2', async (_what, args, sentence) => {
    const { code, stderr } = await result(['serve', '--port', '0', ...args]);
    expect(stderr).toMatch(sentence);
    expect(code).toBe(2);
  });

  it('to listen on an outside address without a token', async () => {
    const { code, stderr } = await result(['serve', '--port', '0', '--host', '0.0.0.0']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pubkeeper: A server on "0\.0\.0\.0" can be reached from outside[^\n]+\n$/);
    const server = await serve({ args: ['--host', '0.0.0.0', '--token', TOKEN] });
    expect(server.url).toBe(`ws://127.0.0.1:${server.port}/ws`);
  });
});
