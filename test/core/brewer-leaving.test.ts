import { describe, expect, it } from 'vitest';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import { id, settle } from '../helpers.js';
import { brewerKit, patron, RecordingBrew } from './brewer-kit.js';
import { fakeTime, pass } from './fake-time.js';
import { controlKit, patronInfo } from './scripted-control.js';

// What a brewer has brewed last is sent, also when the engine seals asynchronously, as those of browsers do.

fakeTime();

/** An engine that seals when the test says so. */
function slowEngine() {
  const answers: (() => void)[] = [];
  const engine: CryptoEngine = {
    ...nobleEngine,
    gcm: (key) => ({
      ...nobleEngine.gcm(key),
      seal: (nonce, aad, data) => new Promise((resolve) => answers.push(() => resolve(nobleEngine.gcm(key).seal(nonce, aad, data)))),
    }),
  };
  return { engine, seal: () => answers.splice(0).forEach((answer) => answer()) };
}

describe('a brewer whose engine seals asynchronously', () => {
  it.each(['removePatron', 'reset'])('%s: the pair ends only after the brew has got what was brewed before', async (how) => {
    const { engine, seal } = slowEngine();
    const { brewer, x, log } = brewerKit({ crypto: true, engine });
    brewer.newPatrons([patron(1)]);
    await brewer.brewText('last');
    if (how === 'reset') brewer.reset();
    else brewer.removePatron(id(1));
    expect([x.stopped, brewer.isMatched, log.at(-1)]).toEqual([[], false, 'unmatched a.b']);
    // An exception in there would become an error of the brewer, so only record the state.
    const stoppedAtBrew: string[][] = [];
    x.onBrew = () => void stoppedAtBrew.push([...x.stopped]);
    seal();
    await settle();
    expect([stoppedAtBrew, x.stopped]).toEqual([[[]], [id(1)]]);
  });

  /** A brewer in its second session, with a pair over y, while a message of the first session, for its pair over x, is still being sealed. */
  const followed = () => {
    const { engine, seal } = slowEngine();
    const made = brewerKit({ crypto: true, engine });
    const { brewer } = made;
    brewer.newPatrons([patron(1)]);
    void brewer.brewText('old');
    brewer.reset();
    brewer.configure();
    brewer.newPatrons([patron(2, { brew: { name: 'y' } })]);
    return { ...made, seal };
  };

  it('sends a message of a former session to the pairs of that session only', async () => {
    const { x, y, seal } = followed();
    seal();
    await settle();
    expect([x.frames.length, y.frames.length]).toEqual([1, 0]);
  });

  it('sends a message of a former session to the pairs of that session also when the next session has ended too', async () => {
    const { brewer, x, y, seal } = followed();
    brewer.reset();
    seal();
    await settle();
    expect([x.frames.length, y.frames.length, x.stopped, y.stopped]).toEqual([1, 0, [id(1)], [id(2)]]);
  });

  it('sends a message of the new session to no pair of the former one, while those pairs still wait', async () => {
    const { brewer, x, y, seal } = followed();
    void brewer.brewText('new');
    await settle();
    seal();
    await settle();
    expect([x.frames.length, y.frames.length, x.stopped]).toEqual([1, 1, [id(1)]]);
  });

  it('ends the former pair of a patron that comes back before it starts the new one', async () => {
    const { engine, seal } = slowEngine();
    const { brewer, x } = brewerKit({ crypto: true, engine });
    brewer.newPatrons([patron(1)]);
    void brewer.brewText('last');
    brewer.removePatron(id(1));
    const stoppedAtStart: string[][] = [];
    x.onStart = () => void stoppedAtStart.push([...x.stopped]);
    brewer.newPatrons([patron(1)]);
    seal();
    await settle();
    expect([x.frames.length, stoppedAtStart, x.stopped]).toEqual([1, [[id(1)]], [id(1)]]);
  });

  it('waits at most a second for an engine that never answers, and reports that', async () => {
    const { engine } = slowEngine();
    const { brewer, x, errors } = brewerKit({ crypto: true, engine });
    brewer.newPatrons([patron(1)]);
    void brewer.brewText('last');
    brewer.removePatron(id(1));
    await pass(999);
    expect([x.stopped, errors]).toEqual([[], []]);
    await pass(1);
    expect([x.stopped, errors.map(({ code }) => code)]).toEqual([[id(1)], ['BREW_FAILED']]);
  });
});

describe('removeBrewer() after brew()', () => {
  async function removed() {
    const { engine, seal } = slowEngine();
    const made = controlKit({ engine });
    const { client, control, brew } = made;
    const brewer = client.addBrewer('own.topic');
    control.peersOf(brewer.brewerId).set(id(21), patronInfo(id(21)));
    const log: string[] = [];
    await client.connect();
    Object.assign(brew, {
      brew: () => void log.push('frame'),
      endBrewer: () => log.push('end'),
      onClose: () => void log.push('close'),
    });
    await brewer.brewText('last');
    client.removeBrewer(brewer);
    return { ...made, brewer, seal, log };
  }

  it('the pair ends, and the brew’s endBrewer() is called, when the last message was sent', async () => {
    const { brew, seal, log } = await removed();
    expect([brew.running.size, log]).toEqual([1, []]);
    seal();
    await settle();
    expect([brew.running.size, log]).toEqual([0, ['frame', 'end']]);
  });

  it('disconnect() waits until the last message was sent', async () => {
    const { client, seal, log } = await removed();
    const ending = client.disconnect();
    await settle();
    seal();
    await ending;
    expect(log).toEqual(['frame', 'end', 'close']);
  });

  it('disconnect() does not wait if the last message was sent already', async () => {
    const { client, seal } = await removed();
    seal();
    await settle();
    const ending = client.disconnect();
    expect(client.state).toBe('disconnected');
    await ending;
  });

  it('a brewer that is added again meanwhile is not ended', async () => {
    const { client, brewer, seal, log } = await removed();
    client.addBrewer(brewer);
    seal();
    await settle();
    expect(log).toEqual(['frame']);
  });

  it('an error of the removed brewer is reported by its client', async () => {
    const { errors } = await removed();
    await pass(1000);
    expect(errors.map(({ code }) => code)).toEqual(['BREW_FAILED']);
  });
});

it('with an engine that seals synchronously, a pair ends at once', async () => {
  const { brewer, x } = brewerKit({ crypto: true });
  expect(x).toBeInstanceOf(RecordingBrew);
  brewer.newPatrons([patron(1)]);
  await brewer.brewText('last');
  brewer.removePatron(id(1));
  expect([x.frames.length, x.stopped]).toEqual([1, [id(1)]]);
});
