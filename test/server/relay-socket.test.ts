// What the relay writes to its sockets, and when.
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { joinRelay, start } from './harness.js';
import { newId } from './raw-client.js';

it('what comes for a connection in one tick reaches it all, of however many topics', async () => {
  const server = await start();
  const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
  const topics = ['a', 'b', 'c'];
  for (const topic of topics) reader.join(topic);
  await reader.settled();
  const tcp = (writer.socket as unknown as { _socket: Socket })._socket;
  tcp.cork();
  for (const topic of topics) writer.publish(topic, newId(), topic);
  tcp.uncork();
  for (const topic of topics) expect(await reader.text()).toBe(topic);
});

it('a reader gets the newest once it reads again, also where less may wait for it than its socket tells of', async () => {
  const server = await start({ limits: { bufferedBytes: 8 * 1024 } });
  const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
  reader.join('a');
  await reader.settled();
  reader.socket.pause();
  const id = newId();
  let sent = 0;
  // One by one: together they would be a message that is longer.
  for (; !server.stats().drops['slow-reader']; await writer.settled()) writer.publish('a', id, String(sent++).padEnd(4_000));
  reader.socket.resume();
  while (Number(await reader.text()) < sent - 1);
  expect(server.stats().drops['slow-reader-frame']).toBeGreaterThan(0);
});
