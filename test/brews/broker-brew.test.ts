import { expect, it, onTestFinished, vi } from 'vitest';
import type { LineOwner } from '../../src/brews/internal/broker-line.js';
import { newId, PubkeeperError } from '../../src/core/index.js';
import { deferred, rawFrame, settle } from '../helpers.js';
import { host, receiver, TOPIC } from './rig.js';
import { TestBrew } from './test-brew.js';

// What a brew sends to its brokers. Here these are lines that accept everything at once, as soon as the test opens them.

interface Dialled {
  readonly url: string;
  /** Whether the brew's own credentials are sent to this broker. */
  readonly isTold: boolean;
  readonly owner: LineOwner;
  open(): Promise<void>;
  refuse(code: string): Promise<void>;
}

function made({ load = () => Promise.resolve() }: { load?: () => Promise<void> } = {}) {
  const said: string[] = [];
  const dials: Dialled[] = [];
  const rig = host();
  const brew = new TestBrew({
    dial: ({ urls: [url = ''], credentials }, owner) => {
      const opened = deferred<void>();
      const refuse = async (code: string) => (opened.reject(new PubkeeperError(code as 'UNAUTHORIZED', 'x')), settle());
      dials.push({ url, owner, isTold: credentials !== undefined, open: async () => (opened.resolve(), settle()), refuse });
      const line = {
        publish: (address: string, bytes: Uint8Array) => void said.push(`${url} ${address} ${Buffer.from(bytes).toString().slice(-3)}`),
        subscribe: (address: string) => (said.push(`${url} +${address}`), Promise.resolve()),
        unsubscribe: (address: string) => void said.push(`${url} -${address}`),
        close: () => (said.push(`${url} closed`), Promise.resolve()),
        check: () => void said.push(`${url} checked`),
        rest: () => (said.push(`${url} rested`), Promise.resolve()),
      };
      return opened.promise.then(() => line);
    },
    load,
  });
  brew.attach(rig.host);
  onTestFinished(() => brew.close());
  const brewerId = newId();
  const start = (join: boolean, patronId = newId()) => brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: { name: 'test', join } });
  const say = (text: string) => brew.brew(brewerId, rawFrame(TOPIC, brewerId, text));
  return { ...rig, brew, brewerId, start, say, dials, open: () => dials.at(-1)!.open(), take: () => said.splice(0) };
}

it('a brewer that is registered again for another topic publishes there, and listens for questions only there', async () => {
  const { brew, brewerId, open, take } = made();
  const details = (topic: string) => brew.brewerDetails({ topic, brewerId });
  expect([details('a'), details('a'), details('b')]).toMatchObject([{ address: `a.${brewerId}` }, { address: `a.${brewerId}` }, { address: `b.${brewerId}` }]);
  await open();
  brew.startBrewer({ topic: 'b', brewerId, patronId: newId(), details: { name: 'test' } });
  void brew.brew(brewerId, rawFrame('b', brewerId, 'one'));
  expect(take()).toEqual([`own +b.${brewerId}.join`, `own b.${brewerId} one`]);
});

it('nothing is published for a brewer that has no pair or has ended', async () => {
  const { brew, brewerId, start, say, open, take } = made();
  const end = start(false);
  await open();
  void say('one');
  end();
  expect([say('two'), take()]).toEqual([undefined, [`own +${TOPIC}.${brewerId}.join`, `own ${TOPIC}.${brewerId} one`]]);
  start(false);
  brew.endBrewer(brewerId);
  expect([say('two'), take()]).toEqual([undefined, [`own -${TOPIC}.${brewerId}.join`]]);
  start(false);
  await brew.close();
  expect([say('two'), take()]).toEqual([undefined, [`own +${TOPIC}.${brewerId}.join`, `own -${TOPIC}.${brewerId}.join`, 'own closed']]);
});

it('brew() waits for a patron only if the details of the patron say that it asks', async () => {
  const { start, say, open } = made();
  start(false);
  await open();
  expect(say('one')).toBeUndefined();
  const end = start(true);
  const accepted = say('two');
  expect(accepted).toBeInstanceOf(Promise);
  end();
  await accepted;
});

it('messages that wait for a broker are given up when the last pair ends, and not before', async () => {
  const { brewerId, start, say, open, take } = made();
  const [one, other] = [start(false), start(false)];
  let isOver = false;
  const waiting = Promise.resolve(say('one')).then(() => (isOver = true));
  one();
  await settle();
  expect(isOver).toBe(false);
  other();
  await waiting;
  await open();
  expect(take()).toEqual([`own +${TOPIC}.${brewerId}.join`]);
});

it('brew() waits again for a patron that has left and was matched again', async () => {
  const { brewerId, start, say, dials, open } = made();
  const patronId = newId();
  const end = start(true, patronId);
  await open();
  for (const payload of [patronId, `${patronId}+`]) dials[0]!.owner.message(`${TOPIC}.${brewerId}.join`, Buffer.from(payload), false);
  expect(say('one')).toBeUndefined();
  end();
  start(true, patronId);
  expect(say('two')).toBeInstanceOf(Promise);
});

it('the same address at two brokers is subscribed at both, and each is unsubscribed when its last patron stops', async () => {
  const { brew, brewerId, dials, take } = made();
  const boxes = ['a', 'b'].map((tcp) => {
    const box = receiver();
    const details = { name: 'test', tcp, address: `x.${brewerId}` };
    return { ...box, stop: brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details, receive: box.receive }) };
  });
  for (const { open } of dials) await open();
  expect(dials.map(({ url, isTold }) => [url, isTold])).toEqual([['a', false], ['b', false]]);
  expect(take()).toEqual([`a +x.${brewerId}`, `b +x.${brewerId}`]);
  for (const { owner, url } of dials) owner.message(`x.${brewerId}`, rawFrame('x', brewerId, `of ${url}`), false);
  expect(boxes.map(({ all }) => all.map(({ text }) => text))).toEqual([['of a'], ['of b']]);
  boxes[0]!.stop();
  expect(take()).toEqual([`a -x.${brewerId}`]);
  await brew.close();
  expect(take()).toEqual([`b -x.${brewerId}`, 'a closed', 'b closed']);
});

it('a missing library is reported once in a session, and the brew is reported as down', async () => {
  let loads = 0;
  const { brew, errors, states } = made({ load: () => (loads++, Promise.reject(new PubkeeperError('BREW_DEPENDENCY', 'x'))) });
  const register = async (): Promise<void> => {
    for (let patron = 0; patron < 2; patron++) expect(brew.patronDetails()).toEqual({ name: 'test', join: true });
    await settle();
  };
  await register();
  expect([loads, errors.map(({ code }) => code), states]).toEqual([1, ['BREW_DEPENDENCY'], [{ brew: 'test', up: false, scope: undefined }]]);
  await brew.close();
  await register();
  expect([loads, errors.length]).toEqual([2, 2]);
});

it.each([false, true])('the 10 s in which a patron must come begin only when the broker is connected (it was connected before: %s)', async (wasThere) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { brew, brewerId, say, start, dials, open, errors } = made();
  brew.brewerDetails({ topic: TOPIC, brewerId });
  if (wasThere) {
    await open();
    dials[0]!.owner.ended(new PubkeeperError('CONNECTION_LOST', 'x'));
  }
  start(true);
  void say('one');
  await vi.advanceTimersByTimeAsync(15_000);
  await open();
  await vi.advanceTimersByTimeAsync(9999);
  expect(errors.map(({ code }) => code)).not.toContain('BREW_FAILED');
  await vi.advanceTimersByTimeAsync(1);
  expect(errors.at(-1)?.code).toBe('BREW_FAILED');
});

it('a malformed question of a patron is counted', async () => {
  const { brew, brewerId, dials, open, dropped } = made();
  brew.brewerDetails({ topic: TOPIC, brewerId });
  await open();
  dials[0]!.owner.message(`${TOPIC}.${brewerId}.join`, Buffer.from('who?'), false);
  expect(dropped).toEqual(['malformed']);
});

it('an unused connection is kept for 5 s, for patrons that start meanwhile; one that a foreign broker refused is tried again', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { brew, brewerId, dials, open, take } = made();
  const come = () => brew.startPatron({ topic: TOPIC, brewerId, patronId: newId(), details: { name: 'test', tcp: 'a', address: 'x' }, receive: () => undefined });
  come()();
  await open();
  await vi.advanceTimersByTimeAsync(4999);
  const stop = come();
  await vi.advanceTimersByTimeAsync(10_000);
  expect([dials.length, take()]).toEqual([1, ['a +x']]);
  stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(take()).toEqual(['a -x', 'a closed']);
  const refused = come();
  await dials[1]!.refuse('UNAUTHORIZED');
  refused();
  await vi.advanceTimersByTimeAsync(5000);
  come();
  expect(dials.map(({ url }) => url)).toEqual(['a', 'a', 'a']);
  // The connection to the own broker is closed 5 s after its last brewer has ended.
  brew.brewerDetails({ topic: TOPIC, brewerId });
  await open();
  brew.endBrewer(brewerId);
  await vi.advanceTimersByTimeAsync(5000);
  expect(take()).toEqual([`own +${TOPIC}.${brewerId}.join`, `own -${TOPIC}.${brewerId}.join`, 'own closed']);
});
