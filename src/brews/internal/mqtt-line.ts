import type { IClientOptions, MqttClient } from 'mqtt';
import { PubkeeperError } from '../../core/index.js';
import { type Deferred, deferred } from '../../core/deferred.js';
import { cancel, wait } from '../../core/host.js';
import { newId } from '../../core/id.js';
import { type Credentials, type Line, type LineOwner, remedy, type Target } from './broker-line.js';

/** From this many bytes in the socket's buffer on, `publish` makes its caller wait. */
const HIGH_WATER = 1024 * 1024;
/** How long opening may take, in ms. */
const CONNECT_TIMEOUT = 10_000;
/** Seconds of silence after which the broker is asked for a sign of life. */
const KEEPALIVE = 10;
/** How long closing may take, in ms. */
const CLOSE_TIMEOUT = 1000;
/** CONNACK codes of a broker that does not let us in, of MQTT 3.1.1 and 5. */
const REFUSED = [4, 5, 0x86, 0x87, 0x8a, 0x8c];

/** What of MQTT.js is used here. */
interface MqttLibrary {
  readonly default: { connect(url: string, options: IClientOptions): MqttClient };
}

/** Opens a connection to the first of the addresses that answers: not all of those that a brewer names lead there from here. */
export async function openMqtt(
  { urls, credentials }: Target,
  owner: LineOwner,
  qos: 0 | 1,
  connected: (client: MqttClient) => void,
): Promise<Line> {
  const { connect } = (await loadMqtt()).default;
  let problem: unknown;
  for (const url of urls) {
    try {
      return await open(connect, url, credentials, owner, qos, connected);
    } catch (error) {
      problem = error;
    }
    if (owner.isGone()) break;
  }
  throw problem;
}

/** With everything off by which MQTT.js would come back by itself: that is the link's business. */
function open(
  connect: MqttLibrary['default']['connect'],
  url: string,
  credentials: Credentials | undefined,
  owner: LineOwner,
  qos: 0 | 1,
  connected: (client: MqttClient) => void,
): Promise<Line> {
  const client = connect(url, {
    clientId: `pubkeeper-${newId().slice(0, 12)}`, // 3.1.1 brokers need accept no more than 23 characters
    protocolVersion: 4,
    clean: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    connectTimeout: CONNECT_TIMEOUT,
    keepalive: KEEPALIVE,
    ...(credentials?.username !== undefined && { username: credentials.username }),
    ...(credentials?.password !== undefined && { password: credentials.password }),
  });
  return new Promise((resolve, reject) => {
    let problem: Error | undefined;
    let line: MqttLine | undefined;
    // For good: an 'error' that nobody listens to ends a Node process.
    client.on('error', (error) => (problem = error));
    client.on('connect', () => {
      connected(client);
      resolve((line = new MqttLine(client, owner, qos)));
    });
    client.on('close', () => {
      client.end(true);
      if (line) line.ended(lost(url, problem));
      else reject(refused(url, problem));
    });
  });
}

class MqttLine implements Line {
  readonly #client: MqttClient;
  readonly #owner: LineOwner;
  readonly #qos: 0 | 1;
  #drained: Deferred | undefined;
  readonly #ended = deferred();
  /**
   * The addresses whose UNSUBSCRIBE is not confirmed, and what is to be subscribed there after that: Aedes works at several packets of
   * a client at once, and would end the subscription that comes right behind.
   */
  readonly #leaving = new Map<string, { begin(): void; instead(): void } | undefined>();
  #over = false;

  constructor(client: MqttClient, owner: LineOwner, qos: 0 | 1) {
    this.#client = client;
    this.#owner = owner;
    this.#qos = qos;
    client.on('message', (topic, payload, { retain }) => {
      owner.message(topic, new Uint8Array(payload.buffer, payload.byteOffset, payload.length), retain);
    });
  }

  publish(address: string, payload: Uint8Array, retain: boolean): void | Promise<void> {
    const qos = this.#qos;
    const bytes = payload as Buffer; // MQTT.js writes whatever bytes it gets
    if (qos) {
      return new Promise((resolve, reject) => {
        // MQTT.js gives up its messages before it tells of the end of a connection over which nothing came; no broker refuses one otherwise.
        this.#client.publish(address, bytes, { qos, retain }, (error) => (error ? void this.#ended.promise.then(() => reject(error)) : resolve()));
      });
    }
    this.#client.publish(address, bytes, { qos, retain });
    return this.#client.stream.writableLength > HIGH_WATER ? this.#drain() : undefined;
  }

  subscribe(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void =>
        void this.#client.subscribe(address, { qos: this.#qos }, (error, granted, answer) => {
          if (!error && granted?.[0]?.qos !== 128) return resolve();
          if (!answer) return void this.#ended.promise.then(resolve); // it will be subscribed anew
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
      // What was to be subscribed there has not been.
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

  close(): Promise<void> {
    this.#over = true;
    return new Promise((resolve) => {
      const timer = wait(CLOSE_TIMEOUT, () => {
        // MQTT.js does not take a second end(): a broker that has stopped answering would keep the process alive until its keepalive is over.
        this.#client.stream.destroy();
        resolve();
      });
      this.#client.end(false, () => {
        cancel(timer);
        resolve();
      });
    });
  }

  ended(error: PubkeeperError): void {
    this.#drained?.resolve();
    this.#ended.resolve();
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended(error);
  }

  #drain(): Promise<void> {
    if (!this.#drained) {
      const drained = (this.#drained = deferred());
      this.#client.stream.once('drain', () => {
        this.#drained = undefined;
        drained.resolve();
      });
    }
    return this.#drained.promise;
  }
}

/** Rejects with `BREW_DEPENDENCY` when the package is missing. */
export async function loadMqtt(): Promise<MqttLibrary> {
  try {
    return await import('mqtt');
  } catch (cause) {
    throw new PubkeeperError('BREW_DEPENDENCY', 'MqttBrew needs the package mqtt: run npm install mqtt.', { packages: ['mqtt'] }, cause);
  }
}

function refused(url: string, problem: Error | undefined): PubkeeperError {
  const code: unknown = problem && 'code' in problem ? problem.code : undefined;
  if (typeof code === 'number' && REFUSED.includes(code)) {
    return new PubkeeperError(
      'UNAUTHORIZED',
      `The MQTT broker at ${url} refuses this client (${problem!.message}): check the brew's username and password.`,
      { url },
      problem,
    );
  }
  // Codes tell more than sentences that name the address again; those of certificates do not.
  const message = problem?.message || 'no answer';
  const why = typeof code === 'string' && !/certificate/i.test(message) ? code : message;
  return new PubkeeperError('CONNECT_FAILED', `Cannot connect to the MQTT broker at ${url} (${why}): ${remedy(why)}.`, { url }, problem);
}

const lost = (url: string, cause: Error | undefined): PubkeeperError =>
  new PubkeeperError('CONNECTION_LOST', `The connection to the MQTT broker at ${url} was lost.`, { url }, cause);
