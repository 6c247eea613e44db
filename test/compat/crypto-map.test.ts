import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Brewer, Cipher, CipherConstructor, CryptoMap } from '../../src/compat/index.js';
import { compat, deferred, Inbox, serve, text } from './helpers.js';

/** XORs with bytes made from the key, so that a wrong key shows. */
class Xor implements Cipher {
  static readonly keyLength: number = 24;
  static readonly keys: string[] = [];
  readonly #stream: Buffer;

  constructor(key: Uint8Array) {
    Xor.keys.push(Buffer.from(key).toString('hex'));
    this.#stream = createHash('sha256').update(key).digest();
  }

  encrypt(data: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return data.map((byte, at) => byte ^ this.#stream[at % 32]!);
  }

  decrypt(data: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if (text(data).startsWith('bad')) throw new Error('cannot be opened');
    return this.encrypt(data) as Uint8Array;
  }
}

/** The same, but asynchronous: the longer a message, the sooner it is ready. */
class Slow extends Xor {
  override async encrypt(data: Uint8Array): Promise<Uint8Array> {
    const copy = data.slice();
    for (let ticks = 50 - copy.length; ticks > 0; ticks--) await Promise.resolve();
    return super.encrypt(copy);
  }

  override async decrypt(data: Uint8Array): Promise<Uint8Array> {
    return this.encrypt(data);
  }
}

describe('a crypto map', () => {
  async function pair(readers: CryptoMap | undefined, writers: CryptoMap | undefined, cipher: number | string) {
    const server = await serve();
    const reader = compat(server, { crypto: readers });
    const writer = compat(server, { crypto: writers });
    const errors = new Inbox<string>();
    reader.on('error', ({ code }) => errors.put(code));
    const drops = new Inbox<string>();
    reader.on('dropped', ({ reason, count }) => drops.put(`${count} ${reason}`));
    const texts = new Inbox<string>();
    reader.addPatron('crypto.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('crypto.x', { cipher }, (brewer) => matched.resolve(brewer));
    await Promise.all([reader.connect(), writer.connect()]);
    return { brewer: await matched.promise, texts, errors, drops, reader, writer };
  }

  const maps: [string, CipherConstructor, number | string][] = [
    ['a mode of its own', Xor, 7],
    ['a mode that is a text', Xor, 'XOR'],
    ['mode 2, in place of ours', Xor, 2],
    ['a cipher that returns promises', Slow, 7],
  ];
  it.each(maps)('is used for %s, in order', async (_name, constructor, mode) => {
    const crypto = new Map([[mode, constructor]]);
    const { brewer, texts } = await pair(crypto, crypto, mode);
    const words = ['one', 'two and more', 'three', 'four and even more than that', ''];
    await Promise.all(words.map((word) => brewer.brewText(word)));
    expect(await Promise.all(words.map(() => texts.next()))).toEqual(words);
  });

  it('gives its cipher a random key of keyLength, the same at both ends and a new one for each session', async () => {
    const crypto = new Map([[7, Xor]]);
    Xor.keys.length = 0;
    const { writer } = await pair(crypto, crypto, 7);
    const again = new Promise((resolve) => writer.once('connected', resolve));
    await writer.disconnect();
    await writer.connect();
    await again;
    const counts = new Map<string, number>();
    for (const key of Xor.keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    expect([...counts.keys()].every((key) => /^[\da-f]{48}$/.test(key))).toBe(true);
    expect(counts.size).toBe(2);
    expect([...counts.values()][0]).toBe(2);
  });

  it('leaves mode 2 to AES-CBC when it has no entry for it', async () => {
    const { brewer, texts } = await pair(new Map([[7, Xor]]), undefined, 2);
    await brewer.brewText('by AES');
    expect(await texts.next()).toBe('by AES');
  });

  it('without an entry for a brewer’s mode causes an error event', async () => {
    const { errors } = await pair(undefined, new Map([[7, Xor]]), 7);
    expect(await errors.next()).toBe('CIPHER_UNKNOWN');
  });

  it('whose cipher cannot decrypt a message drops it and reports that, and the next one arrives', async () => {
    class Bad extends Xor {
      override encrypt(data: Uint8Array): Uint8Array {
        return text(data) === 'bad' ? data : (super.encrypt(data) as Uint8Array);
      }
    }
    const { brewer, texts, drops } = await pair(new Map([[7, Xor]]), new Map([[7, Bad]]), 7);
    await brewer.brewText('bad');
    await brewer.brewText('good');
    expect(await texts.next()).toBe('good');
    expect(await drops.next()).toBe('1 undecryptable');
  });

  it('tells of a last value that the brewer left under a former key by `dropped`, and not as an error', async () => {
    class Checked extends Xor {
      override encrypt(data: Uint8Array): Uint8Array {
        return super.encrypt(Buffer.concat([Buffer.from('right key '), data])) as Uint8Array;
      }
      override decrypt(data: Uint8Array): Uint8Array {
        const opened = super.encrypt(data) as Uint8Array;
        if (!text(opened).startsWith('right key ')) throw new Error('another key');
        return opened.subarray(10);
      }
    }
    const crypto = new Map([[7, Checked]]);
    const { brewer, texts, errors, drops, writer } = await pair(crypto, crypto, 7);
    await brewer.brewText('former');
    expect(await texts.next()).toBe('former');
    await writer.disconnect();
    const matched = new Promise<void>((resolve) => brewer.once('added', () => resolve()));
    await writer.connect();
    await matched;
    expect(await drops.next()).toBe('1 undecryptable');
    await brewer.brewText('new');
    expect(await texts.next()).toBe('new');
    expect(errors.all).toEqual([]);
  });

  it('whose cipher encrypts later encrypts the bytes as they were when brew() was called', async () => {
    class Late extends Xor {
      override async encrypt(data: Uint8Array): Promise<Uint8Array> {
        await Promise.resolve();
        return super.encrypt(data);
      }
    }
    const { brewer, texts } = await pair(new Map([[7, Xor]]), new Map([[7, Late]]), 7);
    await brewer.brewText('warm', { waitForBrews: 60_000 });
    const data = Buffer.from('as it was');
    const sent = brewer.brew(data);
    data.fill(0);
    await sent;
    expect([await texts.next(), await texts.next()]).toEqual(['warm', 'as it was']);
  });

  it('whose cipher cannot encrypt makes brew() reject', async () => {
    class Broken extends Xor {
      override encrypt(): Uint8Array {
        throw new Error('broken');
      }
    }
    const { brewer, writer } = await pair(new Map(), new Map([[2, Broken]]), 2);
    writer.on('error', () => undefined);
    await expect(brewer.brewText('never')).rejects.toMatchObject({ code: 'BREW_FAILED' });
  });

  it('whose cipher returns anything but bytes makes brew() reject, or drops the message at the patron', async () => {
    class Textual extends Xor {
      override encrypt(data: Uint8Array): Uint8Array {
        return (text(data) === 'bad' ? 'no bytes' : super.encrypt(data)) as Uint8Array;
      }
      override decrypt(data: Uint8Array): Uint8Array {
        const opened = super.decrypt(data) as Uint8Array;
        return (text(opened) === 'odd' ? 'no bytes' : opened) as Uint8Array;
      }
    }
    const crypto = new Map([[7, Textual]]);
    const { brewer, texts, writer } = await pair(crypto, crypto, 7);
    writer.on('error', () => undefined);
    await expect(brewer.brewText('bad')).rejects.toMatchObject({ code: 'BREW_FAILED' });
    await brewer.brewText('odd');
    await brewer.brewText('good');
    expect(await texts.next()).toBe('good');
  });

  it('is not needed for none, aes-gcm and aes-cbc', async () => {
    for (const cipher of ['none', 'aes-gcm', 'aes-cbc'] as const) {
      const { brewer, texts } = await pair(undefined, undefined, cipher);
      await brewer.brewText(cipher);
      expect(await texts.next()).toBe(cipher);
    }
  });
});
