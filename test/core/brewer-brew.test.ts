import { createDecipheriv, webcrypto } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { Brew } from '../../src/core/brew.js';
import { Brewer } from '../../src/core/brewer.js';
import { CIPHERS } from '../../src/core/ciphers/cipher.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { webCryptoEngine } from '../../src/core/ciphers/web-crypto.js';
import { PubkeeperError } from '../../src/core/errors.js';
import { Patron } from '../../src/core/patron.js';
import { bytes, deferred, hex, id, rawFrame, rejected, settle, sha256 } from '../helpers.js';
import { brewerKit as kit, patron } from './brewer-kit.js';

/** Bytes whose buffer was transferred, so that they cannot be read any more. */
function transferred(): Uint8Array<ArrayBuffer> {
  const data = bytes('data');
  structuredClone(data, { transfer: [data.buffer] });
  return data;
}

describe('brew()', () => {
  it('puts a frame as in the protocol around the data', async () => {
    const { brewer, x } = kit();
    brewer.newPatrons([patron(1)]);
    await brewer.brew(bytes('data'));
    await brewer.brew(bytes('data').buffer);
    await brewer.brew(new Uint8Array(0));
    await brewer.brewText('größe 🌡');
    await brewer.brewJSON({ a: [1, null] });
    expect(x.frames.map(hex)).toEqual(['data', 'data', '', 'größe 🌡', '{"a":[1,null]}'].map((text) => hex(rawFrame('a.b', id(0xb), text))));
  });

  it('seals by AES-CBC so that node:crypto opens the frame with the announced key', async () => {
    const { brewer, x } = kit({ crypto: true, cipher: 'aes-cbc' });
    brewer.newPatrons([patron(1)]);
    await brewer.brewText('secret');
    const [frame] = x.frames as [Uint8Array];
    expect(hex(frame.subarray(2, 34))).toBe(sha256('a.b').toString('hex'));
    const decipher = createDecipheriv('aes-128-cbc', Buffer.from(brewer.getConfig().cipher!.key as string, 'hex'), frame.subarray(88, 104));
    expect(Buffer.concat([decipher.update(frame.subarray(104)), decipher.final()]).toString()).toBe('secret');
  });

  it.each(['aes-gcm', 'aes-cbc'] as const)('%s: gives WebCrypto at most 16 MiB and a message at once; more is rejected, and is a gap if frames have a sequence', async (cipher) => {
    const { brewer, x, errors } = kit({ crypto: true, cipher, engine: webCryptoEngine(webcrypto.subtle as never) });
    const heard: number[] = [];
    const gaps: number[] = [];
    const reader = new Patron('**', (data) => heard.push(data[0]!));
    reader.on('gap', ({ missing }) => gaps.push(missing));
    brewer.newPatrons([patron(1)]);
    reader.newBrewers([{ topic: 'a.b', brewer_id: id(0xb), brewer_config: brewer.getConfig(), brew: { name: 'x' } }]);
    x.onBrew = () => reader._handleCallback(id(0xb), x.frames.at(-1)!);
    const mebibyte = new Uint8Array(1024 * 1024);
    const results = Array.from({ length: 20 }, (_, n) => {
      mebibyte[0] = n;
      return brewer.brew(mebibyte);
    });
    const refused = (await Promise.allSettled(results)).flatMap((result, n) => (result.status === 'rejected' ? [[n, result.reason as PubkeeperError] as const] : []));
    const taken = 20 - refused.length;
    expect(refused.map(([n]) => n)).toEqual(Array.from({ length: refused.length }, (_, n) => taken + n));
    expect(refused[0]![1]).toMatchObject({ code: 'BUFFER_FULL', message: expect.stringMatching(/^More is brewed than encryption takes/) as string, details: { limit: 16 * 1024 * 1024 } });
    expect(errors).toEqual(refused.map(([, error]) => error));
    await brewer.brewText('!');
    await brewer._flush();
    expect(await vi.waitUntil(() => heard.length > taken && heard)).toEqual([...Array.from({ length: taken }, (_, n) => n), '!'.charCodeAt(0)]);
    // The last message that is accepted comes on top of 16 MiB; with bundles, one more waits in a bundle.
    expect([taken, gaps]).toEqual(cipher === 'aes-gcm' ? [18, [2]] : [17, []]);
  });

  it('resolves and does nothing while nobody is matched', async () => {
    const { brewer, x, errors } = kit();
    await brewer.brewText('x');
    await new Brewer('a').brewText('without a client');
    expect([x.frames, errors]).toEqual([[], []]);
  });

  it('gives each brew a frame once, however many patrons it has there', async () => {
    const { brewer, x, y } = kit();
    brewer.newPatrons([patron(1), patron(2), patron(3, { brew: { name: 'y' } })]);
    await brewer.brewText('1');
    brewer.removePatron(id(1));
    await brewer.brewText('2');
    brewer.removePatron(id(2));
    await brewer.brewText('3');
    expect([x.texts, y.texts]).toEqual([['1', '2'], ['1', '2', '3']]);
  });

  it('waits until the brew has accepted the bytes', async () => {
    const { brewer, x } = kit();
    const accepted = deferred<void>();
    x.onBrew = () => accepted.promise;
    brewer.newPatrons([patron(1)]);
    let done = false;
    const brewing = brewer.brewText('x').then(() => (done = true));
    await settle();
    expect(done).toBe(false);
    accepted.resolve();
    await brewing;
  });

  it('sends the bytes as they are when it is called, also when the buffer changes afterwards', async () => {
    const { brewer, x } = kit();
    brewer.newPatrons([patron(1)]);
    const data = bytes('abc');
    const brewing = brewer.brew(data);
    data.fill(0);
    await brewing;
    expect(x.texts).toEqual(['abc']);
  });
});

it.each<[string, (buffer: ArrayBuffer) => ArrayBuffer | ArrayBufferView]>([
  ['an ArrayBuffer', (buffer) => buffer.slice(4, 8)],
  ['a DataView', (buffer) => new DataView(buffer, 4, 4)],
  ['a Uint8ClampedArray', (buffer) => new Uint8ClampedArray(buffer, 4, 4)],
  ['a Uint16Array', (buffer) => new Uint16Array(buffer, 4, 2)],
  ['a Float32Array', (buffer) => new Float32Array(buffer, 4, 1)],
])('%s is brewed as the bytes that it has in memory', async (_, viewOf) => {
  const { brewer, x } = kit();
  brewer.newPatrons([patron(1)]);
  await brewer.brew(viewOf(bytes('not:this:not').buffer as ArrayBuffer));
  expect(x.texts).toEqual(['this']);
});

describe('data that cannot be brewed', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const cases: [string, (brewer: Brewer) => Promise<void>][] = [
    ...['text', 7, null, undefined, {}, [1], { buffer: 'text' }, new Blob(['x'])].map(
      (data): [string, (brewer: Brewer) => Promise<void>] => [`brew(${String(data)})`, (brewer) => brewer.brew(data as never)],
    ),
    ['brewText(7)', (brewer) => brewer.brewText(7 as never)],
    ['brewText()', (brewer) => brewer.brewText(undefined as never)],
    ['brewJSON(undefined)', (brewer) => brewer.brewJSON(undefined)],
    ['brewJSON(a function)', (brewer) => brewer.brewJSON(() => 1)],
    ['brewJSON(1n)', (brewer) => brewer.brewJSON(1n)],
    ['brewJSON(a cycle)', (brewer) => brewer.brewJSON(cyclic)],
    ['brew(bytes whose buffer was transferred)', (brewer) => brewer.brew(transferred())],
    ['brew(a buffer that was transferred)', (brewer) => brewer.brew(transferred().buffer)],
    ['brewJSON(a toJSON that throws)', (brewer) => brewer.brewJSON({ toJSON: () => { throw new Error('x'); } })],
  ];

  it.each(cases)('%s rejects with DATA_INVALID, matched or not', async (_, run) => {
    const { brewer, x, errors } = kit();
    await rejected(run(brewer), 'DATA_INVALID');
    brewer.newPatrons([patron(1)]);
    await rejected(run(brewer), 'DATA_INVALID');
    expect(errors.map(({ code }) => code)).toEqual(['DATA_INVALID', 'DATA_INVALID']);
    expect(x.frames).toEqual([]);
  });

  it.each(CIPHERS)('bytes whose buffer was transferred are refused with the cipher %s, and empty bytes are accepted', async (cipher) => {
    const { brewer, x } = kit({ crypto: true, cipher });
    brewer.newPatrons([patron(1)]);
    await rejected(brewer.brew(transferred()), 'DATA_INVALID');
    await brewer.brew(new Uint8Array(0));
    await settle();
    expect(x.frames.length).toBe(1);
  });

  it('brew() rejects, with an error event, when one of the brews throws or rejects, and the other brews get the message', async () => {
    const { brewer, x, y, errors } = kit();
    brewer.newPatrons([patron(1), patron(2, { brew: { name: 'y' } })]);
    const full = new PubkeeperError('BUFFER_FULL', 'full');
    x.onBrew = () => {
      throw full;
    };
    expect(await rejected(brewer.brewText('1'))).toBe(full);
    x.onBrew = () => Promise.reject(full);
    expect(await rejected(brewer.brewText('2'))).toBe(full);
    expect(y.texts).toEqual(['1', '2']);
    expect(errors).toEqual([full, full]);
    x.onBrew = () => undefined;
    await brewer.brewText('3');
    expect(errors.length).toBe(2);
  });

  it.each(['throws', 'rejects'])('brew() rejects with BREW_FAILED and the cause when a brew %s', async (how) => {
    const { brewer, x } = kit();
    brewer.newPatrons([patron(1)]);
    const cause = new RangeError('of the brew');
    x.onBrew = () => {
      if (how === 'throws') throw cause;
      return Promise.reject(cause);
    };
    expect(await rejected(brewer.brewText('1'))).toMatchObject({ name: 'PubkeeperError', code: 'BREW_FAILED', cause });
  });

  it('a rejection of brew() need not be caught', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const brewer = new Brewer('a');
    void brewer.brew(7 as never);
    const { brewer: other, x } = kit();
    other.newPatrons([patron(1), patron(2, { brew: { name: 'y' } })]);
    x.onBrew = () => Promise.reject(new Error('of the brew'));
    void other.brewText('x');
    void other.brewJSON(1n);
    await settle();
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(logged).toHaveBeenCalledTimes(1); // of the brewer without listeners
    logged.mockRestore();
  });
});

it('a message that does not fit into a bundle is sent before what a callback brews that gets that bundle', async () => {
  const { brewer, x } = kit({ cipher: 'aes-gcm', crypto: true });
  brewer.newPatrons([patron(1)]);
  const heard: string[] = [];
  const brewed: Promise<void>[] = [];
  const reader = new Patron('a.b', (_, message) => {
    heard.push(message.text()[0]!);
    // A brew may deliver within the call, to a patron of the same client.
    if (message.text() === '1') for (const text of ['3', '4'.repeat(70_000), '5']) brewed.push(brewer.brewText(text));
  });
  reader._lend({ brew: () => ({ startPatron: () => () => undefined }) as Partial<Brew> as Brew, engine: nobleEngine });
  reader.newBrewers([{ topic: 'a.b', brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: { name: 'x' } }]);
  x.onBrew = () => reader._handleCallback(brewer.brewerId, x.frames.at(-1)!);
  brewed.push(brewer.brewText('1'), brewer.brewText('2'.repeat(70_000)));
  await Promise.all(brewed);
  await settle();
  expect(heard).toEqual(['1', '2', '3', '4', '5']);
});

it('a message that does not fit into a bundle is accepted also when the delivery of that bundle removes the patron', async () => {
  const { brewer, x } = kit({ cipher: 'aes-gcm', crypto: true });
  brewer.newPatrons([patron(1)]);
  x.onBrew = () => brewer.removePatron(id(1));
  const brewed = [brewer.brewText('1'.repeat(40_000)), brewer.brewText('2'.repeat(40_000))];
  await Promise.all(brewed);
  await settle();
  expect(x.frames.length).toBe(2);
});

it('brew() of a sealed message waits until it is accepted while the brew has not accepted the message before', async () => {
  const { brewer, x } = kit({ cipher: 'aes-gcm', crypto: true });
  brewer.newPatrons([patron(1)]);
  const accept: (() => void)[] = [];
  x.onBrew = () => new Promise<void>((resolve) => accept.push(resolve));
  await brewer.brewText('1'); // no message is waiting
  await settle();
  const isAccepted = vi.fn();
  const brewed = brewer.brewText('2').then(isAccepted);
  await settle();
  expect([accept.length, isAccepted.mock.calls.length]).toEqual([2, 0]);
  accept[1]!();
  await brewed;
});
