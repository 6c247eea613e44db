import { describe, expect, it } from 'vitest';
import { fakeTime, pass } from '../core/fake-time.js';
import { id, rawFrame, rejected } from '../helpers.js';
import { kit, packets, published, RELAY_2, TOPIC } from './websocket-kit.js';

// Pairs of the WebSocket brew that end and begin while its relay is away. Relays are sockets of this process.

fakeTime();

describe('a brewer whose pair ends and begins again at once', () => {
  it('sends new messages after those that it holds', async () => {
    const { network, host, start, say } = kit();
    const stop = start();
    network.last.open(RELAY_2);
    host.losses = 1;
    network.last.end();
    await pass(600);
    network.last.open(RELAY_2);
    void say('1');
    void say('2');
    stop();
    start();
    void say('3');
    await pass(0);
    expect(published(network.last)).toEqual(['1', '2', '3']);
  });

  it.each([1, 2])('on another relay, sends there the messages that it holds, and then new ones (%d patrons)', async (patrons) => {
    const { network, host, brew, start, read, say } = kit();
    const stops = Array.from({ length: patrons }, (_, i) => start(i));
    read(5); // keeps the connection
    const first = network.last;
    first.open(RELAY_2);
    first.end();
    const held = say('held') as Promise<void>;
    Object.assign(host, { server: 'ws://two/ws', losses: 1 });
    stops.forEach((stop, i) => (stop(), start(i)));
    const next = say('next') as Promise<void>;
    await pass(600);
    for (const socket of network.sockets) if (!socket.readyState) socket.open(RELAY_2);
    await Promise.all([held, next]);
    await brew.close();
    const texts = (host: string): string[] => published(network.sockets.filter((socket) => socket.url.includes(host)).at(-1)!);
    expect([texts('one'), texts('two')]).toEqual([[], ['held', 'next']]);
  });

  it('sends nothing when it has no pair any more', async () => {
    const { network, start, say } = kit();
    const stop = start();
    network.last.open(RELAY_2);
    stop();
    expect(say('x')).toBeUndefined();
    await pass(0);
    expect(published(network.last)).toEqual([]);
  });
});

it('messages that a removed brewer brewed before the relay was connected are sent once, after the ticket that the relay asks for', async () => {
  const { network, start, read, say } = kit();
  read(5); // keeps the connection
  const stop = start(2, { ticket: 'abcd' });
  const held = say('held') as Promise<void>;
  stop();
  await pass(0);
  network.last.open(RELAY_2);
  await held;
  await pass(0);
  expect(packets(network.last).map(({ type, payload }) => (type === 4 ? payload.toString('hex') : type))).toEqual(['abcd', 0, 2]);
  network.last.end();
  await pass(600);
  network.last.open(RELAY_2);
  await pass(0);
  expect(packets(network.last).map(({ type }) => type)).toEqual([0]);
});

it.each(['another pair', 'a known pair'])('messages that wait until the server tells of %s are sent after the ticket that comes with it, which the relay asks for', async (which) => {
  const { network, host, brew, start, say } = kit();
  start(2, { ticket: 'ab' });
  network.last.open(RELAY_2);
  host.losses = 1;
  network.last.end();
  await pass(600);
  network.last.open(RELAY_2);
  void say('held');
  if (which === 'another pair') start(3, { ticket: 'cd' });
  else brew.renew({ topic: TOPIC, brewerId: id(1), details: { name: 'websocket', ticket: 'cd' } }, true);
  await pass(0);
  expect(packets(network.last).map(({ type, payload }) => (type === 4 ? payload.toString('hex') : type))).toEqual(['ab', 'cd', 2]);
});

it('tickets are sent on each connection to the relay, and new ones at once', async () => {
  const { network, brew, start, read } = kit();
  start(2, { ticket: 'ab' });
  read(5, 'one', { ticket: 'cd' });
  const shown = (): string[] => packets(network.last).map(({ type, payload }) => `${type} ${payload.toString('hex')}`);
  for (let connection = 1; connection <= 3; connection++) {
    network.last.open(RELAY_2);
    await pass(0);
    expect(shown()).toEqual(['4 ab', '0 cd']);
    network.last.end();
    await pass(1000);
  }
  network.last.open(RELAY_2);
  brew.renew({ topic: TOPIC, brewerId: id(5), details: { name: 'websocket', hostname: 'one', port: 80, ticket: 'ef' } }, false);
  await pass(0);
  expect(shown()).toEqual(['4 ab', '0 cd', '0 ef']);
});

it('no ticket is sent for a removed brewer of which no message waits for the connection', async () => {
  const { network, start, read } = kit();
  read(5); // keeps the connection
  start(2, { ticket: 'abcd' })();
  await pass(0);
  network.last.open(RELAY_2);
  await pass(0);
  expect(packets(network.last).map(({ type }) => type)).toEqual([0]);
});

it('brew() rejects when the callback of a patron of the same client closes the brew', async () => {
  const { network, brew, start, say } = kit();
  start();
  network.last.open(RELAY_2);
  network.last.end();
  const receive = (): void => void brew.close();
  brew.startPatron({ topic: TOPIC, brewerId: id(1), patronId: id(3), details: { name: 'websocket', hostname: 'one', port: 80 }, receive });
  await rejected((async () => say('x'))(), 'BREW_FAILED');
});

describe('a brewer that has moved from this client to another, over a relay that does not mark last values', () => {
  const own = () => {
    const made = kit();
    const one = made.read();
    const other = made.read();
    const stop = made.start();
    made.network.last.open('pubkeeper-1.0.0');
    void made.say('here');
    const deliver = (text: string): void => made.network.last.deliver(rawFrame(TOPIC, id(1), text));
    return { ...made, one, other, stop, deliver };
  };

  it('reaches patrons that are stopped and started again one after the other', async () => {
    const { one, other, stop, read, deliver } = own();
    stop();
    one.stop();
    const again = read();
    other.stop();
    await pass(0);
    deliver('there');
    expect([one.texts, other.texts, again.texts]).toEqual([['here'], ['here'], ['here retained', 'there']]);
  });

  it('is back here, and an older last value that the relay sends of it is ignored', async () => {
    const { one, stop, start, say, deliver } = own();
    stop();
    start();
    deliver('before');
    void say('again');
    deliver('before');
    expect(one.texts).toEqual(['here', 'again']);
  });
});
