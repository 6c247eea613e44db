import { describe, expect, it, vi } from 'vitest';
import { Brewer, type BrewerOptions } from '../../src/core/brewer.js';
import { PubkeeperError } from '../../src/core/errors.js';
import type { PatronInfo } from '../../src/core/packet.js';
import { dashed, id, thrown } from '../helpers.js';
import { brewerKit as kit, patron } from './brewer-kit.js';

describe('new Brewer()', () => {
  it('takes a topic, and by default makes an id and seals', () => {
    const brewer = new Brewer('a.b');
    expect(brewer).toMatchObject({ topic: 'a.b', cipher: 'aes-gcm', isMatched: false });
    expect(brewer.brewerId).toMatch(/^[\da-f]{32}$/);
    expect(new Brewer('a', { crypto: false }).cipher).toBe('none');
    // As for a patron, the options may be the value of `crypto` alone.
    expect(new Brewer('a', false).cipher).toBe('none');
    for (const options of [true, undefined, null, {}]) expect(new Brewer('a', options).cipher).toBe('aes-gcm');
    expect(new Brewer('a', { crypto: false, cipher: 'aes-cbc' }).cipher).toBe('none');
    expect(new Brewer('a', { brewerId: dashed(id(7)) }).brewerId).toBe(id(7));
  });

  it.each(['', 'a.*', '**', 'a..b', 'a b', undefined, 7, Object.create(null)])('refuses the topic %j', (topic) => {
    thrown(() => new Brewer(topic as string), 'TOPIC_INVALID');
  });
  it('says in the error for a pattern that wildcards are for patrons', () => expect(thrown(() => new Brewer('a.*')).message).toContain('patrons'));
  it.each([{ crypto: 'required' }, { crypto: 1 }, 'aes-cbc', 1, () => undefined, { cipher: 'rot13' }, { cipher: 'constructor' }, { cipher: null }])('refuses %j', (options) => {
    thrown(() => new Brewer('a', options as BrewerOptions), 'OPTION_INVALID');
  });
  it.each(['', 'x', 7])('refuses the id %j', (brewerId) => {
    thrown(() => new Brewer('a', { brewerId: brewerId as string }), 'ID_INVALID');
  });
});

describe('configure() and getConfig()', () => {
  it('announce a key with a cipher, and none for plaintext', () => {
    expect(new Brewer('a').getConfig()).toEqual({
      cipher: { mode: 'AES-GCM', key: expect.stringMatching(/^[\da-f]{64}$/) as string, epoch: expect.stringMatching(/^[\da-f]{16}$/) as string },
    });
    expect(new Brewer('a', { cipher: 'aes-cbc' }).getConfig()).toEqual({ cipher: { mode: 2, key: expect.stringMatching(/^[\da-f]{32}$/) as string } });
    expect(new Brewer('a', { cipher: 'none' }).getConfig()).toEqual({});
    expect(new Brewer('a', { crypto: false }).getConfig()).toEqual({});
  });

  it.each(['aes-gcm', 'aes-cbc'] as const)('make a new key with each configure(), and keep it until the next (%s)', (cipher) => {
    const brewer = new Brewer('a', { cipher });
    const keys = new Set<unknown>();
    for (let i = 0; i < 20; i++) {
      brewer.configure();
      const first = brewer.getConfig();
      expect(brewer.getConfig()).toEqual(first);
      keys.add(first.cipher?.key);
    }
    brewer.reset();
    keys.add(brewer.getConfig().cipher?.key);
    expect(keys.size).toBe(21);
  });
});

describe('newPatrons() and removePatron()', () => {
  it('start a brew for each patron, and emit matched for the first and unmatched for the last', () => {
    const { brewer, x, log } = kit();
    brewer.newPatrons([patron(1), patron(2, { patron_id: dashed(id(2)) })]);
    expect(brewer.isMatched).toBe(true);
    expect([...brewer.patrons]).toEqual([[id(1), { brew: 'x' }], [id(2), { brew: 'x' }]]);
    expect(x.started).toMatchObject([{ topic: 'a.b', brewerId: id(0xb), patronId: id(1), details: { name: 'x' } }, { patronId: id(2) }]);
    brewer.newPatrons([patron(3)]);
    for (const n of [2, 1, 3]) brewer.removePatron(dashed(id(n)));
    expect(x.stopped).toEqual([id(2), id(1), id(3)]);
    expect(log).toEqual(['+1 x', '+2 x', 'matched a.b', '+3 x', '-2', '-1', '-3', 'unmatched a.b']);
    expect(brewer.isMatched).toBe(false);
  });

  it('a patron that is listed again is removed first', () => {
    const { brewer, x, y, log } = kit();
    brewer.newPatrons([patron(1)]);
    brewer.newPatrons([patron(1, { brew: { name: 'y' } })]);
    expect(x.stopped).toEqual([id(1)]);
    expect(y.started.length).toBe(1);
    expect(log).toEqual(['+1 x', 'matched a.b', '-1', '+1 y']);
  });

  it('a matched patron that comes again over an unknown brew is removed', () => {
    const { brewer, log } = kit();
    brewer.newPatrons([patron(1)]);
    brewer.newPatrons([patron(1, { brew: { name: 'z' } })]);
    expect(log).toEqual(['+1 x', 'matched a.b', '-1', 'unmatched a.b']);
  });

  it.each([id(2), '', 'x', '__proto__', undefined])('removePatron(%j) does nothing', (patronId) => {
    const { brewer, x, log } = kit();
    brewer.newPatrons([patron(1)]);
    brewer.removePatron(patronId as string);
    expect(brewer.isMatched).toBe(true);
    expect(x.stopped).toEqual([]);
    expect(log.length).toBe(2);
  });

  it('an empty list matches nobody', () => {
    const { brewer, log } = kit();
    brewer.newPatrons([]);
    expect([brewer.isMatched, log]).toEqual([false, []]);
  });

  it.each([
    ['BREW_UNKNOWN', patron(2, { brew: { name: 'nats' } })],
    ['BREW_UNKNOWN', patron(2, { brew: { name: '__proto__' } })],
    ['ID_INVALID', patron(2, { patron_id: 'nobody' })],
    ['BREW_FAILED', null],
  ])('a patron that fails with %s does not keep the others from being matched', async (code, bad) => {
    const { brewer, x, errors } = kit();
    brewer.newPatrons([patron(1), bad as PatronInfo, patron(3)]);
    expect(errors.map((error) => error.code)).toEqual([code]);
    expect(x.started.map(({ patronId }) => patronId)).toEqual([id(1), id(3)]);
    await brewer.brewText('x');
    expect(x.texts).toEqual(['x']);
  });

  it('a brew that throws at the start is an error for its patron, and the others are matched', async () => {
    const { brewer, x, y, errors } = kit();
    x.onStart = () => {
      throw new PubkeeperError('BREW_CONFIG_INVALID', 'of the brew');
    };
    brewer.newPatrons([patron(1), patron(2, { brew: { name: 'y' } })]);
    expect(errors.map((error) => error.code)).toEqual(['BREW_CONFIG_INVALID']);
    expect([...brewer.patrons.keys()]).toEqual([id(2)]);
    await brewer.brewText('x');
    expect([x.texts, y.texts]).toEqual([[], ['x']]);
  });

  it('a listener of added may brew at once, as the patron is matched already', async () => {
    const { brewer, x } = kit();
    brewer.on('added', ({ patronId }) => void brewer.brewText(patronId));
    brewer.newPatrons([patron(1), patron(2)]);
    await brewer._flush();
    expect(x.texts).toEqual([id(1), id(2)]);
  });

  it('a listener that removes the patron that was just added leaves nothing running', () => {
    const { brewer, x } = kit();
    brewer.on('added', ({ patronId }) => brewer.removePatron(patronId));
    brewer.newPatrons([patron(1)]);
    expect(brewer.isMatched).toBe(false);
    expect([x.started.length, x.stopped]).toEqual([1, [id(1)]]);
  });

  it('reset() ends all pairs with their events, and does nothing when called again', () => {
    const { brewer, x, log } = kit();
    brewer.newPatrons([patron(1), patron(2)]);
    log.length = 0;
    brewer.reset();
    brewer.reset();
    expect(x.stopped.sort()).toEqual([id(1), id(2)]);
    expect(log).toEqual(['-1', '-2', 'unmatched a.b']);
  });
});

it('a brewer without listeners throws nothing', async () => {
  const spies = (['error', 'warn', 'log', 'info', 'debug'] as const).map((name) => vi.spyOn(console, name));
  const brewer = new Brewer('a');
  brewer.newPatrons([patron(1)]);
  await brewer.brewText('x');
  brewer.removePatron(id(1));
  brewer.reset();
  for (const spy of spies) {
    expect(spy).not.toHaveBeenCalled();
    spy.mockRestore();
  }
});
