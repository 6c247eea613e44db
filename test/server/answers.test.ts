// Answers to plain HTTP requests: their headers, and whether the connection is closed.
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { later, start } from './harness.js';

/** A connection that this end keeps open, whatever the server does. */
function open(port: number): Socket {
  const tcp = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  later(async () => void tcp.destroy());
  return tcp;
}

/** The head and the body of the answer to a request. The connection stays open if the server keeps it. */
async function ask(port: number, request: string, body = ''): Promise<{ tcp: Socket; status: string; headers: Record<string, string>; body: string }> {
  const tcp = open(port);
  tcp.write(`${request}\r\nHost: x\r\n\r\n${body}`);
  const text = await new Promise<string>((resolve) => {
    let come = '';
    tcp.on('data', (part) => {
      come += String(part);
      const length = /content-length: (\d+)/i.exec(come);
      const end = come.indexOf('\r\n\r\n') + 4;
      if (length && end > 3 && come.length >= end + Number(length[1])) resolve(come);
    });
  });
  const [head, ...bodies] = text.split('\r\n\r\n');
  const [status, ...lines] = head!.split('\r\n');
  return { tcp, status: status!, headers: Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)])), body: bodies.join() };
}

const SECURITY = { 'content-security-policy': expect.stringMatching(/^default-src 'self'/) as string, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-resource-policy': 'same-origin' };

it('answers plain HTTP with 426 and an Upgrade header, and with security headers on each port', async () => {
  const server = await start({ relayPort: 0 });
  for (const [port, path] of [[server.port, '/ws'], [server.port, '/brew'], [Number(new URL(server.relayUrl).port), '/any']] as const) {
    const { status, headers } = await ask(port, `GET ${path} HTTP/1.1`);
    expect(status).toBe('HTTP/1.1 426 Upgrade Required');
    expect(headers).toMatchObject({ upgrade: 'websocket', connection: 'Upgrade', ...SECURITY });
  }
});

it('closes a connection after the answer if its request has a body, and keeps others open', async () => {
  const server = await start();
  for (const [request, body, connection] of [
    ['GET /healthz HTTP/1.1', '', 'keep-alive'],
    ['GET /healthz HTTP/1.1\r\nContent-Length: 0', '', 'keep-alive'],
    ['POST /healthz HTTP/1.1\r\nContent-Length: 1', 'x', 'close'],
    ['POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked', '1\r\nx\r\n', 'close'],
  ] as const) {
    const { status, headers } = await ask(server.port, request, body);
    expect([status, headers['connection'], request]).toEqual(['HTTP/1.1 200 OK', connection, request]);
  }
});

it('refuses a WebSocket with security headers, and cuts the connection if the other end does not close it', async () => {
  const server = await start({ limits: { connectionsPerAddress: 1 } });
  const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
  const { tcp, status, headers, body } = await ask(server.port, `GET /none HTTP/1.1\r\n${handshake}`);
  expect(status).toBe('HTTP/1.1 404 Not Found');
  expect(headers).toMatchObject({ connection: 'close', 'content-type': 'text/plain; charset=utf-8', ...SECURITY });
  expect(body).toMatch(/^There is .*\n$/);
  expect(tcp.destroyed).toBe(false);
  // The connection no longer counts for the limit of this address.
  for (let is = 0; is !== 200; ) is = (await fetch(`http://127.0.0.1:${server.port}/healthz`).catch(() => ({ status: 0 }))).status;
});
