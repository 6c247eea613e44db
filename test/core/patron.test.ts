import { queryObjects } from 'node:v8';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/core/message.js';
import { OrderedQueue } from '../../src/core/order.js';
import type { BrewerInfo } from '../../src/core/packet.js';
import { Patron } from '../../src/core/patron.js';
import { bytes, dashed, deferred, id, rawFrame, settle, thrown } from '../helpers.js';
import { info, patronKit, sealing, slowEngine } from './patron-kit.js';

describe('new Patron()', () => {
  it('takes a pattern, and by default makes an id and reads every cipher', () => {
    const patron = new Patron('a.*.**');
    expect(patron.topic).toBe('a.*.**');
    expect(patron.crypto).toBe(true);
    expect(patron.patronId).toMatch(/^[\da-f]{32}$/);
    expect(patron.isMatched).toBe(false);
    expect(patron.dropped).toEqual({});
    expect(new Patron('a').patronId).not.toBe(new Patron('a').patronId);
  });

  it.each([id(7), dashed(id(7))])('takes the id %s', (patronId) => expect(new Patron('a', undefined, { patronId }).patronId).toBe(id(7)));

  it('takes crypto and the id as positional arguments, as the Python original does', () => {
    expect(new Patron('a', undefined, false, dashed(id(7)))).toMatchObject({ crypto: false, patronId: id(7) });
    expect(new Patron('a', undefined, undefined, id(7))).toMatchObject({ crypto: true, patronId: id(7) });
    expect(new Patron('a', undefined, null, id(7))).toMatchObject({ crypto: true, patronId: id(7) });
    expect(new Patron('a', undefined, { crypto: false }, id(7))).toMatchObject({ crypto: false, patronId: id(7) });
    expect(new Patron('a', undefined, { patronId: id(8) }, id(7)).patronId).toBe(id(8));
    expect(new Patron('a', undefined, 'required').crypto).toBe('required');
    expect(new Patron('a', undefined, null).crypto).toBe(true);
    thrown(() => new Patron('a', undefined, 'false' as 'required'), 'OPTION_INVALID');
    thrown(() => new Patron('a', undefined, true, 'x'), 'ID_INVALID');
  });

  it.each(['', 'a..b', 'a b', 'a*', undefined, 7, Object.create(null)])('refuses the pattern %j', (topic) => {
    thrown(() => new Patron(topic as string), 'PATTERN_INVALID');
  });
  it.each(['', 'x', 7, {}])('refuses the id %j', (patronId) => {
    thrown(() => new Patron('a', undefined, { patronId: patronId as string }), 'ID_INVALID');
  });
  it.each(['yes', 1, null, {}])('refuses crypto: %j', (crypto) => {
    thrown(() => new Patron('a', undefined, { crypto: crypto as boolean }), 'OPTION_INVALID');
  });
  it.each(['f', 7, {}])('refuses the callback %j', (callback) => {
    thrown(() => new Patron('a', callback as unknown as () => void), 'OPTION_INVALID');
  });
});

describe('newBrewers()', () => {
  it('stores the configuration of all brewers before it starts any, as their data may come while another is started', () => {
    const { patron, brew, heard, drops } = patronKit();
    brew.onStart = ({ brewerId }) => {
      if (brewerId === id(1)) patron._handleCallback(id(3), rawFrame('t.3', id(3), 'early'));
      if (brewerId === id(2)) patron._handleCallback(id(1), rawFrame('t.1', id(1), 'after'));
    };
    patron.newBrewers([info(1), info(2), info(3)]);
    expect(heard).toEqual(['early', 'after']);
    patron.reset();
    expect(drops).toEqual([]);
  });

  it('delivers a last value that comes before startPatron() returns', () => {
    const { patron, brew, heard } = patronKit();
    brew.onStart = ({ receive, brewerId, topic }) => receive(rawFrame(topic, brewerId, 'last'), true);
    patron.newBrewers([info(1)]);
    expect(heard).toEqual(['last']);
  });

  it('marks a message as retained only if the brew says so', () => {
    const retained: boolean[] = [];
    const { patron, brew } = patronKit({ callback: (_, message) => void retained.push(message.retained) });
    brew.onStart = ({ receive, brewerId, topic }) => {
      receive(rawFrame(topic, brewerId, 'x'), true);
      receive(rawFrame(topic, brewerId, 'x'));
    };
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'x'));
    expect(retained).toEqual([true, false, false]);
  });

  it('passes topic, ids and details to the brew', () => {
    const { patron, brew } = patronKit();
    const details = { name: 'x', hostname: 'h', port: 1 };
    patron.newBrewers([info(1, { brew: details, brewer_id: dashed(id(1)) })]);
    expect(brew.started).toMatchObject([{ topic: 't.1', brewerId: id(1), patronId: patron.patronId, details }]);
    expect([...patron.brewers]).toEqual([[id(1), { topic: 't.1', brew: 'x' }]]);
  });

  it('stops a brewer that is matched already, then starts it with its new configuration', () => {
    const { patron, brew, heard, log } = patronKit();
    patron.newBrewers([info(1), info(2)]);
    patron.newBrewers([info(1, { topic: 'new', brewer_id: dashed(id(1)) })]);
    expect(brew.stopped).toEqual([id(1)]);
    expect(brew.started.map(({ topic }) => topic)).toEqual(['t.1', 't.2', 'new']);
    expect(log).toEqual(['+t.1', '+t.2', '-t.1', '+new']);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'old'));
    patron._handleCallback(id(1), rawFrame('new', id(1), 'new'));
    expect(heard).toEqual(['new']);
  });

  it('starts a brewer once that is listed twice, with its last configuration', () => {
    const { patron, brew } = patronKit();
    patron.newBrewers([info(1), info(1, { topic: 'second' })]);
    expect(brew.started.map(({ topic }) => topic)).toEqual(['second']);
    expect(patron.brewers.size).toBe(1);
  });

  it('reports a brewer over an unknown brew as an error, and starts the others', () => {
    const { patron, brew, heard, errors } = patronKit();
    patron.newBrewers([info(1), info(2, { brew: { name: 'nats' } }), info(3)]);
    expect(errors).toMatchObject([{ code: 'BREW_UNKNOWN', details: { topic: 't.2', brewerId: id(2), brew: 'nats' } }]);
    expect(brew.started.map(({ brewerId }) => brewerId)).toEqual([id(1), id(3)]);
    patron._handleCallback(id(3), rawFrame('t.3', id(3), 'goes on'));
    expect(heard).toEqual(['goes on']);
    expect([...patron.brewers.keys()]).toEqual([id(1), id(3)]);
    patron.removeBrewer(id(2));
    patron.reset();
    expect(errors.length).toBe(1);
  });

  const bad: [string, unknown][] = [
    ['KEY_INVALID', info(2, { brewer_config: { cipher: { mode: 2, key: '00' } } })],
    ['CIPHER_UNKNOWN', info(2, { brewer_config: { cipher: { mode: 'ROT13' } } })],
    ['ID_INVALID', info(2, { brewer_id: 'nobody' })],
    ['BREW_UNKNOWN', info(2, { brew: { name: '__proto__' } })],
    ['BREW_UNKNOWN', info(2, { brew: { name: 'constructor' } })],
    ['BREW_FAILED', null],
    ['BREW_UNKNOWN', info(2, { brew: undefined } as unknown as BrewerInfo)],
  ];
  it.each(bad)('reports %s for %j, and starts the others', (code, element) => {
    const { patron, errors, brew } = patronKit();
    patron.newBrewers([info(1), element as BrewerInfo, info(3)]);
    expect(errors.map((error) => error.code)).toEqual([code]);
    expect(brew.started.map(({ brewerId }) => brewerId)).toEqual([id(1), id(3)]);
  });

  it.each(bad.slice(0, 2))('names the brewer in the error %s', (_code, element) => {
    const { patron, errors } = patronKit();
    patron.newBrewers([element as BrewerInfo]);
    expect(errors).toMatchObject([{ details: { topic: 't.2', brewerId: id(2) } }]);
  });

  it('reports a brewer whose brew throws as an error, and starts the others', () => {
    const { patron, errors, brew } = patronKit();
    brew.onStart = ({ brewerId }) => {
      if (brewerId === id(1)) throw new Error('of the brew');
    };
    patron.newBrewers([info(1), info(2)]);
    expect(errors).toMatchObject([{ code: 'BREW_FAILED', cause: { message: 'of the brew' } }]);
    expect(brew.started.length).toBe(2);
  });

  it('does not match a brewer whose brew throws at the start', () => {
    const { patron, brew, log } = patronKit();
    brew.onStart = () => {
      throw new Error('of the brew');
    };
    patron.newBrewers([info(1)]);
    expect([patron.isMatched, [...patron.brewers]]).toEqual([false, []]);
    expect(log.at(-1)).toContain('-');
  });

  it('matches a brewer without a brew, whose frames are given to _handleCallback', () => {
    const heard: string[] = [];
    const patron = new Patron('a', (_, message) => heard.push(message.text()), null);
    patron.newBrewers([{ topic: 'a', brewer_id: id(1), brewer_config: {} } as BrewerInfo]);
    patron._handleCallback(id(1), rawFrame('a', id(1), 'x'));
    expect(heard).toEqual(['x']);
    expect([...patron.brewers]).toEqual([[id(1), { topic: 'a', brew: undefined }]]);
  });

  it('cannot keep reset() from ending when a listener calls it', () => {
    const { patron } = patronKit();
    let times = 0;
    patron.on('removed', () => ++times < 10 && patron.newBrewers([info(times + 1)]));
    patron.newBrewers([info(1)]);
    patron.reset();
    expect(times).toBe(1);
  });

  it('a frame of a brewer that does not seal has no sequence, whatever bytes are in its place', () => {
    const sequences: unknown[] = [];
    const { patron } = patronKit({ callback: (_, message) => void sequences.push(message.sequence) });
    patron.newBrewers([info(1)]);
    const frame = rawFrame('t.1', id(1), 'x');
    frame.set([1, 0, 0, 0], 50);
    frame.set([7], 62);
    for (let i = 0; i < 2; i++) patron._handleCallback(id(1), frame);
    expect([sequences, patron.dropped]).toEqual([[undefined, undefined], {}]);
  });

  it('works without a client, when frames are given to _handleCallback', () => {
    const heard: string[] = [];
    const patron = new Patron('a', (_, message) => heard.push(message.text()));
    patron.newBrewers([info(1, { brew: { name: 'anything' } })]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'x'));
    expect(heard).toEqual(['x']);
  });
});

describe('removeBrewer()', () => {
  it('stops the brew and the deliveries', () => {
    const { patron, brew, heard, log } = patronKit();
    patron.newBrewers([info(1)]);
    patron.removeBrewer(dashed(id(1)));
    patron.removeBrewer(id(1));
    expect(brew.stopped).toEqual([id(1)]);
    expect(log).toEqual(['+t.1', '-t.1']);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'x'));
    brew.started[0]!.receive(rawFrame('t.1', id(1), 'x'));
    expect(heard).toEqual([]);
    expect(patron.dropped).toEqual({ 'unknown-brewer': 2 });
  });

  it.each([id(2), '', 'x', '__proto__', undefined, 7])('does nothing for %j', (brewerId) => {
    const { patron, brew, errors } = patronKit();
    patron.newBrewers([info(1)]);
    patron.removeBrewer(brewerId as string);
    expect(patron.isMatched).toBe(true);
    expect([brew.stopped, errors]).toEqual([[], []]);
  });

  it('stops the brew also when the callback calls it while the brew starts', () => {
    const { patron, brew } = patronKit({ callback: (_, { brewerId }) => patron.removeBrewer(brewerId) });
    brew.onStart = ({ receive, brewerId, topic }) => receive(rawFrame(topic, brewerId, 'last'), true);
    patron.newBrewers([info(1), info(2)]);
    expect(brew.stopped).toEqual([id(1), id(2)]);
    expect(patron.isMatched).toBe(false);
  });

  it('reports an exception of the brew as an error, and removes the brewer', () => {
    const { patron, errors, brew } = patronKit();
    brew.startPatron = () => () => {
      throw new Error('of the brew');
    };
    patron.newBrewers([info(1)]);
    patron.removeBrewer(id(1));
    expect(patron.isMatched).toBe(false);
    expect(errors).toMatchObject([{ code: 'BREW_FAILED' }]);
  });

  it('delivers frames that are being opened before those of the same brewer’s next session', async () => {
    const engine = slowEngine();
    const { patron, heard } = patronKit({ engine });
    const old = sealing(1);
    patron.newBrewers([old.info]);
    patron._handleCallback(id(1), old.seal('of the old session'));
    patron.removeBrewer(id(1));
    patron.newBrewers([info(1)]); // the next session brews plaintext, which is opened at once
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'of the new session'));
    for (const answer of engine.waiting) answer();
    await settle();
    expect(heard).toEqual(['of the old session', 'of the new session']);
  });

  it('delivers frames that are being opened in this order also when another brewer is removed meanwhile', async () => {
    const engine = slowEngine();
    const { patron, heard } = patronKit({ engine });
    const old = sealing(1);
    patron.newBrewers([old.info, info(2)]);
    patron._handleCallback(id(1), old.seal('of the old session'));
    patron.removeBrewer(id(1));
    patron.removeBrewer(id(2));
    patron.newBrewers([info(1)]);
    patron._handleCallback(id(1), rawFrame('t.1', id(1), 'of the new session'));
    for (const answer of engine.waiting) answer();
    await settle();
    expect(heard).toEqual(['of the old session', 'of the new session']);
  });

  it('keeps no state of the brewer when its last frame is delivered, and a later reset() reports no drop', async () => {
    const engine = slowEngine();
    const { patron, brew, heard, drops } = patronKit({ engine });
    const queues = (): number => queryObjects(OrderedQueue, { format: 'count' });
    const before = queues();
    for (let n = 1; n <= 100; n++) {
      const brewer = sealing(n);
      patron.newBrewers([brewer.info]);
      patron._handleCallback(id(n), brewer.seal('x'));
      patron.removeBrewer(id(n));
      for (const answer of engine.waiting.splice(0)) answer();
      await settle();
      brew.started.length = 0; // the kit keeps a reference too
    }
    expect(heard.length).toBe(100);
    expect(queues() - before).toBeLessThan(10);
    patron.reset();
    expect(drops).toEqual([]);
  });

  it('in a listener of added keeps the brew from being started', () => {
    const { patron, brew } = patronKit();
    patron.on('added', ({ brewerId }) => patron.removeBrewer(brewerId));
    patron.newBrewers([info(1)]);
    expect([brew.started, patron.isMatched]).toEqual([[], false]);
  });
});

describe('reset()', () => {
  it('removes every brewer once, and does nothing when called again', () => {
    const { patron, brew, log } = patronKit();
    patron.newBrewers([info(1), info(2), info(3)]);
    patron.reset();
    patron.reset();
    expect(brew.stopped.sort()).toEqual([id(1), id(2), id(3)]);
    expect(log.filter((line) => line.startsWith('-')).length).toBe(3);
    expect(patron.isMatched).toBe(false);
  });

  it('drops later frames, and those that are being opened', async () => {
    const engine = slowEngine();
    const { patron, brew, heard, drops } = patronKit({ engine });
    const one = sealing(1);
    const two = sealing(2);
    patron.newBrewers([one.info, two.info]);
    for (const text of ['a', 'b']) patron._handleCallback(id(1), one.seal(text));
    patron._handleCallback(id(2), two.seal('c'));
    patron.removeBrewer(id(2)); // its frame that is being opened would still be delivered, but not after a reset
    patron.reset();
    for (const answer of engine.waiting) answer();
    patron._handleCallback(id(1), one.seal('d'));
    brew.started[0]!.receive(one.seal('e'));
    await settle();
    expect(heard).toEqual([]);
    patron.reset();
    const lost = drops.filter(({ reason }) => reason === 'reset').reduce((sum, { count }) => sum + count, 0);
    expect(lost).toBe(3);
    expect(patron.dropped).toEqual({ reset: 3, 'unknown-brewer': 2 });
  });

  it('in the callback of a message of a bundle drops the rest of the bundle', () => {
    const { patron, heard } = patronKit({ callback: () => patron.reset() });
    const brewer = sealing(1);
    patron.newBrewers([brewer.info]);
    patron._handleCallback(id(1), brewer.bundle('one', 'two', 'three'));
    expect(heard).toEqual(['one']);
  });

  it('leaves a patron that can be used again', () => {
    const { patron, brew, heard } = patronKit();
    patron.newBrewers([info(1)]);
    patron.reset();
    patron.configure();
    patron.newBrewers([info(1)]);
    brew.started[0]!.receive(rawFrame('t.1', id(1), 'of the former session'));
    brew.started[1]!.receive(rawFrame('t.1', id(1), 'x'));
    expect(heard).toEqual(['x']);
  });
});

describe('a message', () => {
  it('has topic, brewer, data, text, JSON and sequence', async () => {
    const messages: Message[] = [];
    const first = deferred<void>();
    const patron = new Patron('t.*', (data, message) => {
      expect(data).toBe(message.data);
      messages.push(message);
      first.resolve();
    });
    const brewer = sealing(1);
    patron.newBrewers([brewer.info, info(2)]);
    patron._handleCallback(id(1), brewer.seal('{"a":1}'));
    await first.promise;
    patron._handleCallback(id(2), rawFrame('t.2', id(2), 'no JSON'), true);
    expect(messages[0]).toMatchObject({ topic: 't.1', brewerId: id(1), retained: false, sequence: 0 });
    expect(messages[0]!.data).toEqual(bytes('{"a":1}'));
    expect(messages[0]!.json()).toEqual({ a: 1 });
    expect(messages[1]).toMatchObject({ topic: 't.2', brewerId: id(2), retained: true, sequence: undefined });
    expect(messages[1]!.text()).toBe('no JSON');
    expect(thrown(() => messages[1]!.json(), 'DATA_INVALID').details).toEqual({ topic: 't.2', brewerId: id(2) });
  });
});
