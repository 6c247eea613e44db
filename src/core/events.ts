import { PubkeeperError } from './errors.js';
import { defaultLogger, type Logger, microtask } from './host.js';

type Listener<T> = (event: T) => void;

/**
 * A typed event source in a few lines. `on()` returns its own undo. A listener that throws does not keep the others
 * from being called; its exception surfaces as an uncaught one, as that of a DOM event listener does.
 */
export class Events<Map extends object> {
  #listeners: readonly { readonly name: keyof Map; readonly listener: Listener<never> }[] = [];

  on<Name extends keyof Map>(name: Name, listener: Listener<Map[Name]>): () => void {
    if (typeof listener !== 'function') throw new PubkeeperError('OPTION_INVALID', 'on() takes a function.');
    const entry = { name, listener };
    this.#listeners = [...this.#listeners, entry];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    };
  }

  /** Calls every listener of `name`; false when there is none. */
  emit<Name extends keyof Map>(name: Name, event: Map[Name]): boolean {
    // A list of its own: a listener may add or remove listeners while it is called.
    const list = this.#listeners.filter((entry) => entry.name === name);
    for (const { listener } of list) {
      try {
        listener(event as never);
      } catch (error) {
        microtask(() => {
          throw error;
        });
      }
    }
    return !!list.length;
  }

  /** As `emit` of `error`, which not every map has; one that nobody listens to is logged, to the console where `logger` is none. */
  report(error: PubkeeperError, logger?: Logger | null): void {
    if (!this.emit('error' as keyof Map, error as never)) (logger?.error ? logger : defaultLogger()).error(error);
  }
}
