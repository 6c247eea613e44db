import fc from '../fast-check.js';
import { describe, expect, it, vi } from 'vitest';
import { Brewer } from '../../src/core/brewer.js';
import type { Brew } from '../../src/core/brew.js';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { OrderedQueue } from '../../src/core/order.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { Patron } from '../../src/core/patron.js';
import { bytes, deferred, id, settle } from '../helpers.js';

vi.setConfig({ testTimeout: 30_000 }); // properties take long on a busy machine

const never = () => expect.unreachable();

type Speed = 'sync' | 'fast' | 'slow' | 'fails' | 'throws';

/**
 * An engine that answers each call as the test chooses: synchronously, in a microtask, or when the test resolves it,
 * in an order that the test chooses too.
 */
class ScriptedEngine implements CryptoEngine {
  readonly name = 'scripted';
  readonly pending: (() => void)[] = [];
  speeds: Speed[] = [];

  cbc(key: Uint8Array) {
    const aes = nobleEngine.cbc(key);
    return {
      seal: (data: Uint8Array) => this.#answer(() => aes.seal(data)),
      open: (payload: Uint8Array) => this.#answer(() => aes.open(payload)),
    };
  }
  gcm(key: Uint8Array) {
    const aes = nobleEngine.gcm(key);
    return {
      seal: (nonce: Uint8Array, aad: Uint8Array, data: Uint8Array) => this.#answer(() => aes.seal(nonce, aad, data)),
      open: (nonce: Uint8Array, aad: Uint8Array, data: Uint8Array) => this.#answer(() => aes.open(nonce, aad, data)),
    };
  }

  #answer(run: () => Uint8Array | Promise<Uint8Array>): Uint8Array | Promise<Uint8Array> {
    const speed = this.speeds.shift() ?? 'sync';
    if (speed === 'throws') throw new Error('of the engine');
    const result = run(); // at once, as inputs may change when the call has returned
    if (speed === 'sync') return result;
    if (speed === 'fast') return Promise.resolve(result);
    const { promise, resolve, reject } = deferred<Uint8Array>();
    this.pending.push(() => {
      if (speed === 'fails') reject(new Error('of the engine'));
      else resolve(result as Uint8Array);
    });
    return promise;
  }

  /** Settles the pending answers in the order given by `picks`. */
  async drain(picks: readonly number[]): Promise<void> {
    for (let i = 0; this.pending.length; i++) {
      const [one] = this.pending.splice((picks[i % Math.max(1, picks.length)] ?? 0) % this.pending.length, 1);
      one!();
      if (i % 3 === 0) await Promise.resolve();
    }
    await settle();
  }
}

const speed = fc.constantFrom<Speed>('sync', 'fast', 'slow', 'slow', 'fails', 'throws');
const picks = fc.array(fc.nat(1000), { maxLength: 40 });

/** A brewer whose frames are appended to `carried` when its brew gets them. */
function brewerInto(carried: Uint8Array[], engine: CryptoEngine, cipher: 'aes-cbc' | 'aes-gcm', brewerId = id(1)): Brewer {
  const brewer = new Brewer('a.b', { cipher, brewerId });
  const brew = { name: 'x', startBrewer: () => () => undefined, brew: (_: string, frame: Uint8Array) => void carried.push(frame) };
  brewer._lend({ brew: () => brew as unknown as Brew, engine });
  brewer.configure();
  brewer.newPatrons([{ topic: 'a.b', patron_id: id(9), brew: { name: 'x' } }]);
  return brewer;
}

describe.each(['aes-gcm', 'aes-cbc'] as const)('the order of messages by %s', (cipher) => {
  it('a patron delivers the messages of each brewer once, in the order in which they were brewed, also when some fail to open', async () => {
    const message = fc.record({ brewer: fc.nat(2), speed });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 40 }), picks, async (messages, order) => {
        const engine = new ScriptedEngine();
        const frames: Uint8Array[][] = [[], [], []];
        const brewers = frames.map((carried, index) => brewerInto(carried, nobleEngine, cipher, id(index + 1)));
        const heard = new Map<string, string[]>(brewers.map(({ brewerId }) => [brewerId, []]));
        const patron = new Patron('**', (_, { brewerId, ...rest }) => heard.get(brewerId)!.push(Buffer.from(rest.data).toString()));
        patron._lend({ brew: () => ({ startPatron: () => () => undefined }) as unknown as Brew, engine });
        patron.newBrewers(brewers.map((brewer) => ({ topic: brewer.topic, brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: { name: 'x' } })));
        const expected = new Map<string, string[]>(brewers.map(({ brewerId }) => [brewerId, []]));
        let failures = 0;
        messages.forEach((one, index) => {
          const brewer = brewers[one.brewer]!;
          void brewer.brewText(String(index));
          void brewer._flush(); // not at the end of the tick, so that each message has a speed of its own
          engine.speeds = [one.speed];
          patron._handleCallback(brewer.brewerId, frames[one.brewer]!.at(-1)!);
          if (one.speed === 'fails' || one.speed === 'throws') failures++;
          else expected.get(brewer.brewerId)!.push(String(index));
        });
        await engine.drain(order);
        expect(heard).toEqual(expected);
        expect(patron.dropped.undecryptable ?? 0).toBe(failures);
        patron.reset();
      }),
      { numRuns: 150 },
    );
  });

  it('a brewer sends in the order of the calls, however long encryption takes, also when some fail, which rejects or emits an error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(speed, { maxLength: 40 }), picks, async (speeds, order) => {
        const engine = new ScriptedEngine();
        const carried: Uint8Array[] = [];
        const brewer = brewerInto(carried, engine, cipher);
        const errors: PubkeeperError[] = [];
        brewer.on('error', (error) => errors.push(error));
        const results = speeds.map((one, index) => {
          engine.speeds = [one];
          const result = brewer.brewText(String(index)).then(() => 'ok', (error: PubkeeperError) => error.code);
          void brewer._flush();
          return result;
        });
        await engine.drain(order);
        const bad = (one: Speed) => one === 'fails' || one === 'throws';
        // A sealed message is accepted before it is sealed if no other waits: then its failure is an event only.
        const early = cipher === 'aes-gcm' ? ['ok', 'BREW_FAILED'] : ['BREW_FAILED'];
        (await Promise.all(results)).forEach((result, index) => expect(bad(speeds[index]!) ? early : ['ok']).toContain(result));
        expect(errors.length).toBe(speeds.filter(bad).length);
        const heard: string[] = [];
        const patron = new Patron('a.b', (data) => heard.push(Buffer.from(data).toString()));
        patron._lend({ brew: () => ({ startPatron: () => () => undefined }) as unknown as Brew, engine: nobleEngine });
        patron.newBrewers([{ topic: 'a.b', brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: { name: 'x' } }]);
        for (const frame of carried) patron._handleCallback(brewer.brewerId, frame);
        await settle();
        expect(heard).toEqual(speeds.flatMap((one, index) => (bad(one) ? [] : [String(index)])));
        patron.reset();
      }),
      { numRuns: 150 },
    );
  });
});

describe('a brewer that brews from within a brew that carries its message', () => {
  it('finishes one message before it begins the next, for every brew', async () => {
    const brewer = new Brewer('a', { crypto: false });
    const carried: string[] = [];
    const brewNamed = (name: string) => ({
      name,
      startBrewer: () => () => undefined,
      brew: (_: string, frame: Uint8Array) => {
        const text = Buffer.from(frame.subarray(88)).toString();
        if (name === 'first' && text.length < 4) void brewer.brewText(text + '!'); // as a callback that replies
        carried.push(`${name}:${text}`);
      },
    });
    const brews = new Map(['first', 'second'].map((name) => [name, brewNamed(name)]));
    brewer._lend({ brew: (name) => brews.get(name) as unknown as Brew, engine: nobleEngine });
    brewer.newPatrons([...brews.keys()].map((name, n) => ({ topic: 'a', patron_id: id(n), brew: { name } })));
    await brewer.brewText('a');
    await settle();
    await brewer.brew(bytes('last'));
    expect(carried).toEqual(['a', 'a!', 'a!!', 'a!!!'].flatMap((text) => [`first:${text}`, `second:${text}`]).concat(['first:last', 'second:last']));
  });
});

describe('OrderedQueue', () => {
  it('counts down its size as values are passed on or fail', async () => {
    const [first, second] = [deferred<number>(), deferred<number>()];
    const sizes: [size: number, failure?: unknown][] = [];
    const queue = new OrderedQueue();
    const pass = () => sizes.push([queue.size]);
    const fail = (cause: unknown) => sizes.push([queue.size, cause]);
    queue.push(first.promise, 4, pass, fail);
    queue.push(second.promise, 2, pass, fail, 3);
    queue.push(3, 1, pass, fail);
    expect(queue.size).toBe(7);
    second.reject('cannot be opened');
    first.resolve(1);
    await settle();
    expect(sizes).toEqual([[3], [1, 'cannot be opened'], [0]]);
  });

  it('passes a value on in the same call if it is ready and no other waits', () => {
    const passed: number[] = [];
    const queue = new OrderedQueue();
    queue.push(1, 10, (value) => passed.push(value), never);
    expect(passed).toEqual([1]);
    expect([queue.length, queue.size]).toEqual([0, 0]);
  });

  it('counts what waits, and discards it when it is cleared', async () => {
    const passed: number[] = [];
    const pass = (value: number) => passed.push(value);
    const queue = new OrderedQueue();
    const first = deferred<number>();
    queue.push(first.promise, 10, pass, never);
    queue.push(2, 5, pass, never);
    expect([queue.length, queue.size]).toEqual([2, 15]);
    expect(queue.clear()).toBe(2);
    expect([queue.length, queue.size]).toEqual([0, 0]);
    queue.push(3, 1, pass, never);
    first.resolve(1);
    await settle();
    expect(passed).toEqual([3]);
  });

  it('allows clear() and push() from within its callbacks', async () => {
    const passed: number[] = [];
    const first = deferred<number>();
    const queue = new OrderedQueue();
    const pass = (value: number) => {
      passed.push(value);
      if (value === 1) queue.push(9, 1, pass, never);
      if (value === 2) queue.clear();
    };
    queue.push(first.promise, 1, pass, never);
    for (const value of [2, 3, 4]) queue.push(value, 1, pass, never);
    first.resolve(1);
    await settle();
    expect(passed).toEqual([1, 2]);
    expect([queue.length, queue.size]).toEqual([0, 0]);
  });
});
