import { chmodSync, chownSync, existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli, MAIN, pubkeeper, result } from './harness.js';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'pubkeeper-token-file-'))));
afterAll(() => rmSync(directory, { recursive: true }));

const create = (tokens: string) => result(['token', 'create', '--all', '--tokens', tokens]);
const hashesOf = (path: string): string[] => Object.keys(JSON.parse(readFileSync(path, 'utf8')) as object);
const toFull = (args: readonly string[]): Cli => new Cli('sh', ['-c', 'exec "$0" "$@" > /dev/full', process.execPath, MAIN, ...args]);

describe.concurrent('a token file', () => {
  it.skipIf(!existsSync('/dev/full'))('gets no hash of a token that could not be printed', async () => {
    const tokens = join(directory, 'full.json');
    const cli = toFull(['token', 'create', '--all', '--tokens', tokens]);
    expect(await cli.exit).toBe(1);
    expect(cli.stderr.all).toBe('pubkeeper: Standard output cannot be written (ENOSPC).\n');
    expect(readdirSync(directory).filter((name) => name.startsWith('full.json'))).toEqual([]);
  });

  it('gets the hashes of all runs that add one at the same time', async () => {
    const tokens = join(directory, 'many.json');
    const made = await Promise.all(Array.from({ length: 8 }, () => create(tokens)));
    expect(made.map(({ code }) => code)).toEqual(Array.from({ length: 8 }, () => 0));
    expect(hashesOf(tokens)).toHaveLength(8);
    expect(readdirSync(directory).filter((name) => name.startsWith('many.json'))).toEqual(['many.json']);
  });

  it('that stays locked is not changed, and the error says which lock file to remove', async () => {
    const tokens = join(directory, 'locked.json');
    writeFileSync(`${tokens}.lock`, '');
    const { code, stdout, stderr } = await create(tokens);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^pubkeeper: The token file [^\n]+ is locked by another run: if there is none, remove [^\n]+locked\.json\.lock[^\n]+\n$/);
    expect(existsSync(tokens)).toBe(false);
  });

  it('that cannot be written or read is named in one sentence, and no token is printed', async () => {
    const below = join(directory, 'plain', 'tokens.json');
    writeFileSync(join(directory, 'plain'), '');
    expect(await create(below)).toEqual({ code: 1, stdout: '', stderr: `pubkeeper: The token file ${JSON.stringify(below)} cannot be written (ENOTDIR).\n` });
    const loop = join(directory, 'loop.json');
    symlinkSync(loop, loop);
    expect(await create(loop)).toEqual({ code: 1, stdout: '', stderr: `pubkeeper: The token file ${JSON.stringify(loop)} cannot be read (ELOOP).\n` });
    expect(readdirSync(directory).filter((name) => name.startsWith('loop.json'))).toEqual(['loop.json']);
  });

  it('behind a symbolic link keeps its place, mode, owner and group', async () => {
    const [tokens, link] = [join(directory, 'real.json'), join(directory, 'link.json')];
    writeFileSync(tokens, JSON.stringify({ old: [{ topic: 'a', read: true }] }));
    // More than the usual umask lets a new file have.
    chmodSync(tokens, 0o664);
    symlinkSync(tokens, link);
    const isRoot = process.getuid?.() === 0;
    // Also if only the group differs, as for a file that root writes and the server's group reads.
    for (const [uid, gid] of isRoot ? [[1234, 1235], [0, 1235], [1234, 0]] as const : [[undefined, undefined]] as const) {
      if (uid !== undefined) chownSync(tokens, uid, gid);
      const before = statSync(tokens);
      expect(await create(link)).toMatchObject({ code: 0 });
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(statSync(tokens)).toMatchObject({ uid: before.uid, gid: before.gid, mode: before.mode });
    }
    expect(hashesOf(tokens)).toHaveLength(isRoot ? 4 : 2);
  });
});

it.skipIf(!existsSync('/dev/full'))('a command fails when its output cannot be written, even if it only prints help', async () => {
  const cli = toFull(['--help']);
  expect(await cli.exit).toBe(1);
  expect(cli.stderr.all).toBe('pubkeeper: Standard output cannot be written (ENOSPC).\n');
});

it('a command fails when only part of its output can be written, as on an almost full disk', async () => {
  const rights = Array.from({ length: 100 }, (_, index) => ['--read', `some.long.topic.${index}`]).flat();
  const args = ['-c', 'ulimit -f 1 && exec "$0" "$@" > "$OUT"', process.execPath, MAIN, 'token', 'create', '-q', ...rights];
  const cli = new Cli('sh', args, { env: { OUT: join(directory, 'token.txt') } });
  expect(await cli.exit).toBe(1);
  expect(cli.stderr.all).toBe('pubkeeper: Standard output cannot be written (EFBIG).\n');
});

it('token create refuses flags for checking tokens, instead of making a token of another kind', async () => {
  for (const flag of [['--jwt-jwks-url', 'https://a.example/jwks'], ['--jwt-leeway', '5']]) {
    const { code, stdout, stderr } = await result(['token', 'create', '--all', ...flag]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^pubkeeper: ${flag[0]} [^\n]+\n$`));
  }
});

it('token verify refuses input that is too long for a token', async () => {
  const tokens = join(directory, 'one.json');
  writeFileSync(tokens, '{"t": []}');
  const { code, stderr } = await result(['token', 'verify', '--tokens', tokens], { input: 'x'.repeat(70_000) });
  expect(code).toBe(1);
  expect(stderr).toBe('pubkeeper: Standard input is longer than a token can be (65000 bytes): give it only the token.\n');
});

it('token verify reports a missing token file before it waits for a token on stdin', async () => {
  const verifying = pubkeeper(['token', 'verify', '--tokens', join(directory, 'none.json')]);
  expect(await verifying.exit).toBe(1);
  expect(verifying.stderr.all).toMatch(/none\.json" does not exist\.\n$/);
});

it('token create says that the directory of its file is missing, and shows no token', async () => {
  const tokens = join(directory, 'none', 'tokens.json');
  const { code, stdout, stderr } = await result(['token', 'create', '--all', '--tokens', tokens]);
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: `pubkeeper: The directory of the token file "${tokens}" does not exist: make it first.\n` });
});
