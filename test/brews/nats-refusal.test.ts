import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { refusalOf } from '../../src/platform/nats-refusal.js';

// What is heard from a NATS server that ends each new connection.

const clean: (() => unknown)[] = [];
afterEach(async () => {
  for (const run of clean.splice(0).reverse()) await run();
});

const failure = new Error('read ECONNRESET');
const ERR = `INFO {}\r\n-ERR 'maximum connections exceeded'\r\n`;

/** A server in the place of NATS. `talk` is called with each connection. */
async function serve(talk: (socket: Socket) => void, at: { host: string; port: number } = { host: '127.0.0.1', port: 0 }) {
  // Like a server that has no use for the end of what a client sends.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clean.push(() => socket.destroy());
    socket.on('error', () => undefined).resume();
    talk(socket);
  });
  server.listen(at);
  await once(server, 'listening');
  clean.push(() => server.close());
  return { server, url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

it('the reason of a server whose address names no port is heard at port 4222', async () => {
  // Of the loopback addresses, one at which nobody else listens; not every system has it.
  const host = process.platform === 'linux' ? '127.42.22.1' : '127.0.0.1';
  await serve((socket) => socket.end(ERR), { host, port: 4222 });
  expect(await refusalOf(`nats://${host}`, failure)).toEqual(new Error('maximum connections exceeded'));
});

it('a server that sends more than 64 KiB without a reason is not listened to any longer, though it does not end the connection', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  clean.push(() => vi.useRealTimers());
  const { url } = await serve((socket) => {
    const more = (): boolean => socket.write(Buffer.alloc(256 * 1024, '+'));
    socket.on('drain', more);
    more();
  });
  expect(await refusalOf(url, failure)).toBeUndefined();
});

it('a server that sends a little now and then is not listened to any longer after 2 s', async () => {
  const { url } = await serve((socket) => {
    const timer = setInterval(() => socket.write('+'), 100);
    clean.push(() => clearInterval(timer));
  });
  expect(await refusalOf(url, failure)).toBeUndefined();
});

it('a server that says nothing is not listened to any longer when nobody needs to know', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  clean.push(() => vi.useRealTimers());
  const gone = new AbortController();
  const { server, url } = await serve(() => undefined);
  const heard = refusalOf(url, failure, gone.signal);
  await once(server, 'connection');
  gone.abort();
  expect(await heard).toBeUndefined();
  const again = once(server, 'connection').then(() => 'connected');
  expect(await Promise.race([again, refusalOf(url, failure, gone.signal)])).toBeUndefined();
});
