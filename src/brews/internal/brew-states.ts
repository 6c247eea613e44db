import { type Packet, PacketType } from '../../core/packet.js';
import { microtask } from '../../core/host.js';
import type { BrewScope } from '../../core/brew.js';

/** What the brews of a client have said of their state, for the server: it moves pairs accordingly. */
export class BrewStates {
  readonly #send: (packet: Packet) => void;
  readonly #down = new Map<string, Packet>();
  readonly #hello: Packet;
  #repeating = false;

  /** @param brew the name of any of them */
  constructor(brew: string, send: (packet: Packet) => void) {
    this.#send = send;
    this.#hello = { type: PacketType.BREW_STATE, payload: { brew, state: 'up', moves: true } };
  }

  set(brew: string, up: boolean, { brewerId: brewer_id, patronId: patron_id }: BrewScope = {}): void {
    const scope = { ...(brewer_id && { brewer_id }), ...(patron_id && { patron_id }) };
    const key = JSON.stringify([brew, brewer_id, patron_id]);
    if (this.#down.has(key) !== up) return;
    const packet: Packet = { type: PacketType.BREW_STATE, payload: { brew, state: up ? 'up' : 'down', ...scope } };
    if (up) this.#down.delete(key);
    else this.#down.set(key, packet);
    this.#send(packet);
  }

  /**
   * Something is about to be registered, perhaps at a new server: tells that one first what is down, and that it may move a pair by
   * a notification alone. Once in a tick.
   */
  repeat(): void {
    if (this.#repeating) return;
    this.#repeating = true;
    microtask(() => (this.#repeating = false));
    this.#send(this.#hello);
    for (const packet of this.#down.values()) this.#send(packet);
  }

  /** A pair has ended, or a brewer: what was said of it alone is of no use any more, here and at the server. */
  forget(scope: BrewScope): void {
    for (const { payload } of [...this.#down.values()]) if ('brew' in payload) this.set(payload.brew, true, scope);
  }

  /** Forgets what was said of a brew, without a word: it has been closed. */
  clear(brew: string): void {
    for (const [key, { payload }] of this.#down) if ('brew' in payload && payload.brew === brew) this.#down.delete(key);
  }
}
