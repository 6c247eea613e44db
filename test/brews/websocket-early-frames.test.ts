import { describe, expect, it, vi } from 'vitest';
import { fakeTime, pass } from '../core/fake-time.js';
import { kit, record, RELAY_2 } from './websocket-kit.js';

// A relay sends what others publish to all who have joined a topic, also before the server has told of their pair. Relays are sockets of this process.

fakeTime();

describe('frames of a brewer that the server has not told of yet', () => {
  const joined = () => {
    const made = kit();
    made.read(1);
    made.network.last.open(RELAY_2);
    return made;
  };

  it('are delivered once to each of its patrons when the server tells of it, and are not counted as dropped', async () => {
    const { network, dropped, read } = joined();
    network.last.deliver(record(2, 'hello'));
    network.last.deliver(record(2, 'world'));
    const { texts } = read(2);
    network.last.deliver(record(2, 'live'));
    const other = read(2, 'one', {}, 8);
    await pass(2000);
    expect([texts, other.texts, dropped]).toEqual([['hello', 'world', 'live'], ['hello retained', 'world retained', 'live retained'], []]);
  });

  it('do not include those that this client has published itself', async () => {
    const { network, dropped, start, read, say } = kit();
    start();
    network.last.open(RELAY_2);
    void say('x');
    expect(read().texts).toEqual([]);
    await pass(2000);
    expect(dropped).toEqual([]);
  });

  it('are not delivered twice when the relay repeats the last one after a join with a ticket', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    const { texts } = read(2, 'one', { ticket: 'ab' });
    network.last.deliver(record(2, 'hello', true));
    network.last.deliver(record(2, 'hello'));
    expect(texts).toEqual(['hello', 'hello']);
  });

  it('are delivered once, as last values, to a patron that stops and starts again', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    read(2).stop();
    const { texts } = read(2, 'one', { ticket: 'ab' });
    network.last.deliver(record(2, 'hello', true));
    expect(texts).toEqual(['hello retained']);
  });

  it.each([true, false])('are delivered once when the relay repeats the last one after the topic was left and joined again (retained at first: %s)', (retained) => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello', retained));
    network.last.deliver(record(2, 'hello', true));
    network.last.deliver(record(2, 'hello'));
    expect(read(2).texts).toEqual([retained ? 'hello retained' : 'hello', 'hello']);
  });

  it('are not delivered to a patron that stops and starts again after it got a newer one', () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'hello'));
    const { stop } = read(2);
    network.last.deliver(record(2, 'newer'));
    stop();
    expect(read(2).texts).toEqual([]);
  });

  it('are delivered as last values if the relay had kept them, while anybody reads that brewer', async () => {
    const { network, read } = joined();
    network.last.deliver(record(2, 'kept', true));
    expect([read(2).texts, read(2, 'one', {}, 8).texts]).toEqual([['kept retained'], ['kept retained']]);
    await pass(1000);
    expect(read(2).texts).toEqual(['kept retained']);
  });

  it('are dropped after a second, and not delivered to patrons of another brewer', async () => {
    const { network, dropped, read } = joined();
    network.last.deliver(record(2, 'hello'));
    expect(read(3).texts).toEqual([]);
    await pass(999);
    expect(dropped).toEqual([]);
    await pass(1);
    expect([dropped, read(2).texts]).toEqual([['unknown-brewer'], []]);
    expect(vi.getTimerCount()).toBe(1); // the timer after which a connection counts as stable
  });

  it('are dropped with their connection, and leave no timer behind', async () => {
    const { network, dropped, brew } = joined();
    network.last.deliver(record(2, 'hello'));
    await brew.close();
    expect([dropped, vi.getTimerCount()]).toEqual([['unknown-brewer'], 0]);
  });

  it('are limited in number and size: the oldest is dropped first', () => {
    const { network, dropped, read } = joined();
    for (let i = 0; i < 100; i++) network.last.deliver(record(2, String(i)));
    const { texts } = read(2);
    expect([texts.length, texts.at(-1), dropped.length]).toEqual([63, '99', 37]);
    for (let i = 0; i < 5; i++) network.last.deliver(record(3, String(i).repeat(1024 * 1024)));
    expect(read(3).texts.map((text) => text[0])).toEqual(['2', '3', '4']);
  });
});
