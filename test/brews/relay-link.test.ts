// A connection to a relay loses no message, and leaves no timer behind. The relay is a socket of this process.
import { expect, it, vi } from 'vitest';
import { fakeTime, pass } from '../core/fake-time.js';
import { kit, published, RELAY_2 } from './websocket-kit.js';

fakeTime();
const FULL = 2 * 1024 * 1024;
/** The longest wait before the brew dials again, in ms. */
const DELAY = 1000;

it('messages that wait until the server tells of their pairs are sent when those pairs have ended', async () => {
  const { network, host, start, watched } = kit();
  const stop = start();
  network.last.open(RELAY_2);
  host.losses = 1;
  network.last.end();
  await pass(DELAY);
  network.last.open(RELAY_2);
  const isAccepted = watched('held');
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([false, []]);
  stop();
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([true, ['held']]);
});

it('messages brewed right after the match are sent once the relay is connected, also if control is lost before that', async () => {
  const { network, host, start, watched } = kit();
  start();
  const isAccepted = watched('first');
  host.losses = 1;
  network.last.open(RELAY_2);
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([true, ['first']]);
});

it('if a dial failed and control was lost, messages wait until the server tells of their pairs, as the relay may be a new one', async () => {
  const { network, host, start, watched } = kit();
  start();
  const isAccepted = watched('held');
  network.last.end();
  host.losses = 1;
  await pass(DELAY);
  network.last.open(RELAY_2);
  await pass(0);
  expect([isAccepted(), published(network.last)]).toEqual([false, []]);
});

it.each(['rest', 'close'] as const)('messages brewed in the same tick are sent before a %s()', async (how) => {
  const { network, brew, start, watched } = kit();
  start();
  network.last.open(RELAY_2);
  watched('x');
  watched('y');
  void brew[how]();
  await pass(0);
  expect(published(network.sockets[0]!)).toEqual(['x', 'y']);
});

it('brew() waits each time that the socket is full', async () => {
  const { network, start, watched } = kit();
  start();
  const socket = network.last;
  socket.open(RELAY_2);
  for (let time = 0; time < 2; time++) {
    socket.bufferedAmount = FULL;
    const isAccepted = watched('x');
    await pass(20);
    expect(isAccepted()).toBe(false);
    socket.bufferedAmount = 0;
    await pass(5);
    expect(isAccepted()).toBe(true);
  }
});

it('a brew that is closed while its socket is full and no longer used leaves no timer behind', async () => {
  const { network, brew, start, watched } = kit();
  const stop = start();
  network.last.open(RELAY_2);
  network.last.bufferedAmount = FULL;
  watched('x');
  stop();
  await pass(0);
  await brew.close();
  await pass(0);
  expect(vi.getTimerCount()).toBe(0);
});

it('a relay that shuts down is reported only while in use, a lost connection always, and a close by this client never', async () => {
  const { network, errors, brew, start } = kit();
  const codes = (): string[] => errors.splice(0).map(({ code }) => code);
  const stop = start();
  network.last.open(RELAY_2);
  network.last.end(1001);
  await pass(DELAY);
  network.last.end();
  expect(codes()).toEqual(['CONNECTION_LOST']);
  await pass(DELAY);
  network.last.open(RELAY_2);
  stop();
  await pass(0);
  network.last.end(1001);
  expect(codes()).toEqual([]);
  await pass(DELAY);
  network.last.open(RELAY_2);
  network.last.end();
  expect(codes()).toEqual(['CONNECTION_LOST']);
  await pass(DELAY);
  network.last.open(RELAY_2);
  await brew.close();
  expect(codes()).toEqual([]);
});
