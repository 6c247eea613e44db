import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readText } from '../../src/server/read-text.js';
import { until } from './harness.js';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'pubkeeper-read-'))));
afterAll(() => rmSync(directory, { recursive: true }));

it('the text of a file is read as readFile does', async () => {
  const path = join(directory, 'file');
  writeFileSync(path, 'naïve\n');
  expect(await readText(path)).toBe('naïve\n');
  await expect(readText(join(directory, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(readText(directory)).rejects.toMatchObject({ code: 'EISDIR' });
});

describe.skipIf(process.platform !== 'linux')('a named pipe', () => {
  const fifo = (name: string): string => {
    const path = join(directory, name);
    execFileSync('mkfifo', [path]);
    return path;
  };

  it('is read until its writer has closed it, in however many parts it comes', async () => {
    const path = fifo('parts');
    const text = readText(path);
    const writer = await open(path, 'w');
    await writer.write(Buffer.from([0x6e, 0x61, 0xc3]));
    await writer.write(Buffer.from([0xaf]));
    await writer.writeFile('x'.repeat(200_000));
    await writer.close();
    expect(await text).toBe(`naï${'x'.repeat(200_000)}`);
    const [again] = await Promise.all([readText(path), writeFile(path, 'again')]);
    expect(again).toBe('again');
  });

  it('is waited for as long as it takes, but when it was read before for ten seconds only', async () => {
    const path = fifo('late');
    const now = performance.now.bind(performance);
    let passed = 0;
    // So much time passes between two looks.
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + (passed += 6_000));
    onTestFinished(() => clock.mockRestore());
    const first = readText(path);
    // It opens when the reader has opened it.
    const writer = await open(path, 'w');
    await writer.writeFile('first');
    await writer.close();
    expect(await first).toBe('first');
    const second = readText(path);
    await expect(second).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('is a pipe that was read before, and nobody writes into it now') });
  });
});

it.skipIf(process.platform !== 'linux' || !existsSync('/usr/bin/script'))('what is typed at a terminal is waited for, until its end', async () => {
  const terminal = spawn('script', ['-qec', 'tty; exec sleep 600', '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
  onTestFinished(() => void terminal.kill());
  const path = String((await once(terminal.stdout, 'data'))[0]).trim();
  expect(path).toMatch(/^\/dev\/pts\/\d+$/);
  const text = readText(path);
  // After so many other calls, a read that does not wait has failed.
  for (let i = 0; i < 100; i++) await Promise.race([text, stat(path)]);
  terminal.stdin.write('typed\n\u0004');
  expect(await text).toBe('typed\n');
});

describe.skipIf(process.platform !== 'linux')('a pipe without a name', () => {
  it.each([
    ['has its text', 'printf text'],
    ['is empty', 'true'],
  ])('that %s is read when its writer has gone, and a second time nobody can write into it', async (_, command) => {
    // The shell keeps no other end of the pipe, so the reader sees its end.
    const shell = spawn('bash', ['-c', `exec 3< <(${command}); wait $!; exec sleep 600`], { stdio: 'ignore' });
    onTestFinished(() => void shell.kill());
    await once(shell, 'spawn');
    const path = `/proc/${shell.pid}/fd/3`;
    // The shell is `sleep` when the command has ended.
    await until(() => readFileSync(`/proc/${shell.pid}/comm`, 'utf8') === 'sleep\n');
    const text = command === 'true' ? '' : 'text';
    expect(await readText(path)).toBe(text);
    await expect(readText(path)).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('nobody writes into it now') });
  });
});
