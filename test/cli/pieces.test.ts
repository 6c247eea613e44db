import fc from '../fast-check.js';
import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseCount, parsePort, parseSeconds, parseSize, parseToken } from '../../src/cli/arguments.js';
import { isAway } from '../../src/cli/connect.js';
import { formatter, showData, showTime, wantsColour } from '../../src/cli/format.js';
import { compactJson, readAll, readLines } from '../../src/cli/input.js';
import { Run } from '../../src/cli/run.js';
import { addServeFlags, numbersOf, type ServeFlags } from '../../src/cli/serve-flags.js';
import { escapeUnprintable, Tell } from '../../src/cli/tell.js';
import { collectTokens, either, parseTokenGrant, tokenTable } from '../../src/cli/tokens.js';
import { PubkeeperError } from '../../src/core/errors.js';
import { Message } from '../../src/core/message.js';
import { Tokens } from '../../src/server/auth.js';
import { bytes } from '../helpers.js';

const ESC = '\u001b';

async function* inChunks(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
}

async function linesOf(...chunks: readonly (string | Uint8Array)[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(inChunks(...chunks))) lines.push(Buffer.from(line).toString());
  return lines;
}

it.each([
  ['CONNECTION_LOST', { url: 'ws://r/brew' }, true],
  ['CONNECT_FAILED', { urls: ['nats://n'] }, true],
  ['CONNECTION_LOST', { server: 'nats://n' }, true],
  ['CONNECT_FAILED', { address: '/run/x' }, true],
  ['CONNECT_FAILED', { url: 'ws://c/ws' }, false],
  ['CONNECTION_LOST', { silentMs: 15_000 }, false],
  ['TIMEOUT', { timeoutMs: 10_000 }, false],
  ['FORBIDDEN', { url: 'ws://r/brew' }, false],
] as const)('%s with %j: whether a relay or a broker is away and not the control server: %j', (code, details, expected) => {
  expect(isAway(new PubkeeperError(code, 'x', details), { server: ['ws://c/ws'] })).toBe(expected);
});

describe('the output of patron', () => {
  const message = (data: Uint8Array<ArrayBuffer>, sequence?: number): Message => new Message('a.b', 'f'.repeat(32), data, false, sequence);
  const time = new Date(2024, 0, 2, 3, 4, 5, 6);

  it('shows text as it is, text that would break the line as JSON, and other bytes as base64', () => {
    expect(showData(bytes('héllo  wörld'))).toBe('héllo  wörld');
    expect(showData(bytes(''))).toBe('');
    expect(showData(bytes('a\nb'))).toBe('"a\\nb"');
    expect(showData(bytes(`${ESC}[2J`))).toBe('"\\u001b[2J"');
    expect(showData(bytes('\u009b\u202e\u2028'))).toBe('"\\u009b\\u202e\\u2028"');
    expect(showData(Uint8Array.of(0xff, 0))).toBe('base64:/wA=');
    expect(showData(bytes('\ufeffx'))).toBe('\ufeffx');
  });

  it('never passes a control character of a message to a terminal', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (data) => !/\p{Cc}/u.test(showData(data))));
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => !/\p{Cc}/u.test(showData(bytes(text)))));
    // U+009B starts an escape sequence, as ESC [ does. JSON.stringify() alone escapes neither this, nor DEL, nor characters that reverse text.
    const line = String(formatter('json', false)(message(bytes('\u009b2J\u007f\u202e\u2028')), time));
    expect(line.slice(0, -1)).toMatch(/^[ -~]+$/);
    expect(JSON.parse(line)).toMatchObject({ data: '\u009b2J\u007f\u202e\u2028' });
  });

  it('formats a message as human, raw, lines or json', () => {
    expect(showTime(time)).toBe('03:04:05.006');
    expect(formatter('human', false)(message(bytes('x')), time)).toBe('a.b  03:04:05.006  x\n');
    expect(formatter('human', true)(message(bytes('x')), time)).toBe(`${ESC}[36ma.b${ESC}[0m  ${ESC}[2m03:04:05.006${ESC}[0m  x\n`);
    expect(Buffer.from(formatter('raw', true)(message(bytes('x')), time))).toEqual(Buffer.from('x'));
    expect(Buffer.from(formatter('lines', true)(message(bytes('x')), time))).toEqual(Buffer.from('x\n'));
    const json = (data: Uint8Array<ArrayBuffer>, sequence?: number): unknown => JSON.parse(String(formatter('json', true)(message(data, sequence), time)));
    const rest = { topic: 'a.b', time: time.toISOString(), brewerId: 'f'.repeat(32), retained: false };
    expect(json(bytes('a\nb'), 7)).toEqual({ ...rest, data: 'a\nb', sequence: 7 });
    expect(json(Uint8Array.of(0xff))).toEqual({ ...rest, base64: '/w==' });
  });

  it('has colours only on a terminal, and not with NO_COLOR or TERM=dumb', () => {
    expect(wantsColour({ isTTY: true }, {})).toBe(true);
    expect(wantsColour({}, {})).toBe(false);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: '' })).toBe(true);
    expect(wantsColour({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
  });
});

describe('the input of brew', () => {
  it('is split into lines wherever the chunks end', async () => {
    expect(await linesOf('a\nb\n')).toEqual(['a', 'b']);
    expect(await linesOf('a\r\n\r\n\nb')).toEqual(['a', '', '', 'b']);
    expect(await linesOf('a\r', '\nb\r')).toEqual(['a', 'b\r']);
    expect(await linesOf('')).toEqual([]);
    expect(await linesOf()).toEqual([]);
    const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.boolean(), fc.array(fc.nat(), { maxLength: 8 }), async (lines, terminated, cuts) => {
        const last = lines.at(-1);
        fc.pre(terminated || last === undefined || last !== '');
        const input = Buffer.from(lines.map((text) => `${text}\n`).join('').slice(0, terminated || !lines.length ? undefined : -1));
        const ends = [...cuts.map((cut) => cut % (input.length + 1)), input.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => input.subarray(ends[index - 1] ?? 0, end));
        expect(await linesOf(...chunks)).toEqual(lines);
      }),
    );
  });

  it('is refused when it, or one of its lines, is longer than the limit', async () => {
    await expect(readAll(inChunks('ab', 'cd'), 3)).rejects.toThrow('longer than 3 bytes');
    expect(Buffer.from(await readAll(inChunks('ab', 'c'), 3)).toString()).toBe('abc');
    const long = readLines(inChunks('a\nbc', 'de'), 3);
    expect(Buffer.from((await long.next()).value as Uint8Array).toString()).toBe('a');
    await expect(long.next()).rejects.toThrow('longer than 3 bytes');
    expect(Buffer.from((await readLines(inChunks('ab', 'c'), 3).next()).value as Uint8Array).toString()).toBe('abc');
  });

  it('as JSON loses its whitespace, and is not changed otherwise', () => {
    const compact = (text: string): string => Buffer.from(compactJson(bytes(text), (why) => new Error(why))).toString();
    expect(compact(' { "a b" : [ 1 , "\\" x" ],\n\t"__proto__": 12345678901234567890.10 } ')).toBe(
      '{"a b":[1,"\\" x"],"__proto__":12345678901234567890.10}',
    );
    fc.assert(fc.property(fc.jsonValue(), (value) => compact(JSON.stringify(value, null, 2)) === JSON.stringify(value)));
    const long = JSON.stringify('x\\" '.repeat(300_000));
    expect(compact(` ${long} `) === long).toBe(true);
    expect(() => compact('{')).toThrow(/^not JSON \(/);
    const escapes = 4_000_000;
    expect(compactJson(bytes(`[ "${'\\"'.repeat(escapes)}" ]`), (why) => new Error(why))).toHaveLength(2 * escapes + 4);
    expect(() => compactJson(Uint8Array.of(0x22, 0xff, 0x22), (why) => new Error(why))).toThrow('not UTF-8');
  });
});

describe('tokens of the command line', () => {
  it('have all rights, or the rights after "="', () => {
    const everything = [{ topic: '**', read: true, write: true }];
    expect(parseTokenGrant('abc')).toEqual(['abc', everything]);
    expect(parseTokenGrant('YWI==')).toEqual(['YWI==', everything]);
    expect(parseTokenGrant('abc=')).toEqual(['abc=', everything]);
    expect(parseTokenGrant('abc=read:a.**,write:b.*')).toEqual([
      'abc',
      [
        { topic: 'a.**', read: true },
        { topic: 'b.*', write: true },
      ],
    ]);
    expect(parseTokenGrant('YWI===read:a')).toEqual(['YWI==', [{ topic: 'a', read: true }]]);
  });

  it('lose the carriage return of a Windows file, at the server and at its clients', () => {
    expect(parseTokenGrant('abc\r')[0]).toBe('abc');
    expect(parseTokenGrant('abc=read:a\r')).toEqual(['abc', [{ topic: 'a', read: true }]]);
    expect(parseToken('abc\r')).toBe('abc');
    expect(parseToken(' a b ')).toBe(' a b ');
    expect(() => parseToken('\r\n')).toThrow(/The token is empty/);
  });

  it('have at most 65,000 bytes, which is what servers read', () => {
    const longest = 'é'.repeat(32_500);
    expect(parseToken(longest)).toBe(longest);
    expect(() => parseToken(`${longest}x`)).toThrow(/at most 65000 bytes, and this one has 65001/);
  });

  it.each(['', '=', '=read:a', 'mine=raed:a', 'mine=read', 'mine=read:', 'mine=read:a..b', 'mine=read:a,', 'mine=read:a='])(
    'are refused as "%s" with exit code 2, and not printed',
    (text) => {
      let error: unknown;
      try {
        parseTokenGrant(text);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(/^(?!.*mine).*--token takes TOKEN/) as string });
    },
  );

  it('add up when the flag is repeated, also with the name __proto__', async () => {
    const table = tokenTable(collectTokens('__proto__=write:b', collectTokens('__proto__=read:a', collectTokens('x', undefined))));
    expect(Object.keys(table)).toEqual(['x', '__proto__']);
    const tokens = new Tokens(table);
    const rights = tokens.authenticate('__proto__');
    expect([rights?.mayRead('a'), rights?.mayWrite('a'), rights?.mayWrite('b')]).toEqual([true, false, true]);
    const both = either(tokens, new Tokens({ y: [] }));
    expect(await both.authenticate('y')).toBeDefined();
    expect(await both.authenticate('x')).toBeDefined();
    expect(await both.authenticate('z')).toBeUndefined();
  });
});

it('seconds and counts must be plain decimal numbers', () => {
  expect(parseSeconds('0.25')).toBe(0.25);
  expect(parseSeconds('.5')).toBe(0.5);
  for (const text of ['', '0', '-1', '1e3', 'abc', '1s', 'Infinity', 'NaN', '99999999', '0x1']) expect(() => parseSeconds(text), text).toThrow();
  expect(parseCount('12')).toBe(12);
  for (const text of ['', '0', '-1', '1.5', '1e3', ' 1', '99999999999999999999']) expect(() => parseCount(text), text).toThrow();
});

it('seconds, ports and sizes are accepted up to their limits', () => {
  expect([parseSeconds('7'), parseSeconds('7.')]).toEqual([7, 7]);
  // A timer that is set to more than 24.8 days ends at once.
  expect(parseSeconds('2073600')).toBe(24 * 24 * 3600);
  expect(() => parseSeconds('2073601')).toThrow(/above 0 and up to 2073600/);
  expect([parsePort('0'), parsePort('65535')]).toEqual([0, 65_535]);
  expect([parseSize('1'), parseSize('16777216')]).toEqual([1, 16 * 1024 * 1024]);
  for (const text of ['0', '16777217']) expect(() => parseSize(text), text).toThrow();
});

describe('the flags of serve', () => {
  const read = (...args: string[]): ServeFlags => addServeFlags(new Command()).parse(args, { from: 'user' }).opts();

  it('collect repeated values, and the values of a list', () => {
    expect(read('--origin', 'https://a', '--origin', 'http://b:1', '--relay-address', 'a:1', '--relay-address', 'b:2')).toMatchObject({
      origin: ['https://a', 'http://b:1'],
      relayAddress: ['a:1', 'b:2'],
    });
    expect(read('--jwt-algorithms', 'RS256, ES256,EdDSA').jwtAlgorithms).toEqual(['RS256', 'ES256', 'EdDSA']);
    expect(read('--jwt-algorithms', 'HS256').jwtAlgorithms).toEqual(['HS256']);
  });

  it('of a cluster may also come from the environment', () => {
    vi.stubEnv('PUBKEEPER_CLUSTER', 'nats://a');
    vi.stubEnv('PUBKEEPER_CLUSTER_NAME', 'plant');
    vi.stubEnv('PUBKEEPER_CLUSTER_CREDENTIALS', 'file');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(read()).toMatchObject({ cluster: 'nats://a', clusterName: 'plant', clusterCredentials: 'file' });
  });

  it('that are numbers are passed on to the server, those of limits as "limits"', () => {
    expect(read()).toMatchObject({ port: 9898, host: '127.0.0.1', drainMs: 0 });
    expect(numbersOf(read())).toStrictEqual({ limits: {} });
    expect(read('--jwt-leeway', '0', '--drain-ms', '0')).toMatchObject({ jwtLeeway: 0, drainMs: 0 });
    expect(numbersOf(read('--auth-ms', '7', '--hold-ms', '0', '--topic-length', '9', '--slow-reader', 'cut'))).toEqual({
      authMs: 7,
      holdMs: 0,
      limits: { topicLength: 9, slowReader: 'cut' },
    });
    expect([read().metrics, read('--metrics').metrics, read('--no-metrics').metrics]).toEqual([undefined, true, false]);
  });
});

it('a message to the user is one line without control characters, followed by the stack if verbose', () => {
  let told = '';
  const stream = { on: () => stream, write: (text: string) => (told += text) } as unknown as NodeJS.WritableStream;
  const tell = new Tell(stream);
  tell.note(`a\n  b ${ESC}[31m\n`);
  tell.quiet = true;
  tell.note('not told');
  tell.detail('not told');
  tell.error(new Error('c', { cause: new Error('d') }));
  expect(told).toBe('pubkeeper: a b \\u001b[31m\npubkeeper: c\n');
  tell.verbose = true;
  tell.error(new Error('e', { cause: new Error('f') }));
  expect(told).toMatch(/pubkeeper: e\nError: e\n {4}at [^]*caused by: Error: f\n/);
  tell.error('It failed: g', new Error('g'));
  expect(told).toMatch(/pubkeeper: It failed: g\nError: g\n {4}at /);
  // The stack and the cause may also contain text from a server.
  told = '';
  tell.error(new Error(`h${ESC}[2J`, { cause: `i\r${ESC}]0;j` }));
  expect(told).toMatch(/\nError: h\\u001b\[2J\n {4}at [^]*\ncaused by: i\\u000d\\u001b\]0;j\n$/);
  expect(told).not.toContain(ESC);
  expect(escapeUnprintable('\t')).toBe('\\u0009');
});

it('a run ends once, and its timers do not fire after that', () => {
  vi.useFakeTimers();
  const before = new Map((['SIGINT', 'SIGTERM'] as const).map((signal) => [signal, process.listeners(signal)]));
  onTestFinished(() => {
    vi.useRealTimers();
    for (const [signal, former] of before) {
      for (const listener of process.listeners(signal)) if (!former.includes(listener)) process.removeListener(signal, listener);
    }
  });
  const run = new Run(new Tell(new PassThrough()), (code) => code);
  const late = vi.fn();
  const replaced = vi.fn();
  run.after(1, replaced);
  run.after(2, late);
  vi.advanceTimersByTime(1999);
  run.end(0);
  run.end(1);
  vi.advanceTimersByTime(10_000);
  run.after(1, late);
  vi.advanceTimersByTime(10_000);
  expect([replaced.mock.calls, late.mock.calls]).toEqual([[], []]);
  return expect(run.ended).resolves.toBe(0);
});
