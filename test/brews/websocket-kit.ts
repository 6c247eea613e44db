import { WebSocketBrew } from '../../src/brews/websocket.js';
import type { BrewHost } from '../../src/core/brew.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import { id, rawFrame } from '../helpers.js';
import { Network, type PairSocket } from '../socket-pair.js';

export const TOPIC = 'a.b';
export const RELAY_2 = 'pubkeeper-relay-2';

/** A WebSocket brew whose relays are sockets of this process, and shorthands for its pairs. */
export function kit() {
  const network = new Network();
  const errors: PubkeeperError[] = [];
  const dropped: string[] = [];
  const host = {
    server: 'ws://one/ws',
    losses: 0,
    WebSocket: network.WebSocket,
    reconnect: { delayMs: 1000, maxDelayMs: 1000, stableMs: 5000, graceMs: 30_000, maxRetries: Infinity },
    logger: undefined,
    report: (error: PubkeeperError) => void errors.push(error),
    dropped: (reason: string) => void dropped.push(reason),
  } satisfies BrewHost;
  const brew = new WebSocketBrew();
  brew.attach(host);
  const start = (patron = 2, details: object = {}) => brew.startBrewer({ topic: TOPIC, brewerId: id(1), patronId: id(patron), details: { name: 'websocket', ...details } });
  const read = (brewer = 1, hostname = 'one', details: object = {}, patron = 9) => {
    const texts: string[] = [];
    const receive = (data: Uint8Array, retained?: boolean): void => void texts.push(Buffer.from(data.subarray(88)).toString() + (retained ? ' retained' : ''));
    const pair = { topic: TOPIC, brewerId: id(brewer), patronId: id(patron), details: { name: 'websocket', hostname, port: 80, ...details }, receive };
    return { texts, stop: brew.startPatron(pair) };
  };
  const say = (text: string) => brew.brew(id(1), rawFrame(TOPIC, id(1), text));
  /** Like `say`, and returns a function that tells whether the text was accepted. */
  const watched = (text: string): (() => boolean) => {
    let isAccepted = false;
    void Promise.resolve(say(text)).then(() => (isAccepted = true));
    return () => isAccepted;
  };
  return { network, errors, dropped, host, brew, start, read, say, watched };
}

/** The packets that a relay got, by type and payload. */
export function packets(socket: PairSocket): { type: number; payload: Buffer }[] {
  const all: { type: number; payload: Buffer }[] = [];
  for (const message of socket.sent) {
    const data = Buffer.from(message);
    for (let at = 0; at < data.length; ) {
      const end = at + 40 + data.readUInt32LE(at + 36);
      all.push({ type: data.readUInt16LE(at), payload: data.subarray(at + 40, end) });
      at = end;
    }
  }
  return all;
}

/** The texts that were published to a relay. */
export const published = (socket: PairSocket): string[] => packets(socket).flatMap(({ type, payload }) => (type === 2 ? payload.subarray(88).toString() : []));

/** A message from a relay: one frame as a record of relay protocol 2. */
export function record(brewer: number, text: string, retained = false): Uint8Array {
  const frame = rawFrame(TOPIC, id(brewer), text);
  const head = Buffer.alloc(8);
  head.writeUInt16LE(retained ? 5 : 2, 0);
  head.writeUInt32LE(frame.length, 4);
  return Buffer.concat([head, frame]);
}
