import { after, cancel, type Timer } from './host.js';

/** After a wake-up an answer must come within this time, in ms. */
const WAKE_TIMEOUT = 3000;

/** Notices that a connection has gone silent. */
export class Pulse {
  readonly #connection: { readonly heardAt: number };
  readonly #beat: number;
  readonly #ask: () => void;
  readonly #dead: (silentMs: number) => void;
  #timer: Timer | undefined;

  /**
   * Watches from now on. `connection`: with when the last message came, as `Date.now()`; `beat`: how often the other side
   * promises a sign of life, in ms; `ask`: asks for one; `dead`: none has come for `silentMs`.
   */
  constructor(connection: { readonly heardAt: number }, beat: number, ask: () => void, dead: (silentMs: number) => void) {
    this.#connection = connection;
    this.#beat = beat;
    this.#ask = ask;
    this.#dead = dead;
    this.#watch();
  }

  stop(): void {
    cancel(this.#timer);
  }

  /**
   * Asks for a sign of life, and gives up when none comes in time (in ms). Silence without a question proves nothing: in a
   * hidden tab, whose timers run once a minute, it is this side that was silent.
   */
  ask(timeoutMs = WAKE_TIMEOUT): void {
    const asked = Date.now();
    this.stop();
    this.#ask();
    this.#timer = after(timeoutMs, () => {
      const now = Date.now();
      const { heardAt } = this.#connection;
      // What was heard "later" was heard before the clock was set back.
      if (heardAt >= asked && heardAt <= now) this.#watch();
      else this.#dead(now - asked);
    });
  }

  /** Asks after a heartbeat of silence. */
  #watch(): void {
    const beat = this.#beat;
    this.#timer = after(beat / 2, () => {
      if (Math.abs(Date.now() - this.#connection.heardAt) >= beat) this.ask(1.5 * beat);
      else this.#watch();
    });
  }
}
