import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../free-port.js';
import { listen, pubkeeper, result, serve, TOKEN, type Served } from './harness.js';

let server: Served;

beforeAll(async () => {
  // On a busy machine a patron may take longer than the default 250 ms to join the relay, and would miss what is brewed before.
  server = await serve({ args: ['--token', TOKEN, '--hold-ms', '60000'] });
});

describe.concurrent('brew --lines', () => {
  it.each(['aes-gcm', 'aes-cbc'])('sends 10,000 lines with %s, which all arrive in order', async (cipher) => {
    const lines = Array.from({ length: 10_000 }, (_, index) => `line ${index} ${'x'.repeat(index % 200)}`);
    const topic = `many.${cipher}`;
    const patron = await listen(topic, ['--lines'], server);
    const brewing = pubkeeper(['brew', topic, '--lines', '--cipher', cipher], { env: server.env, input: lines.join('\n') });
    expect(await brewing.exit, String(brewing)).toBe(0);
    await patron.prints(/^line 9999 /m);
    patron.kill('SIGINT');
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.lines).toEqual(lines);
    expect(patron.stderr.lines).toHaveLength(1);
  });

  it('sends each line as it comes, and ends with exit code 0 at Ctrl-C', async () => {
    const patron = await listen('endless', ['--lines'], server);
    const brewing = pubkeeper(['brew', 'endless', '--lines'], { env: server.env });
    for (const line of ['one', 'two', 'three']) {
      brewing.child.stdin!.write(`${line}\n`);
      await patron.prints(new RegExp(`^${line}\n`, 'm'));
    }
    brewing.child.stdin!.write('not finished');
    brewing.kill('SIGINT');
    expect(await brewing.exit).toBe(0);
    // All that was sent before arrives before this message.
    expect(await result(['brew', 'endless', 'four'], { env: server.env })).toMatchObject({ code: 0 });
    await patron.prints(/^four\n/m);
    expect(patron.stdout.all).toBe('one\ntwo\nthree\nfour\n');
  });

  it('ends with exit code 1 at Ctrl-C if lines were not accepted, and says that they may be lost', async () => {
    await listen('away', ['--lines'], server);
    const brewing = pubkeeper(['brew', 'away', '--lines', '--brew', `websocket=ws://127.0.0.1:${await freePort()}`], { env: server.env });
    brewing.child.stdin!.write('one\n');
    await brewing.says(/Cannot connect/);
    brewing.kill('SIGINT');
    expect(await brewing.exit).toBe(1);
    expect(brewing.stderr.all).toMatch(/\npubkeeper: Not everything that was sent on away was accepted: some of it may be lost\.\n$/);
  });

  it('says that lines wait while the relay is away, and sends them when it is there', async () => {
    const patron = await listen('back', ['--lines'], server);
    const port = await freePort();
    const brewing = pubkeeper(['brew', 'back', '--lines', '--brew', `websocket=ws://127.0.0.1:${port}`], { env: server.env });
    brewing.child.stdin!.write('one\n');
    const away = 'pubkeeper: What was sent on back has not been accepted yet: the relay or broker is away, or the network or a reader is slow\\. Waiting …\n';
    const again = 'pubkeeper: Sending on back again\\.\n';
    await brewing.says(new RegExp(`\n${away}`));
    const relay = await serve({ port, args: ['--token', TOKEN] });
    await patron.prints(/^one\n/);
    await brewing.says(new RegExp(`\n${again}`));
    // And the next time too.
    relay.cli.kill('SIGKILL');
    await brewing.says(/closed the connection/);
    brewing.child.stdin!.write('two\n');
    await brewing.says(new RegExp(`${again}[^]*\n${away}`));
    await serve({ port, args: ['--token', TOKEN] });
    await patron.prints(/^two\n/m);
    await brewing.says(new RegExp(`${again}[^]*\n${again}`));
    brewing.kill('SIGINT');
    expect(await brewing.exit).toBe(0);
  });

  it('ends with exit code 1 when lines are not accepted within --timeout, or within 15 s if that is longer', async () => {
    await listen('dead', ['--lines'], server);
    const brewing = pubkeeper(['brew', 'dead', '--lines', '--timeout', '12', '--brew', `websocket=ws://127.0.0.1:${await freePort()}`], { env: server.env });
    brewing.child.stdin!.write('one\n');
    expect(await brewing.exit).toBe(1);
    expect(brewing.stderr.all).toMatch(/Waiting …\npubkeeper: What was sent on dead was not accepted within 15 s: it may be lost\.\n/);
    // Said once, however long it takes.
    expect(brewing.stderr.all.split('has not been accepted yet')).toHaveLength(2);
  });

  it('does not say that anybody is away when only a reader is slow', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-cli-'));
    const local = ['--brew', `local=${directory}`];
    const patron = await listen('stuck', ['--lines', ...local], server);
    const brewing = pubkeeper(['brew', 'stuck', '--lines', ...local], { env: server.env });
    brewing.child.stdin!.write('first\n');
    await patron.prints(/^first\n/);
    patron.kill('SIGSTOP');
    brewing.child.stdin!.write(`${'x'.repeat(1_000_000)}\n`.repeat(10));
    await brewing.says(/pubkeeper: What was sent on stuck has not been accepted yet: the network or a reader is slow\. Waiting …\n/);
    patron.kill('SIGCONT');
    await brewing.says(/pubkeeper: Sending on stuck again\.\n/);
    brewing.kill('SIGINT');
    expect(await brewing.exit).toBe(0);
    rmSync(directory, { recursive: true });
  });

  it.skipIf(process.platform !== 'linux')('ends at Ctrl-C while it reads a pipe that nobody writes to', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-cli-'));
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const patron = await listen('piped', ['--lines'], server);
    const brewing = pubkeeper(['brew', 'piped', '--lines', '--file', pipe], { env: server.env });
    // Opens when brew opens the pipe to read.
    const writer = createWriteStream(pipe);
    writer.write('one\n');
    await patron.prints(/^one\n/);
    brewing.kill('SIGINT');
    expect(await brewing.exit).toBe(0);
    writer.destroy();
    rmSync(directory, { recursive: true });
  });

  it('ends before a slow patron has read all lines, and the patron still gets each of them', async () => {
    const patron = await listen('slow', ['--lines'], server);
    const brewing = pubkeeper(['brew', 'slow', '--lines'], { env: server.env });
    brewing.child.stdin!.write('first\n');
    await patron.prints(/^first\n/);
    patron.kill('SIGSTOP');
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${'x'.repeat(100)}`);
    brewing.child.stdin!.end(lines.join('\n'));
    expect(await brewing.exit).toBe(0);
    patron.kill('SIGCONT');
    await patron.prints(/^line 19999 /m);
    expect(patron.stdout.lines.slice(1)).toEqual(lines);
    expect(patron.stderr.lines).toHaveLength(1);
  });

  it('does not read its input while no patron listens, and continues when the next patron comes', async () => {
    const brewing = pubkeeper(['brew', 'patient', '--lines'], { env: server.env });
    const stdin = brewing.child.stdin!;
    let written = 0;
    let stopped = false;
    // Endless input, written as fast as brew reads it.
    const feeding = (async () => {
      while (!stopped) if (!stdin.write(`${written++} ${'x'.repeat(1000)}\n`)) await Promise.race([once(stdin, 'drain').catch(() => undefined), brewing.exit]);
    })();
    try {
      await brewing.says(/Waiting for a patron of patient/);
      const first = await listen('patient', ['--lines', '-n', '2000'], server);
      expect(await first.exit).toBe(0);
      expect(first.stdout.lines.map((line) => parseInt(line))).toEqual(Array.from({ length: 2000 }, (_, index) => index));
      await brewing.says(/Waiting[^]*Waiting/);
      // No more than the pipe and the process hold. If brew read on, it would have read far more by the time that the second patron comes.
      const held = written;
      // The relay's last value is a bundle of lines, which may start with lines that the first patron has had.
      const second = await listen('patient', ['--json', '-n', '1000'], server);
      expect(await second.exit).toBe(0);
      const heard = second.stdout.lines.map((line) => JSON.parse(line) as { data: string; retained: boolean });
      const kept = heard.filter(({ retained }) => retained).map(({ data }) => parseInt(data));
      const fresh = heard.filter(({ retained }) => !retained).map(({ data }) => parseInt(data));
      if (kept.length) expect(kept.at(-1)).toBeGreaterThanOrEqual(1999);
      expect(fresh[0]).toBeGreaterThanOrEqual(2000);
      expect(fresh[0]).toBeLessThan(held);
      await brewing.says(/Waiting[^]*Waiting[^]*Waiting/);
      brewing.kill('SIGINT');
      expect(await brewing.exit).toBe(130);
    } finally {
      // Otherwise the loop would never end, and neither would the test worker.
      stopped = true;
    }
    await feeding;
  });

  it('ends with exit code 124 when no patron comes back within --timeout', async () => {
    // The time includes connecting, which takes long on a busy machine.
    const patron = await listen('left', ['--lines', '-n', '1'], server);
    const brewing = pubkeeper(['brew', 'left', '--lines', '--timeout', '6'], { env: server.env });
    brewing.child.stdin!.write('one\n');
    expect(await patron.exit).toBe(0);
    // Lines sent before the server reports that the patron has left are lost: only later ones wait for a patron.
    const feeding = setInterval(() => brewing.child.stdin!.write('more\n'), 50);
    expect(await brewing.exit).toBe(124);
    clearInterval(feeding);
    expect(brewing.stderr.all).toMatch(/Waiting[^]*No patron of left came within 6 s\.\n$/);
  });
});

it.concurrent('brew ends with exit code 1 when its message is not accepted within 15 s, and says that it may be lost', async () => {
  await listen('single', [], server);
  const address = `ws://127.0.0.1:${await freePort()}`;
  const { code, stdout, stderr } = await result(['brew', 'single', 'hello', '--brew', `websocket=${address}`], server);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/\npubkeeper: What was sent on single was not accepted within 15 s: it may be lost\.\n$/);
});
