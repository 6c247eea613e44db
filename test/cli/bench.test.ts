import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pubkeeper, result, serve } from './harness.js';

// `pubkeeper bench`: the built command line against a server of its own, over real sockets.

const SHORT = ['bench', '--seconds', '0.3'];

describe('pubkeeper bench', () => {
  it('prints the rate and the latency over each brew as JSON', async () => {
    const served = await serve();
    const directory = mkdtempSync(join(tmpdir(), 'pk-bench-'));
    try {
      const flags = ['--json', '--size', '1000', '--brew', 'websocket', '--brew', `local=${directory}`];
      const { code, stdout, stderr } = await result([...SHORT, ...flags], served);
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^pubkeeper: Measuring websocket .*\npubkeeper: Measuring local .*\n$/) });
      const figures = stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, number>);
      expect(figures).toEqual(
        ['websocket', 'local'].map((brew) => ({
          brew,
          cipher: 'aes-gcm',
          size: 1000,
          seconds: 0.3,
          messagesPerSecond: expect.any(Number),
          p50Ms: expect.any(Number),
          p99Ms: expect.any(Number),
        })),
      );
      for (const { messagesPerSecond, p50Ms, p99Ms } of figures) {
        expect(messagesPerSecond).toBeGreaterThan(0);
        expect(p50Ms).toBeGreaterThan(0);
        expect(p99Ms).toBeGreaterThanOrEqual(p50Ms!);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('measures at least one message, however short --seconds is', async () => {
    const { code, stdout } = await result(['bench', '--seconds', '0.000001', '--json'], await serve());
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ messagesPerSecond: expect.any(Number) as number, p50Ms: expect.any(Number) as number, p99Ms: expect.any(Number) as number });
  });

  it('prints a table without --json, and measures over the relay without --brew', async () => {
    const { code, stdout } = await result([...SHORT, '--quiet', '--cipher', 'none'], await serve());
    expect(code).toBe(0);
    expect(stdout).toMatch(/^brew +messages\/s +p50 ms +p99 ms\nwebsocket +[\d,]+ +\d+\.\d{3} +\d+\.\d{3}\n$/);
  });

  it('measures on --topic, and prints the head of the table once', async () => {
    const served = await serve({ args: ['--token', 'token-of-the-tests=read:my.topic,write:my.topic'] });
    const directory = mkdtempSync(join(tmpdir(), 'pk-bench-'));
    try {
      const { code, stdout, stderr } = await result([...SHORT, '--topic', 'my.topic', '--brew', 'websocket', '--brew', `local=${directory}`], served);
      expect([code, stderr]).toEqual([0, expect.stringMatching(/^pubkeeper: Measuring websocket on my\.topic: [^\n]+\npubkeeper: Measuring local on my\.topic: [^\n]+\n$/)]);
      expect(stdout).toMatch(/^brew [^\n]+\nwebsocket [^\n]+\nlocal [^\n]+\n$/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('ends with exit code 1 when nothing arrives for 10 s, and says how many messages are missing', async () => {
    const served = await serve();
    const patron = pubkeeper(['patron', 'my.topic', '--lines'], { env: served.env });
    await patron.says(/Listening/);
    const measuring = pubkeeper(['bench', '--topic', 'my.topic', '--seconds', '3600'], { env: served.env });
    await patron.prints(/\n/);
    served.cli.kill('SIGSTOP');
    expect(await measuring.exit).toBe(1);
    expect(measuring.stderr.lines.at(-1)).toMatch(/^pubkeeper: Nothing came for 10 s: 1 of \d+ messages are missing\.$/);
    expect(measuring.stdout.all).toBe('');
    served.cli.kill('SIGKILL');
  });

  it('ends with exit code 1 and the reason when the server cannot be reached, or when the token may not write', async () => {
    const absent = await result([...SHORT, '--server', 'ws://127.0.0.1:1/ws', '--token', 'T']);
    expect([absent.code, absent.stdout]).toEqual([1, '']);
    expect(absent.stderr).toMatch(/Cannot connect to .*127\.0\.0\.1:1/);
    const served = await serve({ args: ['--token', 'token-of-the-tests=read:bench.**'] });
    const refused = await result(SHORT, served);
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toMatch(/bench\.\w+/);
  });

  it.each(['websocket=ws', 'mqtt=mqtt', 'nats=nats'])('ends at once with exit code 1 and the reason when nobody listens at --brew %s://127.0.0.1:1', async (brew) => {
    const { code, stdout, stderr } = await result([...SHORT, '--brew', `${brew}://127.0.0.1:1`], await serve());
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^pubkeeper: Measuring .*\npubkeeper: Cannot connect to .*127\.0\.0\.1:1.*\n$/);
  });

  it('ends with exit code 124 when brewer and patron are not matched within --timeout', async () => {
    const { code, stdout, stderr } = await result(['bench', '--timeout', '0.001'], await serve());
    expect([code, stdout, stderr]).toEqual([124, '', expect.stringMatching(/did not meet over websocket within 0\.001 s/)]);
  });

  it.each([
    [['--size', '0'], /The size must be a whole number from 1/],
    [['--seconds', '0'], /must be a number of seconds above 0/],
    [['--brew', 'mqtt'], /needs the address of a broker/],
    [['--topic', 'a.*'], /is a pattern/],
    [['now'], /Too many arguments/],
  ])('refuses %j with exit code 2', async (flags, words) => {
    const { code, stdout, stderr } = await result(['bench', ...flags], { env: { PUBKEEPER_TOKEN: 'T' } });
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(words)]);
  });
});
