import { optionInvalid, type PubkeeperError } from './errors.js';
import { defaultLogger, type Logger, throwLater } from './host.js';

type Listener<T> = (event: T) => void;

/**
 * A small typed event emitter. `on()` returns a function that removes the listener. A listener that throws does not stop the
 * others; its exception becomes an uncaught one, as with DOM event listeners.
 */
export class Events<Map extends object> {
  #listeners: readonly { readonly name: keyof Map; readonly listener: Listener<never> }[] = [];

  on<Name extends keyof Map>(name: Name, listener: Listener<Map[Name]>): () => void {
    if (typeof listener !== 'function') throw optionInvalid('on() takes a function.');
    const entry = { name, listener };
    this.#listeners = [...this.#listeners, entry];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    };
  }

  /** Calls every listener of `name`; returns false when there is none. */
  emit<Name extends keyof Map>(name: Name, event: Map[Name]): boolean {
    // Iterate over a copy: a listener may add or remove listeners.
    const list = this.#listeners.filter((entry) => entry.name === name);
    for (const { listener } of list) {
      try {
        listener(event as never);
      } catch (error) {
        throwLater(error);
      }
    }
    return !!list.length;
  }

  /** Emits `error`. Without a listener the error is logged instead: to `logger`, or to the console if that is not a usable logger. */
  report(error: PubkeeperError, logger?: Logger | null): void {
    if (!this.emit('error' as keyof Map, error as never)) (logger?.error ? logger : defaultLogger()).error(error);
  }
}
