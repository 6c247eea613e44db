import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebSocket} from 'ws';
import { WebSocketServer } from 'ws';

// A control server written from protocol.md, section 2, alone: it uses nothing of src. It checks every byte that
// a client sends and records what is wrong (`faults`), and it answers as the test says.

export interface StrictPacket {
  type: number;
  payload: Record<string, unknown>;
}

export interface StrictOptions {
  token?: string;
  /** Which of the offered subprotocols it chooses; `''`: none. Default: the first offered. */
  subprotocol?: string;
  /** Announced in AUTHENTICATED, in ms. */
  heartbeat?: number;
  /** Does not answer AUTHENTICATE. */
  mute?: boolean;
  /** The answers to a packet of the client. Default: every registration is answered by an empty list. */
  answer?: (packet: StrictPacket, socket: WebSocket) => StrictPacket[] | undefined;
}

const ID = /^[0-9a-f]{32}$/;
/** The keys of each packet that a client may send, as in the protocol's table. */
const KEYS: Record<number, string[]> = {
  1: ['token'],
  10: ['topic', 'brewer_id', 'brewer_config', 'brews'],
  11: ['topic', 'brewer_id'],
  20: ['topic', 'patron_id', 'brews'],
  21: ['topic', 'patron_id'],
  40: ['brews', 'bridge_mode'],
  41: ['brew', 'state'],
  99: ['message'],
};

/** The bytes of a packet, according to the table of headers. */
export function strictEncode({ type, payload }: StrictPacket, version: '1.0' | '1.1' = '1.1'): Buffer {
  const json = Buffer.from(JSON.stringify(payload));
  const header = Buffer.alloc(8);
  header.writeUInt16LE(type, 0);
  header.writeUInt16LE(json.length & 0xffff, 2);
  if (version === '1.1') {
    header[4] = 1;
    header.writeUInt16LE(json.length >>> 16, 5);
  }
  return Buffer.concat([header, json]);
}

export class StrictServer {
  readonly faults: string[] = [];
  /** The packets of all connections, in order. */
  readonly packets: StrictPacket[] = [];
  readonly offers: string[][] = [];
  readonly sockets = new Set<WebSocket>();
  /** The number of connections so far. */
  connections = 0;
  options: StrictOptions;
  #http: Server | undefined;
  #waiting: (() => void)[] = [];
  #port = 0;

  constructor(options: StrictOptions = {}) {
    this.options = { token: 'secret', ...options };
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/ws`;
  }

  /** Listens; on the former port after a close(). */
  async listen(): Promise<this> {
    const http = createServer();
    const wss = new WebSocketServer({
      server: http,
      handleProtocols: (offered) => {
        this.offers.push([...offered]);
        const { subprotocol } = this.options;
        return subprotocol === undefined ? [...offered][0]! : subprotocol || false;
      },
    });
    wss.on('connection', (socket) => this.#connected(socket));
    await new Promise<void>((done) => http.listen(this.#port, '127.0.0.1', done));
    this.#port = (http.address() as AddressInfo).port;
    this.#http = http;
    return this;
  }

  /** Cuts every connection, without a close frame. */
  kill(): void {
    for (const socket of this.sockets) socket.terminate();
  }

  async close(): Promise<void> {
    const http = this.#http;
    this.#http = undefined;
    this.kill();
    if (http) await new Promise((done) => http.close(done));
  }

  send(packet: StrictPacket): void {
    for (const socket of this.sockets) socket.send(strictEncode(packet, socket.protocol === 'pubkeeper-1.0' ? '1.0' : '1.1'));
  }

  sendRaw(data: Uint8Array | string): void {
    for (const socket of this.sockets) socket.send(data);
  }

  /** The packets of a type, of all connections. */
  ofType(type: number): Record<string, unknown>[] {
    return this.packets.filter((packet) => packet.type === type).map(({ payload }) => payload);
  }

  /** Resolves when `condition` holds, which is checked whenever something happens here. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resume) => this.#waiting.push(resume));
  }

  #happened(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #connected(socket: WebSocket): void {
    this.connections++;
    this.sockets.add(socket);
    const version = socket.protocol === 'pubkeeper-1.0' ? '1.0' : '1.1';
    const state = { authenticated: false, brews: undefined as string[] | undefined, ids: new Map<string, string>() };
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.#happened();
    });
    socket.on('message', (data: Buffer, isBinary) => {
      const fault = (what: string): void => void this.faults.push(what);
      const packet = isBinary ? this.#read(data, version, fault) : undefined;
      if (!isBinary) fault('a text message');
      if (packet) {
        this.packets.push(packet);
        this.#check(packet, state, fault);
        for (const answer of this.#answer(packet, socket)) socket.send(strictEncode(answer, version));
      }
      this.#happened();
    });
    this.#happened();
  }

  #read(data: Buffer, version: string, fault: (what: string) => void): StrictPacket | undefined {
    if (data.length < 8) return void fault(`${data.length} bytes are no packet`);
    const type = data.readUInt16LE(0);
    const json = data.subarray(8);
    const [flags, high, last] = [data[4], data.readUInt16LE(5), data[7]];
    if (flags !== (version === '1.1' ? 1 : 0)) fault(`flags are ${flags} in version ${version}`);
    if (version === '1.0' && high) fault('a high length in version 1.0');
    if (last !== 0) fault(`byte 7 is ${last}`);
    if (data.readUInt16LE(2) + high * 65_536 !== json.length) fault('a length that lies');
    try {
      return { type, payload: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)) as Record<string, unknown> };
    } catch {
      return void fault(`type ${type} bears no JSON in UTF-8`);
    }
  }

  #check(
    { type, payload }: StrictPacket,
    state: { authenticated: boolean; brews: string[] | undefined; ids: Map<string, string> },
    fault: (what: string) => void,
  ): void {
    if (type === 60 && this.options.heartbeat) return; // the answer of a server that announces a heartbeat
    const keys = KEYS[type];
    if (!keys) return fault(`type ${type} is not for a client to send`);
    // An extension of this project: sent to a server that announces a heartbeat, by a client with several brews.
    const extra = type === 41 && this.options.heartbeat && state.brews!.length > 1 ? ['moves', 'brewer_id', 'patron_id'] : [];
    const has = Object.keys(payload).filter((key) => !extra.includes(key));
    if (JSON.stringify(has.sort()) !== JSON.stringify([...keys].sort())) fault(`type ${type} has the keys ${has.join(', ')}`);
    if (state.authenticated === (type === 1)) fault(`type ${type} ${state.authenticated ? 'after' : 'before'} authentication`);
    if (type === 1) state.authenticated = true;
    else if (type === 40) {
      if (state.brews) fault('BREWS_REGISTER twice');
      state.brews = payload['brews'] as string[];
      if (!Array.isArray(state.brews) || !state.brews.every((name) => typeof name === 'string')) fault('brews that are no names');
      if (payload['bridge_mode'] !== false) fault('bridge_mode is not false');
    } else if (!state.brews) fault(`type ${type} before BREWS_REGISTER`);
    if ([10, 11, 20, 21].includes(type)) this.#checkMember(type, payload, state, fault);
  }

  #checkMember(
    type: number,
    payload: Record<string, unknown>,
    { brews, ids }: { brews: string[] | undefined; ids: Map<string, string> },
    fault: (what: string) => void,
  ): void {
    const [key, kind] = type < 20 ? ['brewer_id', 'brewer'] : ['patron_id', 'patron'];
    const id = payload[key] as string;
    const topic = payload['topic'] as string;
    if (!ID.test(id)) fault(`${key} is ${id}`);
    if (!/^[^.\s]+(\.[^.\s]+)*$/.test(topic)) fault(`the topic is ${topic}`);
    if (kind === 'brewer' && topic.includes('*')) fault(`a brewer of the pattern ${topic}`);
    if (type === 11 || type === 21) {
      if (ids.get(kind + id) !== topic) fault(`unregisters ${id} of ${topic}, which is not registered`);
      ids.delete(kind + id);
      return;
    }
    if (ids.has(kind + id)) fault(`registers ${id} twice`);
    ids.set(kind + id, topic);
    const details = payload['brews'] as { name: unknown }[];
    if (!Array.isArray(details) || !details.length) fault('no brews');
    else for (const { name } of details) if (!brews?.includes(name as string)) fault(`a brew called ${String(name)}`);
    if (type === 10) this.#checkConfig(payload['brewer_config'] as { cipher?: Record<string, unknown> }, fault);
  }

  #checkConfig({ cipher }: { cipher?: Record<string, unknown> }, fault: (what: string) => void): void {
    if (!cipher) return;
    const { mode, key } = cipher as { mode: unknown; key: string };
    if (mode === 2 ? !/^([0-9a-f]{32}|[0-9a-f]{48}|[0-9a-f]{64})$/.test(key) : mode === 'AES-GCM' ? !/^[0-9a-f]{64}$/.test(key) : mode !== 'NONE') {
      fault(`a cipher of mode ${String(mode)} and a key of ${String(key?.length)} digits`);
    }
  }

  #answer(packet: StrictPacket, socket: WebSocket): StrictPacket[] {
    const { token, heartbeat, mute } = this.options;
    const { type, payload } = packet;
    if (type === 1) {
      if (mute) return [];
      const authenticated = payload['token'] === token;
      return [{ type: 2, payload: { authenticated, ...(heartbeat && { heartbeat }) } }];
    }
    const answers = this.options.answer?.(packet, socket);
    if (answers) return answers;
    if (type === 60) return [packet];
    if (type === 10) return [{ type: 22, payload: { brewer_id: payload['brewer_id'], patrons: [] } }];
    if (type === 20) return [{ type: 12, payload: { patron_id: payload['patron_id'], brewers: [] } }];
    return [];
  }
}
