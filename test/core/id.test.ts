import fc from '../fast-check.js';
import { describe, expect, it } from 'vitest';
import { fromHex, newId, parseId, readId, show, toHex } from '../../src/core/id.js';
import { dashed, thrown, unhex } from '../helpers.js';

const ID = '0123456789ab4def8123456789abcdef';

describe('newId', () => {
  it('makes a UUID v4 in 32 lower-case hex digits, different each time', () => {
    const ids = Array.from({ length: 500 }, newId);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{12}4[\da-f]{3}[89ab][\da-f]{15}$/);
    expect(new Set(ids).size).toBe(500);
  });
});

describe('parseId and readId', () => {
  it.each([ID, ID.toUpperCase(), dashed(ID), dashed(ID).toLowerCase()])('read %s', (text) => {
    expect(parseId(text)).toBe(ID);
    expect(readId(text)).toBe(ID);
  });

  const bad: unknown[] = ['', ID + '0', ID.slice(1), `${ID}\n`, ` ${ID}`, ID.replace('0', 'g'), `{${ID}}`, '__proto__', null, undefined, 7, [ID], {}, Object.create(null), Symbol('x')];
  it.each(bad.map((text) => [text]))('refuse %j', (text) => {
    expect(readId(text)).toBeUndefined();
    thrown(() => parseId(text), 'ID_INVALID');
  });
});

describe('toHex and fromHex', () => {
  it('convert bytes to digits and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        expect(toHex(data)).toBe(Buffer.from(data).toString('hex'));
        expect(fromHex(toHex(data))).toEqual(unhex(toHex(data)));
        expect(fromHex(toHex(data).toUpperCase())).toEqual(unhex(toHex(data)));
      }),
    );
  });

  it.each(['0', 'abc', 'zz', '0x', ' 00', '00\n', 7, null, undefined, ['00'], {}].map((text) => [text]))('refuse %j', (text) => {
    expect(fromHex(text)).toBeUndefined();
  });
});

describe('show', () => {
  it('makes one short line of any value', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true }), (value) => {
        expect(show(value).length).toBeLessThanOrEqual(81);
      }),
    );
    expect(show('a\nb')).toBe('"a\\nb"');
    expect(show(JSON.parse('{"toString":1,"valueOf":2}'))).toBe('object');
  });
});
