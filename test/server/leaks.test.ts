// Connections and servers that have ended leave nothing in memory.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { queryObjects } from 'node:v8';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createServer } from '../../src/server/index.js';
import { ControlSession } from '../../src/server/session.js';
import { connect, start, until } from './harness.js';
import { newId } from './raw-client.js';

// Counting objects collects garbage first.
const isCollected = (one: WeakRef<object>): boolean => (queryObjects(WeakRef, { format: 'count' }), one.deref() === undefined);

it('a server keeps no reference to a connection that has ended', async () => {
  const sockets: WeakRef<Socket>[] = [];
  const server = await start({
    http: (request, response) => {
      sockets.push(new WeakRef(request.socket));
      response.setHeader('Connection', 'close').end('x');
    },
  });
  await (await fetch(`http://127.0.0.1:${server.port}/`)).text();
  for (let i = 0; i < 3; i++) {
    const client = await connect(server);
    client.socket.terminate();
    await once(client.socket, 'close');
  }
  await until(() => server.stats().controlConnections === 0);
  await until(() => isCollected(sockets[0]!) && queryObjects(ControlSession, { format: 'count' }) === 0);
});

it('a closed server leaves no timer, not even for held notifications and for tickets that it renews', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await createServer({ port: 0, profile: 'secured', ticketSeconds: 60, holdMs: 60_000 });
  const client = await connect(server);
  client.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
  await client.expect(12);
  client.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }] });
  await client.expect(12);
  await client.settled();
  expect(server.stats().heldNotifications).toBe(1);
  vi.advanceTimersByTime(30_000);
  const drained = server.close({ drainMs: 60_000 });
  await server.close();
  await drained;
  await client.closed;
  expect(vi.getTimerCount()).toBe(0);
});
