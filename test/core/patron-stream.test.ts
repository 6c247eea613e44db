import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/core/message.js';
import { Patron } from '../../src/core/patron.js';
import { id, rawFrame, settle } from '../helpers.js';
import { info, patronKit } from './patron-kit.js';

const send = (patron: Patron, ...texts: (string | number)[]): void => {
  for (const text of texts) patron._handleCallback(id(1), rawFrame('t.1', id(1), String(text)));
};
const kit = () => {
  const made = patronKit();
  made.patron.newBrewers([info(1)]);
  return made;
};

/** Reads `patron` until its iteration ends or `last` was read. */
async function collect(patron: Patron, last?: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of patron) {
    texts.push(message.text());
    if (message.text() === last) break;
  }
  return texts;
}

describe('message.text()', () => {
  it('returns the text that was brewed with its byte order mark, which json() skips', () => {
    const seen: unknown[] = [];
    const { patron } = patronKit({ callback: (_, message) => void seen.push(message.text(), message.json()) });
    patron.newBrewers([info(1)]);
    send(patron, '\uFEFF{"a":1}');
    expect(seen).toEqual(['\uFEFF{"a":1}', { a: 1 }]);
  });
});

describe('for await (const message of patron)', () => {
  it('yields the messages in order, besides the callback', async () => {
    const { patron, heard } = kit();
    const reading = collect(patron, '4');
    send(patron, 1, 2);
    await settle();
    send(patron, 3, 4, 5);
    expect(await reading).toEqual(['1', '2', '3', '4']);
    expect(heard).toEqual(['1', '2', '3', '4', '5']);
  });

  it('yields the same messages that the callback gets', async () => {
    const { patron } = kit();
    const stream = patron[Symbol.asyncIterator]();
    send(patron, 'x');
    const { value, done } = await stream.next();
    expect(done).toBe(false);
    expect(value).toMatchObject({ topic: 't.1', brewerId: id(1), retained: false });
    expect((value as Message).text()).toBe('x');
  });

  it('works without a callback, and when the callback throws', async () => {
    const patron = new Patron('**');
    patron.newBrewers([info(1)]);
    const reading = collect(patron, 'x');
    send(patron, 'x');
    expect(await reading).toEqual(['x']);
    const failing = patronKit({ callback: () => { throw new Error('thrown'); } }).patron;
    failing.newBrewers([info(1)]);
    const second = collect(failing, 'y');
    send(failing, 'x', 'y');
    expect(await second).toEqual(['x', 'y']);
  });

  it('gives two loops every message each', async () => {
    const { patron } = kit();
    const loops = [collect(patron, '3'), collect(patron, '2')];
    send(patron, 1, 2, 3);
    expect(await Promise.all(loops)).toEqual([['1', '2', '3'], ['1', '2']]);
  });

  it('yields a message before another one that its callback causes', async () => {
    const { patron } = patronKit({ callback: (_, message) => void (message.text() === 'a' && send(patron, 'b')) });
    patron.newBrewers([info(1)]);
    const reading = collect(patron, 'b');
    send(patron, 'a');
    expect(await reading).toEqual(['a', 'b']);
  });

  it('keeps 1,024 messages, and drops the oldest beyond these, counted and reported as overflow', async () => {
    const { patron, drops } = kit();
    const slow = patron[Symbol.asyncIterator]();
    send(patron, ...Array.from({ length: 1500 }, (_, index) => index));
    expect(patron.dropped).toEqual({ overflow: 476 });
    const first = (await slow.next()).value as Message;
    expect(first.text()).toBe('476');
    patron.reset();
    expect(drops).toEqual([{ reason: 'overflow', count: 476, brewerId: undefined }]);
    const rest: string[] = [];
    for await (const message of slow) rest.push(message.text());
    expect(rest.length).toBe(1023);
    expect(rest.at(-1)).toBe('1499');
  });

  it('ends at reset(), after the messages that were delivered before', async () => {
    const { patron } = kit();
    const waiting = collect(patron);
    const behind = patron[Symbol.asyncIterator]();
    send(patron, 1, 2);
    patron.reset();
    expect(await waiting).toEqual(['1', '2']);
    expect([(await behind.next()).done, (await behind.next()).done, (await behind.next()).done]).toEqual([false, false, true]);
    patron.newBrewers([info(1)]);
    send(patron, 3);
    expect((await behind.next()).done).toBe(true);
    const again = collect(patron, '4');
    send(patron, 4);
    expect(await again).toEqual(['4']);
  });

  it('keeps no messages after a break or a throw out of the loop', async () => {
    const { patron } = kit();
    const breaking = collect(patron, '1');
    const throwing = (async () => {
      for await (const message of patron) throw new Error(message.text());
    })();
    throwing.catch(() => undefined);
    send(patron, 1);
    await breaking;
    await expect(throwing).rejects.toThrow('1');
    send(patron, ...Array.from({ length: 3000 }, () => 'x'));
    expect(patron.dropped).toEqual({});
  });

  it('keeps no reference to a loop that has ended', async () => {
    const { patron } = kit();
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const over = await (async () => {
      const stream = patron[Symbol.asyncIterator]();
      await stream.return!();
      return new WeakRef(stream);
    })();
    await settle();
    collectGarbage();
    expect(over.deref()).toBeUndefined();
  });

  it('return() ends pending and later reads', async () => {
    const { patron } = kit();
    const stream = patron[Symbol.asyncIterator]();
    const reads = [stream.next(), stream.next()];
    expect(await stream.return!()).toEqual({ value: undefined, done: true });
    expect(await Promise.all(reads)).toEqual([{ value: undefined, done: true }, { value: undefined, done: true }]);
    send(patron, 1);
    expect((await stream.next()).done).toBe(true);
  });

  it('return() discards what has not been read', async () => {
    const { patron } = kit();
    const stream = patron[Symbol.asyncIterator]();
    send(patron, 1, 2);
    const end = { value: undefined, done: true };
    expect([await stream.return!(), await stream.next()]).toEqual([end, end]);
    expect(patron.dropped).toEqual({});
  });

  it('answers several pending reads in order', async () => {
    const { patron } = kit();
    const stream = patron[Symbol.asyncIterator]();
    const reads = [stream.next(), stream.next(), stream.next()];
    send(patron, 1, 2, 3);
    expect((await Promise.all(reads)).map(({ value }) => (value as Message).text())).toEqual(['1', '2', '3']);
  });

  it('does not yield messages from before it began', async () => {
    const { patron } = kit();
    send(patron, 1);
    const reading = collect(patron, '2');
    send(patron, 2);
    expect(await reading).toEqual(['2']);
  });
});
