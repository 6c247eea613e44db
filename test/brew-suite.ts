import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PubkeeperError, type Brew, type BrewDetails, type BrewHost, type WebSocketConstructor } from '../src/index.js';

// The conformance suite for brews: it checks each sentence of the contract in src/core/brew.ts. The brews of this package pass
// it. Run it against your own brew:
//
//     import { brewSuite } from './brew-suite.js';
//
//     brewSuite('MyBrew', {
//       async make() {                                  // called by each test
//         const broker = await startMyBroker();
//         // `brew` makes a brew that is not attached yet. All brews of one make() can reach each other.
//         return { brew: () => new MyBrew(broker.url), close: () => broker.close() };
//       },
//       lastValue: true,                                // a late patron gets its brewer's last frame
//       missed: true,                                   // a patron that comes from another brew gets what it missed
//       badDetails: [{ name: 'my', url: 'nonsense' }],  // what startPatron() must refuse
//     });
//
// It needs vitest, and of this package only what `pubkeeper` exports. It plays the client: it attaches brews, and starts pairs
// as the core does.

export interface BrewFixture {
  brew(): Brew;
  /** What this brew needs of its client, beyond the defaults of the suite: `server`, `WebSocket`, … */
  readonly host?: Partial<BrewHost>;
  close?(): unknown;
}

export interface BrewSuiteOptions {
  make(): Promise<BrewFixture> | BrewFixture;
  /** A patron that starts late gets the last frame of its brewer. */
  readonly lastValue?: boolean;
  /** A patron that comes from another brew gets the frames that it `missed` there, whichever end learns of the match first. */
  readonly missed?: boolean;
  /** `receive` is told which frames are last values and which are live. */
  readonly tellsRetained?: boolean;
  /** Invalid details, for which `startPatron()` throws a PubkeeperError. */
  readonly badDetails?: readonly object[];
  /** How long data may take to arrive, in ms. Default 15,000. */
  readonly patience?: number;
}

const TOPIC = 'suite.topic';
const idOf = (n: number): string => `${n.toString(16).padStart(8, '0')}000040008000${'0'.repeat(12)}`;
const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** A brew frame (protocol, section 3) with plaintext. */
function frameOf(topic: string, brewerId: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const hash = createHash('sha256').update(topic).digest();
  const frame = Buffer.concat([Buffer.of(1, 0), hash, Buffer.from(brewerId, 'hex'), Buffer.alloc(38), payload]);
  frame.writeUInt32LE(payload.length, 84);
  return Uint8Array.from(frame);
}

type Side = { readonly brew: Brew; readonly errors: PubkeeperError[] };

export function brewSuite(name: string, options: BrewSuiteOptions): void {
  const { patience = 15_000, badDetails = [], lastValue = false, missed = false, tellsRetained = false } = options;
  const eventually = (check: () => unknown, timeout = patience) => vi.waitFor(check, { timeout, interval: 3 });

  describe(`the contract of a brew: ${name}`, { timeout: 4 * patience }, () => {
    const clean: (() => unknown)[] = [];
    let fences = 0;
    afterEach(async () => {
      for (const run of clean.splice(0).reverse()) await run();
    });

    /** Makes a fixture; returns a function that makes attached brews of it. */
    const prepare = async (): Promise<() => Side> => {
      const made = await options.make();
      clean.push(() => made.close?.());
      return () => {
        const brew = made.brew();
        const errors: PubkeeperError[] = [];
        brew.attach({
          server: 'ws://127.0.0.1:9/ws',
          WebSocket: undefined as unknown as WebSocketConstructor,
          reconnect: { delayMs: 20, maxDelayMs: 100, stableMs: 1000, graceMs: 30_000, maxRetries: Infinity },
          logger: undefined,
          report: (error) => errors.push(error),
          dropped: () => undefined,
          state: () => undefined,
          ...made.host,
        });
        clean.push(() => brew.close());
        return { brew, errors };
      };
    };

    /** Starts a patron; `texts()` returns what it has received. */
    const listen = async (from: Side, to: Side, { brewer = 1, patron = 101, topic = TOPIC } = {}) => {
      const pair = { topic, brewerId: idOf(brewer), patronId: idOf(patron) };
      const details = overTheWire((await from.brew.brewerDetails(pair))!);
      const frames: Uint8Array[] = [];
      const retained: (boolean | undefined)[] = [];
      const receive = (frame: Uint8Array, last?: boolean): void => void (frames.push(frame.slice()), retained.push(last));
      const stop = to.brew.startPatron({ ...pair, details, receive });
      const texts = (): string[] => frames.map((frame) => Buffer.from(frame.subarray(88)).toString());
      return { frames, retained, texts, stop };
    };

    /** Starts a brewer for a patron. */
    const publish = (from: Side, to: Side, { brewer = 1, patron = 101, topic = TOPIC } = {}, lost?: readonly string[]) => {
      const pair = { topic, brewerId: idOf(brewer), patronId: idOf(patron) };
      const details = overTheWire(to.brew.patronDetails(pair)!);
      const accepted: Promise<void>[] = [];
      const accepting = (promise: Promise<void>): void => void accepted.push(promise);
      const again = lost && { missed: lost.map((text) => frameOf(topic, pair.brewerId, Buffer.from(text))), accepting };
      const stop = from.brew.startBrewer({ ...pair, details, ...again });
      const send = (data: string | Uint8Array): void | Promise<void> =>
        from.brew.brew(pair.brewerId, frameOf(topic, pair.brewerId, typeof data === 'string' ? Buffer.from(data) : data));
      return { send, stop, accepted };
    };

    /** Starts both ends of a pair and waits until data flows: the first frames may be sent before the transport is ready. */
    const connect = async (from: Side, to: Side, who: { brewer?: number; patron?: number; topic?: string } = {}) => {
      const reading = await listen(from, to, who);
      const writing = publish(from, to, who);
      await eventually(async () => {
        await writing.send('?');
        await eventually(() => expect(reading.texts()).toContain('?'), 500);
      });
      const pair = { reading, writing, brewer: who.brewer };
      await quiet(pair);
      return pair;
    };

    /** Waits until everything that is under way has arrived, and discards it. */
    const quiet = async (...pairs: { reading: Awaited<ReturnType<typeof listen>>; writing: ReturnType<typeof publish>; brewer: unknown }[]) => {
      // A new text each time: the fence of the time before may still be under way to some patron.
      const fence = `fence ${++fences}`;
      for (const { reading } of pairs) reading.frames.length = 0;
      for (const { writing } of pairs) await writing.send(fence);
      for (const { reading, brewer } of pairs) {
        const wanted = pairs.filter((pair) => pair.brewer === brewer).length;
        await eventually(() => expect(reading.texts().filter((text) => text === fence).length).toBe(wanted));
      }
      for (const { reading } of pairs) reading.frames.length = reading.retained.length = 0;
    };

    describe('attach()', () => {
      it('refuses a second client with BREW_IN_USE', async () => {
        const { brew } = (await prepare())();
        expect(() => brew.attach({} as BrewHost)).toThrow(expect.objectContaining({ name: 'PubkeeperError', code: 'BREW_IN_USE' }) as Error);
      });

      it('gives a brew what it needs for its details: its name and what JSON can carry', async () => {
        const side = await prepare();
        const [a, b] = [side(), side()];
        expect(a.brew.name).toBe(b.brew.name);
        const all = [await a.brew.brewerDetails({ topic: TOPIC, brewerId: idOf(1) }), a.brew.patronDetails({ topic: TOPIC, patronId: idOf(2) })];
        for (const details of all) if (details) expect([details.name, overTheWire<BrewDetails>(details)]).toEqual([a.brew.name, details]);
      });
    });

    describe('brew()', () => {
      it('carries 1,000 frames in order, each once, awaited or not', async () => {
        const side = await prepare();
        const { reading, writing } = await connect(side(), side());
        const sent = Array.from({ length: 1000 }, (_, index) => `frame ${index}`);
        for (const text of sent.slice(0, 500)) await writing.send(text);
        await Promise.all(sent.slice(500).map(writing.send));
        await eventually(() => expect(reading.frames.length).toBeGreaterThanOrEqual(1000));
        expect(reading.texts()).toEqual(sent);
        if (tellsRetained) expect(new Set(reading.retained)).toEqual(new Set([false]));
      });

      it.each([0, 1, 1000, 65_448, 65_536, 300_000, 1024 * 1024])('carries a payload of %i bytes, and does not change the frame', async (size) => {
        const side = await prepare();
        const from = side();
        const { reading } = await connect(from, side());
        const frame = frameOf(TOPIC, idOf(1), new Uint8Array(size).map((_, index) => index * 31));
        const before = Buffer.from(frame);
        await from.brew.brew(idOf(1), frame);
        await eventually(() => expect(reading.frames.length).toBe(1));
        expect([before.equals(frame), before.equals(reading.frames[0]!)]).toEqual([true, true]);
      });

      it('reaches several patrons of a brewer, in one client and in two', async () => {
        const side = await prepare();
        const [from, one, two] = [side(), side(), side()];
        const pairs: Awaited<ReturnType<typeof connect>>[] = [];
        for (const [index, to] of [one, two, two].entries()) pairs.push(await connect(from, to, { patron: 101 + index }));
        await quiet(...pairs);
        await pairs[0]!.writing.send('to all');
        await eventually(() => expect(pairs.map(({ reading }) => reading.texts())).toEqual([['to all'], ['to all'], ['to all']]));
      });

      it('keeps brewers of one topic apart, in one client and in two', async () => {
        const side = await prepare();
        const [a, b, to] = [side(), side(), side()];
        const sources: [Side, number][] = [[a, 1], [a, 2], [b, 3]];
        const pairs: Awaited<ReturnType<typeof connect>>[] = [];
        for (const [from, brewer] of sources) pairs.push(await connect(from, to, { brewer, patron: 101 }));
        await quiet(...pairs);
        for (const [index, { writing }] of pairs.entries()) await writing.send(`of ${index + 1}`);
        await eventually(() => expect(pairs.map(({ reading }) => reading.texts())).toEqual([['of 1'], ['of 2'], ['of 3']]));
      });

      it('works within one client', async () => {
        const side = await prepare();
        const both = side();
        const { reading, writing } = await connect(both, both);
        for (const text of ['a', 'b', 'c']) await writing.send(text);
        await eventually(() => expect(reading.texts()).toEqual(['a', 'b', 'c']));
      });

      it('does nothing for a brewer that was not started', async () => {
        const side = await prepare();
        const [from, to] = [side(), side()];
        await from.brew.brew(idOf(8), frameOf(TOPIC, idOf(8), Buffer.from('of nobody')));
        const reading = await listen(from, to, { brewer: 9 });
        const fence = await connect(from, to, { brewer: 2 });
        await from.brew.brew(idOf(9), frameOf(TOPIC, idOf(9), Buffer.from('to nobody')));
        await fence.writing.send('fence');
        await eventually(() => expect(fence.reading.texts()).toContain('fence'));
        expect([reading.frames, from.errors]).toEqual([[], []]);
      });

      it('settles every promise under overload, and fails only with BUFFER_FULL', async () => {
        const side = await prepare();
        const { reading, writing } = await connect(side(), side());
        const accepted: number[] = [];
        const results = Array.from({ length: 48 }, async (_, index) => {
          await writing.send(new Uint8Array(512 * 1024).fill(index, 0, 1));
          accepted.push(index);
        });
        for (const result of await Promise.allSettled(results)) {
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ name: 'PubkeeperError', code: 'BUFFER_FULL' });
        }
        await eventually(() => expect(reading.frames.length).toBe(accepted.length));
        expect(reading.frames.map((frame) => frame[88])).toEqual(accepted.sort((a, b) => a - b));
      });
    });

    describe('stop()', () => {
      it('ends that pair and no other; a second call does nothing', async () => {
        const side = await prepare();
        const [from, to] = [side(), side()];
        const first = await connect(from, to, { patron: 101 });
        const second = await connect(from, to, { patron: 102 });
        const other = await connect(from, to, { brewer: 2, patron: 101 });
        await quiet(first, second, other);
        for (const { stop } of [first.reading, first.writing, first.reading, first.writing]) stop();
        await second.writing.send('second');
        await other.writing.send('other');
        await eventually(() => expect([second.reading.texts(), other.reading.texts()]).toEqual([['second'], ['other']]));
        expect(first.reading.frames).toEqual([]);
      });

      it('ends the data of a brewer when its last pair is stopped', async () => {
        const side = await prepare();
        const [from, to] = [side(), side()];
        const { reading, writing } = await connect(from, to);
        const fence = await connect(from, to, { brewer: 2 });
        writing.stop();
        await writing.send('to nobody');
        await fence.writing.send('fence');
        await eventually(() => expect(fence.reading.texts()).toContain('fence'));
        expect(reading.frames).toEqual([]);
        const again = publish(from, to);
        await again.send('again');
        await eventually(() => expect(reading.texts()).toEqual(['again']));
      });
    });

    it('does not wait for a patron that stayed when only its brewer’s end is started again', async () => {
      const side = await prepare();
      const [from, to] = [side(), side()];
      const { reading, writing } = await connect(from, to);
      writing.stop();
      const again = publish(from, to);
      // The server announces the pair to both ends.
      const pair = { topic: TOPIC, brewerId: idOf(1) };
      to.brew.renew?.({ ...pair, details: overTheWire((await from.brew.brewerDetails(pair))!) }, false);
      await vi.waitFor(async () => await again.send('again'), { timeout: 5_000 });
      await eventually(() => expect(reading.texts()).toEqual(['again']));
      await new Promise((resolve) => setImmediate(resolve));
      expect(from.errors).toEqual([]);
    });

    it.runIf(badDetails.length).each(badDetails.map((details) => [details]))('startPatron() refuses %j with a PubkeeperError', async (details) => {
      const { brew } = (await prepare())();
      const start = () => brew.startPatron({ topic: TOPIC, brewerId: idOf(1), patronId: idOf(2), details: details as BrewDetails, receive: () => undefined });
      expect(start).toThrow(PubkeeperError);
    });

    it.runIf(lastValue)('gives a late patron the last frame once, then live frames', async () => {
      const side = await prepare();
      const [from, to, late] = [side(), side(), side()];
      const { reading, writing } = await connect(from, to);
      for (const text of ['first', 'last']) await writing.send(text);
      await eventually(() => expect(reading.texts()).toEqual(['first', 'last']));
      let last = 'last';
      for (const [index, at] of [late, to, from, from].entries()) {
        const another = await listen(from, at, { patron: 102 + index });
        await eventually(() => expect(another.texts()).toEqual([last]));
        await writing.send(`live ${index}`);
        await eventually(() => expect(another.texts()).toEqual([last, `live ${index}`]));
        if (tellsRetained) expect(another.retained).toEqual([true, false]);
        await eventually(() => expect(reading.texts().at(-1)).toBe(`live ${index}`));
        last = `live ${index}`;
      }
    });

    it.runIf(lastValue)('gives the last frame also to a patron that comes after all others have left', async () => {
      const side = await prepare();
      const [from, to] = [side(), side()];
      const { reading, writing } = await connect(from, to);
      for (const text of ['first', 'last']) await writing.send(text);
      await eventually(() => expect(reading.texts()).toEqual(['first', 'last']));
      reading.stop();
      writing.stop();
      const another = await listen(from, to, { patron: 102 });
      const again = publish(from, to, { patron: 102 });
      await eventually(() => expect(another.texts()).toEqual(['last']));
      await again.send('live');
      await eventually(() => expect(another.texts()).toEqual(['last', 'live']));
    });

    it.runIf(missed)('keeps frames brewed just before the patron connects, in order', async () => {
      const side = await prepare();
      const [from, to] = [side(), side()];
      await from.brew.brewerDetails({ topic: TOPIC, brewerId: idOf(1) });
      const { send } = publish(from, to);
      // More than brokers keep for a client: of those that were tried, none keeps more than 1,000.
      const sent = Array.from({ length: 1_200 }, (_, index) => `early ${index}`);
      const accepted = sent.map(send);
      const reading = await listen(from, to);
      await Promise.all(accepted);
      await eventually(() => expect(reading.frames.length).toBe(sent.length));
      expect(reading.texts()).toEqual(sent);
      expect([...from.errors, ...to.errors]).toEqual([]);
    });

    describe('missed', () => {
      const BOTH = ['missed 1', 'missed 2'];

      it.runIf(missed)('is delivered first if the brewer learns of the match before the patron', async () => {
        const side = await prepare();
        const [from, to] = [side(), side()];
        await from.brew.brewerDetails({ topic: TOPIC, brewerId: idOf(1) });
        const { send, accepted } = publish(from, to, {}, BOTH);
        const live = send('live');
        const reading = await listen(from, to);
        await eventually(() => expect(reading.texts()).toEqual([...BOTH, 'live']));
        await Promise.all([live, ...accepted]);
        expect([...from.errors, ...to.errors]).toEqual([]);
      });

      it.runIf(missed && lastValue)('is delivered before live frames, at once, if the patron is connected already', async () => {
        const side = await prepare();
        const [from, to, early] = [side(), side(), side()];
        const first = await connect(from, to);
        await first.writing.send('last');
        await eventually(() => expect(first.reading.texts()).toEqual(['last']));
        for (const { stop } of [first.reading, first.writing]) stop();
        const reading = await listen(from, early, { patron: 102 });
        // The last value arrives when the patron has connected.
        await eventually(() => expect(reading.texts()).toEqual(['last']));
        const begun = performance.now();
        const { send, accepted } = publish(from, early, { patron: 102 }, BOTH);
        await Promise.all([send('live 1'), send('live 2'), ...accepted]);
        expect(performance.now() - begun).toBeLessThan(3000);
        await eventually(() => expect(reading.texts()).toEqual(['last', ...BOTH, 'live 1', 'live 2']));
        expect([...from.errors, ...early.errors]).toEqual([]);
      });
    });

    it.runIf(missed)('missed is delivered before newer frames that other patrons get meanwhile', async () => {
      const side = await prepare();
      const [from, to, early] = [side(), side(), side()];
      const others = await connect(from, to);
      const reading = await listen(from, early, { patron: 102 });
      // Over the same connection: when this pair works, the other patron has connected too.
      await connect(from, early, { brewer: 2, patron: 103 });
      await others.writing.send('newer');
      await eventually(() => expect(others.reading.texts()).toEqual(['newer']));
      const { send, accepted } = publish(from, early, { patron: 102 }, ['missed', 'newer']);
      await Promise.all([send('live'), ...accepted]);
      await eventually(() => expect(reading.texts()).toEqual(['missed', 'newer', 'live']));
      expect([...from.errors, ...early.errors]).toEqual([]);
    });

    describe('close()', () => {
      it('is harmless before anything was started, and when called twice', async () => {
        const { brew, errors } = (await prepare())();
        for (let i = 0; i < 2; i++) await brew.close();
        brew.wake?.();
        expect(errors).toEqual([]);
      });

      it('sends what was accepted and ends all pairs; stopping them later is harmless', async () => {
        const side = await prepare();
        const [from, to] = [side(), side()];
        const { reading, writing } = await connect(from, to);
        for (let i = 0; i < 100; i++) await writing.send(String(i));
        await from.brew.close();
        await eventually(() => expect(reading.frames.length).toBe(100));
        await to.brew.close();
        // The same ids again, on the same brews; the functions that stop the closed pairs are called late.
        const again = await connect(from, to);
        for (const stop of [writing.stop, reading.stop]) stop();
        await again.writing.send('again');
        await eventually(() => expect(again.reading.texts()).toEqual(['again']));
        expect(reading.frames.length).toBe(100);
      });
    });
  });
}
