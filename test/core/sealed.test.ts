import { createDecipheriv, webcrypto } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { sealerFor } from '../../src/core/ciphers/index.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { webCryptoEngine } from '../../src/core/ciphers/web-crypto.js';
import { frameIdentity, topicHash } from '../../src/core/frame.js';
import { Patron } from '../../src/core/patron.js';
import { nodeEngine } from '../../src/platform/node-engine.js';
import { hex, id, settle, unhex } from '../helpers.js';
import { bundle, sealedFrame as rawSealed, type SealedFrame } from '../sealed-frame.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

// Sealed mode as in the design, made with node:crypto and without the code under test.

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex');
const EPOCH = 'a1b2c3d4e5f60718';
const TOPIC = 'plant.line_2.µ';
const ID = id(0x51);

type Options = Partial<Omit<SealedFrame, 'topic' | 'brewerId'>>;
const sealedFrame = (plaintext: Uint8Array, options: Options = {}) => rawSealed(plaintext, { topic: TOPIC, brewerId: ID, key: KEY, epoch: EPOCH, ...options });

/** The engine, and a promise that resolves when all its calls have been answered. */
function tracked(engine: CryptoEngine): CryptoEngine & { idle(): Promise<void> } {
  const asked: unknown[] = [];
  const track = <T>(answer: T): T => (asked.push(answer), answer);
  return {
    name: engine.name,
    cbc: (key) => engine.cbc(key),
    gcm(key) {
      const aes = engine.gcm(key);
      return {
        seal: (nonce, data, plaintext) => aes.seal(nonce, data, plaintext),
        open: (nonce, data, sealed) => track(aes.open(nonce, data, sealed)),
      };
    },
    idle: () => Promise.allSettled(asked.splice(0)).then(settle),
  };
}

function reader(inner: CryptoEngine = nobleEngine, epoch = EPOCH) {
  const engine = tracked(inner);
  const heard: string[] = [];
  const gaps: number[] = [];
  const patron = new Patron('**', (_, message) => heard.push(`${message.sequence}:${message.text()}`));
  patron._lend({ brew: () => ({ startPatron: () => () => undefined }) as never, engine });
  patron.on('gap', ({ missing }) => gaps.push(missing));
  const cipher = { mode: 'AES-GCM', key: KEY.toString('hex'), epoch };
  patron.newBrewers([{ topic: TOPIC, brewer_id: ID, brewer_config: { cipher }, brew: { name: 'x' } }]);
  const receive = async (...frames: Uint8Array[]): Promise<void> => {
    for (const frame of frames) patron._handleCallback(ID, frame);
    await engine.idle();
  };
  return { patron, heard, gaps, receive };
}

const engines: [string, CryptoEngine][] = [
  ['noble', nobleEngine],
  ['WebCrypto', webCryptoEngine(webcrypto.subtle as never)],
  ['node', nodeEngine],
];

describe('a brewer that comes back', () => {
  const infoOf = (key: string, epoch: string) => ({ topic: TOPIC, brewer_id: ID, brewer_config: { cipher: { mode: 'AES-GCM', key, epoch } }, brew: { name: 'x' } });

  it('with the same session: no message is delivered twice, and missing ones are a gap', async () => {
    const { patron, heard, gaps, receive } = reader();
    await receive(sealedFrame(Buffer.from('one')), sealedFrame(Buffer.from('two'), { sequence: 1 }));
    patron.removeBrewer(ID);
    patron.newBrewers([infoOf(KEY.toString('hex'), EPOCH)]);
    patron._handleCallback(ID, sealedFrame(Buffer.from('two'), { sequence: 1 }), true);
    await receive(sealedFrame(Buffer.from('five'), { sequence: 4 }));
    expect(heard).toEqual(['0:one', '1:two', '4:five']);
    expect([patron.dropped, gaps]).toEqual([{ replayed: 1 }, [2]]);
  });

  it('with the same session: no message is delivered twice, also when another brewer has left meanwhile', async () => {
    const { patron, heard, receive } = reader();
    await receive(sealedFrame(Buffer.from('one')));
    patron.newBrewers([{ ...infoOf(KEY.toString('hex'), EPOCH), brewer_id: id(0x100) }]);
    for (const brewerId of [ID, id(0x100)]) patron.removeBrewer(brewerId);
    patron.newBrewers([infoOf(KEY.toString('hex'), EPOCH)]);
    await receive(sealedFrame(Buffer.from('one')));
    expect([heard, patron.dropped]).toEqual([['0:one'], { replayed: 1 }]);
  });

  it.each([
    ['another key', Buffer.alloc(32, 7), EPOCH],
    ['another epoch', KEY, '0102030405060708'],
  ])('with %s begins a new session', async (_, key, epoch) => {
    const { patron, heard, receive } = reader();
    await receive(sealedFrame(Buffer.from('one')));
    patron.newBrewers([infoOf(key.toString('hex'), epoch)]);
    await receive(sealedFrame(Buffer.from('other'), { key, epoch }));
    expect(heard).toEqual(['0:one', '0:other']);
  });

  it.each([
    ['is forgotten at a reset', 0, true],
    ['is known after 1,023 others', 1023, false],
    ['is forgotten after 1,024 others', 1024, true],
  ])('%s', async (_, others, isForgotten) => {
    const { patron, heard, receive } = reader();
    await receive(sealedFrame(Buffer.from('one')));
    patron.removeBrewer(ID);
    if (!others) patron.reset();
    for (let i = 0; i < others; i++) {
      patron.newBrewers([{ ...infoOf(KEY.toString('hex'), EPOCH), brewer_id: id(0x100 + i) }]);
      patron.removeBrewer(id(0x100 + i));
    }
    patron.newBrewers([infoOf(KEY.toString('hex'), EPOCH)]);
    await receive(sealedFrame(Buffer.from('one')));
    expect(heard).toEqual(isForgotten ? ['0:one', '0:one'] : ['0:one']);
  });
});

it('a brewer counts messages that it brewed while nobody was matched, after its first message', async () => {
  const sealer = sealerFor('aes-gcm', nobleEngine, frameIdentity(topicHash(TOPIC), unhex(ID)));
  const sequenceOf = async () => new DataView((await sealer.seal(Buffer.from('x'))).buffer).getBigUint64(62, true);
  sealer.skip!();
  expect(await sequenceOf()).toBe(0n);
  sealer.skip!();
  sealer.skip!();
  expect(await sequenceOf()).toBe(3n);
});

describe.each(engines)('sealed frames by %s', (_, engine) => {
  it('made by node:crypto are read, single ones and bundles in one sequence', async () => {
    const { heard, gaps, patron, receive } = reader(engine);
    await receive(
      sealedFrame(Buffer.from('one')),
      sealedFrame(Buffer.from(''), { sequence: 1 }),
      sealedFrame(bundle('three', '', 'five'), { sequence: 2, flags: 1 }),
      sealedFrame(bundle(), { sequence: 5, flags: 1 }),
      sealedFrame(Buffer.from('six'), { sequence: 5 }),
    );
    expect(heard).toEqual(['0:one', '1:', '2:three', '3:', '4:five', '5:six']);
    expect(gaps).toEqual([]);
    expect(patron.dropped).toEqual({});
  });

  it('have the layout of the design, byte for byte', async () => {
    const sealer = sealerFor('aes-gcm', engine, frameIdentity(topicHash(TOPIC), unhex(ID)));
    const { mode, key, epoch } = sealer.config!;
    expect(mode).toBe('AES-GCM');
    expect(key).toMatch(/^[\da-f]{64}$/);
    expect(epoch).toMatch(/^[\da-f]{16}$/);
    for (const [sequence, text] of ['first', '', 'x'.repeat(3000)].entries()) {
      const frame = await sealer.seal(Buffer.from(text));
      expect(hex(frame)).toBe(hex(sealedFrame(Buffer.from(text), { sequence, epoch: epoch!, key: Buffer.from(key, 'hex') })));
      const nonce = Buffer.alloc(12);
      nonce[11] = sequence;
      const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), nonce);
      decipher.setAAD(frame.subarray(0, 88)).setAuthTag(frame.subarray(-16));
      expect(Buffer.concat([decipher.update(frame.subarray(88, -16)), decipher.final()]).toString()).toBe(text);
    }
    const other = sealerFor('aes-gcm', engine, frameIdentity(topicHash(TOPIC), unhex(ID))).config!;
    expect(other.key).not.toBe(key);
    expect(other.epoch).not.toBe(epoch);
  });

  it('are not delivered with any one bit changed', async () => {
    const { heard, patron, receive } = reader(engine);
    const good = sealedFrame(Buffer.from('hi'), { sequence: 3 });
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      await receive(bad);
      expect(heard, `bit ${bit & 7} of byte ${bit >> 3}`).toEqual([]);
    }
    const { malformed, 'wrong-sender': foreign, undecryptable } = patron.dropped;
    expect(malformed! + foreign! + undecryptable!).toBe(good.length * 8);
    expect(foreign).toBe(48 * 8); // hash and id
    expect(malformed).toBe((1 + 4) * 8); // version and length
    await receive(good);
    expect(heard).toEqual(['3:hi']);
  });

  it('that are bundles with wrong lengths are not delivered, not even in part', async () => {
    const { heard, patron, receive } = reader(engine);
    const cut = [bundle('one', 'two').subarray(0, -1), Buffer.concat([bundle('one'), Buffer.from([1, 0, 0])]), Buffer.from('ffffffff', 'hex'), Buffer.from([9, 0, 0, 0, 1])];
    await receive(...cut.map((body, sequence) => sealedFrame(body, { sequence, flags: 1 })));
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ undecryptable: 4 });
  });

  it('that are shorter than a tag are not delivered', async () => {
    const { patron, receive } = reader(engine);
    for (let length = 0; length < 16; length++) {
      const short = sealedFrame(Buffer.alloc(0)).slice(0, 88 + length);
      short[84] = length;
      await receive(short);
    }
    expect(patron.dropped).toEqual({ undecryptable: 16 });
  });
});

describe('epoch and sequence', () => {
  it('frames are accepted with the announced epoch only, even under the right key', async () => {
    const { heard, patron, receive } = reader();
    await receive(sealedFrame(Buffer.from('x'), { epoch: '00'.repeat(8) }), sealedFrame(Buffer.from('x'), { epoch: 'a1b2c3d4e5f60719' }));
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ undecryptable: 2 });
  });

  it('an announced epoch may be in upper case', async () => {
    const { heard, receive } = reader(nobleEngine, EPOCH.toUpperCase());
    await receive(sealedFrame(Buffer.from('x')));
    expect(heard).toEqual(['0:x']);
  });

  it('a frame that is not sealed is dropped from a brewer that seals', async () => {
    const { heard, patron, receive } = reader();
    await receive(sealedFrame(Buffer.from('x'), { sealed: 0 }), sealedFrame(Buffer.from('x'), { sealed: 2 }));
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ undecryptable: 2 });
  });

  it('replayed messages are dropped: of a single frame, of a bundle, and of a part of one', async () => {
    const { heard, patron, receive } = reader();
    const single = sealedFrame(Buffer.from('0'));
    const three = sealedFrame(bundle('1', '2', '3'), { sequence: 1, flags: 1 });
    await receive(single, three, single, three);
    await receive(sealedFrame(bundle('3', '4'), { sequence: 3, flags: 1 }));
    expect(heard).toEqual(['0:0', '1:1', '2:2', '3:3', '4:4']);
    expect(patron.dropped).toEqual({ replayed: 1 + 3 + 1 });
  });

  it('a last value that is older than a delivered message is dropped, though it did not come before', async () => {
    const { heard, gaps, patron, receive } = reader();
    await receive(sealedFrame(Buffer.from('new'), { sequence: 5 }));
    patron._handleCallback(ID, sealedFrame(Buffer.from('old'), { sequence: 3 }), true);
    patron._handleCallback(ID, sealedFrame(Buffer.from('newer'), { sequence: 6 }), true);
    await receive();
    expect([heard, gaps, patron.dropped]).toEqual([['5:new', '6:newer'], [], { replayed: 1 }]);
  });

  it('reset() in a listener of gap drops the message that shows the gap, and later ones', async () => {
    const { heard, patron, receive } = reader();
    patron.on('gap', () => patron.reset());
    await receive(sealedFrame(Buffer.from('0'), { sequence: 0 }), sealedFrame(Buffer.from('2'), { sequence: 2 }), sealedFrame(Buffer.from('3'), { sequence: 3 }));
    expect([heard, patron.dropped]).toEqual([['0:0'], { reset: 1, 'unknown-brewer': 1 }]);
  });

  it('copies of a frame that are opened at the same time are delivered once', async () => {
    const { heard, patron, receive } = reader(webCryptoEngine(webcrypto.subtle as never));
    const frame = sealedFrame(Buffer.from('x'));
    await receive(frame, frame, frame);
    expect(heard).toEqual(['0:x']);
    expect(patron.dropped).toEqual({ replayed: 2 });
  });

  it('missing messages are a gap, a late message takes one back, and a message older than the window is dropped', async () => {
    const { heard, gaps, patron, receive } = reader();
    const at = (sequence: number) => sealedFrame(Buffer.from('x'), { sequence });
    await receive(at(7)); // messages before the first one are no gap
    await receive(at(10), at(9));
    await receive(at(2000), at(2000 - 1023), at(2000 - 1024));
    expect(gaps).toEqual([2, -1, 1989, -1]);
    expect(heard).toEqual(['7:x', '10:x', '9:x', '2000:x', '977:x']);
    expect(patron.dropped).toEqual({ replayed: 1 });
  });

  it('a forged sequence does not move the window, as only authentic frames do', async () => {
    const { heard, receive } = reader();
    const forged = sealedFrame(Buffer.from('x'));
    forged[66] = 1;
    await receive(forged, sealedFrame(Buffer.from('y')));
    expect(heard).toEqual(['0:y']);
  });

  // JavaScript's numbers are not exact beyond 2^53: a window there would loop without end, or accept replays.
  it('frames with sequences beyond 2^53 are dropped, without a loop that never ends', { timeout: 5000 }, async () => {
    const { heard, patron, receive } = reader();
    const most = 2n ** 64n - 1n;
    const beyond = [2n ** 53n, 2n ** 53n + 2n, 2n ** 53n + 6n, 2n ** 60n, most];
    await receive(...beyond.map((sequence) => sealedFrame(Buffer.from('x'), { sequence })));
    await receive(sealedFrame(bundle(...Array<string>(50).fill('x')), { sequence: 2n ** 53n - 20n, flags: 1 }));
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ undecryptable: 6 });
    await receive(sealedFrame(Buffer.from('y'), { sequence: 2 ** 52 }));
    expect(heard).toEqual([`${2 ** 52}:y`]);
  });
});
