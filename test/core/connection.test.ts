import { createServer, type Server as TcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import WebSocket from 'ws';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocketConstructor } from '../../src/core/connection.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { ReconnectingConnection, type ReconnectingOptions } from '../../src/core/reconnect.js';
import { bytes, hex, settle } from '../helpers.js';
import { Network } from '../socket-pair.js';
import { StrictServer } from '../strict-server.js';

/** A connection without retries, and a promise of its end. */
function connect(url: string, options: Partial<ReconnectingOptions> = {}) {
  const log: string[] = [];
  const faults: PubkeeperError[] = [];
  const ends: PubkeeperError[] = [];
  let opened!: () => void;
  let closed!: (error: PubkeeperError) => void;
  const open = new Promise<void>((resolve) => (opened = resolve));
  const end = new Promise<PubkeeperError>((resolve) => (closed = resolve));
  const connection: ReconnectingConnection = new ReconnectingConnection({
    url,
    protocols: ['pubkeeper-1.1', 'pubkeeper-1.0'],
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    timeoutMs: 5000,
    reconnect: { delayMs: 0, maxDelayMs: 0, stableMs: 1000, graceMs: 0, maxRetries: 0 },
    onOpen: (protocol) => (log.push(`open ${protocol}`), opened()),
    onMessage: (data) => log.push(hex(data)),
    onFault: (error) => faults.push(error),
    onDown: () => expect.unreachable(),
    onClose: (error) => (ends.push(error), closed(error)),
    ...options,
  });
  return { connection, log, faults, ends, open, end };
}

describe('a connection', () => {
  let server: StrictServer;
  beforeEach(async () => void (server = await new StrictServer().listen()));
  afterEach(() => server.close());

  it.each(['pubkeeper-1.1', 'pubkeeper-1.0'])('offers its subprotocols in order, and accepts %s', async (subprotocol) => {
    server.options.subprotocol = subprotocol;
    const { open, log, connection, end } = connect(server.url);
    await open;
    expect(server.offers).toEqual([['pubkeeper-1.1', 'pubkeeper-1.0']]);
    expect(log).toEqual([`open ${subprotocol}`]);
    expect(connection.isOpen).toBe(true);
    connection.close({} as PubkeeperError);
    await end;
    expect(connection.isOpen).toBe(false);
  });

  it.each(['', 'mqtt'])('refuses the subprotocol %j', async (subprotocol) => {
    server.options.subprotocol = subprotocol;
    const { end, log } = connect(server.url);
    expect((await end).code).toBe('SUBPROTOCOL_REFUSED');
    expect(log).toEqual([]);
  });

  it('reports a text message as a fault, and delivers the next message', async () => {
    const { open, log, faults, connection, end } = connect(server.url);
    await open;
    server.sendRaw('text');
    server.sendRaw(bytes('x'));
    await vi.waitFor(() => expect(log.length).toBe(2));
    expect(log[1]).toBe('78');
    expect(faults).toMatchObject([{ code: 'PROTOCOL_ERROR' }]);
    connection.close({ code: 'CONNECTION_CLOSED' } as PubkeeperError);
    await end;
  });

  it('reports the code and the reason with which the server closed it', async () => {
    const { open, end, ends, connection } = connect(server.url);
    await open;
    for (const socket of server.sockets) socket.close(4321, 'tired');
    expect(await end).toMatchObject({ code: 'CONNECTION_LOST', details: { code: 4321, reason: 'tired' } });
    expect(connection.isOpen).toBe(false);
    connection.send(bytes('x'));
    connection.close({} as PubkeeperError);
    connection.abandon({} as PubkeeperError);
    expect(ends.length).toBe(1);
  });

  it('sends before close() what was passed to send(), and nothing after it', async () => {
    const { open, end, connection } = connect(server.url);
    await open;
    for (let i = 0; i < 100; i++) connection.send(bytes('not a packet'));
    const why = { code: 'CONNECTION_CLOSED' } as PubkeeperError;
    connection.close(why);
    connection.send(bytes('not a packet, and late'));
    expect(await end).toBe(why);
    expect(server.faults.filter((fault) => fault.includes('JSON')).length).toBe(100);
  });

  it('fails with CONNECT_FAILED when nobody listens there', async () => {
    const { url } = server;
    await server.close();
    const { end } = connect(url);
    expect(await end).toMatchObject({ code: 'CONNECT_FAILED', details: { url } });
  });
});

describe('a connection that cannot be made', () => {
  const servers: TcpServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((done) => server.close(done));
  });
  const listen = async (onData: (text: string) => string | undefined): Promise<string> => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => {
        const answer = onData(data.toString());
        if (answer !== undefined) socket.end(answer);
      });
    });
    servers.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  };

  it('is TIMEOUT after timeoutMs when the server never answers', async () => {
    const { end } = connect(await listen(() => undefined), { timeoutMs: 50 });
    expect(await end).toMatchObject({ code: 'TIMEOUT', details: { timeoutMs: 50 } });
  });

  it.each(['HTTP/1.1 404 Not Found\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi', 'SSH-2.0-OpenSSH\r\n', ''])('is CONNECT_FAILED when the server answers %j', async (answer) => {
    const { end } = connect(await listen(() => answer));
    expect((await end).code).toBe('CONNECT_FAILED');
  });

  it.each(['ws://127.0.0.1:1/#x', 'ws://', 'nonsense'])('to %s is CONNECT_BLOCKED, reported after the call has returned', async (url) => {
    const { end, ends } = connect(url);
    expect(ends).toEqual([]);
    expect((await end).code).toBe('CONNECT_BLOCKED');
  });

  // e2e/sdk.test.ts checks the same in real browsers.
  it('is CONNECT_BLOCKED when the browser closes the socket at once without an event, as Chromium does', async () => {
    class Refused {
      readonly readyState = 3;
      close(): void {}
    }
    const { end } = connect('ws://refused/', { WebSocket: Refused as unknown as WebSocketConstructor });
    expect((await end).code).toBe('CONNECT_BLOCKED');
  });

  it('is CONNECT_BLOCKED when the browser emits an error and leaves the socket connecting, as WebKit does', async () => {
    class Refused {
      readonly readyState = 0;
      onerror: ((event: object) => void) | undefined;
      constructor() {
        queueMicrotask(() => this.onerror?.({}));
      }
      close(): void {}
    }
    const { end, ends } = connect('ws://refused/', { WebSocket: Refused as unknown as WebSocketConstructor });
    expect((await end).code).toBe('CONNECT_BLOCKED');
    expect(ends).toHaveLength(1);
  });

  it('is CONNECT_FAILED when an error with a message comes while connecting, as from Node’s own WebSocket if nobody listens', async () => {
    const network = new Network();
    network.onSocket = (socket) => queueMicrotask(() => socket.onerror?.({ message: 'Received network error.' } as never));
    const { end } = connect('ws://pair/', { WebSocket: network.WebSocket });
    expect((await end).code).toBe('CONNECT_FAILED');
  });
});

describe('the end of a connection', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());
  const why = { code: 'CONNECTION_CLOSED' } as PubkeeperError;
  const pair = (options: Partial<ReconnectingOptions> = {}) => {
    const network = new Network();
    const made = connect('ws://pair/', { WebSocket: network.WebSocket, ...options });
    return { network, ...made };
  };

  it('comes after a second if the other side does not answer a close()', () => {
    const { network, connection, ends } = pair();
    network.answersClose = false;
    network.last.open();
    connection.close(why);
    vi.advanceTimersByTime(900);
    expect(ends).toEqual([]);
    vi.advanceTimersByTime(200);
    expect(ends).toEqual([why]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('comes at once if the socket was not open yet, and a late open event is ignored', async () => {
    const { network, connection, ends, log } = pair();
    connection.close(why);
    expect(ends).toEqual([why]);
    expect(network.last.closedBy).toBe(1005);
    network.last.open();
    network.last.deliver(bytes('x'));
    await settle();
    expect(log).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('comes at once by abandon(), whatever the other side does, and later events are ignored', async () => {
    const { network, connection, ends, log } = pair();
    network.last.open();
    connection.abandon(why);
    expect(ends).toEqual([why]);
    network.last.readyState = 1;
    network.last.deliver(bytes('late'));
    network.last.end(1006);
    await settle();
    expect(ends).toEqual([why]);
    expect(log).toEqual(['open pubkeeper-1.1']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('leaves the error listener on the socket, which reads binary as ArrayBuffer', () => {
    const { network, connection } = pair();
    expect(network.last.binaryType).toBe('arraybuffer');
    network.last.open();
    connection.abandon(why);
    expect(network.last.onerror).not.toBeNull();
  });

  it('comes when the server chooses a subprotocol that was not offered, which browsers might allow', () => {
    const { network, ends, log } = pair();
    network.last.open('mqtt');
    expect(ends).toMatchObject([{ code: 'SUBPROTOCOL_REFUSED', details: { chosen: 'mqtt' } }]);
    expect(log).toEqual([]);
    expect(network.last.readyState).toBeGreaterThan(1);
  });

  it('by close(): messages are ignored while the other side has not answered', () => {
    const { network, connection, log } = pair();
    network.answersClose = false;
    network.last.open();
    connection.close(why);
    network.last.readyState = 1;
    network.last.deliver(bytes('late'));
    expect(log).toEqual(['open pubkeeper-1.1']);
  });

  it.each([[1000, why.code], [1001, why.code], [1005, why.code], [1006, why.code], [1009, 'CONNECTION_LOST'], [4400, 'CONNECTION_LOST']])(
    'by a close() that the other side answers with %i is %s: only a code that refuses what it got is reported',
    (code, told) => {
      const { network, connection, ends } = pair();
      network.answersClose = false;
      network.last.open();
      connection.close(why);
      network.last.end(code, 'so it is');
      expect(ends.map((error) => error.code)).toEqual([told]);
    },
  );

  it('is not confused with its beginning: the connection is open from the open event on, not when readyState says so', () => {
    const { network, connection } = pair();
    network.last.readyState = 1;
    connection.send(bytes('x'));
    expect([connection.isOpen, network.last.sent]).toEqual([false, []]);
    network.last.open();
    connection.send(bytes('x'));
    expect([connection.isOpen, network.last.sent.length]).toEqual([true, 1]);
  });

  it('leaves no timer: the connection has one only until it is open and stable', () => {
    const { network } = pair();
    expect(vi.getTimerCount()).toBe(1);
    network.last.open();
    vi.advanceTimersByTime(1000); // now the connection counts as stable
    expect(vi.getTimerCount()).toBe(0);
  });
});
