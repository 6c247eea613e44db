import { keyOf } from './records.js';
import type { RecordName } from './records.js';

/** The keys that a writer writes. Promises reject while the registry cannot be reached. */
export interface KeyStore {
  put(key: string, value: string): Promise<void>;
  /** Leaves a mark in place of the value, which tells everybody that the value is gone. */
  delete(key: string): Promise<void>;
  /** Removes the mark too; watchers are not told. */
  erase(key: string): Promise<void>;
}

export interface WriterOptions {
  /** A key could not be written; the writer tries again after `retryMs`. */
  failed(error: unknown): void;
  /** Everything is written that differed when `reconcile` was called. */
  caughtUp?(): void;
  /** Calls `run` after `ms` milliseconds. */
  after(ms: number, run: () => void): void;
  /** How many writes may be on their way at once; default 256. */
  window?: number;
  /** How long to wait after a write has failed, in milliseconds; default 500. */
  retryMs?: number;
}

/** For how many ticks the mark of a deletion is kept, so that slow servers learn of it too. */
const MARK_TICKS = 20;
/** For how many ticks a key may have another value than was written last: the watch may tell of a write long after NATS has confirmed the next one. */
const STRANGE_TICKS = 20;

/**
 * Makes this server's keys in the registry what they should be. Knows the wanted state and which keys are not written yet,
 * but not the order of changes: so after an outage it only has to compare, and a key that changes ten times while it cannot
 * be written is written once.
 */
export class Writer {
  readonly #store: KeyStore;
  readonly #options: WriterOptions;
  readonly #window: number;
  readonly #wanted = new Map<string, string>();
  /** Keys whose value in the registry differs, or may differ, from what is wanted. */
  readonly #dirty = new Set<string>();
  readonly #writing = new Set<string>();
  /** Keys that differed at the last comparison, and have not been written since. */
  readonly #owed = new Set<string>();
  /** By key, marks that have to be removed, with the tick from which on they may be. */
  readonly #marks = new Map<string, number>();
  /** By key that was seen with another value than the wanted one, the tick from which on it is written again. */
  readonly #strange = new Map<string, number>();
  #tick = 0;
  #paused = true;
  #resting = false;

  constructor(store: KeyStore, options: WriterOptions) {
    this.#store = store;
    this.#options = options;
    this.#window = options.window ?? 256;
  }

  /** How many keys are wanted. */
  get size(): number {
    return this.#wanted.size;
  }

  /** How many writes are waiting or on their way. */
  get pending(): number {
    return this.#dirty.size + this.#writing.size;
  }

  /** Whether nothing is being written, and no key is known to have another value than the wanted one: then the registry has `size` keys. */
  get isSettled(): boolean {
    return !this.pending && !this.#strange.size;
  }

  /** Whether the registry has everything that was wanted when it was last compared. */
  get isCaughtUp(): boolean {
    return !this.#paused && !this.#owed.size;
  }

  set(name: RecordName, value: string): void {
    const key = keyOf(name);
    // If it was wanted already, it is written, or will be.
    if (this.#wanted.get(key) === value) return;
    this.#wanted.set(key, value);
    this.#touch(key);
  }

  delete(name: RecordName): void {
    const key = keyOf(name);
    if (this.#wanted.delete(key)) this.#touch(key);
  }

  /**
   * The registry has this value under a key of this server now. What was sent over a connection that was given up may arrive after what was sent
   * over the next one, for example because NATS stood still: so a wrong value that stays is corrected.
   */
  seen(key: string, value: string | undefined): void {
    if (value === this.#wanted.get(key)) this.#strange.delete(key);
    else if (!this.#strange.has(key)) this.#strange.set(key, this.#tick + STRANGE_TICKS);
  }

  /** Compares the wanted keys with those in the registry, and goes on to write. */
  reconcile(present: ReadonlyMap<string, string>): void {
    for (const [key, value] of this.#wanted) if (present.get(key) !== value) this.#dirty.add(key);
    for (const key of present.keys()) if (!this.#wanted.has(key)) this.#dirty.add(key);
    this.#owed.clear();
    for (const key of this.#dirty) this.#owed.add(key);
    this.#strange.clear();
    this.#paused = false;
    if (!this.#owed.size) this.#options.caughtUp?.();
    this.#pump();
  }

  /** The registry cannot be reached: nothing is written until `reconcile`. */
  pause(): void {
    this.#paused = true;
  }

  /** Called at equal intervals: removes marks that everybody has had time to read, and corrects keys that were seen with a wrong value. */
  tick(): void {
    this.#tick++;
    for (const [key, due] of this.#strange) {
      if (due > this.#tick) break;
      this.#strange.delete(key);
      this.#touch(key);
    }
    let erased = 0;
    for (const [key, due] of this.#marks) {
      if (this.#paused || due > this.#tick || ++erased > this.#window) return;
      this.#marks.delete(key);
      if (this.#wanted.has(key) || this.#writing.has(key)) continue;
      void this.#erase(key);
    }
  }

  /** Removes a mark. This counts as a write, because a value that is put meanwhile could be removed with the mark. */
  async #erase(key: string): Promise<void> {
    this.#writing.add(key);
    await this.#store.erase(key).catch(() => this.#mark(key));
    this.#writing.delete(key);
    this.#pump();
  }

  #mark(key: string): void {
    this.#marks.delete(key);
    this.#marks.set(key, this.#tick + MARK_TICKS);
  }

  #touch(key: string): void {
    this.#dirty.add(key);
    this.#pump();
  }

  #pump(): void {
    if (this.#paused || this.#resting) return;
    for (const key of this.#dirty) {
      if (this.#writing.size >= this.#window) return;
      if (this.#writing.has(key)) continue;
      this.#dirty.delete(key);
      this.#writing.add(key);
      void this.#write(key);
    }
  }

  async #write(key: string): Promise<void> {
    const value = this.#wanted.get(key);
    try {
      if (value === undefined) {
        await this.#store.delete(key);
        this.#mark(key);
      } else {
        await this.#store.put(key, value);
      }
      this.#writing.delete(key);
      if (this.#owed.delete(key) && this.isCaughtUp) this.#options.caughtUp?.();
    } catch (error) {
      this.#writing.delete(key);
      this.#dirty.add(key);
      this.#rest(error);
    }
    this.#pump();
  }

  #rest(error: unknown): void {
    if (this.#resting || this.#paused) return;
    this.#resting = true;
    this.#options.failed(error);
    this.#options.after(this.#options.retryMs ?? 500, () => {
      this.#resting = false;
      this.#pump();
    });
  }
}
