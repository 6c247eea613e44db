import { describe, expect, it } from 'vitest';
import { rangeOf } from '../../demo/public/js/chart.js';
import { diff } from '../../demo/public/js/diff.js';
import { formatNumber, formatTicks } from '../../demo/public/js/format.js';
import { hexDump, isRounded, jsonLines, parseHex, preview, readBytes, valueAt } from '../../demo/public/js/payload.js';
import { noteOn } from '../../demo/public/js/payload-note.js';
import { bytes, entry } from './kit.js';

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

  it('bytes that are not UTF-8 are binary, except half a character at the end of truncated text', () => {
    expect(readBytes(Uint8Array.of(0xff, 0xfe)).kind).toBe('binary');
    expect(readBytes(bytes('aé').subarray(0, 2), 3).kind).toBe('text');
    expect(readBytes(bytes('123'), 5).kind).toBe('text');
  });

  it('a preview is short, in one line, and safe', () => {
    expect(preview(entry(bytes('{"load":12.5}')))).toBe('12.5');
    expect(preview(entry(bytes('{"in":1,"out":20000,"more":[1],"x":{"y":1}}')))).toBe('in 1 · out 20,000 · more [1] · x {…}');
    expect(preview(entry(bytes('two\nlines')))).toBe('two lines');
    expect(preview(entry(Uint8Array.of(0, 255)))).toBe('00 ff');
    expect(preview(entry(bytes('')))).toBe('(empty)');
    expect(preview(entry(bytes('   ')))).toBe('(blank)');
    expect(preview(entry(bytes('x'.repeat(500))), 10)).toHaveLength(10);
    // No half of a surrogate pair is left.
    expect(preview(entry(bytes('😀'.repeat(500))), 10)).toBe('😀😀😀😀…');
    // Without isolation, Hebrew between numbers would change their order.
    expect(preview(entry(bytes('{"a":"\u05d0\u202e","b":1}')))).toBe('a \u2068\u05d0\u2069 · b 1');
  });

  it('values are found by path, among own properties only', () => {
    const value: unknown = JSON.parse('{"a":{"b":[1,2]},"__proto__":{"n":3}}');
    expect(valueAt(value, ['a', 'b', '1'])).toBe(2);
    expect(valueAt(value, ['__proto__', 'n'])).toBe(3);
    expect(valueAt(value, ['constructor'])).toBeUndefined();
    expect(valueAt(value, ['a', 'b', 'length', 'x'])).toBeUndefined();
  });

  it('JSON is printed line by line, up to a limit, at any depth', () => {
    const { lines, more } = jsonLines({ a: 1, b: [true, {}] }, 100);
    expect(lines.map(({ depth, key, open, close }) => [depth, key, open + close])).toEqual([
      [0, undefined, '{'], [1, 'a', ''], [1, 'b', '['], [2, undefined, ''], [2, undefined, '{}'], [1, undefined, ']'], [0, undefined, '}'],
    ]);
    expect(more).toBe(false);
    expect(jsonLines(Array(1000).fill(0), 50)).toMatchObject({ more: true, lines: { length: 50 } });
    expect(jsonLines({ '': 1 }, 10).lines[1]).toMatchObject({ key: '', path: [''] });
    // A value that is too deep is still there, collapsed.
    expect(jsonLines(JSON.parse('['.repeat(40) + ']'.repeat(40)), 100).lines.find(({ close }) => close)).toMatchObject({ depth: 33, open: '[…', close: ']' });
    expect(jsonLines(JSON.parse('['.repeat(3000) + ']'.repeat(3000)), 100).lines.length).toBeLessThanOrEqual(100);
  });

  it('hex is dumped and parsed', () => {
    expect(hexDump(bytes('hello, world'), 100, 8)).toBe('0000  68 65 6c 6c 6f 2c 20 77  hello, w\n0008  6f 72 6c 64              orld');
    expect(parseHex('0xDEad be:ef')).toEqual(Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
    expect(parseHex('')).toEqual(new Uint8Array(0));
    expect(parseHex('abc')).toBeUndefined();
    expect(parseHex('zz')).toBeUndefined();
  });
});

describe('the note under a payload', () => {
  it('says that a last value may be old, before everything else', () => {
    const message = { ...entry(bytes('7')), retained: true };
    const note = noteOn(message, readBytes(message.data), 'json', { hasNumbers: true, isCompared: false });
    expect(note).toBe('A last value: it was brewed before this page subscribed, perhaps long before. Click a number to chart it.');
  });

  const note = (text: string, format: 'json' | 'text' | 'hex', length?: number, json = { hasNumbers: true, isCompared: true }) => {
    const message = entry(bytes(text), length);
    return noteOn(message, readBytes(message.data, message.length), format, json);
  };

  it.each([
    [note('{"a":1}', 'json'), 'Click a number to chart it. Changes are bold.'],
    [note('{}', 'json', undefined, { hasNumbers: false, isCompared: false }), ''],
    [note('{"a":1e400}', 'json'), expect.stringContaining('too large are Infinity')],
    [note(`[${'1,'.repeat(32_000)}`, 'json', 349_184), 'Too long to be shown as JSON here. The first 16,384 characters of 341.0 KiB.'],
    [note('x'.repeat(64 * 1024), 'text', 349_184), 'The first 16,384 characters of 341.0 KiB.'],
    [note('x'.repeat(20_000), 'json'), 'This is not JSON: shown as text. The first 16,384 characters of 20,000 characters.'],
    [note('hello', 'text'), ''],
    [note('', 'text'), 'The message is empty.'],
    [note('   ', 'text'), 'The message is only whitespace.'],
    [note('\u0000'.repeat(3000), 'hex'), 'The first 2.0 KiB of 2.9 KiB.'],
    [note('\u0000', 'text'), 'This is not text: shown as hex.'],
  ])('%#: %s', (said, expected) => expect(said).toEqual(expected));
});

describe('the difference of two messages', () => {
  const of = (before: string, after: string) => diff(entry(bytes(before)), entry(bytes(after)));

  it('of JSON is given by path, with added and removed values and the difference of numbers', () => {
    expect(of('{"a":1,"b":{"c":"x"},"d":0}', '{"a":3.5,"b":{"c":"y"},"e":[1]}').changes).toEqual([
      { kind: 'changed', where: 'a', before: '1', after: '3.5', delta: '+2.5' },
      { kind: 'changed', where: 'b.c', before: '"x"', after: '"y"', delta: '' },
      { kind: 'removed', where: 'd', before: '0', after: '', delta: '' },
      { kind: 'added', where: 'e', before: '', after: '[1]', delta: '' },
    ]);
    expect(of('{"a":1,"b":2}', '{"b":2, "a":1}').note).toContain('The same');
    expect(of('0.3', '0.1').changes[0]).toMatchObject({ where: 'value', delta: '−0.2' });
    expect(of('{"":1}', '{"":2}').changes[0]).toMatchObject({ where: '""' });
    expect(of('1000000000001', '1000001234568').changes[0]).toMatchObject({ delta: '+1,234,567' });
    expect(of('1e400', '1').changes[0]).toMatchObject({ delta: '' });
    expect(of('{"\u202ea":"\u2067b"}', '{"\u202ea":"c"}').changes[0]).toMatchObject({ where: '\\u202ea', before: '"\\u2067b"' });
    expect(of('0', '-0').changes[0]).toMatchObject({ delta: '' });
  });

  it('shows a change far behind, in the last digits, or only in the notation', () => {
    const long = (end: string) => JSON.stringify({ s: 'x'.repeat(500) + end });
    expect(of(long('old'), long('new')).changes).toMatchObject([{ where: 's', before: expect.stringMatching(/^…x+old"$/), after: expect.stringMatching(/^…x+new"$/) }]);
    expect(of('x'.repeat(500) + 'old', 'x'.repeat(500) + 'new').changes).toMatchObject([{ before: expect.stringMatching(/old$/), after: expect.stringMatching(/new$/) }]);
    for (const start of ['', 'x']) {
      const smile = start + '😀'.repeat(200);
      for (const { before, after } of of(smile + 'a', smile + 'b').changes) expect(before + after).not.toMatch(/\p{Cs}/u);
      for (const { before } of of(smile, 'y').changes) expect(before).not.toMatch(/\p{Cs}/u);
    }
    expect(of('52.520008', '52.520011').changes).toMatchObject([{ before: '52.520008', after: '52.520011', delta: '+0.000003' }]);
    expect(of('1234567890123456789', '1234567890123456788').note).toBe('The same values, as far as numbers here can tell, in another text.');
    expect(of('{"a":1}', '{"a":1}').note).toBe('The same as the one before.');
    const nested = (value: number) => '{"a":'.repeat(9000) + String(value) + '}'.repeat(9000);
    expect(of(nested(1), nested(2)).changes).toHaveLength(1);
  });

  it('of text is given by line', () => {
    expect(of('one\ntwo\nthree', 'one\n2\nthree\nfour').changes.map(({ kind, where }) => `${kind} ${where}`)).toEqual([
      'changed line 2', 'added line 4',
    ]);
  });

  it('of bytes gives their number and the first offset', () => {
    const note = (before: number[], after: number[]) => diff(entry(Uint8Array.from(before)), entry(Uint8Array.from(after))).note;
    expect(note([0, 1, 2], [0, 9, 2, 3])).toBe('1 of 3 bytes differs, the first at offset 1; 1 byte longer.');
    expect(note([0, 1, 2], [9])).toBe('1 of 1 byte differs, the first at offset 0; 2 bytes shorter.');
    expect(note(Array(2000).fill(0), Array(2000).fill(1))).toBe('2,000 of 2,000 bytes differ, the first at offset 0.');
  });

  it('is limited in length', () => {
    const many = (base: number) => JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i + base])));
    expect(of(many(0), many(1))).toMatchObject({ more: true, changes: { length: 40 } });
    expect(diff(entry(bytes('a'), 9), entry(bytes('b'))).note).toContain('Too long');
  });
});

describe('very large and very small numbers', () => {
  it('are written in a few characters', () => {
    expect([1e308, -5e-324, 1.5e20, Infinity, 1e-9, 123456.789].map(formatNumber)).toEqual(['1e308', '-5e-324', '1.5e20', '∞', '0.000000001', '123,457']);
  });

  it('are shown at an axis in a few characters, and none twice', () => {
    expect(formatTicks([-100_000, -50_000, 0, 50_000])).toEqual(['-100K', '-50K', '0', '50K']);
    expect(formatTicks([1.6017e9, 1.60172e9])).toEqual(['1.6017B', '1.60172B']);
    expect(formatTicks([9999, 10_000, 10_001])).toEqual(['9,999', '10,000', '10,001']);
    expect(formatTicks([-5e-10, 0, 5e-10])).toEqual(['-5e-10', '0', '5e-10']);
    expect(formatTicks([0, 0.1, 0.2, 0.1 + 0.2])).toEqual(['0', '0.1', '0.2', '0.3']);
    expect(formatTicks([-1e300, -5.551115123125783e-17, 1e300])).toEqual(['-1e300', '0', '1e300']);
    expect([formatTicks([]), formatTicks([0]), formatTicks([7])]).toEqual([[], ['0'], ['7']]);
  });

  it('are reported as rounded if they are', () => {
    expect(['{"id":1234567890123456789}', '[1,9007199254740991]', '12345678901234567890'].map(isRounded)).toEqual([true, false, true]);
    expect(['1e400', '{"v":-1e999}', '{"t":"1e400"}', '{"t":"say \\"1e400"}'].map(isRounded)).toEqual([true, true, false, false]);
    expect(['{"v":0.12345678901234567}', '{"id":"1234567890123456789"}', '1234567890123456', '1.2345678901234567e20', '{"a1234567890123456789":1}'].some(isRounded)).toBe(false);
  });

  it('get an axis whose ticks are farther apart than the precision of numbers', () => {
    for (const [min, max] of [[2 ** 53 - 2, 2 ** 53 - 1], [1, 1 + Number.EPSILON], [-1 - Number.EPSILON, -1]] as const) {
      const [low, high] = rangeOf(min, max);
      expect(low).toBeLessThan(min);
      expect(high).toBeGreaterThan(max);
      expect((high - low) / Math.abs(max)).toBeGreaterThan(1e-9);
    }
    expect(rangeOf(0, 10)).toEqual([0, 11.2]);
  });
});
