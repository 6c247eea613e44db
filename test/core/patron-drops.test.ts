import { createCipheriv } from 'node:crypto';
import { runInNewContext } from 'node:vm';
import fc from '../fast-check.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DropReason } from '../../src/core/drops.js';
import type { BrewerConfig } from '../../src/core/packet.js';
import type { CipherName } from '../../src/core/ciphers/cipher.js';
import { Patron, type PatronOptions } from '../../src/core/patron.js';
import { bytes, dashed, id, rawFrame, settle } from '../helpers.js';
import { info, patronKit, sealing, slowEngine } from './patron-kit.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const CBC: BrewerConfig = { cipher: { mode: 2, key: '00'.repeat(16) } };

const good = rawFrame('t.1', id(1), 'x');

describe('a frame that cannot be delivered', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  const changed = (at: number, value: number): Uint8Array => {
    const frame = good.slice();
    frame[at] = value;
    return frame;
  };
  const cases: [DropReason, string, Parameters<typeof patronKit>[0], BrewerConfig, string, unknown][] = [
    ['unknown-brewer', 'of a stranger', {}, {}, id(5), good],
    ['unknown-brewer', 'of somebody without an id', {}, {}, 'x', good],
    ['malformed', 'empty', {}, {}, id(1), new Uint8Array(0)],
    ['malformed', 'truncated', {}, {}, id(1), good.subarray(0, 88)],
    ['malformed', 'too long', {}, {}, id(1), Uint8Array.from([...good, 0])],
    ['malformed', 'another version', {}, {}, id(1), changed(0, 2)],
    ['malformed', 'a length that lies', {}, {}, id(1), changed(84, 2)],
    ['malformed', 'text', {}, {}, id(1), 'text'],
    ['malformed', 'nothing', {}, {}, id(1), undefined],
    ['malformed', 'a DataView of another version', {}, {}, id(1), new DataView(changed(0, 2).buffer)],
    ['wrong-sender', 'bears another id', {}, {}, id(1), rawFrame('t.1', id(2), 'x')],
    ['wrong-sender', 'bears another topic', {}, {}, id(1), rawFrame('t.2', id(1), 'x')],
    ['not-accepted', 'encrypted for crypto: false', { crypto: false }, CBC, id(1), rawFrame('t.1', id(1), new Uint8Array(32))],
    ['not-accepted', 'plaintext for crypto: required', { crypto: 'required' }, {}, id(1), good],
    ['too-weak', 'plaintext for minCipher: aes-cbc', { minCipher: 'aes-cbc' }, {}, id(1), good],
    ['too-weak', 'AES-CBC for minCipher: aes-gcm', { minCipher: 'aes-gcm' }, CBC, id(1), rawFrame('t.1', id(1), new Uint8Array(32))],
    ['undecryptable', 'no whole blocks', {}, CBC, id(1), good],
    ['undecryptable', 'only an IV', {}, CBC, id(1), rawFrame('t.1', id(1), new Uint8Array(16))],
    ['undecryptable', 'wrong padding', {}, CBC, id(1), rawFrame('t.1', id(1), new Uint8Array(32))],
    ['undecryptable', 'not sealed', {}, sealing(1).info.brewer_config, id(1), good],
  ];

  it.each(cases)('is dropped as %s (%s), counted, and reported once per burst', async (reason, _, options, brewer_config, brewerId, data) => {
    const { patron, heard, drops, errors } = patronKit(options);
    patron.newBrewers([info(1, { brewer_config })]);
    for (let i = 0; i < 500; i++) patron._handleCallback(brewerId, data as Uint8Array);
    await Promise.resolve(); // frames of one tick are opened together at its end
    expect(patron.dropped).toEqual({ [reason]: 500 });
    expect(drops).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(drops).toEqual([{ reason, count: 500, brewerId: brewerId.length === 32 ? brewerId : undefined }]);
    patron._handleCallback(brewerId, data as Uint8Array);
    await Promise.resolve();
    vi.advanceTimersByTime(1000);
    expect(drops[1]).toMatchObject({ reason, count: 1 });
    expect(patron.dropped).toEqual({ [reason]: 501 });
    expect([heard, errors]).toEqual([[], []]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is dropped as replayed if it is a sealed one that came before', () => {
    const { patron, heard, drops } = patronKit();
    const brewer = sealing(1);
    patron.newBrewers([brewer.info]);
    const frame = brewer.seal('x');
    for (let i = 0; i < 5; i++) patron._handleCallback(id(1), frame);
    vi.advanceTimersByTime(1000);
    expect(heard).toEqual(['x']);
    expect(drops).toEqual([{ reason: 'replayed', count: 4, brewerId: id(1) }]);
  });

  it('is dropped as overflow when 64 MiB of its brewer wait to be opened, and later messages are delivered', async () => {
    const engine = slowEngine();
    const { patron, heard, drops } = patronKit({ engine });
    patron.newBrewers([info(1, { brewer_config: CBC }), info(2)]);
    const large = rawFrame('t.1', id(1), new Uint8Array(8 * 1024 * 1024));
    for (let i = 0; i < 12; i++) patron._handleCallback(id(1), large);
    expect(engine.waiting.length).toBeLessThanOrEqual(9);
    expect(engine.waiting.length).toBeGreaterThanOrEqual(7);
    vi.advanceTimersByTime(1000);
    expect(drops).toEqual([{ reason: 'overflow', count: 12 - engine.waiting.length, brewerId: id(1) }]);
    patron._handleCallback(id(2), rawFrame('t.2', id(2), 'another brewer'));
    expect(heard).toEqual(['another brewer']);
    const opened = engine.waiting.length;
    for (const answer of engine.waiting.splice(0)) answer();
    await settle();
    expect(patron.dropped).toEqual({ overflow: 12 - opened, undecryptable: opened });
    patron._handleCallback(id(1), large);
    expect(engine.waiting.length).toBe(1);
  });

  it('causes one report for each reason in a burst', () => {
    const { patron, drops } = patronKit();
    patron.newBrewers([info(1)]);
    for (let i = 0; i < 10; i++) {
      patron._handleCallback(id(1), bytes('junk'));
      patron._handleCallback(id(2), good);
    }
    expect(vi.getTimerCount()).toBe(1); // however many drops there are
    vi.advanceTimersByTime(1000);
    expect(drops.map(({ reason, count }) => [reason, count])).toEqual([['malformed', 10], ['unknown-brewer', 10]]);
  });

  it('is reported by reset() at once', () => {
    const { patron, drops } = patronKit();
    patron._handleCallback(id(2), good);
    patron.reset();
    expect(drops).toEqual([{ reason: 'unknown-brewer', count: 1, brewerId: id(2) }]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the option crypto', () => {
  const sealed = sealing(3);
  const readers = (crypto: boolean | 'required') => {
    const { patron, heard, drops } = patronKit({ crypto });
    patron.newBrewers([info(1), info(2, { brewer_config: { cipher: { mode: 'NONE', key: '' } } }), sealed.info]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'plain'));
    patron._handleCallback(id(2), rawFrame('t.2', id(2), 'NONE'));
    patron._handleCallback(id(3), sealed.seal('sealed'));
    patron.reset();
    return [heard, drops.map(({ reason, count }) => `${reason} ${count}`)];
  };
  it('true reads encrypted and plaintext brewers', () => expect(readers(true)).toEqual([['plain', 'NONE', 'sealed'], []]));
  it('false drops encrypted messages', () => expect(readers(false)).toEqual([['plain', 'NONE'], ['not-accepted 1']]));
  it('required drops plaintext', () => expect(readers('required')).toEqual([['sealed'], ['not-accepted 2']]));
});

describe('the option minCipher', () => {
  /** Made with node:crypto, not with the code under test. */
  const cbcFrame = (text: string): Uint8Array => {
    const iv = Buffer.alloc(16, 7);
    const aes = createCipheriv('aes-128-cbc', Buffer.alloc(16), iv);
    return rawFrame('t.2', id(2), Buffer.concat([iv, aes.update(text), aes.final()]));
  };
  const read = async (options: PatronOptions) => {
    const { patron, heard, drops } = patronKit(options);
    const sealed = sealing(3);
    patron.newBrewers([info(1), info(2, { brewer_config: CBC }), sealed.info]);
    for (let i = 0; i < 2; i++) {
      patron._handleCallback(id(1), rawFrame('t.1', id(1), 'none'));
      patron._handleCallback(id(2), cbcFrame('cbc'));
      patron._handleCallback(id(3), sealed.seal('gcm'));
    }
    await Promise.resolve(); // frames of one tick are opened together at its end
    patron.reset();
    return [[...new Set(heard)].sort().join(' '), drops.map(({ reason, count }) => `${reason} ${count}`).join(', ')];
  };

  it.each<[PatronOptions, string, string]>([
    // Without minCipher: encrypted messages need AES-CBC at least, and `crypto` says whether plaintext is read too.
    [{}, 'cbc gcm none', ''],
    [{ crypto: true }, 'cbc gcm none', ''],
    [{ crypto: false }, 'none', 'not-accepted 4'],
    [{ crypto: 'required' }, 'cbc gcm', 'not-accepted 2'],
    // With minCipher: a lower limit for all.
    [{ minCipher: 'none' }, 'cbc gcm none', ''],
    [{ minCipher: 'aes-cbc' }, 'cbc gcm', 'too-weak 2'],
    [{ minCipher: 'aes-gcm' }, 'gcm', 'too-weak 4'],
    // With both, the stricter one holds.
    [{ crypto: true, minCipher: 'aes-cbc' }, 'cbc gcm', 'too-weak 2'],
    [{ crypto: 'required', minCipher: 'none' }, 'cbc gcm', 'not-accepted 2'],
    [{ crypto: 'required', minCipher: 'aes-gcm' }, 'gcm', 'not-accepted 2, too-weak 2'],
    [{ crypto: false, minCipher: 'none' }, 'none', 'not-accepted 4'],
  ])('%j reads "%s" and drops "%s"', async (options, heard, dropped) => {
    expect(await read(options)).toEqual([heard, dropped]);
    await settle();
  });

  it('holds when a brewer comes back with a weaker cipher', () => {
    const { patron, heard } = patronKit({ minCipher: 'aes-gcm' });
    const sealed = sealing(1);
    patron.newBrewers([sealed.info]);
    patron._handleCallback(id(1), sealed.seal('sealed'));
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'plain'));
    expect(heard).toEqual(['sealed']);
    expect(patron.dropped).toEqual({ 'too-weak': 1 });
  });

  it('is aes-cbc by default, and refuses unknown names and values with which nothing could be read', () => {
    expect(new Patron('t').minCipher).toBe('aes-cbc');
    expect(new Patron('t', undefined, { minCipher: 'aes-gcm' }).minCipher).toBe('aes-gcm');
    for (const minCipher of ['aes', '', 2, {}]) {
      expect(() => new Patron('t', undefined, { minCipher: minCipher as 'none' })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    }
    for (const minCipher of ['aes-cbc', 'aes-gcm'] as const) {
      expect(() => new Patron('t', undefined, { crypto: false, minCipher })).toThrow(`crypto: false and minCipher: '${minCipher}' accept nothing: leave one out.`);
    }
  });

  it('treats a custom cipher like AES-CBC, as it may not authenticate', () => {
    const opener = () => ({ cipher: 'custom', isWhole: () => true, open: (frame: Uint8Array) => frame.subarray(88), openAll: undefined }) as const;
    const reads = (minCipher: CipherName) => {
      const { patron } = patronKit({ minCipher, opener });
      patron.newBrewers([info(1)]);
      patron._handleCallback(id(1), good);
      return patron.dropped;
    };
    expect([reads('none'), reads('aes-cbc'), reads('aes-gcm')]).toEqual([{}, {}, { 'too-weak': 1 }]);
  });
});

describe('_handleCallback()', () => {
  it('never throws, whatever its arguments are', () => {
    const { patron, errors } = patronKit();
    const brewer = sealing(2);
    patron.newBrewers([info(1), brewer.info, info(3, { brewer_config: CBC })]);
    const anyId = fc.oneof(fc.constantFrom<unknown>(id(1), id(2), id(3), dashed(id(1))), fc.anything({ withBigInt: true, withNullPrototype: true }));
    const anyFrame = fc.oneof(
      fc.anything({ withTypedArray: true, withBigInt: true, withMap: true, withNullPrototype: true, withSparseArray: true }),
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 60 }).map((body) => rawFrame('t.1', id(1), body)),
      fc.uint8Array({ maxLength: 60 }).map((body) => rawFrame('t.2', id(2), body)),
      fc.uint8Array({ maxLength: 60 }).map((body) => rawFrame('t.3', id(3), body)),
    );
    fc.assert(
      fc.property(anyId, anyFrame, fc.anything(), (brewerId, data, retained) => {
        patron._handleCallback(brewerId as string, data as Uint8Array, retained as boolean);
      }),
      { numRuns: 2000 },
    );
    expect(errors).toEqual([]);
  });

  it.each([
    ['an object that only pretends to be bytes', Object.create(Uint8Array.prototype)],
    ['bytes whose buffer was transferred', detached()],
    ['a buffer that was transferred', detached().buffer],
  ])('drops %s as malformed', (_, data) => {
    const { patron } = patronKit();
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), data as Uint8Array);
    expect(patron.dropped).toEqual({ malformed: 1 });
  });

  it.each([undefined, null, 7, 'text', {}, Object.create(Uint8Array.prototype)])('receive() of a brew does not throw either: %j', (data) => {
    const { patron, brew } = patronKit();
    patron.newBrewers([info(1)]);
    brew.started[0]!.receive(data as Uint8Array);
    expect(patron.dropped).toEqual({ malformed: 1 });
  });

  it('accepts an ArrayBuffer, a Buffer, and a dashed or upper-case id', () => {
    const { patron, heard } = patronKit();
    patron.newBrewers([info(1)]);
    patron._handleCallback(dashed(id(1)), rawFrame('t.1', id(1), 'a').buffer);
    patron._handleCallback(id(1), Buffer.from(rawFrame('t.1', id(1), 'b')));
    patron._handleCallback(id(1).toUpperCase(), rawFrame('t.1', id(1), 'c'));
    expect(heard).toEqual(['a', 'b', 'c']);
  });
});

describe('a callback that throws, or returns a promise that is rejected,', () => {
  it('causes an error event, and later messages are delivered', async () => {
    const { patron, heard, errors } = patronKit({
      callback(_, message) {
        if (message.text() === 'throws') throw new Error('thrown');
        if (message.text() === 'rejects') return Promise.reject(new Error('rejected'));
        if (message.text() === 'odd') throw undefined;
      },
    });
    patron.newBrewers([info(1)]);
    for (const text of ['throws', 'rejects', 'odd', 'fine']) patron._handleCallback(id(1), rawFrame('t.1', id(1), text));
    await settle();
    expect(heard).toEqual(['throws', 'rejects', 'odd', 'fine']);
    expect(errors.map(({ code }) => code)).toEqual(['CALLBACK_FAILED', 'CALLBACK_FAILED', 'CALLBACK_FAILED']);
    expect(errors.map(({ cause }) => (cause as Error | undefined)?.message).sort()).toEqual(['rejected', 'thrown', undefined]);
    expect(errors[0]!.details).toEqual({ topic: 't.1', brewerId: id(1) });
  });

  it('causes an error event also when the promise is of another realm, as that of a frame in a page', async () => {
    const { patron, errors } = patronKit({ callback: () => runInNewContext('Promise.reject(new Error("elsewhere"))') as unknown });
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'x'));
    await settle();
    expect(errors.map(({ code, cause }) => [code, (cause as Error).message])).toEqual([['CALLBACK_FAILED', 'elsewhere']]);
  });

  it('is reported on the console when there is no listener, and throws nothing', () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const patron = new Patron('**', () => {
      throw new Error('thrown');
    });
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'x'));
    expect(error).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'CALLBACK_FAILED' }));
    error.mockRestore();
  });
});

function detached(): Uint8Array {
  const frame = rawFrame('t.1', id(1), 'x');
  structuredClone(frame.buffer, { transfer: [frame.buffer] });
  return frame;
}
