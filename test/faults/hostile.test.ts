import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as dialTcp, type Socket } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { PubkeeperServer } from '../../src/server/index.js';
import { connect, start } from '../server/harness.js';
import { RawRelay } from '../server/raw-client.js';
import { held, MiB, report, scale } from './kit.js';

// Bytes that no WebSocket library sends, on a bare TCP connection.

const LIMIT = MiB;

/** A frame of RFC 6455, section 5.2, with the given faults. */
function wsFrame(payload: Uint8Array, { opcode = 2, fin = true, rsv = 0, masked = true, length = payload.length, length64 = false } = {}): Buffer {
  const extended = length64 || length > 0xffff ? 8 : length > 125 ? 2 : 0;
  const head = Buffer.alloc(2 + extended + (masked ? 4 : 0));
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (extended === 8 ? 127 : extended === 2 ? 126 : length);
  if (extended === 2) head.writeUInt16BE(length, 2);
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2);
  // The mask is zero, so that the payload is unchanged.
  return Buffer.concat([head, payload]);
}

async function upgraded(server: PubkeeperServer, protocol: string, extensions = ''): Promise<{ socket: Socket; head: string }> {
  const socket = dialTcp(server.port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const lines = ['GET /ws HTTP/1.1', `Host: 127.0.0.1:${server.port}`, 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Protocol: ${protocol}`];
  socket.write(`${[...lines, ...(extensions ? [`Sec-WebSocket-Extensions: ${extensions}`] : [])].join('\r\n')}\r\n\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 101 /);
  return { socket, head: answer.toString() };
}

/** The close code of the server; 1006 if it closes without one. */
async function closeCode(socket: Socket): Promise<number> {
  const parts: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => parts.push(chunk));
  await once(socket, 'close');
  const all = Buffer.concat(parts);
  for (let at = 0; at + 4 <= all.length; ) {
    const length = all[at + 1]! & 0x7f;
    if (all[at] === 0x88 && length >= 2) return all.readUInt16BE(at + 2);
    at += 2 + (length === 126 ? 2 + all.readUInt16BE(at + 2) : length);
  }
  return 1006;
}

/** Sends as fast as the other end reads, or until it closes. */
async function pour(socket: Socket, chunks: Iterable<Buffer>): Promise<number> {
  let sent = 0;
  for (const chunk of chunks) {
    if (socket.destroyed) break;
    sent += chunk.length;
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
  }
  return sent;
}

/** The highest memory in use during `run`, above that before. */
async function peak<T>(run: () => Promise<T>): Promise<{ value: T; extra: number }> {
  const before = held();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, held())), 5);
  try {
    return { value: await run(), extra: (most = Math.max(most, held())) - before };
  } finally {
    clearInterval(timer);
  }
}

const zeros = Buffer.alloc(64 * 1024);
function* repeat(chunk: Buffer, times: number): Generator<Buffer> {
  for (let i = 0; i < times; i++) yield chunk;
}

describe.each([['control', 'pubkeeper-1.1'], ['relay 1.0', 'pubkeeper-1.0.0'], ['relay 2', 'pubkeeper-relay-2']])('%s', (kind, protocol) => {
  const kinds: [string, Buffer, number][] = [
    ['not masked', wsFrame(Buffer.alloc(8), { masked: false }), 1002],
    ['a reserved bit', wsFrame(Buffer.alloc(8), { rsv: 4 }), 1002],
    ['another reserved bit', wsFrame(Buffer.alloc(8), { rsv: 1 }), 1002],
    ['a reserved opcode', wsFrame(Buffer.alloc(8), { opcode: 3 }), 1002],
    ['a reserved control opcode', wsFrame(Buffer.alloc(0), { opcode: 11 }), 1002],
    ['a continuation of nothing', wsFrame(Buffer.alloc(8), { opcode: 0 }), 1002],
    ['a message within a message', Buffer.concat([wsFrame(Buffer.alloc(8), { fin: false }), wsFrame(Buffer.alloc(8))]), 1002],
    ['a ping in parts', wsFrame(Buffer.alloc(8), { opcode: 9, fin: false }), 1002],
    ['a ping that is too long', wsFrame(Buffer.alloc(126), { opcode: 9 }), 1002],
    ['a close of one byte', wsFrame(Buffer.alloc(1), { opcode: 8 }), 1002],
    ['a close with a code that is none', wsFrame(Buffer.from([0, 1]), { opcode: 8 }), 1002],
    ['a close that is not UTF-8', wsFrame(Buffer.from([3, 0xe8, 0xff, 0xfe]), { opcode: 8 }), 1007],
    ['text that is not UTF-8', wsFrame(Buffer.from([0xff, 0xfe]), { opcode: 1 }), 1007],
    ['a length above 2^53', Buffer.concat([Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(4)]), 1009],
    ['a length above the limit', wsFrame(Buffer.alloc(0), { length: 2 * LIMIT }), 1009],
    ['compressed, which was not agreed', wsFrame(deflateRawSync(Buffer.alloc(1000)), { rsv: 4 }), 1002],
  ];

  it('refuses each kind of malformed WebSocket frame with its code, and counts it', async () => {
    const server = await start();
    const codes: Record<string, number> = {};
    for (const [name, bytes] of kinds) {
      const { socket } = await upgraded(server, protocol);
      socket.write(bytes);
      codes[name] = await closeCode(socket);
    }
    expect(codes).toEqual(Object.fromEntries(kinds.map(([name, , code]) => [name, code])));
    const { drops } = server.stats();
    report(`malformed WebSocket frames, ${kind}`, { kinds: kinds.length, drops });
    expect((drops.websocket ?? 0) + (drops['too-long'] ?? 0)).toBe(kinds.length);
    await connect(server);
  });

  it('never agrees to compression, so that a zip bomb is a malformed frame', async () => {
    // Made before there is a connection, as that may take longer than the server waits for a token.
    const bomb = wsFrame(deflateRawSync(Buffer.alloc(100 * MiB)), { rsv: 4 });
    const server = await start();
    const { socket, head } = await upgraded(server, protocol, 'permessage-deflate; server_no_context_takeover; client_max_window_bits');
    expect(head).not.toMatch(/permessage-deflate/i);
    const { value, extra } = await peak(() => (socket.write(bomb), closeCode(socket)));
    report(`zip bomb, ${kind}`, { bytes: bomb.length, code: value, extra });
    expect(value).toBe(1002);
    expect(extra).toBeLessThan(4 * LIMIT);
  });

  it.each<[string, () => Iterable<Buffer>, boolean]>([
    ['one frame', () => [wsFrame(Buffer.alloc(0), { length: 100 * MiB }), ...repeat(zeros, 1600)], false],
    ['one frame after a good one', () => [wsFrame(Buffer.alloc(8)), wsFrame(Buffer.alloc(0), { length: 100 * MiB }), ...repeat(zeros, 1600)], false],
    ['fragments', () => [wsFrame(zeros, { fin: false }), ...repeat(wsFrame(zeros, { opcode: 0, fin: false }), 1600)], false],
    ['tiny fragments', () => [wsFrame(zeros.subarray(0, 1), { fin: false }), ...repeat(Buffer.concat(Array.from({ length: 1000 }, () => wsFrame(zeros.subarray(0, 1), { opcode: 0, fin: false }))), scale(300, 1500))], true],
    ['empty fragments', () => [wsFrame(zeros.subarray(0, 0), { fin: false }), ...repeat(Buffer.concat(Array.from({ length: 1000 }, () => wsFrame(zeros.subarray(0, 0), { opcode: 0, fin: false }))), scale(300, 1500))], true],
  ])('refuses 100 MiB as %s, and holds at most four times the limit', async (what, chunks, many) => {
    const server = await start({ authMs: 600_000 });
    const { socket } = await upgraded(server, protocol);
    const { value, extra } = await peak(async () => {
      const closed = closeCode(socket);
      const sent = await pour(socket, chunks());
      // If the server refuses late, it cuts the connection when that is silent, or this end ends it.
      if (!socket.destroyed) socket.end();
      return { code: await closed, sent };
    });
    report(`100 MiB, ${what}, ${kind}`, { ...value, extra, drops: server.stats().drops });
    if (many) expect(value.code).toSatisfy((code: number) => [1006, 1008, 1009, 4400].includes(code));
    else expect(value.code).toSatisfy((code: number) => code === 1009 || code === 4400);
    expect(extra).toBeLessThan(4 * LIMIT);
    await connect(server);
  });
});

it('a text frame is refused: on control with 4400 before authentication, else only by a count', async () => {
  const server = await start();
  const { socket } = await upgraded(server, 'pubkeeper-1.1');
  socket.write(wsFrame(Buffer.from('{"token":"x"}'), { opcode: 1 }));
  expect(await closeCode(socket)).toBe(4400);
  const client = await connect(server);
  client.socket.send('text');
  expect(await client.expect(99)).toMatchObject({ code: 'PACKET_INVALID' });
  const relay = await RawRelay.open(server.relayUrl);
  relay.socket.send('text');
  await relay.settled();
  expect(server.stats().drops).toMatchObject({ 'control-text': 2, 'relay-text': 1 });
  expect(server.stats()).toMatchObject({ clients: 1, relayConnections: 1 });
});
