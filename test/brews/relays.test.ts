import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Relays } from '../../src/brews/internal/relays.js';
import type { WebSocketConstructor } from '../../src/core/connection.js';

// Which relays are up, seen by sockets that the test opens and closes.

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

const URL = 'ws://relay:1';

class Socket extends EventTarget {
  readyState = 0;

  open(): void {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }

  close(): void {
    this.readyState = 3;
    this.dispatchEvent(new Event('close'));
  }
}

function made() {
  const told: string[] = [];
  const relays = new Relays(Socket as unknown as WebSocketConstructor, (up, { brewerId }) => void told.push(`${brewerId} ${up ? 'up' : 'down'}`));
  const dial = (url = URL): Socket => new relays.WebSocket(url) as unknown as Socket;
  const wait = (): string[] => (vi.advanceTimersByTime(500), told.splice(0));
  return { relays, dial, wait, told: () => told.splice(0) };
}

it('a relay is reported as down half a second after its connection has ended, but not during the first attempt to connect', () => {
  const { relays, dial, wait, told } = made();
  relays.use(URL, { brewerId: 'b' });
  const first = dial();
  expect(wait()).toEqual([]);
  first.open();
  expect(wait()).toEqual([]);
  first.close();
  expect(told()).toEqual([]);
  expect(wait()).toEqual(['b down']);
  const second = dial();
  expect(wait()).toEqual([]);
  second.open();
  expect(told()).toEqual(['b up']);
});

it('a socket that has not ended counts as lost when the next one is dialled, and its later events are ignored', () => {
  const { relays, dial, wait, told } = made();
  relays.use(URL, { brewerId: 'b' });
  const first = dial();
  first.open();
  const second = dial();
  expect(wait()).toEqual(['b down']);
  first.dispatchEvent(new Event('open'));
  expect(told()).toEqual([]);
  second.open();
  expect(told()).toEqual(['b up']);
  first.close();
  expect(wait()).toEqual([]);
});

it.each([1, 2])('a relay is reported as down when its socket is replaced in readyState %i, without a close event', (state) => {
  const { relays, dial, wait } = made();
  relays.use(URL, { brewerId: 'b' });
  const first = dial();
  first.open();
  first.readyState = state;
  dial();
  expect(wait()).toEqual(['b down']);
});

it('a relay that stops answering is reported as down half a second after the next connection to it was begun', async () => {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    // From the second connection on, the server does not answer.
    verifyClient: (_info, accept: (isAccepted: boolean) => void) => void (server.clients.size || accept(true)),
  });
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const told: boolean[] = [];
  const relays = new Relays(WebSocket as unknown as WebSocketConstructor, (up) => void told.push(up));
  relays.use(url, { brewerId: 'b' });
  const dial = (): WebSocket => new relays.WebSocket(url) as unknown as WebSocket;
  const first = dial();
  await once(first, 'open');
  for (const client of server.clients) client.pause();
  first.close(4000);
  const second = dial();
  vi.advanceTimersByTime(499);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([false]);
  second.on('error', () => undefined);
  for (const socket of [first, second, ...server.clients]) socket.terminate();
  server.close();
});

it('a relay whose socket is closed because the page is put away is not reported as down', () => {
  const { relays, dial, wait } = made();
  relays.use(URL, { brewerId: 'b' });
  const first = dial();
  first.open();
  relays.rest();
  first.close();
  expect(wait()).toEqual([]);
});

it('watch() of a relay that is down calls back once when the relay is up again, unless cancelled', () => {
  const { relays, dial, wait } = made();
  relays.use(URL, { brewerId: 'b' });
  const backs: string[] = [];
  const first = dial();
  first.open();
  expect(relays.watch(URL, () => backs.push('too early'))).toBeUndefined();
  first.close();
  wait();
  relays.watch(URL, () => backs.push('kept'));
  relays.watch(URL, () => backs.push('left'))!();
  const second = dial();
  second.open();
  second.close();
  wait();
  dial().open();
  expect(backs).toEqual(['kept']);
});

it('a relay that is down is remembered, and reported to new pairs, until its pairs are forgotten and another relay is used', () => {
  const { relays, dial, wait, told } = made();
  const leave = relays.use(URL, { brewerId: 'b' });
  const first = dial();
  first.open();
  first.close();
  expect(wait()).toEqual(['b down']);
  leave();
  relays.use(URL, { brewerId: 'c' })();
  expect(told()).toEqual(['c down']);
  for (const brewerId of ['b', 'c']) relays.forget({ brewerId });
  relays.use('ws://other:1', { brewerId: 'd' });
  relays.use(URL, { brewerId: 'e' });
  expect(told()).toEqual([]);
  relays.clear();
  expect(vi.getTimerCount()).toBe(0);
});

it('the end of a connection from before the client was disconnected does not affect the relay of a later session', () => {
  const { relays, dial, wait } = made();
  const leave = relays.use(URL, { brewerId: 'b' });
  const former = dial();
  former.open();
  relays.clear();
  leave();
  relays.use(URL, { brewerId: 'c' });
  const next = dial();
  next.open();
  former.close();
  expect(wait()).toEqual([]);
  next.close();
  expect(wait()).toEqual(['c down']);
});
