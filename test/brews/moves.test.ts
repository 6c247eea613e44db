import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import type { Brew, BrewHost, PatronPair } from '../../src/core/brew.js';
import { failover } from '../../src/brews/internal/failover.js';
import { Brewer } from '../../src/core/brewer.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { readSeal } from '../../src/core/frame.js';
import { Patron } from '../../src/core/patron.js';
import { deferred, id, settle } from '../helpers.js';
import { ListingWire, moving, Wire } from './moves-kit.js';

// A pair that is moved to another brew: what the brewer sends again, and what the patron delivers of it.

describe('a pair that moves', () => {
  it('loses and repeats no message, and stays matched', async () => {
    const { one, over, say, got, gaps, dropped, patron, brewer } = moving();
    const unmatched: unknown[] = [];
    over('one');
    brewer.on('unmatched', (event) => unmatched.push(event));
    await say('1');
    one.connected = false;
    await say('2');
    await say('3');
    over('two');
    await say('4');
    expect(got).toEqual(['1', '2', '3', '4']);
    over('one');
    one.connected = true;
    await say('5');
    expect(got).toEqual(['1', '2', '3', '4', '5']);
    patron.reset();
    expect([gaps, dropped, unmatched]).toEqual([[], [], []]);
  });

  it('and ends and begins again delivers new messages, while those that were sent again still wait', async () => {
    const { over, brewer, got } = moving({}, true, new ListingWire('one'));
    const say = async (text: string): Promise<void> => {
      void brewer.brewText(text);
      await settle();
    };
    over('one');
    await say('1');
    over('two');
    await say('2');
    over('one'); // from now on, what is sent again waits in this brew
    await say('3');
    brewer.removePatron(id(1));
    await say('nobody reads');
    over('one');
    await say('4');
    expect(got).toEqual(['1', '2', '3', '4']);
  });

  it('resolves the brew() calls that waited for the brew that it has left', async () => {
    const { one, over, brewer, got } = moving();
    over('one');
    one.brew = () => new Promise(() => undefined);
    let isAccepted = false;
    void brewer.brewText('1');
    await settle();
    void brewer.brewText('2').then(() => (isAccepted = true));
    await settle();
    expect([isAccepted, got]).toEqual([false, []]);
    over('two');
    await settle();
    expect([isAccepted, got]).toEqual([true, ['1', '2']]);
  });

  it('is read over its present brew only, and over none when it has ended', async () => {
    const { one, two, over, say, patron, brewer, got } = moving();
    const reading = (): number[] => [one.reading, two.reading];
    over('one');
    await say('1');
    over('two');
    await say('2');
    expect(reading()).toEqual([0, 1]);
    over('one');
    await say('3');
    expect(reading()).toEqual([1, 0]);
    patron.removeBrewer(brewer.brewerId);
    await settle();
    expect([reading(), got]).toEqual([[0, 0], ['1', '2', '3']]);
  });

  it('reports messages as a gap that cannot be sent again', async () => {
    const { one, two, over, say, got, gaps } = moving();
    over('one');
    await say('1');
    one.connected = false;
    await say('2');
    await say('3');
    two.connected = false; // what is sent again is lost too
    over('two');
    two.connected = true;
    await say('4');
    expect([got, gaps]).toEqual([['1', '4'], [2]]);
  });

  it('ignores a last value that is older than a message that has come', async () => {
    const { one, two, over, say, got } = moving();
    over('one');
    one.connected = false;
    let old: Uint8Array | undefined;
    one.brew = (_id, frame) => void (old ??= frame);
    await say('kept by a relay, never delivered');
    over('two');
    two.connected = true;
    await say('2');
    got.length = 0;
    over('one');
    one.receive!(old!, true);
    await settle();
    expect(got).toEqual([]);
  });

  it.each([{ cipher: 'aes-cbc' as const }, { crypto: false }])('with %j sends nothing again over a brew that has kept nothing', async (options) => {
    const { two, over, say, got } = moving(options);
    over('one');
    await say('1');
    over('two');
    await say('1');
    expect([got, two.starts[0]!.missed]).toEqual([['1', '1'], undefined]);
  });

  it.each([{ cipher: 'aes-cbc' as const }, { crypto: false }])('with %j sends the newest message again over a brew that has kept an older one', async (options) => {
    const { one, over, say, got } = moving(options);
    const frames: Uint8Array[] = [];
    over('one');
    const brew = one.brew.bind(one);
    one.brew = (id, frame) => (frames.push(frame), brew(id, frame));
    await say('old');
    over('two');
    await say('new');
    one.connected = false; // its patron is not there yet
    over('one');
    one.connected = true;
    one.receive!(frames[1]!, true); // the relay's last value is the newest message, which the patron has
    one.receive!(frames[1]!, false); // a new message with the same bytes is not a repetition
    await settle();
    expect([got, frames.length]).toEqual([['old', 'new', 'new'], 2]);
  });

  it('sends nothing again when its client does not move pairs', async () => {
    const { two, over, say, got } = moving({}, false);
    over('one');
    await say('1');
    over('two');
    await say('2');
    expect([got, two.starts[0]!.missed]).toEqual([['1', '2'], undefined]);
  });

  it('sends nothing again to a new patron, except the newest message over a brew that has not carried it', async () => {
    const { one, two, brewer, over, say } = moving();
    over('one');
    await say('1');
    await say('2');
    brewer.newPatrons(['one', 'two'].map((name, i) => ({ topic: 'a.b', patron_id: id(2 + i), brew: { name } })));
    expect([...one.starts, ...two.starts].map(({ missed }) => missed?.length)).toEqual([undefined, undefined, 1]);
  });

  it('sends nothing again that was brewed before its patron came', async () => {
    const { one, two, brewer, over, say, got } = moving();
    brewer.newPatrons([{ topic: 'a.b', patron_id: id(2), brew: { name: 'one' } }]);
    await say('before');
    over('one');
    one.connected = false;
    await say('1');
    await say('2');
    over('two');
    await say('3');
    expect([two.starts[0]!.missed?.length, got]).toEqual([2, ['1', '2', '3']]);
  });

  it('over a relay, which sends to all, delivers what is sent again only to the patron that has missed it', async () => {
    const readers = new Set<PatronPair['receive']>();
    const relay: Partial<Brew> = {
      name: 'websocket',
      attach: () => undefined,
      brewerDetails: () => ({ name: 'websocket', hostname: 'relay', port: 1 }),
      startBrewer: () => () => undefined,
      startPatron: ({ receive }) => (readers.add(receive), () => void readers.delete(receive)),
      brew: (_id, frame) => readers.forEach((receive) => receive(frame, false)),
    };
    const one = new Wire('one');
    const host = { server: 'ws://server' } as BrewHost;
    const brews = failover(host, [one, relay] as Partial<Brew>[] as Brew[], () => undefined);
    brews[1]!.attach(host);
    const lent = { brew: (name: string) => brews.find((brew) => brew.name === name), engine: nobleEngine };
    const brewer = new Brewer('a.b');
    brewer._lend(lent);
    const got: string[] = [];
    const info = { topic: 'a.b', brewer_id: brewer.brewerId, brewer_config: brewer.getConfig() };
    const over = { one: { name: 'one' }, relay: { name: 'websocket', hostname: 'relay', port: 1 } };
    const patronIn = (name: string): Patron => {
      const patron = new Patron('a.*', (_data, message) => got.push(`${name} ${message.text()}`));
      patron._lend(lent);
      return patron;
    };
    const [old, fresh] = [patronIn('old'), patronIn('fresh')];
    const match = (patron: Patron, brew: (typeof over)['one']): void => {
      patron.newBrewers([{ ...info, brew }]);
      brewer.newPatrons([{ topic: 'a.b', patron_id: patron.patronId, brew }]);
    };
    match(old, over.one);
    one.connected = false;
    const say = async (text: string): Promise<void> => {
      await brewer.brewText(text);
      await settle();
    };
    await say('1');
    await say('2');
    match(fresh, over.relay);
    await say('3');
    // `fresh` has lost its server but still reads, so that the brewer knows of no patron at the relay when `old` moves there.
    brewer.removePatron(fresh.patronId);
    match(old, over.relay);
    await settle();
    expect(got).toEqual(['fresh 2', 'fresh 3', 'old 1', 'old 2', 'old 3']);
  });

  it('sends nothing of an earlier session again, and counts from 0 in the new one', async () => {
    const { two, brewer, over, say } = moving();
    over('one');
    await say('1');
    brewer.reset();
    await settle();
    brewer.configure();
    over('one');
    over('two');
    expect(two.starts[0]!.missed).toBeUndefined();
    const frames: Uint8Array[] = [];
    two.brew = (_id, frame) => void frames.push(frame);
    await say('2');
    expect(readSeal(frames[0]!)?.sequence).toBe(0);
  });
});

it('a brewer keeps no promise of a message that its brew has accepted, however long the pair lasts', async () => {
  const promises = (): number => queryObjects(Promise, { format: 'count' });
  const { one, over, brewer } = moving();
  one.brew = () => Promise.resolve(); // as MQTT with QoS 1 answers each message
  over('one');
  await brewer.brewText('first');
  await settle();
  const before = promises();
  for (let i = 0; i < 500; i++) {
    await brewer.brewText(String(i));
    await settle();
  }
  expect(promises() - before).toBeLessThan(50);
});

it('a brewer that leaves waits for messages that move to another brew meanwhile', async () => {
  const { one, two, over, brewer } = moving();
  over('one');
  // Both brews are still connecting: the first resolves what waits when its pair is moved, the second accepts it later.
  const [left, arrived] = [deferred<void>(), deferred<void>()];
  one.brew = () => left.promise;
  two.startBrewer = ({ missed, accepting }) => {
    if (missed?.length) accepting?.(arrived.promise);
    return () => undefined;
  };
  await brewer.brewText('last');
  let gone = false;
  const leaving = brewer._flush()!.then(() => (gone = true));
  over('two');
  left.resolve();
  await settle();
  expect(gone).toBe(false);
  arrived.resolve();
  await leaving;
});
