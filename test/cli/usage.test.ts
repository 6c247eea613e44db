import { Writable } from 'node:stream';
import { Command } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCommandLine } from '../../src/cli/program.js';
import { Tell } from '../../src/cli/tell.js';
import { LIMITS } from '../../src/server/limits.js';
import { result } from './harness.js';

// Errors in a command line are found before anything starts, so these tests need no process of their own.

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const out = { stdout: '', stderr: '' };
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => !!(out.stdout += String(text)));
  const stderr = new Writable({ decodeStrings: false, write: (text: string, _encoding, done) => (done(), (out.stderr += text)) });
  vi.stubEnv('PUBKEEPER_TOKEN', undefined);
  const code = await runCommandLine(args, new Tell(stderr));
  vi.restoreAllMocks();
  return { code, ...out };
}

const TOKEN = ['--token', 'T'];

describe('a wrong command line', () => {
  it.each<[string[], RegExp]>([
    [['frobnicate'], /Unknown command 'frobnicate'; see/],
    [['sub', 'demo.**'], /Unknown command 'sub' \(Did you mean patron\?\); see pubkeeper --help/],
    [['subscribe', 'demo.**'], /\(Did you mean patron\?\)/],
    [['pub', 'demo.x', 'hello'], /\(Did you mean brew\?\)/],
    [['publish', 'demo.x', 'hello'], /Unknown command 'publish' \(Did you mean brew\?\); see pubkeeper --help/],
    [['server'], /Unknown command 'server' \(Did you mean serve\?\); see pubkeeper --help/],
    [['patron'], /Missing required argument 'pattern'/],
    [['patron', 'a', 'b', ...TOKEN], /Too many arguments[^\n]+\(put quotes around a pattern with \*\)/],
    [['patron', 'a', '--token', 'x'.repeat(65_001)], /A token has at most 65000 bytes, and this one has 65001: give the token alone/],
    [['patron', 'a', '--frob', ...TOKEN], /Unknown option '--frob'/],
    [['patron', 'a', '--tokn=SECRET'], /Unknown option '--tokn'/],
    [['patron', 'a'], /There is no token/],
    [['patron', 'a', '--token', ''], /The token is empty/],
    [['patron', 'a', '--token'], /argument missing/],
    [['patron', 'a..b', ...TOKEN], /"a\.\.b" is not a topic pattern/],
    [['patron', '', ...TOKEN], /"" is not a topic pattern/],
    [['patron', 'a**', ...TOKEN], /is not a topic pattern/],
    [['patron', 'a', '--json', '--raw', ...TOKEN], /'--json' cannot be used with option '--raw'/],
    [['patron', 'a', '--raw', '--lines', ...TOKEN], /cannot be used with/],
    [['patron', 'a', '-n', '0', ...TOKEN], /The count must be a whole number/],
    [['patron', 'a', '--timeout', 'soon', ...TOKEN], /The time must be a number of seconds/],
    [['bench', '--seconds', '0', ...TOKEN], /The time must be a number of seconds/],
    [['brew', 'a', 'x', '--brew', 'mqt=mqtt://me:SECRET@h', ...TOKEN], /The brew must be one of [^\n]+, not "mqt"\./],
    [['brew', 'a', 'x', '--brew', 'nats=nats://a', '--brew', 'mqtt=mqtt://a', '--brew', 'nats', ...TOKEN], /--brew nats is given twice/],
    [['patron', 'a', '--brew', 'mqtt=http://x', ...TOKEN], /an address must be like mqtt:/],
    [['patron', 'a', '--brew', 'local=relative', ...TOKEN], /LocalBrew: .*relative/],
    [['serve', '--origin', 'foo'], /The origin must be as browsers send it/],
    [['patron', 'a', '--timeout', '0', ...TOKEN], /The time must be a number of seconds/],
    [['serve', '--relay-address', 'relay.example'], /must be host:port, like relay\.example:443, not "relay\.example"/],
    [['patron', 'a', '--cipher', 'rot13', ...TOKEN], /The cipher must be one of aes-gcm, aes-cbc, none, not "rot13"/],
    [['patron', 'a', '--server', 'http://127.0.0.1', ...TOKEN], /The server must be a URL like ws:/],
    [['patron', 'a', '--server', 'localhost:9898', ...TOKEN], /The server must be a URL like ws:/],
    [['patron', 'a', '--server', 'ws://a/#b', ...TOKEN], /The server must be a URL like ws:\S+ or wss:\S+, not "ws:\/\/a\/#b"/],
    [['patron', 'a', '--server', 'ws://me:secret@a', ...TOKEN], /^(?!.*secret).*The server must be a URL like ws:\S+ or wss:\S+, not "\(use token\)@a"/s],
    [['patron', 'a', '--server', '', ...TOKEN], /The server must be a URL like ws:/],
    [['patron', 'a', '--server', 'ws://a,', ...TOKEN], /The server must be a URL like ws:\S+ or wss:\S+, not ""/],
    [['brew', 'a', 'x', '--server', 'ws://a', '--server', 'b', ...TOKEN], /The server must be a URL like ws:\S+ or wss:\S+, not "b"/],
    [['brew'], /Missing required argument 'topic'/],
    [['brew', 'a.*', 'x', ...TOKEN], /"a\.\*" is a pattern: a brewer publishes one literal topic/],
    [['brew', 'a b', 'x', ...TOKEN], /"a b" is not a topic/],
    [['brew', 'a', 'x', '--file', 'f', ...TOKEN], /a text and --file/],
    [['brew', 'a', 'x', '--lines', ...TOKEN], /a text and --lines/],
    [['brew', 'a', '{', '--json', ...TOKEN], /The text is not JSON/],
    [['brew', 'a', '--frob', ...TOKEN], /put -- before a text that starts with a dash/],
    [['brew', 'a', 'hello', 'world', ...TOKEN], /Too many arguments[^\n]+\(put quotes around a text of several words\)/],
    [['brew', 'a', '--file', '', ...TOKEN], /--file needs the name of a file/],
    [['brew', 'a', 'x', '--brew', 'websocket=ws://h:0', ...TOKEN], /a port from 1 to 65535, not "h" and 0/],
    [['brew', 'a', 'x', '--brew', 'websocket=ws://h:1/brew', ...TOKEN], /A relay has only a host and a port: give --brew websocket=ws:\/\/h:1\. One behind a path/],
    [['patron', 'a', '--brew', 'websocket=wss://h?x', ...TOKEN], /give --brew websocket=wss:\/\/h\./],
    [['brew', 'a', 'x', '--brew', 'websocket=wss://me:SECRET@h', ...TOKEN], /give --brew websocket=wss:\/\/h\./],
    [['patron', 'a', '--json=SECRET', ...TOKEN], /Option '--json' takes no value; see pubkeeper patron --help/],
    [['serve', '--tokens', ''], /--tokens needs the name of a file/],
    [['serve', '--port', '9000', '--relay-port', '9000'], /--relay-port must not be --port/],
    [['token', 'create', '--all', '--tokens', ''], /--tokens needs the name of a file/],
    [['--frob', 'brew'], /; see pubkeeper --help\.$/m],
    [['brw', 'a'], /; see pubkeeper --help\.$/m],
    [['token', 'creat'], /; see pubkeeper token --help\.$/m],
    [['token', 'create', '--frob'], /; see pubkeeper token create --help\.$/m],
    [['serve', '--port', '70000'], /A port must be a whole number from 0 to 65535, not "70000"/],
    [['serve', '--port', 'http'], /A port must be/],
    [['serve', '--relay-port', '-1'], /A port must be a whole number/],
    [['serve', '--token', 'SECRET=raed:a'], /A token's rights must be read: or write:/],
    [['serve', '--token', ''], /An empty token/],
    [['serve', '--host', '0.0.0.0', '--port', '0'], /can be reached from outside: give --token or --tokens/],
    [['serve', '--host', '', '--port', '0'], /--host needs an address or a host name/],
    [['serve', 'now'], /Too many arguments/],
    [['serve', '--cluster', 'http://127.0.0.1:4222'], /"cluster\.servers" must hold addresses like nats:/],
    [['serve', '--cluster', ''], /"cluster\.servers" must hold addresses like nats:/],
    [['serve', '--port', '0', '--cluster-name', 'plant'], /give --cluster too, or leave them out/],
    [['serve', '--port', '0', '--cluster-replicas', '1'], /give --cluster too/],
    [['serve', '--port', '0', '--cluster-credentials', 'file'], /give --cluster too/],
    [['serve', '--cluster', 'nats://a', '--cluster-name', 'a b'], /"cluster\.name" must be 1 to 32 letters/],
    [['serve', '--topic-length', '0'], /--topic-length must be a whole number from 1 to \d+, not "0"/],
    [['serve', '--buffered-bytes', '1MiB'], /--buffered-bytes must be a whole number/],
    [['serve', '--max-message-bytes', '1'], /--max-message-bytes must be a whole number from 1024/],
    [['serve', '--slow-reader', 'wait'], /Allowed choices are drop, cut/],
    [['serve', '--log-format', 'xml'], /Allowed choices are text, json/],
    [['serve', '--log-level', 'loud'], /Allowed choices are debug, info, warn, error/],
    [['serve', '--log-format', 'json'], /A generated token must not appear in a log/],
    [['serve', '--drain-ms', 'long'], /--drain-ms must be a whole number/],
    [['serve', '--jwt-algorithms', 'none'], /--jwt-algorithms takes one or more of HS256, RS256, ES256, EdDSA/],
    [['serve', '--jwt-issuer', 'me'], /Signed tokens need a key: give --jwt-key-file/],
    [['serve', '--jwt-key-file', 'k', '--jwt-issuer', 'me'], /need --jwt-issuer, --jwt-audience and --jwt-algorithms/],
    [['serve', '--jwt-key-file', 'k', '--jwt-jwks-url', 'u'], /exclude each other/],
    [['serve', '--jwt-algorithms', 'HS256,ES256'], /HS256 uses a secret, the others use public keys: choose one kind/],
    [['serve', '--port', '0', '--jwt-jwks-url', 'http://a', '--jwt-issuer', 'i', '--jwt-audience', 'a', '--jwt-algorithms', 'ES256'], /\(--jwt-jwks-url\) must be an https URL/],
    [['token', 'create'], /A token without rights is of no use/],
    [['token', 'create', '--read', 'a..b'], /is not a topic pattern/],
    [['token', 'create', '--all', '--read', 'a'], /--all includes every right/],
    [['token', 'create', '--all', '--write', 'a'], /--all includes every right/],
    [['token', 'create', '--all', '--subject', 'me'], /--expires and --subject are for signed tokens/],
    [['token', 'create', '--all', '--jwt-jwks-url', 'https://a'], /--jwt-jwks-url has public keys: a token is signed by --jwt-key-file/],
    [['token', 'create', '--all', '--jwt-leeway', '5'], /--jwt-leeway is only for checking tokens/],
    [['token', 'create', '--all', '--jwt-issuer', 'i', '--jwt-audience', 'a', '--jwt-algorithms', 'ES256,RS256'], /one algorithm by --jwt-algorithms/],
    [['token', 'create', '--all', '--expires', '60'], /--expires and --subject are for signed tokens/],
    [['token', 'create', '--all', '--jwt-key-file', 'k'], /A signed token needs --jwt-issuer/],
    [['token', 'create', '--all', '--jwt-issuer', 'i', '--jwt-algorithms', 'ES256'], /A signed token needs --jwt-issuer, --jwt-audience/],
    [['token', 'create', '--all', '--jwt-audience', 'a', '--jwt-algorithms', 'ES256'], /A signed token needs --jwt-issuer, --jwt-audience/],
    [['token', 'create', '--all', '--jwt-issuer', 'i', '--jwt-audience', 'a', '--jwt-algorithms', 'ES256'], /There is no key to sign with/],
    [['token', 'create', '--all', '--jwt-key-file', 'k', '--tokens', 'f'], /A signed token is not kept in a file/],
    [['token', 'verify'], /There is nothing to check the token against/],
  ])('%j is refused with one sentence and exit code 2', async (args, sentence) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^pubkeeper: [^\n]+[.!]\n$/);
    expect(stderr).not.toContain('SECRET');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it('with both --verbose and --log-level is refused with exit code 2', async () => {
    const { code, stderr } = await run(['serve', '--verbose', '--log-level', 'error']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pubkeeper: --verbose means --log-level debug: leave one of them out\.\n/);
  });

  it.each([[[]], [['token']]])('%j without a command shows the help on stderr', async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: pubkeeper /);
    expect(stderr).not.toContain('pubkeeper: ');
  });
});

describe('help', () => {
  it.each([[['--help']], [['help', 'serve']], [['serve', '--help']], [['patron', '--help']], [['brew', '-h']], [['token', '--help']], [['help', 'token', 'create']], [['token', 'verify', '--help']]])('%j is on stdout, with examples', async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Usage: pubkeeper');
    expect(stdout).toMatch(/\n {2}\$ pubkeeper /);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(122);
  });

  it('names every flag of every command', async () => {
    /** The command whose help is shown, and the text of the help. */
    const helpOf = async (...args: string[]): Promise<{ command: Command; stdout: string }> => {
      const shown = vi.spyOn(Command.prototype, 'outputHelp');
      const { stdout } = await run([...args, '--help']);
      return { command: shown.mock.contexts[0] as Command, stdout };
    };
    const names: string[] = [];
    for (const args of [['serve'], ['patron'], ['brew'], ['bench'], ['token', 'create'], ['token', 'verify']]) {
      const { command, stdout } = await helpOf(...args);
      expect([command.name(), command.options.length > 1]).toEqual([args.at(-1), true]);
      for (const { long } of command.options) expect(stdout, args.join(' ')).toMatch(new RegExp(`^ +(-\\w, )?${long}\\b`, 'm'));
      names.push(args[0]!);
    }
    // There are no other commands.
    expect((await helpOf()).command.commands.map((command) => command.name())).toEqual([...new Set(names)]);
  });

  it('names limits, defaults and variables', async () => {
    const { stdout } = await run(['serve', '--help']);
    for (const name of [...Object.keys(LIMITS), 'maxMessageBytes', 'authMs', 'heartbeatMs', 'holdMs', 'ticketSeconds', 'slowReader']) {
      expect(stdout).toContain(`  --${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `);
    }
    expect(stdout).toMatch(/--port[^]*9898[^]*--host[^]*--relay-port[^]*--tokens[^]*--token[^]*--json/);
    expect((await run(['patron', '--help'])).stdout).toMatch(
      /--server[^]*ws:\/\/127\.0\.0\.1:9898\/ws[^]*PUBKEEPER_SERVER[^]*--token[^]*PUBKEEPER_TOKEN[^]*--cipher[^]*--json[^]*--raw[^]*-n, --count[^]*--timeout/,
    );
    expect((await run(['patron', '--help'])).stdout).toMatch(/--cipher[^]*default:\s+"none"/);
    expect((await run(['bench', '--help'])).stdout).toMatch(/--size[^]*default:\s+100\)[^]*--seconds[^]*default:\s+3\)[^]*--cipher[^]*default:\s+"aes-gcm"[^]*--timeout[^]*default:\s+15\)/);
    expect((await run(['help', 'token', 'create'])).stdout).toMatch(/^Usage: pubkeeper token create /);
    expect((await run(['brew', '--help'])).stdout).toMatch(/--server[^]*--token[^]*--cipher[^]*--json[^]*--file[^]*--lines[^]*--timeout/);
  });
});

it('the real program prints its version, and refuses an unknown option', async () => {
  expect(await result(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' });
  expect(await result(['patron', 'a', '--frob'])).toEqual({
    code: 2,
    stdout: '',
    stderr: "pubkeeper: Unknown option '--frob'; see pubkeeper patron --help.\n",
  });
});
