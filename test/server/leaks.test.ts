// What is left of connections that have gone: nothing.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { queryObjects } from 'node:v8';
import { it } from 'vitest';
import { ControlSession } from '../../src/server/session.js';
import { connect, start, until } from './harness.js';

// A count collects what can be collected first.
const isCollected = (one: WeakRef<object>): boolean => (queryObjects(WeakRef, { format: 'count' }), one.deref() === undefined);

it('a server keeps no connection that has gone', async () => {
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
