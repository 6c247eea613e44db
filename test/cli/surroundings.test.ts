import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { Output } from '../../src/cli/output.js';
import { Cli, listen, MAIN, pubkeeper, result, serve, TOKEN } from './harness.js';

// The surroundings of a command: environment variables, addresses, and a stdout that nobody reads.

const HS256 = ['--jwt-algorithms', 'HS256', '--jwt-issuer', 'me', '--jwt-audience', 'it'];

it('an empty variable counts as not set', async () => {
  const env = { PUBKEEPER_CLUSTER: '', PUBKEEPER_CLUSTER_NAME: '', PUBKEEPER_CLUSTER_CREDENTIALS: '', PUBKEEPER_TOKEN: '', PUBKEEPER_JWT_KEY: '' };
  const server = pubkeeper(['serve', '--port', '0'], { env });
  await server.says(/Token, made for this run/);
  // Whether a server runs at the default address does not matter: the command must only get as far as to connect there.
  const { code, stderr } = await result(['patron', 'a', '--timeout', '0.2', '--brew', 'websocket', '--token', 't'], { env: { PUBKEEPER_SERVER: '' } });
  expect(code).not.toBe(2);
  expect(stderr).not.toMatch(/must be a URL/);
});

it('a line break at the end of a variable, as from a file, does not belong to the token, key or URL', async () => {
  const env = { PUBKEEPER_JWT_KEY: '0123456789012345678901234567890123456789\n' };
  const made = await result(['token', 'create', '--all', ...HS256], { env });
  expect(await result(['token', 'verify', ...HS256], { env, input: made.stdout })).toMatchObject({ code: 0 });
  const server = pubkeeper(['serve', '--port', '0'], { env: { PUBKEEPER_TOKEN: 'of-a-file\n' } });
  const [, url] = await server.says(/Serving at (\S+)/);
  const { code } = await result(['patron', 'a', '--timeout', '0.2', '--token', 'of-a-file'], { env: { PUBKEEPER_SERVER: `${url!}\r\n` } });
  expect(code).toBe(124);
});

it.skipIf(!Object.values(networkInterfaces()).flat().some((it) => it?.address === '::1'))('serve listens at an address with a zone', async () => {
  const server = pubkeeper(['serve', '--port', '0', '--host', '::1%lo', '--token', 'x']);
  await server.says(/Dashboard at http:\/\/\[::1%lo\]:\d+\/\n/);
  server.kill('SIGINT');
  expect(await server.exit).toBe(0);
});

it('a patron whose stdout nobody reads ends at a signal, and says how many messages were not printed', async () => {
  const server = await serve();
  const patron = await listen('unread', [], server);
  const stdout = patron.child.stdout!;
  // While `readable` has a listener, the stream does not flow by itself.
  const readable = new Promise<void>((resolve) => stdout.on('readable', resolve));
  // More than a pipe holds: when its beginning can be read, the patron has the message and cannot print all of it.
  const long = 'x'.repeat(1_000_000);
  expect(await result(['brew', 'unread'], { env: server.env, input: long })).toMatchObject({ code: 0 });
  await readable;
  patron.kill('SIGINT');
  const [code] = (await once(patron.child, 'exit')) as [number];
  expect(code).toBe(0);
  await patron.says(/Standard output was not read: 1 of the received messages were not printed/);
  stdout.removeAllListeners('readable').resume();
  await patron.exit;
});

it('a patron that has received --count messages waits until stdout is read, or until a signal', async () => {
  const server = await serve();
  const [endless, counted, impatient] = await Promise.all([
    listen('counted', ['--lines'], server),
    listen('counted', ['--lines', '-n', '1'], server),
    listen('counted', ['--lines', '-n', '1'], server),
  ]);
  const all = [endless, counted, impatient];
  const readable = all.map(({ child }) => new Promise<void>((resolve) => child.stdout!.on('readable', resolve)));
  const long = 'x'.repeat(1_000_000);
  expect(await result(['brew', 'counted'], { env: server.env, input: long })).toMatchObject({ code: 0 });
  await Promise.all(readable);
  // The clock of this test: `endless` gives up some time after its signal, and the others, which wait since before that, must not give up.
  endless.kill('SIGINT');
  await once(endless.child, 'exit');
  impatient.kill('SIGINT');
  expect(await once(impatient.child, 'exit')).toEqual([130, null]);
  for (const { child } of all) child.stdout!.removeAllListeners('readable').resume();
  expect(await counted.exit).toBe(0);
  expect(counted.stdout.all).toBe(`${long}\n`);
  expect(counted.stderr.lines).toHaveLength(1);
  await Promise.all([endless.exit, impatient.exit]);
});

it('a patron that the relay could not wait for says how many messages got lost on the way', async () => {
  const server = await serve({ args: ['--token', TOKEN, '--hold-ms', '60000', '--buffered-bytes', '1000000'] });
  const patron = await listen('flood', ['--lines'], server);
  const brewing = pubkeeper(['brew', 'flood', '--lines'], { env: server.env });
  brewing.child.stdin!.write('first\n');
  await patron.prints(/^first\n/);
  patron.kill('SIGSTOP');
  // More than the buffers of both systems and the relay hold.
  const lines = Array.from({ length: 400 }, (_, index) => `line ${index} ${'x'.repeat(100_000)}`);
  brewing.child.stdin!.end(lines.join('\n'));
  expect(await brewing.exit, String(brewing)).toBe(0);
  patron.kill('SIGCONT');
  await patron.prints(/^line 399 x+\n/m);
  patron.kill('SIGINT');
  expect(await patron.exit).toBe(0);
  const lost = [...patron.stderr.all.matchAll(/^pubkeeper: (\d+) messages? on flood got lost on the way\.$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  expect(lost).toBeGreaterThan(0);
  // Each line was printed or reported.
  expect(patron.stdout.lines.length + lost).toBe(lines.length + 1);
});

it.skipIf(process.platform !== 'linux' || !existsSync('/usr/bin/script'))('a message and a token that are typed at a terminal are asked for', async () => {
  const server = await serve({ args: ['--token', TOKEN, '--hold-ms', '60000'] });
  const patron = await listen('typed', ['-n', '1', '--lines'], server);
  const typing = (args: readonly string[], env: Record<string, string>): Cli => new Cli('script', ['-qec', [process.execPath, MAIN, ...args].join(' '), '/dev/null'], { env });
  const brewing = typing(['brew', 'typed'], server.env);
  await brewing.prints(/pubkeeper: Reading the message from the terminal; end it with Ctrl-D\.\r\n/);
  brewing.child.stdin!.write('by hand\n\u0004');
  expect(await brewing.exit).toBe(0);
  expect(await patron.exit).toBe(0);
  expect(patron.stdout.all).toBe('by hand\n\n');
  const checking = typing(['token', 'verify', ...HS256], { PUBKEEPER_JWT_KEY: '0123456789012345678901234567890123456789' });
  await checking.prints(/pubkeeper: Reading the token from the terminal; end it with Ctrl-D\.\r\n/);
  checking.child.stdin!.write('no-token\n\u0004');
  expect(await checking.exit).toBe(1);
  await checking.prints(/The token is not valid/);
});

it('Output refuses more data while over 64 MiB wait for a reader that has stopped', () => {
  const stuck = new Writable({ write: () => undefined });
  const output = new Output(stuck, () => undefined, () => undefined);
  const chunk = new Uint8Array(1024 * 1024);
  let taken = 0;
  while (output.write(chunk) && taken < 100) taken++;
  expect(taken).toBe(65);
  expect(output.waiting).toBe(65);
});
