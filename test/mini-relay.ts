import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebSocket} from 'ws';
import { WebSocketServer } from 'ws';

// A relay written from protocol.md, section 4, alone: it uses nothing of src. It speaks relay protocol 1.0 as
// deployed relays do, and records what comes and what is wrong with it.

export const hashOf = (topic: string): string => createHash('sha256').update(topic).digest('hex');

export class MiniRelay {
  readonly faults: string[] = [];
  /** `JOIN <hash>`, `LEAVE <hash>`, `PUBLISH <hash>`, of all connections. */
  readonly log: string[] = [];
  readonly sockets = new Map<WebSocket, Set<string>>();
  connections = 0;
  /** Which of the offered subprotocols it chooses. */
  subprotocol = 'pubkeeper-1.0.0';
  /** While this is true, it reads nothing, so that messages to it pile up. */
  paused = false;
  #last = new Map<string, Buffer>();
  #http: Server | undefined;
  #waiting: (() => void)[] = [];
  port = 0;

  async listen(): Promise<this> {
    const http = createServer();
    const wss = new WebSocketServer({ server: http, perMessageDeflate: false, handleProtocols: () => this.subprotocol || false });
    wss.on('connection', (socket) => this.#connected(socket));
    await new Promise<void>((done) => http.listen(this.port, '127.0.0.1', done));
    this.port = (http.address() as AddressInfo).port;
    this.#http = http;
    return this;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get details(): { name: string; hostname: string; port: number; secure: boolean } {
    return { name: 'websocket', hostname: '127.0.0.1', port: this.port, secure: false };
  }

  kill(): void {
    for (const socket of this.sockets.keys()) socket.terminate();
  }

  /** Forgets the last values, as after a restart. */
  forget(): void {
    this.#last.clear();
  }

  async close(): Promise<void> {
    const http = this.#http;
    this.#http = undefined;
    this.kill();
    if (http) await new Promise((done) => http.close(done));
  }

  /** Sends to all connections that have joined the topic. */
  send(topic: string, data: Uint8Array | string): void {
    for (const [socket, joined] of this.sockets) if (joined.has(hashOf(topic))) socket.send(data);
  }

  /** How often a line is in the log. */
  count(type: 'JOIN' | 'LEAVE' | 'PUBLISH', topic: string): number {
    return this.log.filter((line) => line === `${type} ${hashOf(topic)}`).length;
  }

  /** Resolves when `condition` holds, which is checked whenever something happens here. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resume) => this.#waiting.push(resume));
  }

  pause(paused: boolean): void {
    this.paused = paused;
    for (const socket of this.sockets.keys()) {
      if (paused) socket.pause();
      else socket.resume();
    }
  }

  #connected(socket: WebSocket): void {
    const joined = new Set<string>();
    this.connections++;
    this.sockets.set(socket, joined);
    if (this.paused) socket.pause();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.#happened();
    });
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.#packet(data, socket, joined);
      else this.faults.push('a text message');
      this.#happened();
    });
    this.#happened();
  }

  #packet(data: Buffer, from: WebSocket, joined: Set<string>): void {
    const frame = data.subarray(40);
    if (data.length < 40 || data.readUInt32LE(36) !== frame.length) return void this.faults.push('a length that lies');
    if (data.readUInt16LE(2) !== 0) this.faults.push('bytes 2 and 3 are not zero');
    const type = (['JOIN', 'LEAVE', 'PUBLISH'] as const)[data.readUInt16LE(0)];
    const hash = data.subarray(4, 36).toString('hex');
    if (!type) return void this.faults.push(`type ${data.readUInt16LE(0)}`);
    this.log.push(`${type} ${hash}`);
    if (type !== 'PUBLISH' && frame.length) this.faults.push(`${type} with a payload`);
    if (type === 'JOIN') {
      if (joined.has(hash)) this.faults.push('a second JOIN of one topic');
      joined.add(hash);
      const last = this.#last.get(hash);
      if (last) from.send(last);
    } else if (type === 'LEAVE') {
      if (!joined.delete(hash)) this.faults.push('LEAVE without JOIN');
    } else {
      const good = frame.length >= 88 && frame[0] === 1 && frame[1] === 0 && frame.readUInt32LE(84) === frame.length - 88;
      if (!good) this.faults.push('PUBLISH of what is no brew frame');
      if (frame.subarray(2, 34).toString('hex') !== hash) this.faults.push('PUBLISH of a frame of another topic');
      this.#last.set(hash, Buffer.from(frame));
      for (const [socket, topics] of this.sockets) if (socket !== from && topics.has(hash)) socket.send(frame);
    }
  }

  #happened(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
