import { keyOf } from './records.js';
import type { RecordName } from './records.js';

/** Where a writer writes: the registry's keys. Promises reject while it cannot be reached. */
export interface KeyStore {
  put(key: string, value: string): Promise<void>;
  /** Leaves a mark in place of the value, by which everybody learns that it is gone. */
  delete(key: string): Promise<void>;
  /** Removes the mark too. Nobody is told. */
  erase(key: string): Promise<void>;
}

export interface WriterOptions {
  /** Something could not be written; it is tried again in `retryMs`. */
  failed(error: unknown): void;
  /** All is written that differed when `reconcile` was called. */
  caughtUp?(): void;
  /** Calls `run` after so many milliseconds. */
  after(ms: number, run: () => void): void;
  /** How many writes are on the way at most; default 256. */
  window?: number;
  retryMs?: number;
}

/** For how many ticks the mark of what was deleted is kept, for those who are slow to learn of it. */
const MARK_TICKS = 20;

/**
 * Keeps the registry the way that this server wants its own keys to be. Knows the wanted state and what of it is not
 * written yet, and nothing of the order of changes: so what was missed in an outage is made up for by comparing, and a key
 * that changes ten times while it cannot be written is written once.
 */
export class Writer {
  readonly #store: KeyStore;
  readonly #options: WriterOptions;
  readonly #window: number;
  readonly #wanted = new Map<string, string>();
  /** Keys that differ from what is wanted, or may. */
  readonly #dirty = new Set<string>();
  readonly #writing = new Set<string>();
  /** What differed at the last comparison, and has not been written since. */
  readonly #owed = new Set<string>();
  /** Marks to be removed, by the tick at which they may be. */
  readonly #marks = new Map<string, number>();
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

  /** Whether the registry has all that was wanted when it was compared last. */
  get isCaughtUp(): boolean {
    return !this.#paused && !this.#owed.size;
  }

  set(name: RecordName, value: string): void {
    const key = keyOf(name);
    // What is wanted is written, or will be.
    if (this.#wanted.get(key) === value) return;
    this.#wanted.set(key, value);
    this.#touch(key);
  }

  delete(name: RecordName): void {
    const key = keyOf(name);
    if (this.#wanted.delete(key)) this.#touch(key);
  }

  /** Compares the own keys with what the registry holds, and goes on. */
  reconcile(present: ReadonlyMap<string, string>): void {
    for (const [key, value] of this.#wanted) if (present.get(key) !== value) this.#dirty.add(key);
    for (const key of present.keys()) if (!this.#wanted.has(key)) this.#dirty.add(key);
    this.#owed.clear();
    for (const key of this.#dirty) this.#owed.add(key);
    this.#paused = false;
    if (!this.#owed.size) this.#options.caughtUp?.();
    this.#pump();
  }

  /** The registry cannot be reached: nothing is written until `reconcile`. */
  pause(): void {
    this.#paused = true;
  }

  /** Some time is over: marks are removed that everybody had time to read. */
  tick(): void {
    this.#tick++;
    let erased = 0;
    for (const [key, due] of this.#marks) {
      if (this.#paused || due > this.#tick || ++erased > this.#window) return;
      this.#marks.delete(key);
      if (this.#wanted.has(key) || this.#writing.has(key)) continue;
      void this.#erase(key);
    }
  }

  /** Counts as a write: a value that is put meanwhile could be removed with the mark. */
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
