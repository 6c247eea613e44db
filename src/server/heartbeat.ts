/** A connection as the heartbeat sees it. Whoever reads from it sets `silence` to 0 at every sign of life. */
export interface Beating {
  /** Half intervals since the last sign of life. */
  silence: number;
  /** Whether this server does not read from it now: what it says is not heard, so it is not silent. */
  readonly isPaused?: boolean;
  /** Asks the other end for a sign of life. */
  ping(): void;
  /** Ends the connection: its other end is not there any more. */
  cut(): void;
}

// More than four halves: cut after 2 intervals of silence, at the latest after 2.5.
const LIMIT = 4;

/** Pings every connection once an interval and cuts those that are silent. One timer for all; it is not here. */
export class Heartbeat {
  readonly #all = new Set<Beating>();
  #ping = false;

  add(connection: Beating): void {
    this.#all.add(connection);
  }

  delete(connection: Beating): void {
    this.#all.delete(connection);
  }

  /** To be called every half interval. */
  beat(): void {
    this.#ping = !this.#ping;
    for (const connection of this.#all) {
      if (connection.isPaused) connection.silence = 0;
      else connection.silence++;
      if (connection.silence > LIMIT) {
        this.#all.delete(connection);
        connection.cut();
      } else if (this.#ping) {
        connection.ping();
      }
    }
  }
}
