import type { JetStreamManager } from '@nats-io/jetstream';
import type { KV } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { PubkeeperError } from '../../core/errors.js';
import { loadNats } from './nats-bus.js';
import type { RegistryStore, Watcher } from './registry.js';

/** JetStream's error code for "there is only one NATS server". */
const NOT_CLUSTERED = 10074;
const TIMEOUT_MS = 3000;

/**
 * The registry in a bucket of JetStream. It is kept in memory: what it holds is of use only while the servers that have written
 * it are running, and these write it again if it is lost.
 */
export class NatsStore implements RegistryStore {
  readonly #manager: JetStreamManager;
  readonly #bucket: string;
  readonly #open: (replicas: number) => Promise<KV>;
  readonly #replicas: number | undefined;
  #kv: KV | undefined;

  private constructor(manager: JetStreamManager, bucket: string, replicas: number | undefined, open: (replicas: number) => Promise<KV>) {
    this.#manager = manager;
    this.#bucket = bucket;
    this.#replicas = replicas;
    this.#open = open;
  }

  /**
   * Makes a store, which is not open yet.
   * @throws {PubkeeperError} `CLUSTER_DEPENDENCY`
   */
  static async on(connection: NatsConnection, bucket: string, replicas: number | undefined): Promise<NatsStore> {
    const nats = await loadNats();
    const { jetstream, jetstreamManager } = nats.jetstream;
    // Do not ask here whether there is JetStream: NATS servers that have just lost one of them may take long to answer.
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: TIMEOUT_MS });
    const kvm = new nats.kv.Kvm(jetstream(connection, { timeout: TIMEOUT_MS }));
    const open = (count: number): Promise<KV> =>
      kvm.create(bucket, { history: 1, storage: 'memory' as never, replicas: count, allow_direct: false, description: 'Pubkeeper: who is registered at which server' });
    return new NatsStore(manager, bucket, replicas, open);
  }

  /** @throws {PubkeeperError} `CLUSTER_FAILED` when the bucket cannot be opened, for example without JetStream */
  async open(): Promise<void> {
    try {
      this.#kv = await this.#open(this.#replicas ?? 3);
    } catch (error) {
      if (this.#replicas !== undefined || codeOf(error) !== NOT_CLUSTERED) throw failed(error);
      this.#kv = await this.#open(1).catch((cause: unknown) => {
        throw failed(cause);
      });
    }
  }

  async put(key: string, value: string): Promise<void> {
    await this.#bucketNow().put(key, value).catch(explain);
  }

  async delete(key: string): Promise<void> {
    await this.#bucketNow().delete(key).catch(explain);
  }

  /**
   * Not by a purge: nats-server 2.9 moves all watches past the messages that are on their way when anything is purged, so that servers would miss what
   * others register. And a purge that NATS handles late, after a new value was put, would remove that.
   */
  async erase(key: string): Promise<void> {
    const mark = await this.#bucketNow().get(key);
    if (mark?.operation === 'DEL') await this.#manager.streams.deleteMessage(`KV_${this.#bucket}`, mark.revision, false);
  }

  async purge(server: string): Promise<void> {
    await this.#manager.streams.purge(`KV_${this.#bucket}`, { filter: `$KV.${this.#bucket}.${server}.>` });
  }

  async watch(watcher: Watcher): Promise<() => void> {
    const entries = await this.#bucketNow().watch();
    void (async () => {
      for await (const entry of entries) {
        watcher.key(entry.key, entry.operation === 'PUT' ? entry.string() : undefined);
        if (entry.isUpdate || !entry.delta) watcher.complete();
      }
    })().then(
      () => watcher.ended(),
      (error: unknown) => watcher.ended(error),
    );
    return () => entries.stop();
  }

  #bucketNow(): KV {
    if (!this.#kv) throw new PubkeeperError('CLUSTER_FAILED', 'The registry in NATS is not open yet.');
    return this.#kv;
  }
}

const codeOf = (error: unknown): unknown => (typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined);

const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

function explain(cause: unknown): never {
  const why = wordsOf(cause);
  if (!/resource/i.test(why)) throw cause;
  throw new PubkeeperError('CLUSTER_FAILED', `JetStream has no memory left for what is registered (${why}): raise max_mem of nats-server, or that of the account.`, {}, cause);
}

function failed(cause: unknown): PubkeeperError {
  const why = wordsOf(cause);
  const isSingle = codeOf(cause) === NOT_CLUSTERED;
  const permanent = isSingle || /not enabled|not supported|insufficient permissions/i.test(`${why} ${cause instanceof Error ? cause.name : ''}`);
  const hint = isSingle ? ': it is a single server, leave out "replicas" (--cluster-replicas)' : permanent ? ': start nats-server with JetStream (-js), and allow it for this account' : '';
  return new PubkeeperError('CLUSTER_FAILED', `The registry in NATS cannot be opened (${why})${hint}.`, { permanent }, cause);
}
