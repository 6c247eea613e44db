import type { BrewScope } from './brew.js';
import { type Packet, PacketType } from './packet.js';

/** What the brews of a client have said of their state, for the server: it moves pairs accordingly. */
export class BrewStates {
  readonly #send: (packet: Packet) => void;
  readonly #down = new Map<string, Packet>();

  constructor(send: (packet: Packet) => void) {
    this.#send = send;
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

  /** Tells a new server, before anything is registered. */
  repeat(): void {
    for (const packet of this.#down.values()) this.#send(packet);
  }

  clear(): void {
    this.#down.clear();
  }
}
