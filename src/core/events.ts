import { PubkeeperError } from './errors.js';
import { defaultLogger, type Logger, microtask } from './host.js';

type Listener<T> = (event: T) => void;

/**
 * A typed event source in a few lines. `on()` returns its own undo. A listener that throws does not keep the others
 * from being called; its exception surfaces as an uncaught one, as that of a DOM event listener does.
 */
export class Events<Map extends object> {
  readonly #listeners: { [Name in keyof Map]?: { readonly listener: Listener<Map[Name]> }[] } = Object.create(null) as object;

  on<Name extends keyof Map>(name: Name, listener: Listener<Map[Name]>): () => void {
    if (typeof listener !== 'function') throw new PubkeeperError('OPTION_INVALID', 'on() takes a function.');
    // Lists are replaced and never changed, so that a listener may add or remove listeners while it is called.
    const entry = { listener };
    this.#listeners[name] = [...(this.#listeners[name] ?? []), entry];
    return () => {
      this.#listeners[name] = this.#listeners[name]!.filter((other) => other !== entry);
    };
  }

  /** Calls every listener of `name`; false when there is none. */
  emit<Name extends keyof Map>(name: Name, event: Map[Name]): boolean {
    const list = this.#listeners[name];
    if (!list?.length) return false;
    for (const { listener } of list) {
      try {
        listener(event);
      } catch (error) {
        microtask(() => {
          throw error;
        });
      }
    }
    return true;
  }

  /** As `emit` of `error`, which not every map has; one that nobody listens to is logged. */
  report(error: PubkeeperError, logger?: Logger | null): void {
    if (!this.emit('error' as keyof Map, error as never)) (logger ?? defaultLogger()).error(error);
  }
}
