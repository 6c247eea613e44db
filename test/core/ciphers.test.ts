import { execFileSync } from 'node:child_process';
import { createCipheriv, createDecipheriv, webcrypto } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import fc from '../fast-check.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { defaultEngine } from '../../src/core/ciphers/default-engine.js';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { openerFor, sealerFor } from '../../src/core/ciphers/index.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { nobleEngine as laterEngine } from '../../src/core/ciphers/noble-later.js';
import { webCryptoEngine } from '../../src/core/ciphers/web-crypto.js';
import { frameIdentity, topicHash } from '../../src/core/frame.js';
import type { BrewerConfig } from '../../src/core/packet.js';
import { nodeEngine } from '../../src/platform/node-engine.js';
import { hex, id, rawFrame, thrown, unhex } from '../helpers.js';
import { vectors, wycheproof } from '../vectors.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

/** The engines that open several frames in one call. */
const TOGETHER = ['WebCrypto', 'node', 'default'];

/** The part of noble that the build keeps. */
const { nobleEngine: leanEngine } = (await import(new URL('../../dist/core/ciphers/noble.js', import.meta.url).href)) as { nobleEngine: CryptoEngine };
const engines: [string, CryptoEngine][] = [
  ['noble', nobleEngine],
  ['noble, as it is in dist', leanEngine],
  ['noble, loaded later', laterEngine],
  ['WebCrypto', webCryptoEngine(webcrypto.subtle as never)],
  ['node', nodeEngine],
  ['default', defaultEngine()],
];
const identity = frameIdentity(topicHash('a.b'), unhex(id(1)));
const cases = vectors<{ key: string; plaintext?: string; payload: string; valid: boolean; why?: string }[]>('aes-cbc');
const cbc = (key: string): BrewerConfig => ({ cipher: { mode: 2, key } });
/** Opens a frame. An exception becomes a rejection, so that synchronous and asynchronous engines are tested alike. */
const open = async (config: BrewerConfig, engine: CryptoEngine, frame: Uint8Array) => {
  const opener = openerFor(config, engine);
  if (!opener.isWhole(frame)) throw new RangeError('not whole');
  return opener.open(frame);
};

describe.each(engines)('AES-CBC by %s', (_, engine) => {
  it.each(cases.filter(({ valid }) => valid).map((vector) => [vector.key.length * 4, vector.plaintext!.length / 2, vector] as const))(
    'vector: %i-bit key, %i bytes',
    async (_bits, _size, { key, plaintext, payload }) => {
      expect(hex((await open(cbc(key), engine, rawFrame('a.b', id(1), unhex(payload)))) as Uint8Array)).toBe(plaintext);
      // The other direction: it seals to the bytes that node:crypto makes under the same IV.
      const sealed = await engine.cbc(unhex(key)).seal(unhex(plaintext!));
      const cipher = createCipheriv(`aes-${key.length * 4}-cbc`, unhex(key), sealed.subarray(0, 16));
      expect(hex(sealed.subarray(16))).toBe(hex(Buffer.concat([cipher.update(unhex(plaintext!)), cipher.final()])));
      expect(sealed).toHaveLength(payload.length / 2);
    },
  );

  it.each(cases.filter(({ valid }) => !valid).map((vector) => [vector.why!, vector] as const))('vector that cannot be opened: %s', async (_why, { key, payload }) => {
    await expect(open(cbc(key), engine, rawFrame('a.b', id(1), unhex(payload)))).rejects.toThrow();
  });

  it('seals to a random IV and the padded ciphertext, which node:crypto opens', async () => {
    const sealer = sealerFor('aes-cbc', engine, identity);
    expect(sealer.config).toEqual({ mode: 2, key: expect.stringMatching(/^[\da-f]{32}$/) as string });
    const frames = await Promise.all([0, 1, 15, 16, 17, 5000].map(async (size) => [size, await sealer.seal(new Uint8Array(size).fill(7))] as const));
    for (const [size, frame] of frames) {
      expect(hex(frame.subarray(0, 88))).toBe(hex(rawFrame('a.b', id(1), frame.subarray(88)).subarray(0, 88)));
      const decipher = createDecipheriv('aes-128-cbc', unhex(sealer.config!.key), frame.subarray(88, 104));
      expect(Buffer.concat([decipher.update(frame.subarray(104)), decipher.final()])).toEqual(Buffer.alloc(size, 7));
    }
    expect(new Set(frames.map(([, frame]) => hex(frame.subarray(88, 104)))).size).toBe(frames.length);
  });

  it.each([128, 192, 256] as const)('opens what node:crypto sealed with %i bits', async (bits) => {
    const key = Buffer.alloc(bits / 8, 9);
    const cipher = createCipheriv(`aes-${bits}-cbc`, key, Buffer.alloc(16, 5));
    const payload = Buffer.concat([Buffer.alloc(16, 5), cipher.update('hello'), cipher.final()]);
    const opened = await open(cbc(key.toString('hex').toUpperCase()), engine, rawFrame('a', id(1), payload));
    expect(Buffer.from(opened as Uint8Array).toString()).toBe('hello');
  });
});

describe.each(engines.filter(([name]) => TOGETHER.includes(name)))('several frames in one call, by %s', (_, engine) => {
  it('are opened as they would be one by one', async () => {
    const key = engine.cbc(new Uint8Array(16).fill(3));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.oneof(fc.nat(40), fc.nat(40_000)), fc.constantFrom('whole', 'flipped', 'cut')), { maxLength: 12 }), fc.nat(100), async (parts, skip) => {
        const payloads = await Promise.all(parts.map(async ([size, fate], index) => {
          const payload = (await key.seal(new Uint8Array(size).fill(index))).slice();
          if (fate === 'flipped') payload[payload.length - 17]! ^= 0x55; // in the padding, or in the IV of an empty message
          return fate === 'cut' && payload.length > 32 ? payload.slice(0, -16) : payload;
        }));
        const one = async (payload: Uint8Array) => key.open(payload);
        const each = await Promise.all(payloads.map((payload) => one(payload).then(hex, () => undefined)));
        // As payloads of frames, each after `skip` bytes that are ignored.
        const frames = payloads.map((payload, index) => new Uint8Array([...new Uint8Array(skip).fill(index), ...payload]));
        expect((await key.openAll!(frames, skip)).map((opened) => opened && hex(opened))).toEqual(each);
      }),
      { numRuns: 30 },
    );
  });

  it('are opened concurrently with others, whether or not the key is ready, and are not read after the call has returned', async () => {
    const key = engine.cbc(new Uint8Array(16).fill(4));
    const burst = async (fill: number) => Promise.all([20, 3000, 1].map((size) => key.seal(new Uint8Array(size).fill(fill))));
    const [first, second] = [await burst(1), await burst(2)];
    const expected = [1, 2].map((fill) => [20, 3000, 1].map((size) => hex(new Uint8Array(size).fill(fill))));
    for (const isReady of [true, false]) {
      const { openAll } = isReady ? key : engine.cbc(new Uint8Array(16).fill(4));
      const frames = [first, second].map((burst) => burst.map((payload) => payload.slice()));
      const opened = frames.map((burst) => {
        const opening = openAll!(burst, 0);
        for (const frame of burst) frame.fill(0);
        return opening;
      });
      expect((await Promise.all(opened)).map((burst) => burst.map((plain) => plain && hex(plain)))).toEqual(expected);
    }
  });
});

describe('Wycheproof', () => {
  interface Test { tcId: number; key: string; iv: string; aad?: string; msg: string; ct: string; tag?: string; result: string }
  const load = (name: string, ivSize: number): Test[] => {
    const file = wycheproof<{ testGroups: { ivSize: number; tagSize?: number; tests: Test[] }[] }>(name);
    const groups = file?.testGroups.filter((group) => group.ivSize === ivSize && (group.tagSize ?? 128) === 128);
    const tests = groups?.flatMap((group) => group.tests) ?? [];
    if (file) expect(tests.length).toBeGreaterThan(100);
    return tests;
  };
  const outcome = async (run: () => Uint8Array | Promise<Uint8Array>): Promise<string> => {
    try {
      return hex(await run());
    } catch {
      return 'refused';
    }
  };

  it.each(engines)('AES-CBC with PKCS#7 by %s', async (_, engine) => {
    for (const { tcId, key, iv, msg, ct, result } of load('aes_cbc_pkcs5_test', 128)) {
      const opened = await outcome(() => open(cbc(key), engine, rawFrame('a', id(1), unhex(iv + ct))) as Promise<Uint8Array>);
      expect(opened, `test ${tcId}`).toBe(result === 'invalid' ? 'refused' : msg);
    }
  });

  it.each(engines)('AES-GCM by %s', async (_, engine) => {
    for (const { tcId, key, iv, aad, msg, ct, tag, result } of load('aes_gcm_test', 96)) {
      const opened = await outcome(() => engine.gcm(unhex(key)).open(unhex(iv), unhex(aad!), unhex(ct + tag!)));
      expect(opened, `test ${tcId}`).toBe(result === 'invalid' ? 'refused' : msg);
      if (result === 'valid') expect(await outcome(() => engine.gcm(unhex(key)).seal(unhex(iv), unhex(aad!), unhex(msg)))).toBe(ct + tag!);
    }
  });
});

describe('every engine opens what every other seals', () => {
  const pairs = engines.flatMap(([from, a]) => engines.map(([to, b]) => [from, to, a, b] as const));
  it.each(pairs)('%s → %s', async (_from, _to, a, b) => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('none', 'aes-cbc', 'aes-gcm'), fc.oneof(fc.uint8Array(), fc.nat(5000).map((n) => new Uint8Array(n).fill(n))), async (name, message) => {
        const sealer = sealerFor(name as 'none', a, identity);
        const frame = await sealer.seal(message);
        const opened = await open(sealer.config ? { cipher: sealer.config } : {}, b, frame);
        expect(hex(opened as Uint8Array)).toBe(hex(message));
      }),
      { numRuns: 25 },
    );
  });

  it.each(engines)('%s accepts views, does not change them, and uses the bytes as they are when it is called', async (_, engine) => {
    for (const size of [10, 3000]) {
      const sealer = sealerFor('aes-gcm', engine, identity);
      const buffer = new Uint8Array(size + 7).fill(1);
      const sealing = sealer.seal(buffer.subarray(3, -4));
      expect(buffer.every((byte) => byte === 1)).toBe(true);
      buffer.fill(9); // the caller reuses its buffer at once
      const padded = new Uint8Array([8, ...(await sealing), 8]);
      const opener = openerFor({ cipher: sealer.config! }, engine);
      const opening = opener.open(padded.subarray(1, -1));
      padded.fill(0);
      expect(hex((await opening) as Uint8Array)).toBe('01'.repeat(size));
    }
  });
});

describe('noble, with the state that it keeps for a key', () => {
  const gcm = nobleEngine.gcm(new Uint8Array(32).fill(5));
  const nonce = (last: number) => new Uint8Array(12).fill(last);

  it('computes each message as node:crypto does, whatever it computed before under that key', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ data: fc.uint8Array({ maxLength: 100 }), text: fc.uint8Array({ maxLength: 2500 }), last: fc.nat(255), at: fc.nat(7), forge: fc.boolean() }), { maxLength: 6 }), (messages) => {
        for (const { data, text, last, at, forge } of messages) {
          const cipher = createCipheriv('aes-256-gcm', new Uint8Array(32).fill(5), nonce(last)).setAAD(data);
          const wanted = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
          expect(hex(gcm.seal(nonce(last), data, text) as Uint8Array)).toBe(hex(wanted));
          // At any offset; and a refused message leaves no state behind.
          const sealed = new Uint8Array([...new Uint8Array(at), ...wanted]).subarray(at);
          if (forge) sealed[last % sealed.length]! ^= 1;
          const before = hex(sealed);
          if (forge) expect(() => gcm.open(nonce(last), data, sealed)).toThrow();
          else expect(hex(gcm.open(nonce(last), data, sealed) as Uint8Array)).toBe(hex(text));
          expect(hex(sealed)).toBe(before);
        }
      }),
    );
  });

  it.each([0, 1, 11, 13, 16, 17])('refuses a nonce of %i bytes, which could be equal in effect to another nonce', (length) => {
    expect(() => gcm.seal(new Uint8Array(length), new Uint8Array(0), new Uint8Array(1))).toThrow(RangeError);
    expect(() => gcm.open(new Uint8Array(length), new Uint8Array(0), new Uint8Array(17))).toThrow(RangeError);
  });

  it.each([0, 1, 15])('refuses %i bytes, which are shorter than a tag', (length) => {
    expect(() => gcm.open(nonce(1), new Uint8Array(88), new Uint8Array(length))).toThrow(RangeError);
  });

  it.each([0, 15, 16, 17, 33])('refuses %i bytes, which cannot be a CBC payload', (length) => {
    expect(() => nobleEngine.cbc(new Uint8Array(16)).open(new Uint8Array(length))).toThrow(RangeError);
  });
});

describe.each([
  ['noble', nobleEngine],
  ['noble, as it is in dist', leanEngine],
  ['noble, loaded later', laterEngine],
])('%s', (_, engine) => {
  it.each(['sixteen letters!', Array<number>(16).fill(1), { length: 16 }, undefined])('accepts only bytes as a key: %j', (key) => {
    expect(() => engine.cbc(key as never)).toThrow(TypeError);
    expect(() => engine.gcm(key as never)).toThrow(TypeError);
  });
});

describe('noble, when it is loaded later', () => {
  it('seals with the first key at once, and is synchronous from then on', async () => {
    const key = laterEngine.cbc(new Uint8Array(16));
    const payload = await key.seal(new Uint8Array(3));
    expect(key.open(payload)).toEqual(new Uint8Array(3));
  });

  it('is not loaded by the imports of the SDK in Node, and neither is ws', () => {
    const hooks = 'import { writeSync } from "node:fs"; export async function resolve(name, context, next) { const found = await next(name, context); writeSync(1, `${found.url}\\n`); return found; }';
    const script = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${hooks}`)}); await import('pubkeeper'); await import('pubkeeper/core');`;
    const urls = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8' });
    expect(urls).toContain('/dist/node/parts/core.js');
    for (const later of ['noble', '/ws/']) expect(urls).not.toContain(later);
  });
});

describe('the cipher that a brewer announces', () => {
  it.each([{}, { cipher: null }, { cipher: { mode: 'NONE', key: '' } }, { cipher: { mode: 'NONE' } }])('is plaintext for %j', async (config) => {
    expect(hex((await open(config, nobleEngine, rawFrame('a', id(1), 'x'))) as Uint8Array)).toBe('78');
    expect(openerFor(config, nobleEngine).cipher).toBe('none');
  });

  const bad: [string, unknown][] = [
    ...[0, 1, 8, 15, 17, 20, 23, 31, 33, 64].map((length): [string, unknown] => ['KEY_INVALID', { mode: 2, key: '0a'.repeat(length) }]),
    ...[undefined, null, 7, '0', 'zz'.repeat(16), ['00'], {}].map((key): [string, unknown] => ['KEY_INVALID', { mode: 2, key }]),
    ...[0, 16, 24, 31, 33].map((length): [string, unknown] => ['KEY_INVALID', { mode: 'AES-GCM', key: '0a'.repeat(length), epoch: '00'.repeat(8) }]),
    ...[undefined, null, '', '00'.repeat(7), '00'.repeat(9), 5].map((epoch): [string, unknown] => ['KEY_INVALID', { mode: 'AES-GCM', key: '0a'.repeat(32), epoch }]),
    ...[1, 3, '2', 'aes-gcm', 'none', '', null, undefined, {}, [2], JSON.parse('{"toString":1,"valueOf":1}')].map((mode): [string, unknown] => ['CIPHER_UNKNOWN', { mode, key: '0a'.repeat(16) }]),
    ...[7, 'text', true, []].map((cipher): [string, unknown] => ['CIPHER_UNKNOWN', cipher]),
  ];
  it.each(bad)('is refused with %s for %j, and the error does not show the key', (code, cipher) => {
    const error = thrown(() => openerFor({ cipher } as BrewerConfig, nobleEngine), code as 'KEY_INVALID');
    expect(error.message + JSON.stringify(error.details)).not.toMatch(/0a0a|zzzz/);
    // The error must blame the brewer, as it is the patron that reports it and has given no key.
    expect(error.message).toMatch(/^A brewer (announces|encrypts) /);
  });
});

describe('the engine of a page', () => {
  afterEach(() => void vi.unstubAllGlobals());

  it('is plain JavaScript without crypto.subtle', () => {
    vi.stubGlobal('crypto', { getRandomValues: webcrypto.getRandomValues.bind(webcrypto) });
    expect(defaultEngine().name).toBe('noble');
    vi.stubGlobal('crypto', undefined);
    expect(defaultEngine().name).toBe('noble');
  });

  it('is synchronous for small payloads, and for 192-bit keys, which Chromium does not support', async () => {
    const engine = defaultEngine();
    const isSync = (bits: number, size: number) => engine.cbc(new Uint8Array(bits / 8)).seal(new Uint8Array(size)) instanceof Uint8Array;
    expect([isSync(128, 100), isSync(128, 100_000), isSync(192, 100_000), isSync(256, 100_000)]).toEqual([true, false, true, false]);
    // GCM is done by WebCrypto at any size.
    const seal = (size: number) => engine.gcm(new Uint8Array(32)).seal(new Uint8Array(12), new Uint8Array(88), new Uint8Array(size));
    expect([seal(1) instanceof Promise, seal(100_000) instanceof Promise]).toEqual([true, true]);
  });

  it.each([
    [0, 1024], // the clock stands still
    [1, 90],
    [10, 900],
    [30, 2700],
    [80, 7200],
    [5000, 8192],
  ])('uses plain JavaScript as far as it is faster: at %i µs for a call of WebCrypto, below %i bytes', async (cost, from) => {
    let now = 0;
    let calls = 0;
    const encrypt = async (...args: Parameters<typeof webcrypto.subtle.encrypt>) => {
      // All but 100 of the calls are slowed down by other work.
      now += (cost / 1000) * (calls > 200 && calls <= 300 ? 1 : 3);
      const ciphertext = await webcrypto.subtle.encrypt(...args);
      calls++;
      return ciphertext;
    };
    vi.stubGlobal('performance', { now: () => now });
    vi.stubGlobal('crypto', {
      getRandomValues: webcrypto.getRandomValues.bind(webcrypto),
      subtle: { importKey: webcrypto.subtle.importKey.bind(webcrypto.subtle), encrypt },
    });
    vi.resetModules(); // it is measured once for each import
    const aes = (await import('../../src/core/ciphers/default-engine.js')).defaultEngine().cbc(new Uint8Array(16));
    while (calls < 401) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const isSync = (size: number) => aes.seal(new Uint8Array(size)) instanceof Uint8Array;
    expect([isSync(from - 10), isSync(from + 10)]).toEqual([true, false]);
  });

  it.each([
    ['shared', new SharedArrayBuffer(70_000)],
    ['resizable', new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer)(70_000, { maxByteLength: 100_000 })],
  ])('bytes in %s memory, which WebCrypto refuses, are sealed all the same', async (_, memory) => {
    const aes = webCryptoEngine(webcrypto.subtle as never).cbc(new Uint8Array(16));
    await aes.seal(new Uint8Array(1)); // from now on its key is there, and calls are made at once
    const data = new Uint8Array(memory).fill(7);
    expect(Buffer.from(data).equals(await aes.open(await aes.seal(data)))).toBe(true);
  });

  it('a key that WebCrypto refuses rejects the call that uses it, and causes no unhandled rejection', async () => {
    const engine = webCryptoEngine({ ...webcrypto.subtle, importKey: () => Promise.reject(new Error('no such key')) } as never);
    const aes = engine.cbc(new Uint8Array(24));
    await expect(aes.open(new Uint8Array(32))).rejects.toThrow('no such key');
  });
});
