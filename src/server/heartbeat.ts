/** What the heartbeat needs of a connection. The code that reads from it sets `silence` to 0 at every sign of life. */
export interface Beating {
  /** Half intervals since the last sign of life. */
  silence: number;
  /** Whether this server does not read from it now: then it does not count as silent, because what it sends is not seen. */
  readonly isPaused?: boolean;
  /** Asks the other end for a sign of life. */
  ping(): void;
  /** Ends the connection, because its other end is gone. */
  cut(): void;
}

// A connection is cut when it was silent for more than four halves: after 2 intervals, at the latest after 2.5.
const LIMIT = 4;

/** Pings every connection once an interval and cuts those that are silent. The owner has the one timer for all of them. */
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
