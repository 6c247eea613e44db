import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import { Cli, listen, MAIN, pubkeeper, result, serve, TOKEN, type Served } from './harness.js';

let directory: string;
let server: Served;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pubkeeper-cli-'));
  // As in `stream.test.ts`: with the default `holdMs`, a slow patron would miss messages that are brewed before it has joined the relay.
  server = await serve({ args: ['--token', TOKEN, '--hold-ms', '60000'] });
});

afterAll(() => rmSync(directory, { recursive: true }));

const sent = { code: 0, stdout: '', stderr: '' };
const brew = (args: readonly string[], input?: string | Uint8Array): ReturnType<typeof result> =>
  result(['brew', ...args], { env: server.env, ...(input !== undefined && { input }) });
const allSent = async (...brews: ReturnType<typeof brew>[]): Promise<void> =>
  expect(await Promise.all(brews)).toEqual(brews.map(() => sent));

describe.concurrent('patron prints messages', () => {
  it('as topic, time and data, one line a message, without colours in a pipe', async () => {
    const patron = await listen('show.**', ['-n', '4'], server);
    await allSent(
      brew(['show.a', 'hello world']),
      brew(['show.__proto__.constructor'], 'from stdin\n'),
      brew(['show.b', '--cipher', 'aes-cbc'], Uint8Array.of(0xff, 0)),
      brew(['show.c', '--cipher', 'none', '--', '--dash']),
    );
    expect(await patron.exit).toBe(0);
    const [proto, a, b, c] = patron.stdout.lines.sort();
    expect(a).toMatch(/^show\.a {2}\d\d:\d\d:\d\d\.\d\d\d {2}hello world$/);
    expect(proto).toMatch(/^show\.__proto__\.constructor {2}\S+ {2}"from stdin\\n"$/);
    expect(b).toMatch(/^show\.b {2}\S+ {2}base64:\/wA=$/);
    expect(c).toMatch(/^show\.c {2}\S+ {2}--dash$/);
    expect(patron.stderr.all).toBe(`pubkeeper: Listening for show.** at ${server.url}\n`);
  });

  it('as JSON with --json', async () => {
    const patron = await listen('json.*', ['--json', '--count', '4'], server);
    // A message that is brewed before the patron has joined comes as a last value: once the patron has the first one, it has joined.
    await using client = new PubkeeperClient({ server: server.url, token: server.env['PUBKEEPER_TOKEN']! });
    const first = client.addBrewer('json.x');
    await client.connect();
    await expect.poll(() => first.isMatched, { timeout: 10_000 }).toBe(true);
    await first.brewText('first');
    await expect.poll(() => patron.stdout.lines.length, { timeout: 10_000 }).toBe(1);
    const before = Date.now();
    await allSent(
      brew(['json.x', ' { "__proto__" : 12345678901234567890 } ', '--json']),
      brew(['json.y', '--cipher', 'aes-cbc'], Uint8Array.of(0xff)),
      brew(['json.z'], ''),
    );
    expect(await patron.exit).toBe(0);
    const [x, y, z] = patron.stdout.lines.slice(1).sort().map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(x).toEqual({
      topic: 'json.x',
      time: expect.any(String) as string,
      brewerId: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      data: '{"__proto__":12345678901234567890}',
      retained: false,
      sequence: 0,
    });
    const time = Date.parse(String(x!['time']));
    expect(time >= before && time <= Date.now()).toBe(true);
    expect(y).toMatchObject({ topic: 'json.y', base64: '/w==' });
    expect(y).not.toHaveProperty('data');
    expect(z).toMatchObject({ topic: 'json.z', data: '' });
  });

  it('byte for byte with --raw, brewed from --file or from stdin', async () => {
    const patron = await listen('raw', ['--raw', '-n', '2'], server);
    const data = randomBytes(300_000);
    writeFileSync(join(directory, 'data'), data);
    await allSent(brew(['raw', '--file', join(directory, 'data')]), brew(['raw', '--file', '-'], data));
    expect(await patron.exit).toBe(0);
    expect(Buffer.concat(patron.bytes).equals(Buffer.concat([data, data]))).toBe(true);
  });

  it('line by line with --lines, also a last line without a line break', async () => {
    const patron = await listen('lines', ['--lines', '-n', '4'], server);
    expect(await brew(['lines', '--lines'], 'one\n\nthree\r\nfour')).toEqual(sent);
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.all).toBe('one\n\nthree\nfour\n');
  });

  it('in each of several patrons', async () => {
    const patrons = await Promise.all([listen('all.everybody', ['-n', '1'], server), listen('all.*', ['-n', '1'], server), listen('**.everybody', ['-n', '1'], server)]);
    expect(await brew(['all.everybody', 'hello'])).toEqual(sent);
    expect(await Promise.all(patrons.map((patron) => patron.exit))).toEqual([0, 0, 0]);
    for (const patron of patrons) expect(patron.stdout.all).toMatch(/hello\n$/);
  });

  it('only if they are encrypted at least as strongly as --cipher asks for', async () => {
    const [any, encrypted, sealed] = await Promise.all([
      listen('strict', ['--lines', '-n', '3'], server),
      listen('strict', ['--lines', '-n', '2', '--cipher', 'aes-cbc'], server),
      listen('strict', ['--lines', '-n', '1', '--cipher', 'aes-gcm'], server),
    ]);
    // The weakest first: a patron that wrongly accepted it would reach its count before its own messages come.
    for (const cipher of ['none', 'aes-cbc', 'aes-gcm']) await allSent(brew(['strict', cipher, '--cipher', cipher]));
    expect(await Promise.all([any.exit, encrypted.exit, sealed.exit])).toEqual([0, 0, 0]);
    expect(any.stdout.lines).toEqual(['none', 'aes-cbc', 'aes-gcm']);
    expect(encrypted.stdout.lines).toEqual(['aes-cbc', 'aes-gcm']);
    expect(sealed.stdout.lines).toEqual(['aes-gcm']);
  });
});

describe.concurrent('brew waits for a patron', () => {
  it('and says so, sends its message as soon as a patron comes, and ends', async () => {
    const waiting = pubkeeper(['brew', 'late', 'hello'], { env: server.env });
    await waiting.says(/^pubkeeper: Waiting for a patron of late …\n/);
    expect(await result(['patron', 'late', '-n', '1', '--lines', '--quiet'], { env: server.env })).toEqual({ code: 0, stdout: 'hello\n', stderr: '' });
    expect(await waiting.exit).toBe(0);
  });

  it('no longer than --timeout', async () => {
    // The time includes starting and connecting, more than 1 s on a busy machine; only the patron may be missing when it is over.
    const { code, stdout, stderr } = await brew(['nobody', 'x', '--timeout', '4']);
    expect({ code, stdout }).toEqual({ code: 124, stdout: '' });
    expect(stderr).toMatch(/No patron of nobody came within 4 s\.\n$/);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('until %s, with exit code %i', async (signal, code) => {
    const waiting = pubkeeper(['brew', 'nobody', 'x'], { env: server.env });
    await waiting.says(/Waiting/);
    waiting.kill(signal);
    expect(await waiting.exit).toBe(code);
  });

  it('after it has read its input', async () => {
    const reading = pubkeeper(['brew', 'nobody'], { env: server.env, input: 'x' });
    await reading.says(/Waiting/);
    reading.kill('SIGINT');
    expect(await reading.exit).toBe(130);
  });
});

describe.concurrent('brew refuses', () => {
  it.each([
    ['a file that is missing', () => ['--file', join(directory, 'none')], '', 1, /none" does not exist/],
    ['a directory', () => ['--file', directory], '', 1, /is a directory/],
    ['lines of a file that is missing', () => ['--lines', '--file', join(directory, 'none')], '', 1, /none" does not exist/],
    ['lines of a directory', () => ['--lines', '--file', directory], '', 1, /is a directory/],
    ['a text that is not JSON', () => ['{', '--json'], '', 2, /The text is not JSON/],
    ['an input that is not JSON', () => ['--json'], '{', 1, /The input is not JSON/],
  ] as const)('%s, before it waits for a patron', async (_what, args, input, code, sentence) => {
    const end = await brew(['refused', ...args()], input);
    expect(end.stderr).toMatch(sentence);
    expect(end.stderr).toMatch(/^pubkeeper: [^\n]+\n$/);
    expect(end).toMatchObject({ code, stdout: '' });
  });

  it('a directory as stdin, instead of sending an empty message', async () => {
    const shell = new Cli('sh', ['-c', '"$0" "$1" brew refused < /', process.execPath, MAIN], { env: server.env });
    expect(await shell.exit).toBe(1);
    expect(shell.stderr.all).toBe('pubkeeper: Standard input is a directory: name a file.\n');
  });

  it('a line that is not JSON, after it has sent the lines before', async () => {
    const patron = await listen('halfway', ['--lines'], server);
    const end = await brew(['halfway', '--lines', '--json'], '{"a": 1}\n[2, 3]\noops\n4\n');
    expect(end).toMatchObject({ code: 1, stdout: '' });
    expect(end.stderr).toMatch(/^pubkeeper: Line 3 is not JSON[^\n]+\n$/);
    await patron.prints(/^\{"a":1\}\n\[2,3\]\n$/);
  });

  it('a message that is longer than the server accepts', async () => {
    await listen('long', [], server);
    const end = await brew(['long'], Buffer.alloc(3_000_000));
    expect(end).toMatchObject({ code: 1, stdout: '' });
    expect(end.stderr).toMatch(/^pubkeeper: A message is longer than the server accepts[^\n]*\n$/);
  });
});

describe.concurrent('patron stops', () => {
  it('after --count messages, however many come', async () => {
    const patron = await listen('counted', ['-n', '3', '--lines'], server);
    const brewing = pubkeeper(['brew', 'counted', '--lines'], { env: server.env, input: '1\n2\n3\n4\n5\n' });
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.all).toBe('1\n2\n3\n');
    brewing.kill('SIGKILL');
  });

  it('after --timeout, with exit code 124 if no message or fewer than --count came, otherwise 0', async () => {
    const brewing = pubkeeper(['brew', 'timed', '--lines'], { env: server.env });
    await brewing.says(/Waiting/);
    const run = (pattern: string, args: readonly string[] = []): Promise<Cli> => listen(pattern, ['--timeout', '5', '--lines', ...args], server);
    const patrons = await Promise.all([run('timed'), run('timed', ['-n', '2']), run('timed', ['-n', '1']), run('silence')]);
    brewing.child.stdin!.write('x\n');
    expect(await Promise.all(patrons.map((patron) => patron.exit))).toEqual([0, 124, 0, 124]);
    expect(patrons.map((patron) => patron.stdout.all)).toEqual(['x\n', 'x\n', 'x\n', '']);
    await patrons[1].says(/1 of 2 messages came within 5 s\.\n$/);
    await patrons[3].says(/No message came within 5 s\.\n$/);
    for (const index of [0, 2]) expect(patrons[index]!.stderr.lines).toHaveLength(1);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('at %s, with exit code 0, or with the code of the signal if --count is not reached', async (signal) => {
    const endless = await listen('stopped', [], server);
    const counting = await listen('stopped', ['-n', '5'], server);
    endless.kill(signal);
    counting.kill(signal);
    expect(await endless.exit).toBe(0);
    expect(await counting.exit).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(endless.stderr.lines).toHaveLength(1);
  });

  it('when nobody reads its output any more', async () => {
    const shell = new Cli('sh', ['-c', '{ "$0" "$1" patron piped.x --lines; echo "code $?" >&2; } | head -n 1', process.execPath, MAIN], { env: server.env });
    await shell.says(/Listening/);
    expect(await brew(['piped.x', 'first'])).toEqual(sent);
    await shell.prints(/first\n/);
    // The patron notices at its next write after `head` has ended, which may take a while: brew until then.
    while (!/code/.test(shell.stderr.all)) await brew(['piped.x', 'more', '--timeout', '1']);
    expect(await shell.exit).toBe(0);
    expect(shell.stdout.all).toBe('first\n');
    expect(shell.stderr.lines.slice(1)).toEqual(['code 0']);
  });
});
