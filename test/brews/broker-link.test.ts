import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LineOwner } from '../../src/brews/internal/broker-line.js';
import { type BrewHost, newId, PubkeeperError } from '../../src/core/index.js';
import { rawFrame } from '../helpers.js';
import { host, receiver, TOPIC } from './rig.js';
import { TestBrew } from './test-brew.js';

// How long a client tries to reach a broker, and for which pairs. No real broker is needed.

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** What a connection to a broker also has, and these tests do not look at. */
const QUIET = { unsubscribe: () => undefined, check: () => undefined, close: () => Promise.resolve(), rest: () => Promise.resolve() };

function kit(code: 'CONNECT_FAILED' | 'UNAUTHORIZED', hosted: (made: BrewHost) => BrewHost) {
  const dials: string[] = [];
  const brew = new TestBrew({ dial: ({ urls: [url = ''] }) => (dials.push(url), Promise.reject(new PubkeeperError(code, 'No.'))) });
  const rig = host();
  brew.attach(hosted(rig.host));
  const patron = (tcp: string) => {
    const pair = { brewerId: newId(), patronId: newId() };
    const stop = brew.startPatron({ ...pair, topic: TOPIC, details: { name: 'test', tcp, join: true }, receive: () => undefined });
    return { ...pair, stop };
  };
  /** The number of dials in the next ten minutes. */
  const later = async (): Promise<number> => {
    const before = dials.length;
    await vi.advanceTimersByTimeAsync(600_000);
    return dials.length - before;
  };
  return { brew, dials, patron, later, ...rig };
}

it('a broker is not dialled any more after its last pair has ended, when the client has no other brew', async () => {
  const { patron, later } = kit('CONNECT_FAILED', ({ state: _, ...made }) => made);
  const { stop } = patron('theirs');
  expect(await later()).toBeGreaterThan(100);
  stop();
  await later();
  expect(await later()).toBe(0);
});

it('a broker that is down is dialled while its pair is served over another brew, until the pair ends', async () => {
  const { brew, patron, later, states } = kit('CONNECT_FAILED', (made) => made);
  const { stop, brewerId, patronId } = patron('theirs');
  await later();
  expect(states).toEqual([{ brew: 'test', up: false, scope: { brewerId, patronId } }]);
  stop();
  await later();
  expect(await later()).toBeGreaterThan(100);
  brew.forget({ brewerId, patronId });
  await later();
  expect(await later()).toBe(0);
});

it('the own broker that refuses this client is not dialled again for new pairs, until the brew is closed', async () => {
  const { brew, dials, patron, later, errors } = kit('UNAUTHORIZED', (made) => made);
  const come = async (): Promise<void> => {
    const brewerId = newId();
    brew.brewerDetails({ topic: TOPIC, brewerId });
    patron('own').stop();
    await later();
    brew.endBrewer(brewerId);
    await later();
  };
  for (let i = 0; i < 3; i++) await come();
  expect([dials, errors.map(({ code }) => code)]).toEqual([['own'], ['UNAUTHORIZED']]);
  await brew.close();
  await come();
  expect(dials).toEqual(['own', 'own']);
});

it('frames that are brewed before the broker is reached are kept until 10 s after a patron can ask for them', async () => {
  const heard = new Map<string, () => void>();
  const sent: [address: string, bytes: Uint8Array][] = [];
  let isThere = false;
  const brew = new TestBrew({
    dial: (_, owner) => {
      if (!isThere) return Promise.reject(new PubkeeperError('CONNECT_FAILED', 'No.'));
      return Promise.resolve({
        publish: (address, bytes) => void sent.push([address, bytes]),
        subscribe: (address) => {
          heard.set(address, () => owner.message(address, Buffer.from(patronId), false));
          return Promise.resolve();
        },
        ...QUIET,
      });
    },
  });
  const rig = host();
  brew.attach(rig.host);
  const [brewerId, patronId] = [newId(), newId()];
  const frame = rawFrame(TOPIC, brewerId, 'early');
  brew.startBrewer({ topic: TOPIC, brewerId, patronId, details: { name: 'test', join: true } });
  const accepted = brew.brew(brewerId, frame);
  await vi.advanceTimersByTimeAsync(15_000);
  isThere = true;
  brew.wake();
  await vi.advanceTimersByTimeAsync(100);
  const address = `${TOPIC}.${brewerId}`;
  expect(sent.map(([to]) => to)).toEqual([address]);
  heard.get(`${address}.join`)!();
  expect(sent.slice(1)).toEqual([[`${address}.to.${patronId}`, Uint8Array.of(0, ...frame)]]);
  expect(rig.errors.map(({ code }) => code)).toEqual(['CONNECT_FAILED']);
  await vi.advanceTimersByTimeAsync(10_000);
  await accepted;
  expect(rig.errors.map(({ code }) => code)).toEqual(['CONNECT_FAILED', 'BREW_FAILED']);
  await brew.close();
});

it('a patron whose connection is lost before its brewer has answered gets all that the brewer has for it when it is back, each once', async () => {
  const [brewerId, patronId] = [newId(), newId()];
  const address = `${TOPIC}.${brewerId}`;
  const owners: LineOwner[] = [];
  const asked: string[] = [];
  let isThere = true;
  const brew = new TestBrew({
    dial: (_, owner) => {
      if (!isThere) return Promise.reject(new PubkeeperError('CONNECT_FAILED', 'No.'));
      owners.push(owner);
      return Promise.resolve({
        publish: (to, bytes) => void (to === `${address}.join` && asked.push(Buffer.from(bytes).toString())),
        subscribe: () => Promise.resolve(),
        ...QUIET,
      });
    },
  });
  const rig = host();
  brew.attach(rig.host);
  const box = receiver();
  const frame = (text: string) => rawFrame(TOPIC, brewerId, text);
  brew.startPatron({ topic: TOPIC, brewerId, patronId, details: { name: 'test', tcp: 'own', address, join: true }, receive: box.receive });
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toEqual([patronId]);
  owners[0]!.message(address, frame('two'), true);
  owners[0]!.message(address, frame('three'), false);
  // A part of the answer.
  owners[0]!.message(`${address}.to.${patronId}`, Uint8Array.of(2, ...frame('one')), false);
  isThere = false;
  owners[0]!.ended(new PubkeeperError('CONNECTION_LOST', 'Lost.'));
  asked.length = 0;
  // Longer than it would wait for an answer.
  await vi.advanceTimersByTimeAsync(15_000);
  isThere = true;
  brew.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect([box.all, asked]).toEqual([[], [patronId]]);
  owners[1]!.message(address, frame('three'), true);
  owners[1]!.message(`${address}.to.${patronId}`, Uint8Array.of(2, ...frame('one')), false);
  owners[1]!.message(`${address}.to.${patronId}`, Uint8Array.of(0, ...frame('two'), ...frame('three')), false);
  owners[1]!.message(address, frame('four'), false);
  expect(box.all.map(({ text }) => text)).toEqual(['one', 'two', 'three', 'four']);
  expect(asked).toEqual([patronId, `${patronId}+`]);
  await brew.close();
});
