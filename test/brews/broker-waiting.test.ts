import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Line, LineOwner } from '../../src/brews/internal/broker-line.js';
import { BrokerLink } from '../../src/brews/internal/broker-link.js';
import { PubkeeperError } from '../../src/core/index.js';
import { deferred, rejected, settle, thrown } from '../helpers.js';
import { host } from './rig.js';

// What a client does with messages that its broker has not confirmed. Lines open, confirm and end when the test says so.

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const lost = (): PubkeeperError => new PubkeeperError('CONNECTION_LOST', 'x');

function made() {
  const rig = host();
  const said: string[] = [];
  const dials: { owner: LineOwner; open: ReturnType<typeof deferred<Line>> }[] = [];
  const taken: ReturnType<typeof deferred<void>>[] = [];
  const confirmed: ReturnType<typeof deferred<void>>[] = [];
  const link = new BrokerLink('test', { urls: ['own'], credentials: {} }, (_target, owner) => {
    const open = deferred<Line>();
    dials.push({ owner, open });
    return open.promise;
  }, rig.host);
  const line: Line = {
    publish(address, payload) {
      said.push(`${address} ${payload.length > 9 ? payload.length : Buffer.from(payload).toString()}`);
      taken.push(deferred());
      return taken.at(-1)!.promise;
    },
    subscribe(address) {
      said.push(`+${address}`);
      confirmed.push(deferred());
      return confirmed.at(-1)!.promise;
    },
    unsubscribe: (address) => void said.push(`-${address}`),
    close: () => (said.push('closed'), Promise.resolve()),
    check: () => void said.push('checked'),
    rest: () => (said.push('rested'), Promise.resolve()),
  };
  const open = async (): Promise<void> => (dials.at(-1)!.open.resolve(line), settle());
  /** The broker ends the line: messages that it had not confirmed are rejected. */
  const lose = async (meanwhile?: () => void): Promise<void> => {
    dials.at(-1)!.owner.ended(lost());
    meanwhile?.();
    for (const one of taken.splice(0)) one.reject(lost());
    await settle();
  };
  const redial = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(1000));
  return { ...rig, link, line, dials, taken, confirmed, open, lose, redial, take: () => said.splice(0) };
}

it('messages that a line had not confirmed at its end are sent before later ones, and at most 16 MiB wait', async () => {
  const { link, open, lose, redial, take, taken } = made();
  void link.publish('a', bytes('1'));
  await open();
  void link.publish('a', bytes('2'));
  expect(take()).toEqual(['a 1', 'a 2']);
  taken.shift()!.resolve();
  await settle();
  void link.publish('a', bytes('3'));
  await lose(() => void link.publish('a', bytes('4')));
  void link.publish('a', bytes('5'));
  await redial();
  await open();
  expect(take()).toEqual(['a 3', 'a 2', 'a 3', 'a 4', 'a 5']);
  void link.publish('a', new Uint8Array(16 * 1024 * 1024 - 5));
  void link.publish('a', bytes('6'));
  expect(thrown(() => link.publish('a', bytes('7')), 'BUFFER_FULL').details).toMatchObject({ limit: 16 * 1024 * 1024 });
  for (const one of taken.splice(0)) one.resolve();
  await settle();
  expect(() => void link.publish('a', new Uint8Array(17 * 1024 * 1024))).not.toThrow();
});

it('forget() gives up the messages that wait for an address, and no others', async () => {
  const { link, open, take } = made();
  const given = link.publish('a', bytes('1'));
  void link.publish('b', bytes('2'));
  link.forget('a');
  await given;
  await open();
  expect(take()).toEqual(['b 2']);
});

it('an unconfirmed message of a line that has ended counts once for the limit, even if the old line confirms it later', async () => {
  const { link, open, lose, dials, taken } = made();
  const half = new Uint8Array(8 * 1024 * 1024);
  await open();
  void link.publish('a', half);
  await lose();
  void link.publish('a', half);
  thrown(() => link.publish('a', bytes('1')), 'BUFFER_FULL');
  await vi.advanceTimersByTimeAsync(1000);
  await open();
  const [first] = taken.splice(0);
  dials.at(-1)!.owner.ended(lost());
  first!.resolve();
  await settle();
  void link.publish('a', half);
  void link.publish('a', half);
  thrown(() => link.publish('a', bytes('1')), 'BUFFER_FULL');
});

it('publish() rejects for a message that the next line refuses at once, and for one that is not confirmed when the link closes', async () => {
  const { link, line, open, taken } = made();
  const publish = line.publish.bind(line);
  line.publish = (address, payload, retain) => {
    if (payload.length > 1) throw new PubkeeperError('BREW_FAILED', 'too long');
    return publish(address, payload, retain);
  };
  const long = link.publish('a', bytes('long')) as Promise<void>;
  const short = link.publish('a', bytes('s')) as Promise<void>;
  await Promise.all([rejected(long, 'BREW_FAILED'), open()]);
  const closed = link.close();
  taken[0]!.reject(new Error('ended'));
  await Promise.all([rejected(short, 'BREW_FAILED'), closed]);
});

it('messages that were given up make room for as many again', async () => {
  const { link } = made();
  for (let i = 0; i < 3; i++) {
    void link.publish('a', new Uint8Array(16 * 1024 * 1024 - 1));
    void link.publish('a', bytes('1'));
    thrown(() => link.publish('b', bytes('2')), 'BUFFER_FULL');
    link.forget('a');
  }
  await link.close();
});

it('addresses are subscribed on each line; listeners that have left, and lines that have ended, cause no callback or error', async () => {
  const { link, open, lose, redial, take, dials, confirmed, errors } = made();
  const heard: string[] = [];
  const listener = (name: string) => ({ message: (payload: Uint8Array) => void heard.push(`${name} ${Buffer.from(payload).toString()}`), confirmed: () => void heard.push(`${name} there`), lost: () => void heard.push(`${name} lost`) });
  link.listen('a', listener('one'));
  await open();
  link.listen('b', listener('two'));
  const stop = link.listen('c', listener('three'));
  const stopFour = link.listen('c', listener('four'));
  stop();
  link.listen('d', listener('five'))();
  expect(take()).toEqual(['+a', '+b', '+c', '+c', '+d', '-d']);
  confirmed[0]!.resolve();
  confirmed[2]!.resolve();
  confirmed[3]!.reject(new Error('no'));
  confirmed[4]!.reject(new Error('no'));
  await settle();
  expect([heard.splice(0), errors.splice(0).map(({ code }) => code)]).toEqual([['one there'], ['BREW_FAILED']]);
  stopFour();
  expect(take()).toEqual(['-c']);
  dials[0]!.owner.message('a', bytes('x'), false);
  dials[0]!.owner.message('c', bytes('x'), false);
  expect(heard.splice(0)).toEqual(['one x']);
  await lose();
  confirmed[1]!.resolve();
  await settle();
  expect(heard.splice(0)).toEqual(['one lost', 'two lost']);
  await redial();
  await open();
  expect(take()).toEqual(['+a', '+b']);
});

it('each outage is reported once; its pairs are told after half a second that the broker is down, and then that it is up', async () => {
  const { link, open, lose, redial, dials, errors, states } = made();
  link.use({ brewerId: 'b' });
  await open();
  await lose();
  await redial();
  dials.at(-1)!.open.reject(new PubkeeperError('CONNECT_FAILED', 'x'));
  await redial();
  expect([errors.splice(0).map(({ code }) => code), states.splice(0).map(({ up }) => up)]).toEqual([['CONNECTION_LOST'], [false]]);
  await open();
  expect(states.splice(0).map(({ up }) => up)).toEqual([true]);
  await lose();
  expect([errors.map(({ code }) => code), states]).toEqual([['CONNECTION_LOST'], []]);
});

it('a broker that is back, and says why it refuses the client, is reported once more for each reason, and for all in the next outage', async () => {
  const { open, lose, redial, dials, errors } = made();
  const refuse = async (says?: string): Promise<void> => {
    dials.at(-1)!.open.reject(new PubkeeperError('CONNECT_FAILED', says ?? 'x', says ? { says } : {}));
    await redial();
  };
  await open();
  const all = ['full', 'full', undefined, 'full', 'closed for today', 'closed for today'];
  for (let outage = 0; outage < 2; outage++) {
    await lose();
    await redial();
    for (const says of [undefined, ...all]) await refuse(says);
    expect(errors.splice(0).map(({ message }) => message)).toEqual(['x', 'full', 'closed for today']);
    await open();
  }
});

it('a broker that was never reached is reported as down at once', async () => {
  const { link, dials, states } = made();
  link.use({ brewerId: 'b' });
  dials[0]!.open.reject(new PubkeeperError('CONNECT_FAILED', 'x'));
  await settle();
  expect(states.map(({ up }) => up)).toEqual([false]);
});

it('a line that ends before the dial resolves is not used: the loss is reported, and the broker is dialled again', async () => {
  const { link, open, redial, take, dials, errors } = made();
  void link.publish('a', bytes('1'));
  dials[0]!.owner.ended(lost());
  await open();
  expect([take(), errors.map(({ code }) => code)]).toEqual([[], ['CONNECTION_LOST']]);
  await redial();
  expect(dials).toHaveLength(2);
  await open();
  expect(take()).toEqual(['a 1']);
});

it('a message over which the broker ends three lines in a row is given up, and the next one is sent', async () => {
  const { link, open, lose, redial, take, taken } = made();
  await open();
  const before = link.publish('a', bytes('before'));
  taken.shift()!.resolve();
  await before;
  take();
  const outcome = Promise.resolve(link.publish('a', bytes('bad'))).then(() => 'taken', (error: PubkeeperError) => error.code);
  const behind = Promise.resolve(link.publish('a', bytes('good'))).then(() => 'taken');
  for (let line = 1; line <= 3; line++) {
    expect(take()).toEqual(['a bad', 'a good']);
    await lose();
    await redial();
    await open();
  }
  expect([await outcome, take()]).toEqual(['BREW_FAILED', ['a good']]);
  taken[0]!.resolve();
  expect(await behind).toBe('taken');
});

it('a link dials at once when it is woken, and closes a line that opens after the link was closed', async () => {
  const { link, open, lose, redial, take, dials } = made();
  await open();
  link.wake();
  expect(dials).toHaveLength(1);
  await lose();
  link.wake();
  expect(dials).toHaveLength(2);
  await redial();
  expect(dials).toHaveLength(2);
  await open();
  link.wake();
  expect(dials).toHaveLength(2);
  await lose();
  await redial();
  link.listen('a', { message: () => undefined });
  await link.close();
  await open();
  expect(take()).toEqual(['checked', 'checked', 'closed']);
  expect(thrown(() => link.publish('a', bytes('1')), 'CONNECTION_CLOSED')).toBeDefined();
});

it('a link that is closed while its broker is down rejects what waits, dials no more, and reports no state any more', async () => {
  const { link, open, lose, redial, dials, states, errors } = made();
  link.use({ brewerId: 'b' });
  await open();
  await lose();
  const waiting = link.publish('a', bytes('1')) as Promise<void>;
  await Promise.all([rejected(waiting, 'CONNECTION_CLOSED'), link.close()]);
  await redial();
  expect([dials.length, states, errors.map(({ code }) => code)]).toEqual([1, [], ['CONNECTION_LOST']]);
});

it('a link that is closed before its dial fails reports nothing, and dials no more', async () => {
  const { link, redial, dials, errors, states } = made();
  link.use({ brewerId: 'b' });
  expect(dials[0]!.owner.gone.aborted).toBe(false);
  await link.close();
  expect(dials[0]!.owner.gone.aborted).toBe(true);
  dials[0]!.open.reject(new PubkeeperError('CONNECT_FAILED', 'x'));
  await redial();
  expect([dials.length, errors, states]).toEqual([1, [], []]);
});

it('a link waits longer after each failed dial, and as briefly as at first after a line that lasted 5 s', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const { link, open, lose, dials } = made();
  /** How long the link waits before it dials, in ms. */
  const waits = async (): Promise<number> => {
    const before = dials.length;
    let ms = 0;
    for (; dials.length === before && ms < 1000; ms += 10) await vi.advanceTimersByTimeAsync(10);
    return ms;
  };
  const fail = async (): Promise<void> => (dials.at(-1)!.open.reject(lost()), settle());
  const all: number[] = [];
  for (let i = 0; i < 3; i++) {
    await fail();
    all.push(await waits());
  }
  for (const lasts of [4999, 5000]) {
    await open();
    await vi.advanceTimersByTimeAsync(lasts);
    await lose();
    all.push(await waits());
  }
  expect(all).toEqual([20, 40, 80, 100, 20]);
  await link.close();
});

it('close() of a link waits until its line is closed, which may still send, and leaves no timer that keeps a process alive', async () => {
  const { link, line, open } = made();
  await open();
  const closing = deferred<void>();
  line.close = () => closing.promise;
  let isClosed = false;
  const closed = link.close().then(() => (isClosed = true));
  await settle();
  expect(isClosed).toBe(false);
  closing.resolve();
  await closed;
  expect(vi.getTimerCount()).toBe(0);
});

it('a link that rests closes its line without a report, dials no more, and sends in order after the rest what waits, and what was not confirmed', async () => {
  const { link, open, dials, take, taken, errors, states, redial } = made();
  link.use({ brewerId: 'b' });
  let losses = 0;
  link.listen('x', { message: () => undefined, lost: () => losses++ });
  await open();
  void link.publish('a', bytes('1'));
  const unconfirmed = Promise.resolve(link.publish('a', bytes('2'))).then(() => 'taken');
  taken.shift()!.resolve();
  await settle();
  link.rest();
  link.rest();
  void link.publish('a', bytes('3'));
  taken.shift()!.reject(lost());
  await redial();
  expect([take(), dials.length, losses]).toEqual([['+x', 'a 1', 'a 2', 'rested'], 1, 1]);
  link.wake();
  link.wake();
  await settle();
  expect(dials).toHaveLength(2);
  await open();
  expect(take()).toEqual(['+x', 'a 2', 'a 3']);
  for (const one of taken.splice(0)) one.resolve();
  expect([await unconfirmed, errors, states]).toEqual(['taken', [], []]);
});

it('a link that rests does not count what its line had not sent against a message', async () => {
  const { link, open, take, taken } = made();
  const outcome = Promise.resolve(link.publish('a', bytes('1'))).then(() => 'taken', (error: PubkeeperError) => error.code);
  for (let i = 0; i < 4; i++) {
    await open();
    link.rest();
    taken.pop()!.reject(lost());
    await settle();
    link.wake();
    await settle();
  }
  await open();
  taken.pop()!.resolve();
  expect(await outcome).toBe('taken');
  expect(take()).toHaveLength(9);
});

it('a link that rests gives up its dial: a failure is not reported, a line that opens all the same is closed, and the rest ends with a new dial', async () => {
  const { link, dials, take, errors, states, redial, line } = made();
  link.use({ brewerId: 'b' });
  link.rest();
  expect(dials[0]!.owner.gone.aborted).toBe(true);
  link.wake();
  link.rest();
  dials[0]!.open.reject(new PubkeeperError('CONNECT_FAILED', 'x'));
  dials[1]!.open.resolve(line);
  await redial();
  expect([take(), errors, states, dials.length]).toEqual([['closed'], [], [], 2]);
  link.wake();
  dials[2]!.open.resolve(line);
  void link.publish('a', bytes('1'));
  await settle();
  expect(take()).toEqual(['a 1']);
});

it('a loss right before a rest is not reported as a broker that is down, and one after it is', async () => {
  const { link, open, lose, states, redial, dials } = made();
  link.use({ brewerId: 'b' });
  await open();
  await lose();
  link.rest();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states).toEqual([]);
  link.wake();
  dials.at(-1)!.open.reject(lost());
  await redial();
  expect(states.map(({ up }) => up)).toEqual([false]);
});

it('a link that waits for its line to end before it dials again is closed by close(), and dials no more', async () => {
  const { link, line, open, dials } = made();
  const ending = deferred<void>();
  line.rest = () => ending.promise;
  await open();
  link.rest();
  link.wake();
  await settle();
  expect(dials).toHaveLength(1);
  const closed = link.close();
  ending.resolve();
  await closed;
  await settle();
  expect(dials).toHaveLength(1);
});
