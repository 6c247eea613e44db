import type { MqttClient } from 'mqtt';
import { PubkeeperError } from '../../core/index.js';
import { type Deferred, deferred } from '../../core/deferred.js';
import { after, cancel, type Timer, wait } from '../../core/host.js';
import { newId } from '../../core/id.js';
import { type Credentials, type Line, type LineOwner, type PageSockets, patience, type Target, tooLong } from './broker-line.js';
import { lost, refused } from './mqtt-faults.js';
import { loadMqtt, type MqttLibrary, type MqttWays } from './mqtt-library.js';
import { pageOptions } from './mqtt-page.js';

/** From this many bytes in the socket's buffer on, `publish` makes its caller wait. */
const HIGH_WATER = 1024 * 1024;
/** In a page, how often the buffer of a full socket is checked, in ms. */
const DRAIN_POLL = 5;
/**
 * With QoS 1, how many messages may be unconfirmed at once; further ones wait. MQTT has 65,535 numbers for them, and beyond that MQTT.js
 * does not tell when a message is confirmed.
 */
const MAX_UNCONFIRMED = 8192;
/** A message of this many bytes may be too long for a broker, which then ends the connection without saying why. */
const LONG = 4096;
/** It does so within this time, in ms. */
const SUSPECTED = 1000;
/** How long opening may take, in ms. */
const CONNECT_TIMEOUT = 10_000;
/** Seconds of silence after which the broker is asked for a sign of life. */
const KEEPALIVE = 10;
/** How long closing may take, in ms. */
const CLOSE_TIMEOUT = 1000;

/**
 * Connects to the first address that answers: some of those that a brewer names may not be reachable from here.
 * @param connected called with the connection as soon as it is open
 * @param sockets in a page, opens its WebSockets
 */
export async function openMqtt(
  { urls, credentials }: Target,
  owner: LineOwner,
  ways: MqttWays,
  connected: (client: MqttClient) => void,
  sockets?: PageSockets,
): Promise<Line> {
  const { connect } = (await loadMqtt()).default;
  let problem: unknown;
  for (const url of urls) {
    try {
      return await open(connect, url, credentials, owner, ways, connected, sockets);
    } catch (error) {
      problem = error;
    }
    if (owner.gone.aborted) break;
  }
  throw problem;
}

/** Connects, with everything off by which MQTT.js would reconnect by itself: that is the task of `BrokerLink`. */
async function open(
  connect: MqttLibrary['default']['connect'],
  url: string,
  credentials: Credentials | undefined,
  owner: LineOwner,
  ways: MqttWays,
  connected: (client: MqttClient) => void,
  sockets: PageSockets | undefined,
): Promise<Line> {
  // In a page, MQTT.js gives to a socket that is open what it writes at once, and keeps back what it writes to others.
  const socket = await sockets?.opened(url, 'mqtt', CONNECT_TIMEOUT).catch((error: Error) => Promise.reject(refused(url, error)));
  owner.gone.throwIfAborted();
  const client = connect(url, {
    clientId: `pubkeeper-${newId().slice(0, 12)}`, // 3.1.1 brokers need accept no more than 23 characters
    protocolVersion: 4,
    clean: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    connectTimeout: CONNECT_TIMEOUT,
    keepalive: KEEPALIVE,
    // MQTT.js takes the brackets from an IPv6 address.
    transformWsUrl: () => url,
    ...(socket && pageOptions(socket)),
    ...(credentials?.username !== undefined && { username: credentials.username }),
    ...(credentials?.password !== undefined && { password: credentials.password }),
  });
  return new Promise((resolve, reject) => {
    let problem: Error | undefined;
    let line: MqttLine | undefined;
    // Never removed: an 'error' event without a listener ends a Node process.
    client.on('error', (error) => (problem = error));
    const leave = (): void => void client.end(true);
    owner.gone.addEventListener('abort', leave);
    client.on('connect', () => {
      owner.gone.removeEventListener('abort', leave);
      connected(client);
      resolve((line = new MqttLine(client, url, owner, ways, socket)));
    });
    client.on('close', () => {
      owner.gone.removeEventListener('abort', leave);
      client.end(true);
      if (line) line.ended(lost(url, problem, line.suspect));
      else reject(refused(url, problem));
    });
  });
}

interface Message {
  readonly address: string;
  readonly bytes: Buffer;
  readonly retain: boolean;
  readonly resolve: () => void;
  readonly reject: (error: PubkeeperError) => void;
}

class MqttLine implements Line {
  readonly most: number;
  readonly #client: MqttClient;
  readonly #url: string;
  readonly #owner: LineOwner;
  readonly #qos: 0 | 1;
  readonly #socket: WebSocket | undefined;
  /** With QoS 1, the messages that the broker has not confirmed, and those that are not sent yet, the oldest first. */
  readonly #unconfirmed = new Set<Message>();
  readonly #waiting = new Set<Message>();
  /** The longest message that was sent a moment ago, or the last such message. */
  #long: { readonly length: number; readonly at: number } | undefined;
  #drained: Deferred | undefined;
  #poll: Timer | undefined;
  #checking: Timer | undefined;
  readonly #ended = deferred();
  /**
   * The addresses whose UNSUBSCRIBE is not confirmed, each with the subscription that is to follow, if any. The broker Aedes handles
   * several packets of a client at once, and its UNSUBSCRIBE might end a subscription that was sent right after it.
   */
  readonly #leaving = new Map<string, { begin(): void; instead(): void } | undefined>();
  #over = false;

  constructor(client: MqttClient, url: string, owner: LineOwner, { qos, most }: MqttWays, socket: WebSocket | undefined) {
    this.#client = client;
    this.#url = url;
    this.most = most;
    this.#socket = socket;
    this.#owner = owner;
    this.#qos = qos;
    client.on('message', (topic, payload, { retain }) => {
      owner.message(topic, new Uint8Array(payload.buffer, payload.byteOffset, payload.length), retain);
    });
  }

  publish(address: string, payload: Uint8Array, retain: boolean): void | Promise<void> {
    const qos = this.#qos;
    const { length } = payload;
    if (length > this.most) throw tooLong(`The MQTT broker at ${this.#url}`, length, this.most, 'its limit and the option maxPayload');
    if (length >= Math.max(LONG, this.suspect ?? 0)) this.#long = { length, at: performance.now() };
    const bytes = payload as Buffer; // MQTT.js writes whatever bytes it gets
    if (qos) {
      return new Promise((resolve, reject) => {
        this.#waiting.add({ address, bytes, retain, resolve, reject });
        this.#send(MAX_UNCONFIRMED);
      });
    }
    this.#client.publish(address, bytes, { qos, retain });
    return this.#unsent > HIGH_WATER ? this.#drain() : undefined;
  }

  subscribe(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void =>
        void this.#client.subscribe(address, { qos: this.#qos }, (error, granted, answer) => {
          if (!error && granted?.[0]?.qos !== 128) return resolve();
          if (!answer) return void this.#ended.promise.then(resolve); // the link will subscribe again
          reject(
            new PubkeeperError(
              'FORBIDDEN',
              `The MQTT broker does not let this client read ${address}: grant it that topic and those below it.`,
              { address },
              error,
            ),
          );
        });
      if (this.#leaving.has(address)) this.#leaving.set(address, { begin, instead: resolve });
      else begin();
    });
  }

  unsubscribe(address: string): void {
    if (this.#over) return;
    if (this.#leaving.has(address)) {
      // The subscription that was to follow has not been sent yet, and is not needed any more.
      this.#leaving.get(address)?.instead();
      this.#leaving.set(address, undefined);
      return;
    }
    this.#leaving.set(address, undefined);
    this.#client.unsubscribe(address, () => {
      const next = this.#leaving.get(address);
      this.#leaving.delete(address);
      next?.begin();
    });
  }

  check(): void {
    if (this.#over || this.#checking !== undefined) return;
    // The end of the stream leads to `ended`.
    this.#checking = after(patience(this.#unsent), () => void this.#client.stream.destroy());
    this.#client.once('packetreceive', () => this.#checked());
    this.#client.sendPing();
  }

  #checked(): void {
    cancel(this.#checking);
    this.#checking = undefined;
  }

  close(): Promise<void> {
    this.#checked();
    this.#send(Infinity);
    this.#over = true;
    return new Promise((resolve) => {
      const timer = wait(CLOSE_TIMEOUT, () => {
        // MQTT.js ignores a second end(): a broker that has stopped answering would keep the process alive until the keepalive has run out.
        this.#client.stream.destroy();
        resolve();
      });
      this.#client.end(false, () => {
        cancel(timer);
        resolve();
      });
    });
  }

  rest(): Promise<void> {
    if (!this.#socket) return this.close();
    this.#over = true;
    // MQTT.js gives the socket what was published in this tick only now, or later.
    const { stream } = this.#client;
    while (stream.writableCorked) stream.uncork();
    this.#socket.close();
    this.#client.end(true);
    this.ended(new PubkeeperError('CONNECTION_LOST', 'The page was put away.'));
    return Promise.resolve();
  }

  ended(error: PubkeeperError): void {
    cancel(this.#poll);
    this.#checked();
    this.#drained?.resolve();
    this.#ended.resolve();
    for (const { reject } of [...this.#unconfirmed, ...this.#waiting]) reject(error);
    this.#unconfirmed.clear();
    this.#waiting.clear();
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended(error);
  }

  /** Sends messages that wait, until `most` are unconfirmed. */
  #send(most: number): void {
    for (const message of this.#waiting) {
      if (this.#unconfirmed.size >= most) return;
      this.#waiting.delete(message);
      this.#unconfirmed.add(message);
      const { address, bytes, retain, resolve } = message;
      this.#client.publish(address, bytes, { qos: 1, retain }, (error) => {
        // An error means that the connection is lost, since brokers refuse no message. MQTT.js may report it here before it tells of the
        // connection's end, or not at all: `ended` rejects.
        if (error || !this.#unconfirmed.delete(message)) return;
        resolve();
        this.#send(MAX_UNCONFIRMED);
      });
    }
  }

  /** The length of a message that was sent right before, if it is so long that the broker may have ended the connection over it. */
  get suspect(): number | undefined {
    return this.#long && performance.now() - this.#long.at < SUSPECTED ? this.#long.length : undefined;
  }

  /** How many bytes are waiting in the stream and, in a page, in its socket. */
  get #unsent(): number {
    return this.#client.stream.writableLength + (this.#socket?.bufferedAmount ?? 0);
  }

  #drain(): Promise<void> {
    if (!this.#drained) {
      const drained = (this.#drained = deferred());
      const over = (): void => {
        this.#drained = undefined;
        drained.resolve();
      };
      // WebSockets have no event for it.
      const look = (): void => {
        if (this.#unsent <= HIGH_WATER) over();
        else this.#poll = wait(DRAIN_POLL, look);
      };
      if (this.#socket) look();
      else this.#client.stream.once('drain', over);
    }
    return this.#drained.promise;
  }
}
