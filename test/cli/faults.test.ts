import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { freePort } from '../free-port.js';
import { listen, pubkeeper, result, serve, TOKEN } from './harness.js';

const open: Server[] = [];

afterAll(() => {
  for (const server of open) server.close();
});

async function port(server: Server): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Runs `patron` and `brew` against a server: both must end with one sentence and this exit code. */
async function fails(url: string, sentence: RegExp, code = 1, args: readonly string[] = []): Promise<void> {
  const flags = ['--server', url, '--token', 'secret-token', ...args];
  const ends = await Promise.all([result(['patron', 'a', ...flags]), result(['brew', 'a', 'x', ...flags])]);
  for (const end of ends) {
    expect(end.stderr).toMatch(sentence);
    expect(end.stderr).toMatch(/^pubkeeper: [^\n]+\n$/);
    expect(end.stderr).not.toContain('secret-token');
    expect(end).toMatchObject({ code, stdout: '' });
  }
}

describe.concurrent('patron and brew end with an error if the server', () => {
  it('is not running', async () => {
    await fails(`ws://127.0.0.1:${await freePort()}/ws`, /Cannot connect to ws:[^\n]*ECONNREFUSED/);
  });

  it('has a host name that does not exist', async () => {
    await fails('ws://no-such-host.invalid/ws', /Cannot connect to ws:\/\/no-such-host\.invalid/);
  });

  it('refuses the token', async () => {
    const server = await serve();
    await fails(server.url, /does not accept this token/);
  });

  it('has no WebSockets', async () => {
    const http = createHttp((_request, response) => response.writeHead(404).end());
    await fails(`ws://127.0.0.1:${await port(http)}/`, /\(.*\b404\b.*\)/);
  });

  it('selects no subprotocol of Pubkeeper', async () => {
    const http = createHttp();
    const sockets = new WebSocketServer({ server: http, handleProtocols: () => false });
    await fails(`ws://127.0.0.1:${await port(http)}/`, /speaks none of pubkeeper-1\.1, pubkeeper-1\.0/);
    sockets.close();
  });

  it('does not speak HTTP', async () => {
    const garbage = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-OpenSSH_9.2\r\n'));
    await fails(`ws://127.0.0.1:${await port(garbage)}/`, /Cannot connect to ws:/);
  });

  it('does not answer within --timeout', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
    await fails(`ws://127.0.0.1:${await port(silent)}/`, /127\.0\.0\.1:\d+\/ did not answer within 1 s: check that a Pubkeeper server runs there\.\n$/, 124, ['--timeout', '1']);
    for (const socket of sockets) socket.destroy();
  });

  it('is not running, with the stack of the error if --verbose is given', async () => {
    const url = `ws://127.0.0.1:${await freePort()}/ws`;
    const { code, stderr } = await result(['patron', 'a', '--server', url, '--token', TOKEN, '--verbose']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^pubkeeper: Cannot connect[^\n]+\nPubkeeperError: [^]*\n {4}at /);
    expect(stderr).not.toContain(TOKEN);
  });
});

describe.concurrent('a server', () => {
  it('that dies and comes back gets its patrons and brewers back', async () => {
    const first = await serve();
    const patron = await listen('back.**', ['--lines'], first);
    const brewing = pubkeeper(['brew', 'back.lines', '--lines'], { env: first.env });
    brewing.child.stdin!.write('before\n');
    await patron.prints(/^before\n/m);
    first.cli.kill('SIGKILL');
    await patron.says(/The connection to ws:\S+ was lost; reconnecting …\n/);
    await brewing.says(/The connection to ws:\S+ was lost; reconnecting …\n/);

    await serve({ port: first.port });
    await Promise.all([patron.says(/Connected to ws:\S+ again\.\n/), brewing.says(/Connected to ws:\S+ again\.\n/)]);
    expect(await result(['brew', 'back.x', 'after'], { env: first.env })).toMatchObject({ code: 0 });
    await patron.prints(/^after\n/m);
    patron.kill('SIGINT');
    expect(await patron.exit).toBe(0);
    brewing.kill('SIGINT');
    await brewing.exit;
    expect(patron.stdout.all).toBe('before\nafter\n');
  });

  it('that comes back and no longer knows the token ends a patron with exit code 1', async () => {
    const first = await serve();
    const patron = await listen('a', [], first);
    first.cli.kill('SIGKILL');
    await patron.says(/reconnecting/);
    await serve({ port: first.port, args: ['--token', 'another'] });
    expect(await patron.exit).toBe(1);
    expect(patron.stderr.all).toMatch(/does not accept this token[^\n]*\n$/);
  });

  it('that is frozen does not keep patron and brew from ending at SIGINT', async () => {
    const server = await serve();
    const patron = await listen('a', [], server);
    server.cli.kill('SIGSTOP');
    patron.kill('SIGINT');
    patron.kill('SIGINT');
    expect([0, 130]).toContain(await patron.exit);
    // A server that accepts connections and stays silent: its `connection` event shows that brew waits for an answer.
    const silent = createServer((socket) => socket.on('error', () => undefined));
    const waiting = pubkeeper(['brew', 'a', 'x', '--server', `ws://127.0.0.1:${await port(silent)}/ws`, '--token', TOKEN]);
    await once(silent, 'connection');
    waiting.kill('SIGINT');
    expect(await waiting.exit).toBe(130);
  });

  it('that is frozen delays the end of brew --lines by 5 s at most, and brew says that the last lines may be lost', async () => {
    const server = await serve();
    const patron = await listen('a', ['--lines'], server);
    const brewer = pubkeeper(['brew', 'a', '--lines'], { env: server.env });
    brewer.child.stdin!.write('one\n');
    await patron.prints(/one\n/);
    server.cli.kill('SIGSTOP');
    brewer.kill('SIGINT');
    expect([await brewer.exit, brewer.stderr.lines.at(-1)]).toEqual([1, expect.stringMatching(/did not close the connection within 5000 ms: what was sent on a last may be lost\.$/)]);
    server.cli.kill('SIGCONT');
  });
});

describe.concurrent('several servers', () => {
  it('of which the first is dead: patron and brew use the second, given by a second --server or after a comma', async () => {
    const [dead, alive] = await Promise.all([serve(), serve()]);
    dead.cli.kill('SIGKILL');
    await dead.cli.exit;
    const token = ['--token', TOKEN];
    const patron = await listen('a', ['-n', '1', '--lines', '--server', dead.url, '--server', alive.url, ...token], { env: {} });
    expect(patron.stderr.all).toContain(`Cannot connect to ${dead.url}`);
    expect(patron.stderr.all).toContain(`Listening for a at one of ${dead.url}, ${alive.url}\n`);
    expect(await result(['brew', 'a', 'x', '--server', `${dead.url}, ${alive.url}`, ...token])).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.all).toBe('x\n');
  });

  it('of which the first dies: the patron continues at the second', async () => {
    const [first, second] = await Promise.all([serve(), serve()]);
    const patron = await listen('a', ['-n', '1', '--lines'], { env: { ...first.env, PUBKEEPER_SERVER: `${first.url},${second.url}` } });
    first.cli.kill('SIGKILL');
    await patron.says(/The connection to one of ws:\S+, ws:\S+ was lost; reconnecting …\n/);
    await patron.says(/Connected to one of ws:\S+, ws:\S+ again\.\n/);
    expect(await result(['brew', 'a', 'after'], { env: second.env })).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    expect(patron.stdout.all).toBe('after\n');
  });

  it('of which none is running: brew reports each of them, and ends with exit code 1', async () => {
    const urls = await Promise.all([freePort(), freePort()].map(async (port) => `ws://127.0.0.1:${await port}/ws`));
    const { code, stderr } = await result(['brew', 'a', 'x', '--server', urls.join(), '--token', TOKEN]);
    expect(code).toBe(1);
    expect(stderr.split('\n')).toEqual([...urls.map((url) => expect.stringMatching(`^pubkeeper: Cannot connect to ${url} \\(.*ECONNREFUSED.*`) as string), '']);
  });
});
