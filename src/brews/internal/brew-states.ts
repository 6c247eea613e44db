import { type Packet, PacketType } from '../../core/packet.js';
import { microtask } from '../../core/host.js';
import type { BrewScope } from '../../core/brew.js';

/** Reports the states of a client's brews to the server, which moves pairs accordingly. */
export class BrewStates {
  readonly #send: (packet: Packet) => void;
  readonly #down = new Map<string, Packet>();
  readonly #hello: Packet;
  #repeating = false;

  /** @param brew the name of any of the client's brews */
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
   * Called before each registration, perhaps at a new server: first tells the server what is down, and that it may move a pair by a
   * notification alone. At most once per tick.
   */
  repeat(): void {
    if (this.#repeating) return;
    this.#repeating = true;
    microtask(() => (this.#repeating = false));
    this.#send(this.#hello);
    for (const packet of this.#down.values()) this.#send(packet);
  }

  /** A pair or a brewer has ended: takes back what was reported for it alone, here and at the server. */
  forget(scope: BrewScope): void {
    for (const { payload } of [...this.#down.values()]) if ('brew' in payload) this.set(payload.brew, true, scope);
  }

  /** A brew has been closed: forgets its states without telling the server. */
  clear(brew: string): void {
    for (const [key, { payload }] of this.#down) if ('brew' in payload && payload.brew === brew) this.#down.delete(key);
  }
}
