import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  WebSocketBrew,
  type Brewer,
  type BrewMatch,
  type Cipher,
  type CipherConstructor,
  type CryptoMap,
  type CustomBrew,
  type Patron,
} from '../../src/compat/index.js';
import { settle } from '../helpers.js';
import { compat, deferred, Inbox, native, relayOf, serve, text } from './helpers.js';

/** XORs with a stream made of the key: enough to see which key was used. */
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

/** The same, but each message takes its time, the longer ones less. */
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
    const texts = new Inbox<string>();
    reader.addPatron('crypto.*', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('crypto.x', { cipher }, (brewer) => matched.resolve(brewer));
    await Promise.all([reader.connect(), writer.connect()]);
    return { brewer: await matched.promise, texts, errors, reader, writer };
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

  it('gets a random key of its length, the same at both ends and a new one for each session', async () => {
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

  it('leaves mode 2 to AES-CBC where it has none', async () => {
    const { brewer, texts } = await pair(new Map([[7, Xor]]), undefined, 2);
    await brewer.brewText('by AES');
    expect(await texts.next()).toBe('by AES');
  });

  it('that has no entry for a brewer’s mode is an error event', async () => {
    const { errors } = await pair(undefined, new Map([[7, Xor]]), 7);
    expect(await errors.next()).toBe('CIPHER_UNKNOWN');
  });

  it('whose cipher throws drops that message, and the next one arrives', async () => {
    class Bad extends Xor {
      override encrypt(data: Uint8Array): Uint8Array {
        return text(data) === 'bad' ? data : (super.encrypt(data) as Uint8Array);
      }
    }
    const { brewer, texts } = await pair(new Map([[7, Xor]]), new Map([[7, Bad]]), 7);
    await brewer.brewText('bad');
    await brewer.brewText('good');
    expect(await texts.next()).toBe('good');
  });

  it('whose cipher takes its time encrypts what was given to brew()', async () => {
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

  it('whose cipher gives anything but bytes makes brew() reject, and drops what it opens', async () => {
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

  it('is not needed for plaintext and for sealed mode', async () => {
    for (const cipher of ['none', 'aes-gcm', 'aes-cbc'] as const) {
      const { brewer, texts } = await pair(undefined, undefined, cipher);
      await brewer.brewText(cipher);
      expect(await texts.next()).toBe(cipher);
    }
  });
});

/** A transport within this process: a bus by topic. */
function bus() {
  const listeners = new Map<string, Set<(frame: Uint8Array) => void>>();
  const log: string[] = [];
  const matches: BrewMatch[] = [];
  const frames: Uint8Array[] = [];
  const make = (options: { shared?: boolean; gate?: Promise<unknown> } = {}): CustomBrew => {
    const { shared = false, gate } = options;
    const connection = (topic: string) => ({
      brew: (frame: Uint8Array) => {
        frames.push(frame);
        listeners.get(topic)?.forEach((receive) => receive(frame));
      },
      close: () => log.push('brewer closed'),
    });
    const made = new Map<string, ReturnType<typeof connection>>();
    return {
      name: 'bus',
      brewerConfig: { channel: 7 },
      patronConfig: { volume: 11 },
      async connectBrewer(match) {
        matches.push(match);
        const known = made.get(match.brewerId) ?? connection(match.topic);
        if (shared) made.set(match.brewerId, known);
        await gate;
        log.push('brewer open');
        return known;
      },
      connectPatron(match, receive) {
        matches.push(match);
        const set = listeners.get(match.topic) ?? new Set();
        listeners.set(match.topic, set.add(receive));
        return {
          close: () => {
            set.delete(receive);
            log.push('patron closed');
          },
        };
      },
    };
  };
  return { make, log, matches, frames };
}

describe('a custom brew', () => {
  it('carries data both ends of which it has connected', async () => {
    const server = await serve();
    const { make, log, matches, frames } = bus();
    const [brewA, brewB] = [make(), make()];
    const reader = compat(server, { brews: [brewA] });
    const writer = compat(server, { brews: [brewB] });
    const texts = new Inbox<string>();
    const token = reader.addPatron('bus.*', (patron) => {
      expect(patron.brews).toEqual([brewA]);
      patron.on('message', (data) => texts.put(text(data)));
    });
    const matched = deferred<Brewer>();
    const unmatched = deferred();
    const brewing = writer.addBrewer('bus.x', (brewer) => {
      matched.resolve(brewer);
      return () => unmatched.resolve();
    });
    const added = deferred();
    reader.addPatron('*.x', (patron) => patron.on('added', () => added.resolve()));
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    await added.promise;
    await brewer.brewText('by bus');
    expect(await texts.next()).toBe('by bus');
    const common = { topic: 'bus.x', brewerId: brewing.id, patronId: token.id };
    expect(matches).toContainEqual({ ...common, config: { name: 'bus', volume: 11 } });
    expect(matches).toContainEqual({ ...common, config: { name: 'bus', channel: 7 } });
    // A whole brew frame: its version, and the brewer's id.
    expect(frames[0]?.[0]).toBe(1);
    expect(Buffer.from(frames[0]!.subarray(34, 50)).toString('hex')).toBe(brewing.id);
    await reader.disconnect();
    await unmatched.promise;
    await writer.disconnect();
    expect(log.filter((line) => line === 'patron closed')).toHaveLength(2);
    expect(log.filter((line) => line === 'brewer closed')).toHaveLength(2);
  });

  it('that returns one connection for all matches gets each frame once, and close at the end', async () => {
    const server = await serve();
    const { make, log, frames } = bus();
    const writer = compat(server, { brews: [make({ shared: true })] });
    const readers = [compat(server, { brews: [make()] }), compat(server, { brews: [make()] })];
    const texts = new Inbox<string>();
    for (const reader of readers) {
      reader.addPatron('shared.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
      await reader.connect();
    }
    const matched = deferred<Brewer>();
    const unmatched = deferred();
    writer.addBrewer('shared.x', (brewer) => {
      matched.resolve(brewer);
      return () => unmatched.resolve();
    });
    await writer.connect();
    const brewer = await matched.promise;
    if (brewer.size < 2) await new Promise((resolve) => brewer.once('added', resolve));
    await brewer.brewText('once');
    expect([await texts.next(), await texts.next()]).toEqual(['once', 'once']);
    expect(frames).toHaveLength(1);
    const removed = new Promise((resolve) => brewer.once('removed', resolve));
    await readers[0]?.disconnect();
    await removed;
    expect(log).not.toContain('brewer closed');
    await readers[1]?.disconnect();
    await unmatched.promise;
    expect(log.filter((line) => line === 'brewer closed')).toHaveLength(1);
  });

  it('that is still connecting makes brewers wait, and is closed when its match has ended', async () => {
    const server = await serve();
    const { make, log } = bus();
    const gate = deferred();
    const writer = compat(server, { brews: [make({ gate: gate.promise })] });
    const reader = compat(server, { brews: [make()] });
    const texts = new Inbox<string>();
    const token = reader.addPatron('slow.x', (patron) => patron.on('message', (data) => texts.put(text(data))));
    const matched = deferred<Brewer>();
    writer.addBrewer('slow.x', (brewer) => matched.resolve(brewer));
    writer.on('error', () => undefined);
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    await expect(brewer.brewText('lost', { waitForBrews: 20 })).rejects.toThrow('all brews are not ready');
    const sent = [brewer.brewText('first', { waitForBrews: 60_000 }), brewer.brewText('second', { waitForBrews: 60_000 })];
    gate.resolve();
    await Promise.all(sent);
    expect([await texts.next(), await texts.next()]).toEqual(['first', 'second']);
    const removed = new Promise((resolve) => brewer.once('removed', resolve));
    reader.removePatron(token);
    await removed;
    await settle();
    expect(log).toEqual(['brewer open', 'patron closed', 'brewer closed']);
  });

  /** A brewer whose connection is being made until `gate` settles, and one of the same brew whose connection stands. */
  async function pending(gate: Promise<unknown>) {
    const server = await serve();
    const { make } = bus();
    const open = make();
    const writer = compat(server, {
      brews: [
        {
          ...open,
          connectBrewer: async (match) => {
            if (match.topic === 'pending.x') await gate;
            return open.connectBrewer!(match);
          },
        },
      ],
    });
    const reader = compat(server, { brews: [make()] });
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const texts = new Inbox<string>();
    const listen = (patron: Patron) => patron.on('message', (data) => texts.put(text(data)));
    const token = reader.addPatron('pending.x', listen);
    reader.addPatron('open.x', listen);
    const [slow, quick] = [deferred<Brewer>(), deferred<Brewer>()];
    writer.addBrewer('pending.x', { cipher: 'none', autoRemoveListeners: false }, slow.resolve);
    writer.addBrewer('open.x', { waitForBrews: 60_000 }, quick.resolve);
    await Promise.all([reader.connect(), writer.connect()]);
    return { reader, token, texts, errors, slow: await slow.promise, quick: await quick.promise };
  }

  it('whose connection never opens holds up its own brewer only, and that until its match ends', async () => {
    const { reader, token, texts, slow, quick } = await pending(new Promise(() => undefined));
    await quick.brewText('free');
    expect(await texts.next()).toBe('free');
    const held = slow.brewText('nobody', { waitForBrews: false });
    const waiting = slow.brewText('nobody', { waitForBrews: 60_000 });
    const removed = new Promise((resolve) => slow.once('removed', resolve));
    reader.removePatron(token);
    await Promise.all([removed, held, waiting]);
    await quick.brewText('still free');
    expect(await texts.next()).toBe('still free');
  });

  it('keeps what is brewed without waiting for its connections, in order, up to 16 MiB', async () => {
    const gate = deferred();
    const { texts, errors, slow } = await pending(gate.promise);
    for (const word of ['one', 'two', 'three']) await slow.brewText(word, { waitForBrews: false });
    await slow.brew(new Uint8Array(16 * 1024 * 1024), { waitForBrews: false });
    expect(await errors.next()).toBe('BUFFER_FULL');
    gate.resolve();
    await slow.brewText('four', { waitForBrews: 60_000 });
    for (const word of ['one', 'two', 'three', 'four']) expect(await texts.next()).toBe(word);
  });

  /** A brewer and patrons over a brew whose connections the test makes: each gate settles with what sends by it. */
  async function byHand(patrons: number) {
    const server = await serve();
    const log: string[] = [];
    const gates: ReturnType<typeof deferred<(frame: Uint8Array) => unknown>>[] = [];
    const hand: CustomBrew = {
      name: 'hand',
      connectBrewer: async () => {
        const at = gates.length;
        gates.push(deferred());
        return { brew: await gates[at]!.promise, close: () => log.push(`closed ${at}`) };
      },
      connectPatron: () => ({ close: () => undefined }),
    };
    const [writer, reader] = [compat(server, { brews: [hand] }), compat(server, { brews: [hand] })];
    const errors = new Inbox<string>();
    writer.on('error', ({ code }) => errors.put(code));
    const tokens = Array.from({ length: patrons }, () => reader.addPatron('hand.x'));
    const matched = deferred<Brewer>();
    writer.addBrewer('hand.x', { cipher: 'none', autoRemoveListeners: false, waitForBrews: 60_000 }, matched.resolve);
    await reader.connect();
    await writer.connect();
    return { brewer: await matched.promise, gates, log, errors, reader, tokens };
  }

  it('whose match has ended while it was connecting is closed when it comes', async () => {
    const { brewer, gates, log, reader, tokens } = await byHand(1);
    const removed = new Promise((resolve) => brewer.once('removed', resolve));
    reader.removePatron(tokens[0]!);
    await removed;
    expect(log).toEqual([]);
    gates[0]!.resolve(() => undefined);
    await settle();
    expect(log).toEqual(['closed 0']);
  });

  it('sends on each of its connections, when all are made; brew() waits for that, and fails with it', async () => {
    const { brewer, gates, log, errors } = await byHand(2);
    const slow = deferred();
    const take = (at: number) => (frame: Uint8Array) => {
      const word = text(frame.subarray(88));
      log.push(`${at} ${word}`);
      if (word === 'bad') throw new Error('of the connection');
      return at === 0 ? slow.promise : undefined;
    };
    await brewer.brewText('early', { waitForBrews: false });
    gates[0]!.resolve(take(0));
    await settle();
    expect(log).toEqual([]);
    gates[1]!.resolve(take(1));
    await settle();
    expect(log).toEqual(['0 early', '1 early']);
    let isSent = false;
    const sent = brewer.brewText('late').then(() => (isSent = true));
    await settle();
    expect([log.slice(2), isSent]).toEqual([['0 late', '1 late'], false]);
    slow.resolve();
    await sent;
    await expect(brewer.brewText('bad')).rejects.toMatchObject({ code: 'BREW_FAILED', cause: { message: 'of the connection' } });
    expect(await errors.next()).toBe('BREW_FAILED');
  });

  it('none of whose connections could be made makes brew() reject', async () => {
    const gate = deferred<Promise<never>>();
    const { errors, slow } = await pending(gate.promise);
    await slow.brewText('held', { waitForBrews: false });
    gate.resolve(Promise.reject(new Error('refused')));
    expect([await errors.next(), await errors.next()]).toEqual(['BREW_FAILED', 'BREW_FAILED']);
    await expect(slow.brewText('too late')).rejects.toMatchObject({ code: 'BREW_FAILED' });
  });

  it('that fails is an error event', async () => {
    const server = await serve();
    const failing: CustomBrew = {
      name: 'bus',
      connectBrewer: () => Promise.reject(new Error('later')),
      connectPatron: () => {
        throw new Error('at once');
      },
    };
    const client = compat(server, { brews: [failing] });
    const errors = new Inbox<unknown>();
    client.on('error', ({ code, cause }) => errors.put([code, (cause as Error).message]));
    client.addPatron('fail.x');
    client.addBrewer('fail.x');
    await client.connect();
    await Promise.all([errors.next(), errors.next()]);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'later']);
    expect(errors.all).toContainEqual(['BREW_FAILED', 'at once']);
  });

  it('with a null config, or without one of the functions, serves the other kind only', async () => {
    const server = await serve();
    const { make } = bus();
    const full = make();
    const matched: string[] = [];
    const reading = compat(server, { brews: [{ ...full, brewerConfig: null }] });
    reading.addBrewer('half.a', () => matched.push('brewer of a brew that only subscribes'));
    reading.addPatron('half.b', () => matched.push('right'));
    const { name, connectBrewer } = full;
    const writing = compat(server, { brews: [connectBrewer ? { name, connectBrewer } : { name }] });
    writing.addPatron('half.a', () => matched.push('patron of a brew that only brews'));
    const both = deferred();
    writing.addBrewer('half.b', () => both.resolve());
    await Promise.all([reading.connect(), writing.connect()]);
    await both.promise;
    const third = compat(server, { brews: [{ ...make(), patronConfig: null }] });
    third.addPatron('half.*', () => matched.push('patron of a brew that only brews'));
    const last = compat(server, { brews: [make()] });
    last.addPatron('half.*', ({ topic }) => matched.push(topic));
    for (const client of [third, last]) await client.connect();
    // All of the last one's matches are in the answer to its registration.
    expect(matched).toEqual(['right', 'half.*']);
    expect(reading.status).toBe('connected');
  });
});

describe('the option brews of patrons and brewers', () => {
  it('chooses among those of the client, by name or object', async () => {
    const server = await serve();
    const { make } = bus();
    const relay = new WebSocketBrew({ brewerConfig: relayOf(server) });
    const custom = make();
    const client = compat(server, { brews: [relay, custom] });
    const seen = new Inbox<readonly unknown[]>();
    client.addBrewer('choice.x', { brews: ['bus'] }, (brewer) => seen.put(['brewer', ...brewer.brews]));
    client.addPatron('choice.*', { brews: [custom] }, (patron) => seen.put(['by bus', ...patron.brews]));
    client.addPatron('choice.*', { brews: [relay] }, () => seen.put(['by relay']));
    await client.connect();
    const both = [await seen.next(), await seen.next()];
    expect(both).toContainEqual(['brewer', custom]);
    expect(both).toContainEqual(['by bus', custom]);
    const reader = native(server);
    const error = new Promise((resolve) => reader.on('matched', resolve));
    reader.addPatron('choice.*');
    await reader.connect();
    const writer = native(server);
    writer.addBrewer('choice.y', { cipher: 'aes-cbc' });
    await writer.connect();
    expect(await error).toMatchObject({ topic: 'choice.y' });
    expect(await seen.next()).toEqual(['by relay']);
    expect(seen.all).toHaveLength(3);
  });
});
