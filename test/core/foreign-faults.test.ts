import { describe, expect, it } from 'vitest';
import { failover } from '../../src/brews/failover.js';
import type { Brew } from '../../src/core/brew.js';
import { PubkeeperClient } from '../../src/index.js';
import { client as clientOf, serve } from '../client-kit.js';
import { bytes, id, rawFrame } from '../helpers.js';
import { fakeTime, pass } from './fake-time.js';
import { patronKit } from './patron-kit.js';
import { brewerInfo, controlKit, PairBrew, patronInfo } from './scripted-control.js';

// What brews, ciphers and `lifecycle`s of an application throw: it is reported, and nothing else suffers.

const throws = (): never => {
  throw new Error('of the brew');
};
const rejects = async (): Promise<void> => throws();
const WAYS = [
  ['throws', throws, {}],
  ['rejects', rejects, {}],
  ['throws (with failover)', throws, { failover }],
  ['rejects (with failover)', rejects, { failover }],
] as const;
const failed = [{ code: 'BREW_FAILED', cause: { message: 'of the brew' } }];

describe.each(WAYS)('a brew whose function %s', (_, fails, extra) => {
  fakeTime();

  /** A client with a faulty brew before a good one; `called` says whether the good one was called too. */
  function twoBrews(hook: 'endBrewer' | 'rest' | 'wake') {
    let called = 0;
    const faulty = Object.assign(new PairBrew(), { [hook]: fails, ...extra });
    const good = Object.assign(new PairBrew(), { name: 'y', [hook]: () => void called++ });
    let life!: { wake: () => void; rest: () => void };
    const made = controlKit({ brews: [faulty, good], lifecycle: (wake, rest) => ((life = { wake, rest }), () => undefined) });
    return { ...made, life: () => life, called: () => called };
  }

  it('at the end of a brewer is reported, and the brewer is removed all the same', async () => {
    const { client, control, errors, called } = twoBrews('endBrewer');
    const brewer = client.addBrewer('own.topic');
    await client.connect();
    client.removeBrewer(brewer);
    await pass(0);
    expect([errors, called(), control.ofType(11).length]).toMatchObject([failed, 1, 1]);
    client.addBrewer(brewer);
  });

  it.each(['rest', 'wake'] as const)('%s is reported, and the others are called', async (hook) => {
    const { client, errors, life, called } = twoBrews(hook);
    await client.connect();
    life()[hook]();
    await pass(0);
    expect([errors, called()]).toMatchObject([failed, 1]);
  });

  /** A client whose patron and brewer are each matched over this brew. */
  function twoPairs(brew: PairBrew) {
    const made = controlKit({ brews: [brew, Object.assign(new PairBrew(), { name: 'y', ...extra })] });
    const patron = made.client.addPatron('foreign.*', () => undefined, { patronId: id(1) });
    const brewer = made.client.addBrewer('own.topic', { brewerId: id(2) });
    made.control.peersOf(id(1)).set(id(11), brewerInfo(id(11)));
    made.control.peersOf(id(2)).set(id(21), patronInfo(id(21)));
    return { ...made, patron, brewer };
  }

  it.each(['startPatron', 'startBrewer'] as const)('at %s is reported', async (start) => {
    const { client, errors } = twoPairs(Object.assign(new PairBrew(), { [start]: fails, ...extra }));
    await client.connect();
    await pass(0);
    // A promise is no function that ends the pair, which is reported too.
    expect(errors.filter(({ cause }) => !(cause instanceof TypeError))).toMatchObject(failed);
  });

  it.each(['startPatron', 'startBrewer'] as const)('that ends what %s began is reported', async (start) => {
    const { client, patron, brewer, errors } = twoPairs(Object.assign(new PairBrew(), { [start]: () => fails as () => void, ...extra }));
    await client.connect();
    expect([patron.isMatched, brewer.isMatched]).toEqual([true, true]);
    await client.disconnect();
    expect(errors).toMatchObject(failed);
  });
});

it('an opener that throws when it looks at a frame drops that frame, and does not throw into the brew', () => {
  const { patron, heard } = patronKit({
    opener: () => ({
      cipher: 'custom',
      isWhole: (frame) => new DataView(frame.buffer, frame.byteOffset + 88).getUint32(0) > 0,
      open: (frame) => frame.subarray(88),
    }),
  });
  patron.newBrewers([{ topic: 'a.b', brewer_id: id(1), brewer_config: {}, brew: { name: 'x' } }]);
  patron._handleCallback(id(1), rawFrame('a.b', id(1), bytes('x')));
  patron._handleCallback(id(1), rawFrame('a.b', id(1), bytes('long enough')));
  expect([heard, patron.dropped]).toEqual([['long enough'], { undecryptable: 1 }]);
});

it('a lifecycle that gives something else than a function to stop it does not keep disconnect() from closing the connection', async () => {
  const server = await serve();
  const others = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
  process.removeAllListeners('uncaughtException');
  const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
  try {
    const client = clientOf(server.url, { lifecycle: (async () => undefined) as unknown as () => () => void });
    await client.connect();
    await client.disconnect();
    expect(client.state).toBe('disconnected');
    expect(await uncaught).toBeInstanceOf(TypeError);
    await client.connect();
    expect(client.state).toBe('connected');
    process.once('uncaughtException', () => undefined);
    await client.disconnect();
  } finally {
    for (const listener of others) process.on('uncaughtException', listener);
  }
});

it.each(['brewerDetails', 'patronDetails'] as const)('%s without a name are an error event, and connect() does not wait for an answer', async (hook) => {
  const server = await serve();
  const brew = Object.assign(new PairBrew(), { [hook]: () => ({}) }) as Brew;
  const client = clientOf(server.url, { brews: [brew] });
  expect(client).toBeInstanceOf(PubkeeperClient);
  const codes: string[] = [];
  client.on('error', ({ code }) => codes.push(code));
  client.addPatron('a');
  client.addBrewer('a');
  await client.connect();
  expect([client.state, codes]).toEqual(['connected', ['PACKET_INVALID']]);
});
