// A link so slow that a message takes longer than silence may last: a pong cannot overtake the message that is on its way.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { openSocket, start, until } from './harness.js';
import { encodeControl, encodeFrame, encodeRelay, newId } from './raw-client.js';

/** A masked binary WebSocket message; its mask is zero. */
const message = (body: Buffer): Buffer => Buffer.concat([Buffer.from([0x82, 0xfe, body.length >> 8, body.length & 0xff, 0, 0, 0, 0]), body]);

it.each(['control', 'relay'] as const)('a message of which a part comes with each heartbeat is taken, on a %s connection that answers no ping meanwhile', async (kind) => {
  const server = await start({ heartbeatMs: 40 });
  const tcp = await openSocket(server.url, kind === 'control' ? 'pubkeeper-1.1' : 'pubkeeper-1.0.0');
  if (kind === 'control') {
    tcp.write(message(encodeControl(1, { token: server.token })));
    await until(() => server.stats().clients === 1);
  }
  const bytes = message(kind === 'control' ? encodeControl(20, { topic: 'a', patron_id: newId(), brews: [] }) : encodeRelay(2, 'a', encodeFrame('a', newId(), 'x')));
  // For four times as long as silence may last. Whatever comes from the server meanwhile is a ping.
  const parts = 10;
  const size = Math.ceil(bytes.length / parts);
  const closed = once(tcp, 'close').then(() => Promise.reject(new Error('was cut')));
  closed.catch(() => undefined);
  for (let part = 0; part < parts; part++) {
    tcp.write(bytes.subarray(part * size, (part + 1) * size));
    await Promise.race([once(tcp, 'data'), closed]);
  }
  await until(() => server.stats().published + server.stats().patrons === 1);
  expect(server.stats().drops).toEqual({});
});
