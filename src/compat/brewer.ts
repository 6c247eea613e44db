import { type Brewer as CoreBrewer, PubkeeperError } from '../core/index.js';
import { bytesOf } from '../core/bytes.js';
import { cancel, wait } from '../core/host.js';
import type { CipherOption } from './ciphers.js';
import { type Matched, Target, type TargetEvents, type TargetHost, type TargetOptions } from './target.js';

/** How long to wait for brews that are not connected yet: `true` for 500 ms, a number of ms, or `false` for not at all. */
export type WaitForBrews = boolean | number;

/** What a {@link Brewer} emits. */
export type BrewerEvents = TargetEvents;

/** The options of `addBrewer`. */
export interface BrewerOptions extends TargetOptions {
  /** The default for each `brew()`. Default `true`. */
  readonly waitForBrews?: WaitForBrews | undefined;
  /** Default 2: AES-CBC. */
  readonly cipher?: CipherOption | undefined;
}

/** The options of `brew` and `brewText`. */
export interface BrewOptions {
  /** Default: that of the brewer. */
  readonly waitForBrews?: WaitForBrews | undefined;
}

/** The options of `brewJSON`: those of `brew`, and what `JSON.stringify` takes. */
export interface BrewJSONOptions extends BrewOptions {
  /** As for `JSON.stringify`. */
  readonly replacer?: ((this: unknown, key: string, value: unknown) => unknown) | (string | number)[] | null | undefined;
  /** As for `JSON.stringify`. */
  readonly space?: string | number | undefined;
}

/** What the client gives to a brewer. */
export interface BrewerHost extends TargetHost {
  readonly waitForBrews: WaitForBrews;
  /** Whether all of its brews that are in use are connected. */
  ready(): boolean;
  /** Functions to call whenever that may have changed. */
  readonly waiting: Set<() => void>;
}

/** A message that was brewed and is not sent yet. */
interface Held {
  send(): void;
  /** Whether it waits for its brews; otherwise it waits only for its turn. */
  readonly waits: boolean;
}

/** A publisher: passed to `matched` at its first match. */
export class Brewer extends Target<BrewerEvents> {
  readonly #core: CoreBrewer;
  readonly #host: BrewerHost;
  /** Messages that wait, in the order in which they were brewed. */
  readonly #line: Held[] = [];

  /** @internal */
  constructor(core: CoreBrewer, host: BrewerHost, matched: Matched<Brewer> | null | undefined) {
    super(core, core.brewerId, host, matched);
    this.#core = core;
    this.#host = host;
    // There may be fewer brews to wait for, or no patron.
    core.on('removed', this.#look);
  }

  /**
   * Sends the bytes of `data`, whatever kind of view it is, to every matched patron. Resolves at once when nobody is matched. Rejects with
   * `all brews are not ready` (`TIMEOUT`) if a brew in use has not connected within the wait, else like `brew` of the SDK (`DATA_INVALID`,
   * `BUFFER_FULL`, `BREW_FAILED`, …). Every rejection is also an `error` event of the client, and never an unhandled one.
   */
  brew(data: ArrayBuffer | ArrayBufferView, options?: BrewOptions | null): Promise<void> {
    // Copy data that has to wait: what it holds now counts.
    const given = bytesOf(data);
    const bytes = this.#isFree || !given ? data : Uint8Array.from(given);
    return this.#send(() => this.#core.brew(bytes), options);
  }

  /** Like {@link brew}, with text as UTF-8. */
  brewText(text: string, options?: BrewOptions | null): Promise<void> {
    return this.#send(() => this.#core.brewText(text), options);
  }

  /** Like {@link brew}, with `JSON.stringify(value, replacer, space)`. Rejects with `DATA_INVALID` if JSON cannot express the value. */
  brewJSON(value: unknown, options?: BrewJSONOptions | null): Promise<void> {
    // Without a patron the value is not even checked, as with `brew`.
    if (!this.isMatched) return Promise.resolve();
    const { replacer, space } = options ?? {};
    let text: string | undefined;
    let cause: unknown;
    try {
      text = JSON.stringify(value, replacer as (string | number)[], space) as string | undefined;
    } catch (error) {
      cause = error;
    }
    if (text !== undefined) return this.brewText(text, options);
    const error = new PubkeeperError('DATA_INVALID', 'brewJSON() takes a value that JSON can express.', {}, cause);
    this.fail(error);
    return handled(Promise.reject(error));
  }

  /** Whether what is brewed now is sent now. */
  get #isFree(): boolean {
    return !this.#line.length && this.#host.ready();
  }

  #send(send: () => Promise<void>, options: BrewOptions | null | undefined): Promise<void> {
    const waitForBrews = options?.waitForBrews ?? this.#host.waitForBrews;
    if (!this.isMatched) return Promise.resolve();
    if (this.#isFree) return send();
    if (waitForBrews === false) {
      // It is sent when it can be, and nobody waits for that. If that fails, there is an `error` event.
      this.#hold({ send: () => void send(), waits: false });
      return Promise.resolve();
    }
    const promise = new Promise<void>((resolve, reject) => {
      const held = {
        send() {
          cancel(timer);
          resolve(send());
        },
        waits: true,
      };
      const timer = wait(waitForBrews === true ? 500 : waitForBrews, () => {
        this.#line.splice(this.#line.indexOf(held), 1);
        const error = new PubkeeperError('TIMEOUT', 'all brews are not ready', { topic: this.topic });
        this.fail(error);
        reject(error);
        this.#look();
      });
      this.#hold(held);
    });
    return handled(promise);
  }

  #hold(held: Held): void {
    this.#line.push(held);
    this.#host.waiting.add(this.#look);
    this.#look();
  }

  /** Sends messages that need not wait any longer, in order. */
  readonly #look = (): void => {
    const line = this.#line;
    const { ready, waiting } = this.#host;
    while (line.length && (!line[0]!.waits || !this.isMatched || ready())) line.shift()!.send();
    if (!line.length) waiting.delete(this.#look);
  };
}

/** Prevents an unhandled rejection: a caller that waits is told, and for the others there is the `error` event. */
function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}
