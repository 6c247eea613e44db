import { describe, expect, it, vi } from 'vitest';
import { diff } from '../../demo/public/js/diff.js';
import { checkInput, completeServer, explain } from '../../demo/public/js/explain.js';
import { rangeOf } from '../../demo/public/js/charts.js';
import { formatBytes, formatDuration, formatNumber, formatRate } from '../../demo/public/js/format.js';
import { FrameLoop } from '../../demo/public/js/frame-loop.js';
import { hexDump, isRounded, jsonLines, parseHex, preview, readBytes, valueAt } from '../../demo/public/js/payload.js';
import { LIMITS, Store } from '../../demo/public/js/store.js';
import { isTopicPattern } from '../../src/index.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const entry = (data: Uint8Array, length = data.length) => ({
  at: 0,
  data,
  length,
  frame: undefined,
  frameLength: 0,
  cipher: 'AES-GCM',
  brewerId: 'b',
  sequence: 0,
  retained: false,
});

describe('the store', () => {
  it('counts a message for its topic and every level above', () => {
    const store = new Store();
    store.add('a.b', entry(bytes('1')));
    store.add('a.c', entry(bytes('2')));
    store.add('a', entry(bytes('3')));
    expect(store.root.count).toBe(3);
    expect(store.root.children.get('a')).toMatchObject({ count: 3, messages: 1, isTopic: true });
    expect(store.topics.get('a.b')).toMatchObject({ count: 1, messages: 1, depth: 1, path: 'a.b' });
  });

  it('takes __proto__ and constructor for what they are: names', () => {
    const store = new Store();
    for (const topic of ['__proto__.constructor', 'constructor', 'a.__proto__']) store.add(topic, entry(bytes('1')));
    expect([...store.root.children.keys()]).toEqual(['__proto__', 'constructor', 'a']);
    expect(Object.hasOwn(Object.prototype, 'constructor.a')).toBe(false);
  });

  it('keeps so many messages of a topic, so many topics and so many levels', () => {
    const store = new Store();
    for (let i = 0; i < LIMITS.history + 50; i++) store.add('busy', entry(bytes(String(i))));
    expect(store.topics.get('busy')?.history).toHaveLength(LIMITS.history);
    expect(store.topics.get('busy')?.messages).toBe(LIMITS.history + 50);
    for (let i = 0; i < LIMITS.topics + 10; i++) store.add(`many.t${i}`, entry(bytes('x')));
    expect(store.topics.size).toBe(LIMITS.topics);
    expect(store.ignored).toBe(11);
    const deep = new Store();
    deep.add(Array(5000).fill('d').join('.'), entry(bytes('x')));
    let levels = 0;
    for (let node = deep.root.children.get('d'); node; node = node.sorted[0]) levels++;
    expect(levels).toBe(LIMITS.depth);
  });

  it('keeps so many bytes, and of each topic at least something as long as it can', () => {
    const store = new Store();
    const big = new Uint8Array(LIMITS.payload * 2);
    for (let i = 0; i < 3000; i++) {
      store.add(`t${i % 100}`, entry(big));
      expect(store.bytes).toBeLessThanOrEqual(LIMITS.bytes);
    }
    const all = [...store.topics.values()];
    expect(all.every(({ history }) => history.length > 0)).toBe(true);
    expect(store.bytes).toBe(all.flatMap(({ history }) => history).reduce((sum, { data }) => sum + data.length, 0));
    for (let i = 0; i < LIMITS.topics; i++) store.add(`u${i}`, entry(big));
    expect(store.bytes).toBeLessThanOrEqual(LIMITS.bytes);
  });

  it('copies what it keeps: it may be a view into a large buffer', () => {
    const store = new Store();
    store.add('a', entry(new Uint8Array(1_000_000).subarray(5, 8)));
    expect(store.topics.get('a')?.latest?.data.buffer.byteLength).toBe(3);
  });

  it('takes rates over five seconds', () => {
    const store = new Store();
    const start = Date.now();
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 20; i++) store.add('a.b', entry(bytes('x')), start + second * 1000);
      store.sample(start + (second + 1) * 1000);
    }
    expect(store.root.rate).toBeCloseTo(20, 5);
    for (let second = 11; second < 20; second++) store.sample(start + second * 1000);
    expect(store.root.rate).toBe(0);
  });
});

describe('the frame loop', () => {
  it('draws once a frame at most, not more often than a view wants, and not at all without frames', () => {
    const frames: ((now: number) => void)[] = [];
    vi.stubGlobal('requestAnimationFrame', (run: (now: number) => void) => frames.push(run));
    try {
      const drawn: string[] = [];
      const loop = new FrameLoop();
      const fast = loop.add(() => drawn.push('fast'), 0);
      const slow = loop.add(() => drawn.push('slow'), 100);
      for (let i = 0; i < 1000; i++) for (const view of [fast, slow]) view.changed();
      // A hidden tab: nothing is drawn, and one request waits.
      expect([frames.length, drawn]).toEqual([1, []]);
      frames.shift()!(0);
      expect(drawn).toEqual(['fast', 'slow']);
      for (const now of [16, 32, 99]) {
        for (const view of [fast, slow]) view.changed();
        expect(frames).toHaveLength(1);
        frames.shift()!(now);
      }
      expect(drawn.slice(2)).toEqual(['fast', 'fast', 'fast']);
      frames.shift()!(101);
      expect(drawn.at(-1)).toBe('slow');
      expect(frames).toEqual([]);
      slow.now();
      frames.shift()!(102);
      expect(loop.stats).toEqual({ frames: 6, draws: 7 });
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe('payloads', () => {
  it.each([
    ['{"a":1}', 'json'],
    ['[1,2]', 'json'],
    ['12.5', 'json'],
    ['"text"', 'json'],
    ['hello', 'text'],
    ['{broken', 'text'],
    ['', 'text'],
    ['tab\tand\nline', 'text'],
    ['\u0000\u0001', 'binary'],
  ])('%j is %s', (text, kind) => expect(readBytes(bytes(text)).kind).toBe(kind));

  it('bytes that are not UTF-8 are binary; what is cut off may end in half a character', () => {
    expect(readBytes(Uint8Array.of(0xff, 0xfe)).kind).toBe('binary');
    expect(readBytes(bytes('aé').subarray(0, 2), 3).kind).toBe('text');
    expect(readBytes(bytes('123'), 5).kind).toBe('text');
  });

  it('previews', () => {
    expect(preview(entry(bytes('{"load":12.5}')))).toBe('12.5');
    expect(preview(entry(bytes('{"in":1,"out":20000,"more":[1],"x":{"y":1}}')))).toBe('in 1 · out 20,000 · more [1] · x {…}');
    expect(preview(entry(bytes('two\nlines')))).toBe('two lines');
    expect(preview(entry(Uint8Array.of(0, 255)))).toBe('00 ff');
    expect(preview(entry(bytes('')))).toBe('(empty)');
    expect(preview(entry(bytes('x'.repeat(500))), 10)).toHaveLength(10);
  });

  it('finds values by path, own ones only', () => {
    const value: unknown = JSON.parse('{"a":{"b":[1,2]},"__proto__":{"n":3}}');
    expect(valueAt(value, ['a', 'b', '1'])).toBe(2);
    expect(valueAt(value, ['__proto__', 'n'])).toBe(3);
    expect(valueAt(value, ['constructor'])).toBeUndefined();
    expect(valueAt(value, ['a', 'b', 'length', 'x'])).toBeUndefined();
  });

  it('prints JSON line by line, up to a limit, however deep', () => {
    const { lines, more } = jsonLines({ a: 1, b: [true, {}] }, 100);
    expect(lines.map(({ depth, key, open, close }) => [depth, key, open + close])).toEqual([
      [0, '', '{'], [1, 'a', ''], [1, 'b', '['], [2, '', ''], [2, '', '{}'], [1, '', ']'], [0, '', '}'],
    ]);
    expect(more).toBe(false);
    expect(jsonLines(Array(1000).fill(0), 50)).toMatchObject({ more: true, lines: { length: 50 } });
    expect(jsonLines(JSON.parse('['.repeat(3000) + ']'.repeat(3000)), 100).lines.length).toBeLessThanOrEqual(100);
  });

  it('dumps and reads hex', () => {
    expect(hexDump(bytes('hello, world'), 100, 8)).toBe('0000  68 65 6c 6c 6f 2c 20 77  hello, w\n0008  6f 72 6c 64              orld');
    expect(parseHex('0xDEad be:ef')).toEqual(Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
    expect(parseHex('')).toEqual(new Uint8Array(0));
    expect(parseHex('abc')).toBeUndefined();
    expect(parseHex('zz')).toBeUndefined();
  });
});

describe('diff', () => {
  const of = (before: string, after: string) => diff(entry(bytes(before)), entry(bytes(after)));

  it('of JSON: by path, with what was added, removed and the difference of numbers', () => {
    expect(of('{"a":1,"b":{"c":"x"},"d":0}', '{"a":3.5,"b":{"c":"y"},"e":[1]}').changes).toEqual([
      { kind: 'changed', where: 'a', before: '1', after: '3.5', delta: '+2.5' },
      { kind: 'changed', where: 'b.c', before: '"x"', after: '"y"', delta: '' },
      { kind: 'removed', where: 'd', before: '0', after: '', delta: '' },
      { kind: 'added', where: 'e', before: '', after: '[1]', delta: '' },
    ]);
    expect(of('{"a":1,"b":2}', '{"b":2, "a":1}').note).toContain('The same');
    expect(of('0.3', '0.1').changes[0]).toMatchObject({ where: 'value', delta: '−0.2' });
  });

  it('sees what differs far behind, in the last digits, or only in how it is written', () => {
    const long = (end: string) => JSON.stringify({ s: 'x'.repeat(500) + end });
    expect(of(long('old'), long('new')).changes).toMatchObject([{ where: 's', before: expect.stringMatching(/^…x+old"$/), after: expect.stringMatching(/^…x+new"$/) }]);
    expect(of('x'.repeat(500) + 'old', 'x'.repeat(500) + 'new').changes).toMatchObject([{ before: expect.stringMatching(/old$/), after: expect.stringMatching(/new$/) }]);
    expect(of('52.520008', '52.520011').changes).toMatchObject([{ before: '52.520008', after: '52.520011', delta: '+0.000003' }]);
    expect(of('1234567890123456789', '1234567890123456788').note).toBe('The same values, as far as numbers here can tell, in another text.');
    expect(of('{"a":1}', '{"a":1}').note).toBe('The same as the one before.');
    const nested = (value: number) => '{"a":'.repeat(9000) + String(value) + '}'.repeat(9000);
    expect(of(nested(1), nested(2)).changes).toHaveLength(1);
  });

  it('of text: by line', () => {
    expect(of('one\ntwo\nthree', 'one\n2\nthree\nfour').changes.map(({ kind, where }) => `${kind} ${where}`)).toEqual([
      'changed line 2', 'added line 4',
    ]);
  });

  it('of bytes: how many, and where the first is', () => {
    const note = diff(entry(Uint8Array.of(0, 1, 2)), entry(Uint8Array.of(0, 9, 2, 3))).note;
    expect(note).toBe('1 of 3 bytes differ, the first at offset 1; 1 bytes longer.');
  });

  it('ends', () => {
    const many = (base: number) => JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i + base])));
    expect(of(many(0), many(1))).toMatchObject({ more: true, changes: { length: 40 } });
    expect(diff(entry(bytes('a'), 9), entry(bytes('b'))).note).toContain('Too long');
  });
});

describe('numbers at the ends of what there are', () => {
  it('are written in a few characters', () => {
    expect([1e308, -5e-324, 1.5e20, Infinity, 1e-9, 123456.789].map(formatNumber)).toEqual(['1e308', '-5e-324', '1.5e20', '∞', '0.000000001', '123,457']);
  });

  it('are said to be rounded where they are', () => {
    expect(['{"id":1234567890123456789}', '[1,9007199254740991]', '12345678901234567890'].map(isRounded)).toEqual([true, false, true]);
    expect(['{"v":0.12345678901234567}', '{"id":"1234567890123456789"}', '1234567890123456', '1.2345678901234567e20', '{"a1234567890123456789":1}'].some(isRounded)).toBe(false);
  });

  it('get an axis on which ticks are farther apart than numbers', () => {
    for (const [min, max] of [[2 ** 53 - 2, 2 ** 53 - 1], [1, 1 + Number.EPSILON], [-1 - Number.EPSILON, -1]] as const) {
      const [low, high] = rangeOf(min, max);
      expect(low).toBeLessThan(min);
      expect(high).toBeGreaterThan(max);
      expect((high - low) / Math.abs(max)).toBeGreaterThan(1e-9);
    }
    expect(rangeOf(0, 10)).toEqual([0, 11.2]);
  });
});

describe('explanations', () => {
  it.each([
    ['127.0.0.1:9898', 'ws://127.0.0.1:9898/ws'],
    ['http://host:9898', 'ws://host:9898/ws'],
    ['https://host/', 'wss://host/ws'],
    [' ws://host:1/ws ', 'ws://host:1/ws'],
    ['ws://host/path', 'ws://host/path'],
    ['[::1]:9898', 'ws://[::1]:9898/ws'],
    ['', ''],
  ])('completes %j to %j', (given, meant) => expect(completeServer(given)).toBe(meant));

  const check = (input: object, pageProtocol = 'http:') =>
    checkInput({ server: 'ws://host:9898/ws', token: 't', pattern: '**', ...input }, { pageProtocol, isPattern: isTopicPattern });

  it('says what is wrong with the input before anything is dialled', () => {
    expect(check({})).toBeUndefined();
    expect(check({ server: 'ws://' })?.field).toBe('server');
    expect(check({ server: 'ftp://host/ws' })?.title).toContain('ftp:');
    expect(check({ server: 'ws://host/#a' })?.field).toBe('server');
    expect(check({ token: '' })?.field).toBe('token');
    expect(check({ pattern: 'a..b' })?.field).toBe('pattern');
    expect(check({}, 'https:')?.text).toContain('wss://');
    expect(check({ server: 'ws://127.0.0.1:9898/ws' }, 'https:')).toBeUndefined();
  });

  it('says what to do about every way in which a connection fails', () => {
    const codes = ['UNAUTHORIZED', 'SUBPROTOCOL_REFUSED', 'CONNECT_FAILED', 'CONNECT_BLOCKED', 'TIMEOUT', 'FORBIDDEN', 'SOMETHING_ELSE'];
    for (const code of codes) {
      const { title, text } = explain({ code, message: 'Why.' }, { server: 'ws://host:9898/ws' });
      expect(title, code).toMatch(/\.$/);
      expect(text, code).toMatch(/\.$/);
    }
    expect(explain({ code: 'CONNECT_FAILED', message: '' }, { server: 'ws://host:9898/ws', answersOtherwise: true }).title).toBe('host:9898 is not a Pubkeeper server.');
  });
});

it('formats', () => {
  expect([0, 1023, 1024, 1_572_864].map(formatBytes)).toEqual(['0 B', '1,023 B', '1.0 KiB', '1.5 MiB'].map((text) => text.replace('1,023', '1023')));
  expect([0, 0.04, 1, 99.95, 2000, 12_345].map(formatRate)).toEqual(['–', '–', '1.0', '100.0', '2,000', '12.3K']);
  expect([100, 59_000, 61_000, 3_700_000].map(formatDuration)).toEqual(['0.1 s', '59 s', '61 s', '1 h 1 min']);
});
