import type { ConnectionOptions, NatsConnection } from '@nats-io/nats-core';
import { PubkeeperError } from '../../core/errors.js';
import type { Logger } from '../../core/host.js';
import { natsTls } from '../../platform/nats-tls.js';
import { wholeModule } from '../../platform/whole-module.js';
import type { Bus, Receive } from './bus.js';
import type { ClusterSettings } from './options.js';

/** How many bytes may wait to be sent to NATS. */
const MOST_WAITING = 16 * 1024 * 1024;
/** After this many bytes NATS is asked whether it has them. */
const ASK_AFTER = 128 * 1024;
/** The status by which NATS reports that nobody has subscribed. */
const NOBODY = 503;
/** How many different errors are logged until NATS is connected again. */
const MOST_SAID = 100;
/** How often NATS is pinged, in ms; and after how many pings without an answer or any other message it counts as gone. */
const PING_MS = 2000;
const MOST_UNANSWERED = 2;

export interface NatsBusOptions {
  /** Whether what is published comes back to this connection's own subscriptions. */
  readonly echo: boolean;
  readonly name: string;
  readonly logger: Logger;
  /** The connection has been lost, or is there again. */
  changed(isUp: boolean): void;
  /** More bytes may wait again. */
  drained(): void;
}

/** One connection to NATS. It reconnects by itself, without end. */
export class NatsBus implements Bus {
  readonly connection: NatsConnection;
  readonly #options: NatsBusOptions;
  #isUp = true;
  #waiting = 0;
  #unasked = 0;
  #isFull = false;
  /** Grows whenever the connection is lost: what was still waiting then is lost too. */
  #epoch = 0;
  /** The errors of NATS that were logged since it was last connected: each attempt to reconnect may bring the same one. */
  readonly #said = new Set<string>();
  /** How many messages had come at the last ping. */
  #heard = 0;

  private constructor(connection: NatsConnection, options: NatsBusOptions) {
    this.connection = connection;
    this.#options = options;
    void this.#follow();
  }

  /** @throws {PubkeeperError} `CLUSTER_DEPENDENCY`, `CONNECT_FAILED` or `UNAUTHORIZED` */
  static async connect(settings: ClusterSettings, options: NatsBusOptions): Promise<NatsBus> {
    const { connect, credsAuthenticator } = (await loadNats()).transport;
    const { servers, username, password, token, credentials } = settings;
    const connectionOptions: ConnectionOptions = {
      servers: [...servers],
      name: options.name,
      noEcho: !options.echo,
      maxReconnectAttempts: -1,
      // Otherwise the client would give up for good when it is refused twice: NATS may have been started with other users by mistake.
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      pingInterval: PING_MS,
      // An answer to a ping comes after everything that NATS has to send before, which may be much: #pinged decides instead.
      maxPingOut: Infinity,
      timeout: 5000,
      ...(username !== undefined && { user: username }),
      ...(password !== undefined && { pass: password }),
      ...(token !== undefined && { token }),
      ...(credentials && { authenticator: credsAuthenticator(credentials) }),
      ...(servers.some((server) => server.startsWith('tls:')) && { tls: natsTls(servers) }),
    };
    try {
      return new NatsBus(await connect(connectionOptions), options);
    } catch (cause) {
      throw refused(servers, cause);
    }
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get maxMessage(): number {
    return Math.min(this.connection.info?.max_payload ?? 1024 * 1024, 1024 * 1024);
  }

  /** Bytes that NATS has not confirmed. It is asked once per 128 KiB. */
  get waiting(): number {
    return this.#waiting;
  }

  fits(length: number): boolean {
    const fits = this.#isUp && (this.#waiting === 0 || this.#waiting + length <= MOST_WAITING);
    if (fits) return true;
    this.#isFull = true;
    // NATS may not have been asked about what waits, because it is too little: then nobody would be told when there is room.
    if (this.#isUp && this.#unasked) void this.#ask();
    return false;
  }

  publish(subject: string, message: Uint8Array, answerTo?: string): void {
    if (!this.#isUp || this.connection.isClosed()) return;
    this.connection.publish(subject, message, answerTo === undefined ? {} : { reply: answerTo });
    this.#waiting += message.length;
    this.#unasked += message.length;
    if (this.#unasked >= ASK_AFTER) void this.#ask();
  }

  subscribe(subject: string, receive: Receive): () => void {
    const subscription = this.connection.subscribe(subject, {
      callback: (error, { subject: own, data, headers }) => {
        if (!error) receive(own, data, headers?.code === NOBODY);
      },
    });
    // The connection's status reports a refusal too.
    subscription.closed.catch(() => undefined);
    return () => {
      if (!this.connection.isClosed()) subscription.unsubscribe();
    };
  }

  async close(): Promise<void> {
    this.#isUp = false;
    await this.connection.close();
  }

  /** Asks NATS for an answer, which comes when NATS has everything that was sent before. */
  async #ask(): Promise<void> {
    const bytes = this.#unasked;
    const epoch = this.#epoch;
    this.#unasked = 0;
    await this.connection.flush().catch(() => undefined);
    if (epoch !== this.#epoch) return;
    this.#waiting -= bytes;
    // NATS is not asked about bytes below the threshold: they count as sent when all those are that it was asked about.
    if (this.#waiting === this.#unasked) this.#waiting = this.#unasked = 0;
    if (!this.#isFull || this.#waiting > MOST_WAITING / 2) return;
    this.#isFull = false;
    this.#options.drained();
  }

  /** Gives up a connection over which nothing comes, not even answers to pings, and makes a new one. */
  #pinged(unanswered: number): void {
    const { inMsgs } = this.connection.stats();
    if (unanswered >= MOST_UNANSWERED && inMsgs === this.#heard) this.connection.reconnect().catch(() => undefined); // rejects if it was closed meanwhile
    this.#heard = inMsgs;
  }

  async #follow(): Promise<void> {
    const { logger, changed } = this.#options;
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect') {
        if (!this.#isUp) continue;
        this.#isUp = false;
        this.#epoch++;
        this.#waiting = this.#unasked = 0;
        logger.warn(`The connection to NATS at ${status.server} was lost; reconnecting.`);
        changed(false);
      } else if (status.type === 'reconnect') {
        // This comes as many times as NATS has refused the connection before.
        if (this.#isUp) continue;
        this.#isUp = true;
        this.#said.clear();
        logger.warn(`Connected to NATS at ${status.server} again.`);
        changed(true);
      } else if (status.type === 'ping') {
        this.#pinged(status.pendingPings - 1);
      } else if (status.type === 'error') {
        const { message } = status.error;
        if (this.#said.has(message) || this.#said.size >= MOST_SAID) continue;
        this.#said.add(message);
        logger.warn(`NATS says: ${message}`);
      }
    }
  }
}

/**
 * Loads the packages of NATS, which are optional, because only a cluster needs them. They are imported within the `try`, which tells
 * bundlers the same.
 * @throws {PubkeeperError} `CLUSTER_DEPENDENCY`
 */
export async function loadNats() {
  try {
    return {
      transport: wholeModule(await import('@nats-io/transport-node')),
      jetstream: wholeModule(await import('@nats-io/jetstream')),
      kv: wholeModule(await import('@nats-io/kv')),
    };
  } catch (cause) {
    const packages = ['@nats-io/transport-node', '@nats-io/jetstream', '@nats-io/kv'];
    const message = `A cluster needs the packages ${packages.join(', ')}: run npm install ${packages.join(' ')}.`;
    throw new PubkeeperError('CLUSTER_DEPENDENCY', message, { packages }, cause);
  }
}

function refused(servers: readonly string[], cause: unknown): PubkeeperError {
  const where = servers.join(', ');
  const why = cause instanceof Error ? cause.message : '';
  if (cause instanceof Error && /authoriz|authenticat|nkey|jwt|credentials/i.test(cause.name + why)) {
    const message = `NATS at ${where} refuses this server (${why}): check the cluster's user and password, token or credentials file.`;
    return new PubkeeperError('UNAUTHORIZED', message, { servers }, cause);
  }
  const hint = /altnames/.test(why)
    ? 'name it as its certificate does, and begin the address with tls://'
    : /certificate/i.test(why)
    ? 'where its certificate is signed by an authority of your own, start with NODE_EXTRA_CA_CERTS=<file in PEM>'
    : 'check that it runs there, and that the address begins with nats:// or tls://';
  const message = `Cannot connect to NATS at ${where} (${why || 'no answer'}): ${hint}.`;
  return new PubkeeperError('CONNECT_FAILED', message, { servers }, cause);
}
