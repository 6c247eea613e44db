import { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Rota } from '../../src/server/rota.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

const turn = () => new Promise(setImmediate);

/** Connections of a rota; received data takes as many ms of work as it has bytes. */
function kit(count: number) {
  const rota = new Rota();
  const all = Array.from({ length: count }, () => {
    const [socket, tcp] = [{ isPaused: false }, new Socket()];
    tcp.on('data', ({ length }) => void vi.advanceTimersByTime(length));
    rota.watch(socket as WebSocket, tcp);
    tcp.resume();
    return { socket, tcp, comes: (ms: number) => tcp.emit('data', Buffer.alloc(ms)) };
  });
  return { all, paused: () => all.map(({ tcp }) => tcp.isPaused()) };
}

it('a connection that causes little work is never paused; one that causes much is paused after each 20 ms until others were read', async () => {
  const { all, paused } = kit(2);
  const [one, two] = all as [(typeof all)[0], (typeof all)[0]];
  for (let round = 0; round < 2; round++) {
    two.comes(1);
    one.comes(10);
    vi.advanceTimersByTime(1000); // time without work for this connection
    one.comes(9);
    expect(paused()).toEqual([false, false]);
    one.comes(1);
    expect(paused()).toEqual([true, false]);
    await turn();
    expect(paused()).toEqual([false, false]);
  }
});

it('paused connections are read one at a time, in order, and all others in between', async () => {
  const { all, paused } = kit(4);
  for (const { comes } of all.slice(0, 3)) comes(25);
  expect(paused()).toEqual([true, true, true, false]);
  await turn();
  expect(paused()).toEqual([false, true, true, false]);
  all[0]!.comes(20);
  await turn();
  expect(paused()).toEqual([true, false, true, false]);
  await turn();
  expect(paused()).toEqual([true, false, false, false]);
  await turn();
  expect(paused()).toEqual([false, false, false, false]);
});

it('a connection whose WebSocket is paused is not resumed by its turn', async () => {
  const { all, paused } = kit(2);
  for (const { comes } of all) comes(20);
  all[0]!.socket.isPaused = true;
  await turn();
  await turn();
  expect(paused()).toEqual([true, false]);
});
