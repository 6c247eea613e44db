import { WebSocket } from 'ws';
import { after, cancel } from '../core/host.js';
import { CloseCode } from './close-codes.js';
import type { Drops } from './stats.js';

/** How long the other end has to answer a close, in milliseconds, before the socket is cut. */
const CLOSE_MS = 2_000;

/** The part of `maxBuffered` above which a reader counts as full. */
const FULL = 1 / 4;

/** Sends to control connections, answers pings, and decides which readers are too slow. */
export class Outbox {
  readonly #drops: Drops;
  readonly #maxBuffered: number;
  /** The sockets whose last pong is still on its way out, each with the last ping that has come since. */
  readonly #pings = new WeakMap<WebSocket, Uint8Array | undefined>();

  /** @param maxBuffered bytes that may wait for one reader */
  constructor(drops: Drops, maxBuffered: number) {
    this.#drops = drops;
    this.#maxBuffered = maxBuffered;
  }

  /** Sends one binary message, or closes a reader that is too slow. Does nothing if the connection is closing or closed. */
  send(socket: WebSocket, bytes: Uint8Array): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (this.fits(socket, bytes.length)) socket.send(bytes, { binary: true });
    else this.cut(socket);
  }

  /**
   * Answers a WebSocket ping. `ws` does not do it, because a client that pings and never reads would fill the memory, and a system call for each
   * ping of a flood takes too much time: of the pings that come while a pong is on its way out, only the last is answered (RFC 6455, section 5.5.3).
   */
  pong(socket: WebSocket, data: Uint8Array): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (this.#pings.has(socket)) return void this.#pings.set(socket, data);
    this.#pings.set(socket, undefined);
    socket.pong(data, false, () => {
      const last = this.#pings.get(socket);
      this.#pings.delete(socket);
      if (last) this.pong(socket, last);
    });
  }

  /** Closes a reader that is too slow, and tells it why. */
  cut(socket: WebSocket): void {
    this.#drops.add('slow-reader');
    end(socket, CloseCode.SLOW_READER, 'Too much data is waiting to be read: read faster, or join fewer topics.');
  }

  /** Whether `length` more bytes may wait for this reader. A single message of any length may, as long as the reader is not full. */
  fits(socket: WebSocket, length: number): boolean {
    const waiting = socket.bufferedAmount;
    return waiting <= this.#maxBuffered * FULL || waiting + length <= this.#maxBuffered;
  }

  /** Whether so much waits for this reader that its publishers should wait. This is well before anything is dropped. */
  isFull(socket: WebSocket): boolean {
    return socket.bufferedAmount > this.#maxBuffered * FULL;
  }
}

/** Closes a WebSocket with a code, and cuts it when the other end does not answer. */
export function end(socket: WebSocket, code: CloseCode, reason: string): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.close(code, reason);
  const timer = after(CLOSE_MS, () => socket.terminate());
  socket.once('close', () => cancel(timer));
}

/** The bytes of a message, in whichever of the three forms `ws` hands them over. */
export function bytesOf(data: WebSocket.RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

/** Counts what `ws` reports of a connection that breaks the WebSocket protocol; `ws` itself closes the connection. */
export function countFault(error: Error, drops: Drops): void {
  if (!('code' in error) || typeof error.code !== 'string') return;
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') drops.add('too-long');
  else if (error.code.startsWith('WS_ERR_')) drops.add('websocket');
}
