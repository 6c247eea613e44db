import { randomBytes } from 'node:crypto';
import { PubkeeperError } from '../../core/errors.js';
import type { Logger } from '../../core/host.js';
import type { Drops } from '../stats.js';
import { encodeBeat, readBeat } from './beat-format.js';
import type { Beat } from './beat-format.js';
import { SERVER_ID } from './bridge-format.js';
import { Bridge } from './bridge.js';
import type { BridgedRelay } from './bridge.js';
import { busOf } from './bus.js';
import { SharedClock } from './clock.js';
import { Leases } from './leases.js';
import { NatsBus } from './nats-bus.js';
import { NatsStore } from './nats-store.js';
import type { ClusterSettings } from './options.js';
import { Registry } from './registry.js';
import type { ReplicaOwner } from './replica.js';

// One of the servers of a cluster. There is no leader: each server decides everything for itself, from the same facts as the
// others.

const TICK_MS = 500;
/** For how long opening and reading the registry is tried again at the start, in ms. */
const START_MS = 20_000;
/** In ticks: between signs of life; until a silent server counts as dead (6 s); until a cut-off server gives up all others; until calm ends an outage. */
const BEAT = 3;
const LEASE = 12;
const ISOLATION = 60;
const CALM = 20;
/** How many bytes a message may have besides its value: the header of a deletion, and what JetStream adds. */
const RECORD_OVERHEAD = 1024;

/** The state of the cluster as this server sees it; part of `ServerStats`. */
export interface ClusterStats {
  /** Whether everything works: NATS is connected, and what is written to the registry comes back. */
  readonly ready: boolean;
  /** Other servers that are alive. */
  readonly servers: number;
  /** Patrons and brewers at other servers. */
  readonly registrations: number;
  /** Changes that are not in the registry yet. */
  readonly pending: number;
  /** How often the whole registry was read, since the start. */
  readonly resyncs: number;
  /** Topics of which this server's relay receives frames from others. */
  readonly topics: number;
  /** Frames that were sent to the relays of other servers, since the start. */
  readonly sent: number;
  /** Frames that came from the relays of other servers, since the start. */
  readonly received: number;
  /** Bytes that NATS has not confirmed. It is asked once per 128 KiB, so the last ones count until then even if they were sent. */
  readonly waitingBytes: number;
}

/** What a cluster needs of its server. */
export interface ClusterMember extends ReplicaOwner {
  readonly relay: BridgedRelay;
  /** The number of connections that have joined the topic of this key at other servers may have changed. */
  arrived(key: string): void;
}

export interface ClusterHooks {
  readonly logger: Logger;
  readonly drops: Drops;
  /** How long a brew frame may be, in bytes. */
  readonly maxFrame: number;
}

export class Cluster {
  /** The id of this run of this server. */
  readonly server = randomBytes((SERVER_ID * 3) / 4).toString('base64url');
  readonly clock = new SharedClock(Date.now, Math.random());
  readonly bridge: Bridge;
  readonly #settings: ClusterSettings;
  readonly #hooks: ClusterHooks;
  readonly #leases = new Leases(this.server, LEASE, ISOLATION);
  readonly #prefix: string;
  #control!: NatsBus;
  #link!: NatsBus;
  #store!: NatsStore;
  #registry!: Registry;
  #member!: ClusterMember;
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;
  #hasLeft = false;
  /** What the log has said about the present outage, and the tick of the last failure. */
  readonly #told = new Set<string>();
  #toldAt = 0;

  private constructor(settings: ClusterSettings, hooks: ClusterHooks) {
    this.#settings = settings;
    this.#hooks = hooks;
    // Not below "pubkeeper", to which clients of NatsBrew have access.
    this.#prefix = `pubkeeper-cluster.${settings.name}`;
    this.bridge = new Bridge({
      server: this.server,
      // The bridge is made before there is a connection.
      bus: busOf(() => this.#link),
      clock: this.clock,
      prefix: this.#prefix,
      maxFrame: hooks.maxFrame,
      others: () => this.#leases.others,
      arrived: (key) => this.#member.arrived(key),
      malformed: () => hooks.drops.add('cluster-message'),
      later: (run) => setImmediate(run),
    });
  }

  /**
   * Connects to NATS and opens the registry.
   * @throws {PubkeeperError} `CLUSTER_DEPENDENCY`, `CONNECT_FAILED`, `UNAUTHORIZED` or `CLUSTER_FAILED`
   */
  static async connect(settings: ClusterSettings, hooks: ClusterHooks): Promise<Cluster> {
    const cluster = new Cluster(settings, hooks);
    try {
      await cluster.#connect();
      return cluster;
    } catch (error) {
      await Promise.all([cluster.#control?.close(), cluster.#link?.close()]);
      throw error;
    }
  }

  get registry(): Registry {
    return this.#registry;
  }

  /** Whether another server is alive. */
  isThere(server: string): boolean {
    return this.#leases.has(server);
  }

  /** Why clients should not be sent here; undefined when all is well. */
  get problem(): string | undefined {
    if (!this.#control.isUp || !this.#link.isUp) return 'NATS cannot be reached: clients of this server are matched with each other only.';
    if (this.#leases.isCutOff) return 'NATS does not pass on what this server sends: its clients are matched with each other only.';
    if (!this.#registry.isWorking) return 'The registry in NATS does not answer: new patrons and brewers are matched within this server only.';
    return undefined;
  }

  stats(): ClusterStats {
    const { bridge } = this;
    return {
      ready: this.problem === undefined,
      servers: this.#leases.size,
      registrations: this.#registry.size,
      pending: this.#registry.pending,
      resyncs: this.#registry.resyncs,
      topics: bridge.topics,
      sent: bridge.sent,
      received: bridge.received,
      waitingBytes: this.#link.waiting,
    };
  }

  /**
   * Joins the cluster: resolves when everything that is registered at other servers is known.
   * @throws {PubkeeperError} `CLUSTER_FAILED`
   */
  async start(member: ClusterMember): Promise<void> {
    this.#member = member;
    const { drops, logger } = this.#hooks;
    this.#registry = new Registry({
      server: this.server,
      store: this.#store,
      set: (record, server) => member.set(record, server),
      delete: (kind, id) => member.delete(kind, id),
      usurped: (kind, id) => member.usurped(kind, id),
      matchedAt: (server) => member.matchedAt(server),
      isAlive: (server) => this.#leases.has(server),
      isCutOff: () => this.#leases.isCutOff,
      failed: (error) => this.#tell(`The registry in NATS: ${error instanceof Error ? error.message : String(error)}`),
      malformed: () => {
        drops.add('cluster-record');
        logger.debug?.('A registration does not fit into the registry, or cannot be read there.');
      },
      heard: (at) => this.clock.heard(at),
      purged: (server) => this.#beat({ forgot: server }),
      later: (run) => setImmediate(run),
      after: (ms, run) => void setTimeout(run, ms).unref(),
      maxRecord: () => this.#control.maxMessage - RECORD_OVERHEAD,
    });
    this.#control.subscribe(`${this.#prefix}.beat`, (_subject, message) => this.#heard(message));
    this.bridge.attach(member.relay);
    this.#beat({ hello: true });
    this.#timer = setInterval(() => this.#onTick(), TICK_MS);
    this.#timer.unref();
    try {
      await this.#patiently(() => this.#registry.start());
    } catch (error) {
      if (error instanceof PubkeeperError) throw error;
      throw new PubkeeperError('CLUSTER_FAILED', `The registry in NATS cannot be read: ${String(error)}`, {}, error);
    }
  }

  /** Leaves the cluster: what was registered here stops counting at once. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#control.isUp) this.#beat({ bye: true });
    // Another sign of life, such as the answer to a new server, would bring back what has just ended.
    this.#hasLeft = true;
    if (this.#control.isUp) {
      // NATS may stop answering at any time: then the other servers find out by themselves.
      await Promise.race([this.#registry?.close(), new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
    }
    this.bridge.close();
    await Promise.all([this.#control.close(), this.#link.close()]);
  }

  async #connect(): Promise<void> {
    const { name, replicas } = this.#settings;
    const { logger } = this.#hooks;
    const options = { logger, drained: () => this.bridge.drained() };
    const [control, link] = await Promise.allSettled([
      NatsBus.connect(this.#settings, { ...options, echo: true, name: `pubkeeper ${this.server}`, changed: (isUp) => this.#controlChanged(isUp) }),
      NatsBus.connect(this.#settings, { ...options, echo: false, name: `pubkeeper ${this.server} relay`, changed: (isUp) => this.#linkChanged(isUp) }),
    ]);
    if (control.status === 'fulfilled') this.#control = control.value;
    if (link.status === 'fulfilled') this.#link = link.value;
    if (control.status === 'rejected') throw control.reason;
    if (link.status === 'rejected') throw link.reason;
    this.#store = await NatsStore.on(this.#control.connection, `pubkeeper_${name}`, replicas);
    await this.#patiently(() => this.#store.open());
  }

  /** Tries again and again: NATS servers that have just started, or have lost one of them, take some seconds to elect a leader. */
  async #patiently(run: () => Promise<void>): Promise<void> {
    const end = performance.now() + START_MS;
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (performance.now() > end || (error instanceof PubkeeperError && error.details['permanent'])) throw error;
        this.#tell(error instanceof Error ? error.message : String(error));
        await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      }
    }
  }

  #onTick(): void {
    this.#tick++;
    if (this.#tick % BEAT === 0) this.#beat({});
    for (const server of this.#leases.tick()) this.#lost(server, 'gives no sign of life');
    this.#registry.tick();
    this.bridge.tick();
    if (this.problem === undefined && this.#tick - this.#toldAt > CALM) this.#told.clear();
  }

  #beat(more: Partial<Beat>): void {
    const { server, clock } = this;
    if (this.#hasLeft) return;
    this.#control.publish(`${this.#prefix}.beat`, encodeBeat({ server, clock: clock.last, ...more }));
  }

  #heard(message: Uint8Array): void {
    const beat = readBeat(message);
    if (!beat) return this.#hooks.drops.add('cluster-message');
    const { server, clock, hello, bye, forgot } = beat;
    this.clock.heard(clock);
    if (this.#hasLeft) return;
    // This process was paused for so long that another server has removed its keys.
    if (forgot === this.server) void this.#registry.sync();
    if (bye) {
      if (this.#leases.left(server)) this.#lost(server, 'has left');
      return;
    }
    const isNew = this.#leases.heard(server);
    if (server === this.server) return;
    if (hello) this.#beat({});
    if (!isNew) return;
    this.#hooks.logger.debug?.(`Server ${server} of the cluster is there.`);
    this.#registry.setAlive(server, true);
    this.bridge.resync();
  }

  #lost(server: string, why: string): void {
    this.#hooks.logger.warn(`Server ${server} of the cluster ${why}: its registrations no longer count.`);
    this.#registry.setAlive(server, false);
    this.bridge.gone(server);
  }

  #controlChanged(isUp: boolean): void {
    if (!isUp || !this.#registry || this.#hasLeft) return;
    this.#beat({ hello: true });
    void this.#registry.sync();
  }

  #linkChanged(isUp: boolean): void {
    if (isUp) this.bridge.restored();
    else this.bridge.interrupted();
  }

  /** Logs a text, but only once per outage. */
  #tell(text: string): void {
    this.#toldAt = this.#tick;
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#hooks.logger.warn(text);
  }
}
