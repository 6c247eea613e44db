import { describe, expect, it } from 'vitest';
import type { CbcKey } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { nodeEngine } from '../../src/platform/node-engine.js';
import { bytes, id, rawFrame, settle } from '../helpers.js';
import { info, patronKit, slowEngine } from './patron-kit.js';

// Frames that come together are opened together, and frames that come meanwhile wait for others, but not for long.

const KEY = new Uint8Array(16).fill(7);
const CONFIG = { cipher: { mode: 2, key: Buffer.from(KEY).toString('hex') } };

function kit() {
  const engine = slowEngine(true);
  const made = patronKit({ engine });
  made.patron.newBrewers([info(1, { brewer_config: CONFIG })]);
  const key = nobleEngine.cbc(KEY);
  const seal = (text: string) => rawFrame('t.1', id(1), key.seal(bytes(text)) as Uint8Array);
  const take = (frame: Uint8Array): void => made.patron._handleCallback(id(1), frame);
  const give = (...texts: string[]): void => texts.map(seal).forEach(take);
  const answer = async (): Promise<void> => {
    for (const run of engine.waiting.splice(0)) run();
    await settle();
  };
  return { ...made, ...engine, give, seal, take, answer };
}

/** Node's engine, and the number of frames in each of its calls for several. */
function countingEngine() {
  const bursts: number[] = [];
  const cbc = (key: Uint8Array): CbcKey => {
    const opened = nodeEngine.cbc(key);
    return { ...opened, openAll: (frames, skip) => (bursts.push(frames.length), opened.openAll!(frames, skip)) };
  };
  return { bursts, engine: { ...nodeEngine, cbc } };
}

describe('bursts of frames', () => {
  it('a single frame of a tick is opened by itself, and several are opened together', async () => {
    const { give, answer, bursts, heard } = kit();
    give('alone');
    await settle();
    await answer();
    give('a', 'b', 'c');
    await settle();
    expect(bursts).toEqual([3]);
    await answer();
    expect(heard).toEqual(['alone', 'a', 'b', 'c']);
  });

  it('a last value is opened by itself, and only its message is marked as retained', async () => {
    const retained: unknown[] = [];
    const engine = slowEngine(true);
    const { patron } = patronKit({ engine, callback: (_, message) => void retained.push([message.text(), message.retained]) });
    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    const key = nobleEngine.cbc(KEY);
    const give = (text: string, isLast = false): void => patron._handleCallback(id(1), rawFrame('t.1', id(1), key.seal(bytes(text)) as Uint8Array), isLast);
    give('a');
    give('last', true);
    give('b');
    give('c');
    await settle();
    for (const run of engine.waiting.splice(0)) run();
    await settle();
    for (const run of engine.waiting.splice(0)) run();
    await settle();
    expect([retained, engine.bursts]).toEqual([[['a', false], ['last', true], ['b', false], ['c', false]], [2]]);
  });

  it('frames of later ticks wait while others are being opened, and are then opened together', async () => {
    const { give, answer, bursts, heard } = kit();
    give('a', 'b');
    await settle();
    for (const text of ['c', 'd', 'e']) {
      give(text, `${text}2`);
      await settle();
    }
    expect(bursts).toEqual([2]);
    await answer();
    expect(heard).toEqual(['a', 'b']);
    expect(bursts).toEqual([2, 6]);
    await answer();
    expect(heard).toEqual(['a', 'b', 'c', 'c2', 'd', 'd2', 'e', 'e2']);
  });

  it('no call of the engine gets more than 128 KiB', async () => {
    const { give, answer, bursts, heard } = kit();
    const texts = Array.from({ length: 40 }, (_, i) => String(i).padEnd(10_000));
    give('a', 'b');
    await settle();
    give(...texts);
    await answer();
    expect(bursts).toEqual([2, 12, 12, 12, 4]);
    give('last', 'but one');
    await answer();
    expect(bursts).toEqual([2, 12, 12, 12, 4, 2]);
    await answer();
    expect(heard).toEqual(['a', 'b', ...texts, 'last', 'but one']);
  });

  it('at most 64 MiB of a brewer wait for an engine that does not answer, and more is dropped as overflow', async () => {
    const { give, seal, take, answer, heard, patron } = kit();
    give('a', 'b');
    await settle();
    const text = 'x'.repeat(4 * 1024 * 1024);
    Array<Uint8Array>(20).fill(seal(text)).forEach(take);
    expect(patron.dropped).toEqual({ overflow: 4 });
    await answer();
    await answer();
    give('after');
    await settle();
    await answer();
    expect(heard.map(({ length }) => length)).toEqual([1, 1, ...Array<number>(16).fill(text.length), 5]);
  });

  it('a last value does not overtake frames that came before it in its tick', async () => {
    const { give, seal, take, answer, heard, patron } = kit();
    give('a', 'b');
    patron._handleCallback(id(1), seal('retained'), true);
    give('c');
    await settle();
    take(seal('d'));
    await answer();
    await answer();
    expect(heard).toEqual(['a', 'b', 'retained', 'c', 'd']);
  });

  it('a frame that a callback causes does not overtake the rest of its burst, also when single frames are opened at once', async () => {
    // Short frames are opened at once, long ones and bursts when the test says, as in a page.
    const slow = slowEngine(true);
    const fast = nobleEngine.cbc(KEY);
    const cbc = (key: Uint8Array) => {
      const late = slow.cbc(key);
      return { ...late, open: (payload: Uint8Array) => (payload.length > 100 ? late.open(payload) : fast.open(payload)) };
    };
    const give = (text: string): void => patron._handleCallback(id(1), rawFrame('t.1', id(1), fast.seal(bytes(text)) as Uint8Array));
    const callback = (data: Uint8Array): void => {
      if (data[0] === 'a'.charCodeAt(0)) give('new');
    };
    const { patron, heard } = patronKit({ engine: { ...nobleEngine, cbc }, callback });
    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    const long = 'L'.repeat(100);
    give(long);
    await settle();
    give('a');
    give('b');
    await settle();
    // The burst is opened before the long frame, which is delivered first.
    const [first, ...others] = slow.waiting.splice(0);
    for (const run of others) run();
    await settle();
    expect(heard).toEqual([]);
    // None of these takes a place in the queue.
    for (let i = 0; i < 20; i++) {
      patron._handleCallback(id(1), rawFrame('t.1', id(1), new Uint8Array(32)));
      await settle();
    }
    expect(patron.dropped).toEqual({ undecryptable: 20 });
    first!();
    await settle();
    await settle();
    for (const run of slow.waiting.splice(0)) run();
    await settle();
    expect(heard).toEqual([long, 'a', 'b', 'new']);
  });

  it('when a brewer is removed, its waiting frames are opened at once, and reset() counts every message that it drops', async () => {
    const { give, answer, bursts, heard, patron } = kit();
    give('a', 'b');
    await settle();
    give('c', 'd');
    await settle();
    patron.removeBrewer(id(1));
    expect(bursts).toEqual([2, 2]);
    await answer();
    expect(heard).toEqual(['a', 'b', 'c', 'd']);

    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    give('e', 'f');
    await settle();
    give('g', 'h', 'i');
    patron.reset();
    await answer();
    expect(heard).toEqual(['a', 'b', 'c', 'd']);
    expect(patron.dropped).toEqual({ reset: 5 });
  });
});

describe('bursts with a synchronous engine', () => {
  /** How many frames wait before one is opened at once; from then on, two of as many wait. */
  const LOOK = 32;

  it('a frame after many single ones is delivered at once, and a burst after these is opened together again', async () => {
    const { engine, bursts } = countingEngine();
    const { patron, heard } = patronKit({ engine });
    const key = nobleEngine.cbc(KEY);
    let sent = 0;
    const give = (): void => patron._handleCallback(id(1), rawFrame('t.1', id(1), key.seal(bytes(String(sent++))) as Uint8Array));
    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    const atOnce: boolean[] = [];
    for (let i = 0; i < 5 * LOOK; i++) {
      give();
      atOnce.push(heard.length === sent);
      await settle();
    }
    expect(atOnce.slice(0, LOOK)).not.toContain(true);
    expect(atOnce.filter((is) => is)).toHaveLength(4 * (LOOK - 2));
    expect(bursts).toEqual([]);

    for (let i = 0; i < 64; i++) give();
    await settle();
    expect(bursts).toHaveLength(1);
    expect(bursts[0]).toBeGreaterThanOrEqual(64 - (LOOK - 1));
    // From then on frames of a tick wait for each other again, as at the beginning.
    for (let i = 0; i < 64; i++) give();
    await settle();
    expect(bursts).toEqual([bursts[0], 64]);
    expect(heard).toEqual(Array.from({ length: sent }, (_, i) => String(i)));
  });

  it.each([2, 3, 4, 5, 8, 15, 16, 17])('%i frames a tick are soon opened together again, wherever the stream of single frames ended', async (perTick) => {
    for (let singles = LOOK; singles < 2 * LOOK + 2; singles++) {
      const { engine, bursts } = countingEngine();
      const { patron, heard } = patronKit({ engine });
      const frame = rawFrame('t.1', id(1), nobleEngine.cbc(KEY).seal(bytes('x')) as Uint8Array);
      patron.newBrewers([info(1, { brewer_config: CONFIG })]);
      for (let i = 0; i < singles; i++) {
        patron._handleCallback(id(1), frame);
        await settle();
      }
      const ticks = 40; // with two a tick, 15 ticks may pass before the next check
      for (let tick = 0; tick < ticks; tick++) {
        for (let i = 0; i < perTick; i++) patron._handleCallback(id(1), frame);
        await settle();
      }
      expect(heard).toHaveLength(singles + ticks * perTick);
      expect(bursts.filter((count) => count === perTick).length, `after ${singles}`).toBeGreaterThan(ticks - 18);
    }
  });

  it('a frame that a callback causes is delivered after all that came before it', async () => {
    const { patron, heard } = patronKit({ engine: nodeEngine, callback: (_, { topic }) => void (heard.length === 1 && give(topic, 'new')) });
    const key = nobleEngine.cbc(KEY);
    const give = (topic: string, text: string): void => patron._handleCallback(id(1), rawFrame(topic, id(1), key.seal(bytes(text)) as Uint8Array));
    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    // Two of these are a full call, and the third is over.
    const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(60_000));
    for (const text of texts) give('t.1', text);
    await settle();
    expect(heard).toEqual([...texts, 'new']);
  });

  it('a frame that cannot be opened is counted, and the others of its call are delivered', async () => {
    const { give, seal, take, answer, bursts, heard, patron } = kit();
    const bad = seal('b');
    bad[88 + 15]! ^= 0xff; // in the padding
    give('a');
    take(bad);
    give('c');
    await settle();
    await answer();
    expect([bursts, heard, patron.dropped]).toEqual([[3], ['a', 'c'], { undecryptable: 1 }]);
  });

  it('a call of the engine that throws loses only its own frames, which are counted', async () => {
    const cbc = () => ({
      ...nobleEngine.cbc(KEY),
      openAll: (): never => {
        throw new Error('out of order');
      },
    });
    const { patron, heard } = patronKit({ engine: { ...nobleEngine, cbc } });
    const key = nobleEngine.cbc(KEY);
    patron.newBrewers([info(1, { brewer_config: CONFIG })]);
    for (const text of ['a', 'b']) patron._handleCallback(id(1), rawFrame('t.1', id(1), key.seal(bytes(text)) as Uint8Array));
    await settle();
    patron._handleCallback(id(1), rawFrame('t.1', id(1), key.seal(bytes('c')) as Uint8Array));
    await settle();
    expect(heard).toEqual(['c']);
    expect(patron.dropped).toEqual({ undecryptable: 2 });
  });
});
