import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { makeBrews, parseBrew } from '../../src/cli/brews.js';
import { newId } from '../../src/core/index.js';
import { createServer, type PubkeeperServer } from '../../src/server/index.js';
import { findProgram, mosquitto, nats } from '../brews/processes.js';
import { host } from '../brews/rig.js';
import { freePort } from '../free-port.js';

// `--brew`: the built command line, over each brew.

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const natsServer = findProgram('nats-server');
const mosquittoServer = findProgram('mosquitto');

let server: PubkeeperServer;
beforeAll(async () => {
  // On a busy machine a patron may join the relay later than the default `holdMs`, and would miss the message of a brewer that has left.
  server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] }, holdMs: 60_000 });
});
afterAll(() => server.close());

function run(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, PUBKEEPER_SERVER: server.url, PUBKEEPER_TOKEN: 'secret', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
}

/** Sends a message from one process to another. */
async function exchange(patron: readonly string[], brew: readonly string[], env: Record<string, string> = {}) {
  const read = run(['patron', 'demo.*', '--raw', '--count', '1', '--timeout', '15', ...patron], env);
  const written = await run(['brew', 'demo.x', 'hello', '--timeout', '15', ...brew], env);
  return { written, read: await read };
}

/** How long the second connection through a gate takes, in ms: longer than a client waits when it disconnects. */
const SLOW = 3000;

/** A proxy of a broker: connects the first client, the brewer, at once, and the next after `SLOW` ms, unless `left` drops it before. */
async function slowGate(port: number, left: AbortSignal): Promise<{ port: number; close: () => void }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const gate = createTcpServer((socket) => {
    const open = (): void => {
      const onward = connect(port, '127.0.0.1');
      for (const end of [socket, onward]) {
        sockets.add(end.on('error', () => undefined));
        end.on('close', () => (socket.destroy(), onward.destroy()));
      }
      socket.pipe(onward).pipe(socket);
    };
    if (!connections++) return open();
    const timer = setTimeout(open, SLOW);
    left.addEventListener('abort', () => (clearTimeout(timer), socket.destroy()));
  });
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    gate.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (gate.address() as AddressInfo).port, close };
}

const delivered = { written: expect.objectContaining({ code: 0 }), read: { code: 0, stdout: 'hello', stderr: expect.any(String) } };

describe('--brew', () => {
  it('local delivers a message, also when only the brewer is told the directory', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pk-cli-'));
    try {
      expect(await exchange(['--brew', 'local'], ['--brew', `local=${directory}`])).toEqual(delivered);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }, 20_000);

  it.skipIf(!natsServer)('nats delivers a message at the address that the brewer is given, or at the address of the environment', async () => {
    const broker = await nats(natsServer!);
    try {
      expect(await exchange(['--brew', 'nats'], ['--brew', `nats=${broker.tcp}`])).toEqual(delivered);
      expect(await exchange(['--brew', 'nats'], ['--brew', 'nats'], { PUBKEEPER_NATS: broker.tcp })).toEqual(delivered);
    } finally {
      await broker.kill();
    }
  }, 30_000);

  it.skipIf(!mosquittoServer)('mqtt delivers a message from a brewer over TCP to a patron over WebSocket', async () => {
    const broker = await mosquitto(mosquittoServer!);
    try {
      expect(await exchange(['--brew', `mqtt=${broker.ws}`], ['--brew', `mqtt=${broker.tcp}`])).toEqual(delivered);
    } finally {
      await broker.kill();
    }
  }, 20_000);

  it.skipIf(!mosquittoServer)('mqtt: a brewer ends only when a patron that connects slowly has its message', async () => {
    const broker = await mosquitto(mosquittoServer!);
    const left = new AbortController();
    const gate = await slowGate(broker.ports[0], left.signal);
    try {
      const read = run(['patron', 'demo.*', '--raw', '--count', '1', '--timeout', '30', '--brew', 'mqtt']);
      const written = run(['brew', 'demo.x', 'hello', '--timeout', '30', '--brew', `mqtt=mqtt://127.0.0.1:${gate.port}`]);
      void written.then(() => left.abort());
      expect({ written: await written, read: await read }).toEqual(delivered);
    } finally {
      gate.close();
      await broker.kill();
    }
  }, 60_000);

  it.skipIf(!natsServer)('nats: a message that is longer than the broker takes is lost alone, which brew says once, and by its exit code', async () => {
    const broker = await nats(natsServer!, { maxPayload: 100_000 });
    const left = new AbortController();
    const gate = await slowGate(broker.ports[0], left.signal);
    const directory = mkdtempSync(join(tmpdir(), 'pk-cli-'));
    const [lines, long] = [join(directory, 'lines'), join(directory, 'long')];
    // The long line comes while the one before it still waits for the patron to arrive.
    writeFileSync(long, 'y'.repeat(200_000));
    writeFileSync(lines, ['first', 'y'.repeat(200_000), 'last'].join('\n'));
    const refused = { code: 1, stdout: '', stderr: expect.stringMatching(/^(pubkeeper: Waiting [^\n]+\n)?pubkeeper: NATS at [^\n]+ takes messages of up to 100000 bytes[^\n]+\n$/) };
    try {
      const address = `nats=nats://127.0.0.1:${gate.port}`;
      const written = run(['brew', 'long.line', '--lines', '--file', lines, '--timeout', '30', '--brew', address]);
      const read = await run(['patron', 'long.line', '--lines', '--count', '2', '--timeout', '30', '--brew', 'nats']);
      expect(read).toMatchObject({ code: 0, stdout: 'first\nlast\n', stderr: expect.stringMatching(/\npubkeeper: 1 message on long\.line got lost on the way\.\n$/) });
      expect(await written).toEqual(refused);
      const whole = run(['brew', 'long.whole', '--file', long, '--timeout', '30', '--brew', `nats=${broker.tcp}`]);
      const waiting = run(['patron', 'long.*', '--timeout', '5', '--brew', 'nats']);
      expect(await whole).toEqual(refused);
      await waiting;
    } finally {
      rmSync(directory, { recursive: true });
      gate.close();
      await broker.kill();
    }
  }, 60_000);

  it('delivers over the second of two brews when the broker of the first cannot be reached', async () => {
    const dead = `nats=nats://127.0.0.1:${await freePort()}`;
    const flags = ['--brew', dead, '--brew', 'websocket'];
    expect(await exchange(flags, flags)).toEqual(delivered);
  }, 20_000);

  it.skipIf(!natsServer)('ends with exit code 1 when the broker refuses the credentials, and does not print the password', async () => {
    const broker = await nats(natsServer!, { user: { name: 'me', password: 'right' } });
    try {
      const { code, stderr } = await run(['brew', 'demo.x', 'hello', '--brew', `nats=${broker.tcp.replace('//', '//me:wrong@')}`]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/refuses this client/);
      expect(stderr).not.toContain('wrong');
    } finally {
      await broker.kill();
    }
  }, 20_000);

  it.each([
    ['mqtt=mqtt:', ['hello']],
    ['nats=nats:', ['--lines', '--file', main]],
    ['websocket=ws:', ['hello']],
  ])('%s where nothing listens: brew ends when its patron has left, and says that its messages may be lost', async (flag, input) => {
    const topic = `left.${flag.split('=')[0]!}`;
    const address = `${flag}//127.0.0.1:${await freePort()}`;
    const read = run(['patron', topic, '--timeout', '10', '--brew', flag.split('=')[0]!]);
    const { code, stderr } = await run(['brew', topic, ...input, '--brew', address, '--timeout', '30']);
    expect(stderr).toMatch(new RegExp(`What was sent on ${topic} was not accepted before its last patron left: it may be lost\\.\n`));
    expect([code, (await read).code]).toEqual([1, 124]);
  });

  it('local in a directory that cannot be used ends at once, unless another brew is left', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pk-cli-'));
    const file = join(directory, 'file');
    writeFileSync(file, '');
    try {
      const { code, stderr } = await run(['brew', 'demo.x', 'hello', '--brew', `local=${file}`]);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^pubkeeper: The directory [^\n]+ cannot hold the sockets of a LocalBrew[^\n]+\n$/)]);
      expect(await exchange([], ['--brew', `local=${file}`, '--brew', 'websocket'])).toEqual(delivered);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it.each([
    [['--brew', 'carrier-pigeon'], /must be one of websocket, mqtt, nats, local/],
    [['--brew', 'mqtt'], /needs the address of a broker: give --brew mqtt=URL, or set PUBKEEPER_MQTT/],
    [['--brew', 'local', '--brew', 'local'], /--brew local is given twice/],
    [['--brew', 'websocket=http://x'], /must be a URL like ws:/],
  ])('refuses %j with exit code 2', async (flags, words) => {
    const { code, stderr } = await run(['brew', 'demo.x', 'hello', ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(words)]);
  });

  it('keeps its order if it is repeated, and is split only at the first "="', () => {
    expect(parseBrew('websocket', parseBrew('nats=nats://a:1,nats://b:2'))).toEqual([
      { name: 'nats', address: 'nats://a:1,nats://b:2' },
      { name: 'websocket', address: undefined },
    ]);
    // A password may contain "=", the sign before the address.
    expect(parseBrew('mqtt=mqtt://me:a=b=@h')).toEqual([{ name: 'mqtt', address: 'mqtt://me:a=b=@h' }]);
  });

  it.each([
    ['websocket=ws://h', { hostname: 'h', port: 80, secure: false }],
    ['websocket=wss://h', { hostname: 'h', port: 443, secure: true }],
    ['websocket=ws://h:443/', { hostname: 'h', port: 443, secure: false }],
    ['nats=nats://a:1,nats://b', { tcp: ['nats://a:1', 'nats://b:4222'] }],
    ['mqtt=mqtt://me:a=b@h', { tcp: ['mqtt://h:1883'] }],
  ])('%s is announced to patrons as %o', async (flag, told) => {
    const [brew] = (await makeBrews(parseBrew(flag), true))!;
    brew!.attach(host().host);
    expect(await brew!.brewerDetails({ topic: 'demo.x', brewerId: newId() })).toMatchObject(told);
    await brew!.close();
  });

  it.each(['mqtt', 'nats'] as const)('%s needs no address to read, and to brew the address of the flag or else of the environment', async (name) => {
    const variable = `PUBKEEPER_${name.toUpperCase()}`;
    const given = (flag: string) => makeBrews(parseBrew(flag), true);
    expect(await makeBrews(parseBrew(name), false)).toHaveLength(1);
    vi.stubEnv(variable, 'nonsense');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await given(`${name}=${name}://h`)).toHaveLength(1);
    await expect(given(name)).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(/an address must be like/) as string });
    vi.stubEnv(variable, '');
    await expect(given(name)).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(/needs the address of a broker/) as string });
  });
});
