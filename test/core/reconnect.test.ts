import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PubkeeperError } from '../../src/core/errors.js';
import { after, wait } from '../../src/core/host.js';
import { isFatal, ReconnectingConnection } from '../../src/core/reconnect.js';
import { bytes, settle } from '../helpers.js';
import { Network } from '../socket-pair.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const RECONNECT = { delayMs: 1000, maxDelayMs: 5000, stableMs: 3000, graceMs: 30_000, maxRetries: Infinity };
const closed = { code: 'CONNECTION_CLOSED' } as PubkeeperError;

function kit(reconnect = RECONNECT) {
  const network = new Network();
  const log: string[] = [];
  const retries: number[] = [];
  const connection: ReconnectingConnection = new ReconnectingConnection({
    url: 'ws://pair/',
    protocols: ['p'],
    WebSocket: network.WebSocket,
    timeoutMs: 10_000,
    reconnect,
    onOpen: () => log.push('open'),
    onMessage: () => log.push('message'),
    onFault: ({ code }) => log.push(code),
    onDown: ({ code }, retryMs) => {
      log.push(`down ${code}`);
      retries.push(retryMs);
    },
    onClose: ({ code }) => log.push(`close ${code}`),
  });
  return { network, log, retries, connection };
}

describe('the reason for which a connection ended', () => {
  it.each(['UNAUTHORIZED', 'SUBPROTOCOL_REFUSED', 'CONNECT_BLOCKED', 'CONNECTION_CLOSED'])('%s is final', (code) => {
    expect(isFatal({ code } as PubkeeperError)).toBe(true);
  });
  it.each(['CONNECT_FAILED', 'CONNECTION_LOST', 'TIMEOUT', 'TOKEN_FAILED', 'SERVER_ERROR', 'PROTOCOL_ERROR'])('%s is not final', (code) => {
    expect(isFatal({ code } as PubkeeperError)).toBe(false);
  });
});

describe('backoff', () => {
  it('waits a random part of a time that doubles up to maxDelayMs', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { network, retries } = kit();
    for (let i = 0; i < 6; i++) {
      network.last.end();
      vi.advanceTimersByTime(retries.at(-1)! - 1);
      expect(network.sockets.length).toBe(i + 1);
      vi.advanceTimersByTime(1);
      expect(network.sockets.length).toBe(i + 2);
    }
    expect(retries).toEqual([500, 1000, 2000, 2500, 2500, 2500]);
  });

  it.each([[0, 0], [0.999999, 4999.995]])('stays below maxDelayMs with a random number of %d, however long the outage is', (random, most) => {
    vi.spyOn(Math, 'random').mockReturnValue(random);
    const { network, retries } = kit();
    for (let i = 0; i < 1200; i++) {
      network.last.end();
      vi.advanceTimersByTime(Math.ceil(retries.at(-1)!));
    }
    expect(Math.max(...retries)).toBe(most);
    expect(network.sockets.length).toBe(1201);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
  });

  it('begins again only after a connection has been stable', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { network, retries } = kit();
    const cycle = (openFor: number): void => {
      network.last.open();
      vi.advanceTimersByTime(openFor);
      network.last.end();
      vi.advanceTimersByTime(retries.at(-1)!);
    };
    for (const ms of [10, 10, 2999, 3000, 10]) cycle(ms);
    expect(retries).toEqual([1000, 2000, 4000, 1000, 2000]);
  });

  it('limits delays to the longest that setTimeout supports', () => {
    const run = vi.fn();
    after(Infinity, run);
    wait(2 ** 31, run);
    after(1e12, run);
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(3);
  });
});

describe('a reconnecting connection', () => {
  it('connects again, and forwards the properties of the present connection', () => {
    const { network, log, connection } = kit();
    connection.send(bytes('x'));
    expect([connection.isOpen, network.last.sent]).toEqual([false, []]);
    network.last.open();
    connection.send(bytes('x'));
    expect([connection.isOpen, network.last.sent.length]).toEqual([true, 1]);
    const opened = Date.now();
    vi.advanceTimersByTime(1000);
    network.last.bufferedAmount = 7;
    expect([connection.heardAt, connection.bufferedAmount]).toEqual([opened, 7]);
    network.last.deliver(bytes('y'));
    expect(connection.heardAt).toBe(opened + 1000);
    network.last.end();
    expect([connection.isOpen, connection.bufferedAmount, connection.heardAt]).toEqual([false, 0, 0]);
    vi.advanceTimersByTime(5000);
    network.last.open();
    expect(log).toEqual(['open', 'message', 'down CONNECTION_LOST', 'open']);
  });

  it('does not connect again after a final error', () => {
    const { network, log } = kit();
    network.last.open('another');
    vi.advanceTimersByTime(100_000);
    expect(log).toEqual(['close SUBPROTOCOL_REFUSED']);
    expect(network.sockets.length).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that was open is lost, and not unreachable or blocked, when an error event comes before its end', () => {
    for (const message of ['Invalid WebSocket frame', undefined]) {
      const { network, log } = kit();
      network.last.open();
      network.last.onerror!({ message } as never);
      expect(log).toEqual(['open']);
      network.last.end(1006);
      expect(log).toEqual(['open', 'down CONNECTION_LOST']);
    }
  });

  it('abandon() ends the connection and makes another, or none if the error is final', () => {
    const { network, log, connection } = kit();
    network.last.open();
    connection.abandon({ code: 'TIMEOUT' } as PubkeeperError);
    expect(network.last.closedBy).toBe(4000);
    vi.advanceTimersByTime(5000);
    network.last.open();
    expect(log).toEqual(['open', 'down TIMEOUT', 'open']);
    connection.abandon({ code: 'UNAUTHORIZED' } as PubkeeperError);
    vi.advanceTimersByTime(100_000);
    expect(log.slice(3)).toEqual(['close UNAUTHORIZED']);
    expect(network.sockets.length).toBe(2);
  });

  it('wake() connects at once if the next attempt is waiting, and else does nothing', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { network, connection } = kit();
    connection.wake();
    network.last.open();
    connection.wake();
    expect(network.sockets.length).toBe(1);
    network.last.end();
    connection.wake();
    connection.wake();
    expect(network.sockets.length).toBe(2);
    vi.advanceTimersByTime(5000);
    expect(network.sockets.length).toBe(2);
  });

  const closes: [string, (made: ReturnType<typeof kit>) => void][] = [
    ['while it is open', ({ network }) => network.last.open()],
    ['while it dials', () => undefined],
    ['while it waits to dial', ({ network }) => network.last.end()],
  ];
  it.each(closes)('close() %s is final: it is reported once, leaves no timer, and wake() does not connect again', async (_, prepare) => {
    const made = kit();
    prepare(made);
    made.log.length = 0;
    made.connection.close(closed);
    made.connection.close(closed);
    await settle();
    expect(made.log).toEqual(['close CONNECTION_CLOSED']);
    made.connection.wake();
    vi.advanceTimersByTime(100_000);
    expect(made.network.sockets.length).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    made.connection.send(bytes('x'));
    expect([made.connection.isOpen, made.network.last.sent]).toEqual([false, []]);
  });

  it.each(closes.slice(1))('close() %s is reported at once, as no answer is needed', (_, prepare) => {
    const made = kit();
    made.network.answersClose = false;
    prepare(made);
    made.log.length = 0;
    made.connection.close(closed);
    expect([made.log, vi.getTimerCount()]).toEqual([['close CONNECTION_CLOSED'], 0]);
  });

  it('close() is final also when the other side refuses what it got last', () => {
    const { network, log, connection } = kit();
    network.answersClose = false;
    network.last.open();
    connection.close(closed);
    network.last.end(1009);
    vi.advanceTimersByTime(100_000);
    expect([log, network.sockets.length]).toEqual([['open', 'close CONNECTION_LOST'], 1]);
  });

  it('close() is reported as CONNECTION_CLOSED also when the answer to a ping is missing meanwhile', () => {
    const { network, log, connection } = kit();
    network.answersClose = false;
    network.last.open();
    connection.watch(1000, bytes('ping'));
    vi.advanceTimersByTime(2300);
    expect(network.last.sent.length).toBe(1);
    connection.close(closed);
    vi.advanceTimersByTime(1000);
    expect([log, vi.getTimerCount()]).toEqual([['open', 'close CONNECTION_CLOSED'], 0]);
  });

  it('watch() pings until the connection ends, and the next connection is not pinged', () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { network, log, connection } = kit();
    network.last.open();
    connection.watch(1000, bytes('ping'));
    vi.advanceTimersByTime(1200);
    expect(network.last.sent.map((data) => Buffer.from(data).toString())).toEqual(['ping']);
    network.last.end();
    vi.advanceTimersByTime(1200);
    network.last.open();
    vi.advanceTimersByTime(60_000);
    expect([log, network.last.sent, vi.getTimerCount()]).toEqual([['open', 'down CONNECTION_LOST', 'open'], [], 0]);
  });

  it('watch() pings once, however often it is called, and does nothing while no connection is open', () => {
    const { network, log, connection } = kit();
    const watch = () => connection.watch(1000, bytes('ping'), true);
    watch();
    vi.advanceTimersByTime(9000);
    network.last.open();
    expect([log, network.last.sent, vi.getTimerCount()]).toEqual([['open'], [], 1]); // the timer of stableMs
    watch();
    watch();
    expect(network.last.sent.length).toBe(1);
  });

  it('is not open any more, and sends nothing, when the other side has begun to close it', () => {
    const { network, connection } = kit();
    network.last.open();
    network.last.readyState = 2;
    const send = vi.spyOn(network.last, 'send');
    connection.send(bytes('x'));
    connection.watch(1000, bytes('ping'), true);
    expect([connection.isOpen, send.mock.calls.length, vi.getTimerCount()]).toEqual([false, 0, 1]);
  });

  it('watch() finds a dead connection within 2.5 heartbeats, whenever it dies', () => {
    const found: number[] = [];
    for (let lives = 0; lives < 5000; lives += 125) {
      const { network, log, connection } = kit();
      network.last.open();
      network.received = (socket) => socket.deliver(bytes('pong'));
      connection.watch(1000, bytes('ping'));
      vi.advanceTimersByTime(lives);
      network.received = () => undefined;
      let ms = 0;
      for (; log.at(-1) !== 'down CONNECTION_LOST'; ms += 25) vi.advanceTimersByTime(25);
      found.push(ms);
      connection.close(closed);
    }
    expect(Math.max(...found)).toBeLessThanOrEqual(2500);
    // And not before the time for an answer is over.
    expect(Math.min(...found)).toBeGreaterThanOrEqual(1200);
  });

  it('watch() takes an answer for a sign of life also when the clock is set back between the ping and the answer', () => {
    const { network, log, connection } = kit();
    network.last.open();
    network.received = (socket) => {
      vi.setSystemTime(Date.now() - 3_600_000);
      socket.deliver(bytes('pong'));
    };
    connection.watch(1000, bytes('ping'));
    vi.advanceTimersByTime(10_000);
    expect([log.filter((entry) => entry !== 'message'), network.last.sent.length]).toEqual([['open'], 8]);
  });

  it('rest() does not count for maxRetries', () => {
    const { network, log, connection } = kit({ ...RECONNECT, maxRetries: 1 });
    for (let i = 0; i < 3; i++) {
      network.last.open();
      connection.rest();
      connection.rest();
      connection.wake();
    }
    expect(log).toEqual(['open', 'down CONNECTION_LOST', 'open', 'down CONNECTION_LOST', 'open', 'down CONNECTION_LOST']);
    log.length = 0;
    network.last.end();
    vi.advanceTimersByTime(1000);
    network.last.end();
    expect(log).toEqual(['down CONNECT_FAILED', 'close CONNECT_FAILED']);
  });

  it('close() in onDown prevents the next attempt', () => {
    const network = new Network();
    const log: string[] = [];
    const connection: ReconnectingConnection = new ReconnectingConnection({
      url: 'ws://pair/', protocols: ['p'], WebSocket: network.WebSocket, timeoutMs: 1000, reconnect: RECONNECT,
      onOpen: () => undefined, onMessage: () => undefined, onFault: () => undefined,
      onDown: () => connection.close(closed),
      onClose: ({ code }) => log.push(code),
    });
    network.last.end();
    vi.advanceTimersByTime(100_000);
    expect(network.sockets.length).toBe(1);
    expect(log).toEqual(['CONNECTION_CLOSED']);
  });
});
