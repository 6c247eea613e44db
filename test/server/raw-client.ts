// A client written from the protocol alone, on plain `ws`. It imports nothing of src, so that it shows a mistake that client
// and server share. Everything awaits events; nothing sleeps.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';

export interface RawPacket {
  readonly type: number;
  readonly payload: Record<string, unknown>;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** Values that have arrived, and the calls that wait for one. */
class Inbox<T> {
  readonly #values: T[] = [];
  readonly #waiting: { take(value: T): void; fail(error: Error): void }[] = [];
  #ended: Error | undefined;

  put(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.take(value);
    else this.#values.push(value);
  }

  end(error: Error): void {
    this.#ended = error;
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }

  next(): Promise<T> {
    if (this.#values.length) return Promise.resolve(this.#values.shift()!);
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((take, fail) => this.#waiting.push({ take, fail }));
  }

  /** Values that have arrived and were not taken. */
  get waiting(): readonly T[] {
    return this.#values;
  }
}

class RawSocket<T> {
  readonly socket: WebSocket;
  readonly inbox = new Inbox<T>();
  readonly closed: Promise<Closed>;

  constructor(socket: WebSocket, read: (bytes: Buffer) => T) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.inbox.end(new Error(`closed with ${code} ${reason.toString()}`));
        resolve({ code, reason: reason.toString() });
      });
    });
    socket.on('error', () => undefined);
    socket.on('message', (data, isBinary) => {
      if (!isBinary) this.inbox.end(new Error('a text message came'));
      else this.inbox.put(read(data as Buffer));
    });
  }

  next(): Promise<T> {
    return this.inbox.next();
  }

  /** The port of this end, by which the other end knows it. */
  get localPort(): number {
    return this.#tcp.localPort!;
  }

  get #tcp(): Socket {
    return (this.socket as unknown as { _socket: Socket })._socket;
  }

  /** Sends everything that `send` sends in one piece, so that the other side reads it at once on a busy machine too. */
  atOnce(send: () => void): void {
    const tcp = this.#tcp;
    tcp.cork();
    send();
    tcp.uncork();
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  /** Resolves when the server has handled everything that was sent before, as it answers pings in order. */
  async settled(): Promise<void> {
    const mark = randomBytes(4).toString('hex');
    const answered = new Promise<void>((resolve) => {
      const look = (data: Buffer): void => {
        if (data.toString() !== mark) return;
        this.socket.off('pong', look);
        resolve();
      };
      this.socket.on('pong', look);
    });
    this.socket.ping(mark);
    await Promise.race([answered, this.closed]);
  }
}

/** Opens a WebSocket; rejects when the server refuses the handshake. */
export async function dial(url: string, protocols: readonly string[], options: object = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, [...protocols], options);
  // Messages may come in the same read as the handshake: the caller must listen before it yields.
  socket.pause();
  await once(socket, 'open');
  return socket;
}

/** The status and the body of an HTTP answer to a handshake. */
export function refusal(url: string, protocols: readonly string[] = [], options: object = {}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, [...protocols], options);
    socket.on('open', () => reject(new Error('was accepted')));
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
  });
}

export const encodeControl = (type: number, payload: unknown, version: '1.0' | '1.1' = '1.1'): Buffer =>
  encodeJson(type, JSON.stringify(payload), version);

/** A packet whose payload is JSON text already. */
export function encodeJson(type: number, text: string, version: '1.0' | '1.1' = '1.1'): Buffer {
  const json = Buffer.from(text);
  const header = Buffer.alloc(8);
  header.writeUInt16LE(type, 0);
  header.writeUInt16LE(json.length & 0xffff, 2);
  if (version === '1.1') {
    header.writeUInt8(1, 4);
    header.writeUInt16LE(json.length >>> 16, 5);
  }
  return Buffer.concat([header, json]);
}

function decodeControl(bytes: Buffer, version: '1.0' | '1.1'): RawPacket {
  const flags = bytes.readUInt8(4);
  if (flags !== (version === '1.1' ? 1 : 0)) throw new Error(`flags are ${flags} in version ${version}`);
  if (bytes.readUInt8(7) !== 0) throw new Error('the last byte of the header is not zero');
  const length = bytes.readUInt16LE(2) + (flags ? bytes.readUInt16LE(5) * 65536 : 0);
  if (length !== bytes.length - 8) throw new Error('the length lies');
  return { type: bytes.readUInt16LE(0), payload: JSON.parse(bytes.toString('utf8', 8)) as RawPacket['payload'] };
}

/** A control connection. */
export class RawControl extends RawSocket<RawPacket> {
  readonly version: '1.0' | '1.1';

  constructor(socket: WebSocket, version: '1.0' | '1.1') {
    super(socket, (bytes) => decodeControl(bytes, version));
    this.version = version;
    socket.resume();
  }

  static async open(url: string, version: '1.0' | '1.1' = '1.1', options: object = {}): Promise<RawControl> {
    const offered = version === '1.1' ? ['pubkeeper-1.1', 'pubkeeper-1.0'] : ['pubkeeper-1.0'];
    const socket = await dial(url, offered, options);
    if (socket.protocol !== offered[0]) throw new Error(`the server picked ${socket.protocol}`);
    return new RawControl(socket, version);
  }

  send(type: number, payload: unknown): void {
    this.socket.send(encodeControl(type, payload, this.version));
  }

  /** The next packet, which must be of this type. */
  async expect(type: number): Promise<Record<string, unknown>> {
    const packet = await this.next();
    if (packet.type !== type) throw new Error(`wanted ${type}, got ${packet.type} ${JSON.stringify(packet.payload)}`);
    return packet.payload;
  }

  /** The next two packets, which must refuse a registration: the reason, and the answer that every registration gets. */
  async refused(): Promise<Record<string, unknown>> {
    const reason = await this.expect(99);
    const id = 'brewer_id' in reason ? 'brewer_id' : 'patron_id';
    const answer = await this.expect(id === 'brewer_id' ? 22 : 12);
    if (answer[id] !== reason[id]) throw new Error(`wanted the answer to ${String(reason[id])}, got ${JSON.stringify(answer)}`);
    return reason;
  }

  async authenticate(token: string): Promise<Record<string, unknown>> {
    this.send(1, { token });
    const payload = await this.expect(2);
    if (payload['authenticated'] !== true) throw new Error('the server refused the token');
    this.send(40, { brews: ['websocket'], bridge_mode: false });
    return payload;
  }
}

/** A connection to the relay. */
export class RawRelay extends RawSocket<Buffer> {
  constructor(socket: WebSocket) {
    super(socket, (bytes) => bytes);
    socket.resume();
  }

  static async open(url: string, protocols: readonly string[] = ['pubkeeper-1.0.0']): Promise<RawRelay> {
    return new RawRelay(await dial(url, protocols));
  }

  join(topic: string): void {
    this.socket.send(encodeRelay(0, topic));
  }

  leave(topic: string): void {
    this.socket.send(encodeRelay(1, topic));
  }

  publish(topic: string, brewerId: string, payload: string): void {
    this.socket.send(encodeRelay(2, topic, encodeFrame(topic, brewerId, payload)));
  }

  /** The payload of the next frame. */
  async text(): Promise<string> {
    const frame = await this.next();
    if (frame.readUInt32LE(84) !== frame.length - 88) throw new Error('the length of a frame lies');
    return frame.toString('utf8', 88);
  }
}

export const sha256 = (topic: string): Buffer => createHash('sha256').update(topic).digest();

export const newId = (): string => randomBytes(16).toString('hex');

export function encodeRelay(type: number, topic: string, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt16LE(type, 0);
  sha256(topic).copy(header, 4);
  header.writeUInt32LE(payload.length, 36);
  return Buffer.concat([header, payload]);
}

export function encodeFrame(topic: string, brewerId: string, payload: string): Buffer {
  const body = Buffer.from(payload);
  const header = Buffer.alloc(88);
  header[0] = 1;
  sha256(topic).copy(header, 2);
  Buffer.from(brewerId, 'hex').copy(header, 34);
  header.writeUInt32LE(body.length, 84);
  return Buffer.concat([header, body]);
}
