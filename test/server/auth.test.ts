import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PubkeeperError } from '../../src/core/errors.js';
import { type Right, Tokens, readTokens, rightsOf } from '../../src/server/auth.js';
import { heap } from '../faults/kit.js';

const SECRET = 'secret-3f9a17';

describe('Tokens', () => {
  it('returns the rights of its tokens, and none for others', () => {
    const tokens = new Tokens({
      reader: [{ topic: 'plant.**', read: true }],
      writer: [{ topic: 'plant.*', read: false, write: true }, { topic: 'log', write: true }],
      nothing: [],
    });
    const reader = tokens.authenticate('reader')!;
    expect([reader.mayRead('plant.a.b'), reader.mayRead('plant'), reader.mayWrite('plant.a')]).toEqual([true, false, false]);
    const writer = tokens.authenticate('writer')!;
    expect(['plant.a', 'plant.a.b', 'log'].map((topic) => writer.mayWrite(topic))).toEqual([true, false, true]);
    expect(tokens.authenticate('nothing')!.mayRead('a')).toBe(false);
    for (const wrong of ['', 'Reader', 'reader ', '__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(tokens.authenticate(wrong)).toBeUndefined();
    }
  });

  it('takes undefined for a right that is not given, also in the types of those who compile with `exactOptionalPropertyTypes`', () => {
    const list: Right[] = [{ topic: 'a', read: true, write: undefined }, { topic: 'b', read: undefined, write: true }];
    const rights = new Tokens({ t: list }).authenticate('t')!;
    expect([rights.mayRead('a'), rights.mayWrite('a'), rights.mayRead('b'), rights.mayWrite('b')]).toEqual([true, false, false, true]);
  });

  it('allows only valid topics', () => {
    const rights = rightsOf([{ topic: '**', read: true, write: true }]);
    for (const may of [rights.mayRead, rights.mayWrite]) expect(['a', 'a.b', '*', 'a.**', '', 'a..b'].map((topic) => may(topic))).toEqual([true, true, false, false, false, false]);
  });

  it('treats names of Object.prototype as any other token', () => {
    const tokens = new Tokens(JSON.parse('{"__proto__": [{"topic": "a", "read": true}], "constructor": []}'));
    expect(tokens.authenticate('__proto__')!.mayRead('a')).toBe(true);
    expect(tokens.authenticate('toString')).toBeUndefined();
    expect(({} as Record<string, unknown>)['topic']).toBeUndefined();
  });

  it.each([
    ['a list', [], /must be an object/],
    ['null', null, /must be an object/],
    ['no token', {}, /holds no token/],
    ['an empty token', { '': [] }, /empty token \(number 1\)/],
    ['no list of rights', { ok: [], [SECRET]: {} }, /list of rights in token number 2/],
    ['a right that is a text', { [SECRET]: ['**'] }, /object \{topic, read, write\} in token number 1, right number 1/],
    ['no pattern', { [SECRET]: [{ topic: 'a..b', read: true }] }, /must have a topic pattern, such as "plant\.\*\*", under the key "topic" in token number 1/],
    ['a text for read', { [SECRET]: [{ topic: 'a', read: 'yes' }] }, /"read"/],
    ['a number for write', { [SECRET]: [{ topic: 'a', write: 1 }] }, /"write"/],
    ['neither read nor write', { ok: [{ topic: 'a', read: false }], [SECRET]: [{ topic: 'a' }] }, /the key "read" or "write" in token number 2, right number 1: a topic alone allows nothing/],
    ['a token twice', { [SECRET]: [], [`sha256:${createHash('sha256').update(SECRET).digest('hex')}`]: [] }, /a token twice, as itself and by its hash \(number 2\)/],
    ['an unknown key', { ok: [{ topic: 'a', [SECRET]: true }] }, /none of "topic", "read" and "write"/],
  ])('refuses %s', (_what, table, message) => {
    const make = () => new Tokens(table);
    expect(make).toThrow(PubkeeperError);
    expect(make).toThrow(message);
    expect(make).toThrow(/^The option "tokens" /);
    expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    expect(make).not.toThrow(SECRET);
  });
});

describe('readTokens', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pubkeeper-auth-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  const file = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };

  it('reads a file', async () => {
    const tokens = await readTokens(await file('good.json', `{"${SECRET}": [{"topic": "a.*", "read": true}]}`));
    expect((await tokens.authenticate(SECRET))!.mayRead('a.b')).toBe(true);
  });

  it('reads a file that begins with a byte order mark', async () => {
    const tokens = await readTokens(await file('mark.json', `\ufeff{"${SECRET}": [{"topic": "a.*", "read": true}]}\r\n`));
    expect((await tokens.authenticate(SECRET))!.mayRead('a.b')).toBe(true);
  });

  it.each([
    ['torn.json', `{"${SECRET}": [`, 'is not JSON'],
    ['list.json', `["${SECRET}"]`, 'must be an object'],
    ['right.json', `{"${SECRET}": [{"topic": 1}]}`, '"topic" in token number 1'],
  ])('refuses %s with a sentence that names the file and no token', async (name, text, message) => {
    const error: unknown = await readTokens(await file(name, text)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining(message) as string });
    expect((error as Error).message).toMatch(new RegExp(`^The token file .*${name}`));
    expect(String((error as Error).cause) + JSON.stringify(error) + (error as Error).stack).not.toContain(SECRET);
  });

  it('reports a file that is missing', async () => {
    await expect(readTokens(join(directory, 'none.json'))).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringMatching(/none\.json" does not exist/) as string,
    });
  });
});

it('rights use little memory, whatever topics are asked for, as each connection with a signed token has its own', async () => {
  const topics = Array.from({ length: 5000 }, (_none, i) => `plant.${i}.temperature`);
  const before = await heap();
  const rights = Array.from({ length: 50 }, () => rightsOf([{ topic: 'plant.**', read: true }]));
  // As often as needed to keep all topics, if they were kept.
  for (let i = 0; i < 8; i++) for (const { mayRead } of rights) for (const topic of topics) if (!mayRead(topic)) throw new Error(topic);
  expect(((await heap()) - before) / rights.length).toBeLessThan(32 * 1024);
});
