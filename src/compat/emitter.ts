import { optionInvalid } from '../core/errors.js';
import { defaultLogger } from '../core/host.js';

/** What an event passes to its listeners, by the event's name. */
export type EventMap<Events> = { readonly [Name in keyof Events]: readonly unknown[] };

/**
 * Called at an event, with the emitter as its `this`. If it returns a promise, its rejection is reported
 * as an error.
 */
export type Listener<Args extends readonly unknown[], This = unknown> = (this: This, ...args: Args) => unknown;

interface Entry<Args extends readonly unknown[]> {
  readonly listener: Listener<Args, never>;
  readonly once: boolean;
  /** It was added by `once`, and has been called. */
  isOver?: boolean;
}

/**
 * The event emitter of the old API. Unlike Node's it never throws: if a listener throws or rejects, that is reported as an
 * error, and the next listener is called as usual. An `error` event without a listener is logged.
 */
export class Emitter<Events extends EventMap<Events>> {
  // Lists are replaced and never changed, so that a listener may add or remove listeners while it is called.
  readonly #entries: { [Name in keyof Events]?: readonly Entry<Events[Name]>[] } = Object.create(null) as object;

  /** Calls `listener` at each event of that name. @throws {PubkeeperError} `OPTION_INVALID` when it is not a function */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name], this>): this {
    return this.#add(name, { listener, once: false });
  }

  /** As {@link on}. */
  addListener<Name extends keyof Events>(name: Name, listener: Listener<Events[Name], this>): this {
    return this.on(name, listener);
  }

  /** Calls `listener` at the next event of that name, and not again. @throws {PubkeeperError} `OPTION_INVALID` when it is not a function */
  once<Name extends keyof Events>(name: Name, listener: Listener<Events[Name], this>): this {
    return this.#add(name, { listener, once: true });
  }

  /** Removes a listener: if it was added more than once, the last one. */
  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name], this>): this {
    const list = this.#entries[name] ?? [];
    const at = list.map((entry) => entry.listener).lastIndexOf(listener);
    this.#entries[name] = list.filter((_, index) => index !== at);
    return this;
  }

  /** As {@link off}. */
  removeListener<Name extends keyof Events>(name: Name, listener: Listener<Events[Name], this>): this {
    return this.off(name, listener);
  }

  /** Removes all listeners of that name; without a name, all listeners. */
  removeAllListeners(name?: keyof Events): this {
    for (const key of name === undefined ? Reflect.ownKeys(this.#entries) : [name]) delete this.#entries[key as keyof Events];
    return this;
  }

  /** How many listeners that event has. */
  listenerCount(name: keyof Events): number {
    return this.#entries[name]?.length ?? 0;
  }

  /** Calls all listeners of that event; false when there is none. */
  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): boolean {
    const list = this.#entries[name] ?? [];
    for (const entry of list) {
      // A listener before this one may have emitted the same event.
      if (entry.isOver) continue;
      if (entry.once) {
        entry.isOver = true;
        this.#entries[name] = this.#entries[name]?.filter((other) => other !== entry) ?? [];
      }
      // An `error` listener that throws would be told of its own error, over and over.
      this.run(() => entry.listener.call(this as never, ...args), name === 'error' ? log : undefined);
    }
    return list.length > 0;
  }

  /** Runs code of the application; what it throws, or its promise rejects with, goes to `fail`. */
  protected run(code: () => unknown, fail = (error: unknown): void => this.fail(error)): unknown {
    try {
      const result = code() as Partial<PromiseLike<unknown>> | undefined;
      result?.then?.(undefined, fail);
      return result;
    } catch (error) {
      return fail(error);
    }
  }

  /** Where errors go. */
  protected fail(error: unknown): void {
    log(error);
  }

  #add<Name extends keyof Events>(name: Name, entry: Entry<Events[Name]>): this {
    // Throw here, where the mistake is, and not at each event.
    if (typeof entry.listener !== 'function') throw optionInvalid('A listener must be a function.');
    this.#entries[name] = [...(this.#entries[name] ?? []), entry];
    return this;
  }
}

const log = (error: unknown): void => defaultLogger().error(error);
