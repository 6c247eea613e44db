import type { Kind, RegistryRecord } from './records.js';
import { Census } from './census.js';
import { decodeRecord, encodeRecord, pulseKey, pulseOf, readKey, readPulse, serverOf } from './records.js';
import { Replica } from './replica.js';
import type { ReplicaOwner } from './replica.js';
import { Writer } from './writer.js';
import type { KeyStore } from './writer.js';

/** The keys that all servers share. Promises reject while the store cannot be reached. */
export interface RegistryStore extends KeyStore {
  /** Makes sure that the store exists. */
  open(): Promise<void>;
  /** Removes all keys of a server; watchers are not told. */
  purge(server: string): Promise<void>;
  /** Tells `watcher` all keys, then `complete`, then each change, until the returned function is called. */
  watch(watcher: Watcher): Promise<() => void>;
}

/** What a store tells of its keys. */
export interface Watcher {
  /** A key is there, or has changed; `value` undefined: it was deleted. */
  key(key: string, value: string | undefined): void;
  complete(): void;
  /** The watch has ended by itself, perhaps because of an error. */
  ended(error?: unknown): void;
}

export interface RegistryOptions extends ReplicaOwner {
  readonly server: string;
  readonly store: RegistryStore;
  isAlive(server: string): boolean;
  /** Whether this server is cut off, and so cannot say which servers are alive. */
  isCutOff(): boolean;
  failed(error: unknown): void;
  /** A registration is malformed, or too long. */
  malformed(): void;
  /** A registration at another server has this time: what is registered here from now on has to be later. */
  heard(at: number): void;
  later(run: () => void): void;
  after(ms: number, run: () => void): void;
  /** How long a registration may be, in bytes. */
  maxRecord(): number;
  /** The keys of a server that was taken for dead have been removed: if it is still alive, it has to write them again. */
  purged(server: string): void;
}

/** A pulse is written every fourth tick; if it has not come back for `STALL_TICKS`, the watch is begun anew. */
const PULSE_TICKS = 4;
const STALL_TICKS = 20;
/** After how many ticks without a sign of life the keys of a server are removed. */
const PURGE_TICKS = 120;
const RETRY_MS = 500;
const STUCK_MS = 30_000;
/** How many changes are handled before others have their turn. */
const SLICE = 500;

/** The registrations of all servers: shares those of this one, and learns those of the others. Repairs itself by comparing. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #replica: Replica;
  readonly #writer: Writer;
  readonly #census = new Census();
  #watch: { readonly stop: () => void } | undefined;
  /** Grows with each watch: what an earlier watch tells is out of date. */
  #epoch = 0;
  #syncing: Promise<void> | undefined;
  #again = false;
  #closed = false;
  #working = false;
  #silent = 0;
  #complete = false;
  #pulse = 0;
  #tick = 0;
  #resyncs = 0;
  /** The servers of which there are keys, and for how many ticks each has been away. */
  readonly #absent = new Map<string, number>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#replica = new Replica(options.server, options);
    this.#writer = new Writer(options.store, {
      failed: (error) => options.failed(error),
      after: (ms, run) => options.after(ms, run),
      // Write a pulse at once, so that others need not wait for the next one to learn which registrations are gone.
      caughtUp: () => void this.#beat().catch(() => undefined),
    });
  }

  /** How many registrations at other servers count here. */
  get size(): number {
    return this.#replica.size;
  }

  /** How many writes wait or are on their way. */
  get pending(): number {
    return this.#writer.pending;
  }

  /** How often the whole registry was read. */
  get resyncs(): number {
    return this.#resyncs;
  }

  /** Whether what is written here comes back in time. */
  get isWorking(): boolean {
    return this.#complete && this.#silent <= STALL_TICKS;
  }

  /** Shares a registration of this server; returns false when it is too long for the registry: then other servers do not learn of it. */
  share(record: RegistryRecord): boolean {
    const { server, malformed, maxRecord } = this.#options;
    const name = { server, kind: record.kind, id: record.id };
    const text = encodeRecord(record);
    this.#replica.claim(record.kind, record.id, record.at);
    const fits = Buffer.byteLength(text) <= maxRecord();
    if (fits) {
      this.#writer.set(name, text);
    } else {
      malformed();
      this.#writer.delete(name);
    }
    return fits;
  }

  /** An id is about to be registered here: what another server has under it does not count any more. */
  claim(kind: Kind, id: string, at: number): void {
    this.#replica.claim(kind, id, at);
  }

  /** A registration of this server has ended. */
  unshare(kind: Kind, id: string): void {
    this.#replica.release(kind, id);
    this.#writer.delete({ server: this.#options.server, kind, id });
    this.#work();
  }

  /** A server has come or gone. */
  setAlive(server: string, isAlive: boolean): void {
    this.#replica.setAlive(server, isAlive);
    this.#work();
  }

  /** Reads the whole registry again and compares; resolves when that is done. Tries until it works. */
  sync(): Promise<void> {
    if (this.#syncing) this.#again = true;
    return (this.#syncing ??= this.#sync().finally(() => (this.#syncing = undefined)));
  }

  /** Reads the registry at the start, in one attempt: rejects when it fails. If the connection was lost meanwhile, waits for the `sync` after it. */
  async start(): Promise<void> {
    await this.#attempt();
    await this.#syncing;
  }

  tick(): void {
    this.#tick++;
    this.#silent++;
    // Before the writer erases marks, which would count as pending.
    if (this.#tick % PULSE_TICKS === 0 && this.#complete) void this.#beat().catch(() => undefined);
    this.#writer.tick();
    // A `sync` that is under way may take longer than that where much is registered.
    if (this.#complete && !this.#syncing && this.#silent > STALL_TICKS) void this.sync();
    this.#sweep();
  }

  async #beat(): Promise<void> {
    const { store, server } = this.#options;
    const { isCaughtUp, isSettled, size } = this.#writer;
    await store.put(pulseKey(server), pulseOf(++this.#pulse, { isWhole: isCaughtUp, size: isCaughtUp && isSettled ? size : undefined }));
  }

  /** Removes what this server has shared. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#writer.pause();
    this.#watch?.stop();
    await this.#options.store.purge(this.#options.server).catch(() => undefined);
  }

  async #sync(): Promise<void> {
    do {
      this.#again = false;
      try {
        await this.#attempt();
      } catch (error) {
        if (this.#closed) return;
        this.#options.failed(error);
        await new Promise<void>((resolve) => this.#options.after(RETRY_MS, resolve));
        this.#again = true;
      }
    } while (this.#again && !this.#closed);
  }

  async #attempt(): Promise<void> {
    const { store, server } = this.#options;
    const epoch = ++this.#epoch;
    this.#writer.pause();
    this.#watch?.stop();
    this.#watch = undefined;
    this.#resyncs++;
    await store.open();
    // So that there is at least one key: the watch of an empty registry would tell nothing, not even `complete`.
    await this.#beat();
    this.#replica.beginSnapshot();
    const present = new Map<string, string>();
    await new Promise<void>((resolve, reject) => {
      let isComplete = false;
      let isStuck = false;
      const isOld = (): boolean => this.#epoch !== epoch || this.#closed;
      const watcher: Watcher = {
        key: (key, value) => {
          isStuck = false;
          if (isOld()) return;
          if (serverOf(key) !== server) this.#apply(key, value, isComplete);
          else if (key === pulseKey(server)) this.#silent = 0;
          else if (isComplete) this.#writer.seen(key, value);
          else if (value !== undefined) present.set(key, value);
          else present.delete(key); // a late write, while the registry is being read
        },
        complete: () => {
          if (isComplete || isOld()) return;
          isComplete = true;
          this.#replica.endSnapshot();
          this.#complete = true;
          this.#silent = 0;
          this.#writer.reconcile(present);
          present.clear();
          this.#work();
          resolve();
        },
        ended: (error) => {
          if (isOld()) return resolve();
          if (!isComplete) return reject(error ?? new Error('The watch of the registry has ended before it was complete.'));
          if (error) this.#options.failed(error);
          void this.sync();
        },
      };
      // A million keys may take minutes. But a watch that tells no key for 30 s, and is neither complete nor ended, is stuck.
      const check = (): void => {
        if (isComplete || isOld()) return resolve();
        if (isStuck) return reject(new Error('The registry has not told any of its keys for 30 s.'));
        isStuck = true;
        this.#options.after(STUCK_MS, check);
      };
      check();
      store.watch(watcher).then((stop) => {
        if (isOld()) stop();
        else this.#watch = { stop };
      }, reject);
    });
  }

  #apply(key: string, value: string | undefined, isLive: boolean): void {
    const name = readKey(key);
    const server = serverOf(key);
    if (!this.#absent.has(server)) this.#absent.set(server, 0);
    if (!name) {
      const { isWhole, size } = readPulse(key === pulseKey(server) ? value : undefined);
      if (!isWhole) return;
      this.#replica.whole(server);
      // The watch tells changes in the order in which they were written, so all that came before the pulse has been told.
      if (isLive && size !== undefined && this.#census.differs(server, size, this.#replica.knownAt(server))) void this.sync();
      return this.#work();
    }
    const record = value === undefined ? undefined : decodeRecord(name, value);
    if (value !== undefined && !record) this.#options.malformed();
    if (record) this.#options.heard(record.at);
    this.#replica.apply(name, record);
    this.#work();
  }

  /** Tells the owner what follows from what was learned, a slice at a time. */
  #work(): void {
    if (this.#working) return;
    this.#working = true;
    this.#options.later(() => {
      this.#working = false;
      if (!this.#closed && this.#replica.work(SLICE)) this.#work();
    });
  }

  /** Removes the keys of servers that have been away for long. Whoever is first does it; others find nothing to do. */
  #sweep(): void {
    const { isCutOff, isAlive } = this.#options;
    for (const [server, before] of this.#absent) {
      const ticks = isCutOff() || isAlive(server) ? 0 : before + 1;
      this.#absent.set(server, ticks);
      if (ticks < PURGE_TICKS) continue;
      this.#replica.forget(server);
      this.#absent.delete(server);
      this.#census.forget(server);
      this.#work();
      const { store, purged } = this.#options;
      // If it fails, count again: these keys are not told again, and would otherwise stay for ever.
      void store.purge(server).then(() => purged(server), () => void this.#absent.set(server, 0));
    }
  }
}
