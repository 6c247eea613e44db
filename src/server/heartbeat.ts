/** What the heartbeat needs of a connection. */
export interface Beating {
  /**
   * How many bytes have come from the other end so far. Not how many messages: a pong cannot overtake the message that is being sent, and over a slow
   * link a long one takes longer than silence may last.
   */
  readonly received: number;
  /** Whether this server does not read from it now: then it does not count as silent, because what it sends is not seen. */
  readonly isPaused?: boolean;
  /** Asks the other end for a sign of life. */
  ping(): void;
  /** Ends the connection, because its other end is gone. */
  cut(): void;
}

// A connection is cut when it was silent for more than four halves: after 2 intervals, at the latest after 2.5.
const LIMIT = 4;

/** What was seen of a connection when the heart beat last. */
interface Seen {
  received: number;
  /** Half intervals since the last sign of life. */
  silence: number;
}

/** Pings every connection once an interval and cuts those that are silent. The owner has the one timer for all of them. */
export class Heartbeat {
  readonly #all = new Map<Beating, Seen>();
  #ping = false;

  add(connection: Beating): void {
    this.#all.set(connection, { received: connection.received, silence: 0 });
  }

  delete(connection: Beating): void {
    this.#all.delete(connection);
  }

  /** To be called every half interval. */
  beat(): void {
    this.#ping = !this.#ping;
    for (const [connection, seen] of this.#all) {
      const { received } = connection;
      if (connection.isPaused) seen.silence = 0;
      // What has come since the last beat has come within this half.
      else seen.silence = received === seen.received ? seen.silence + 1 : 1;
      seen.received = received;
      if (seen.silence > LIMIT) {
        this.#all.delete(connection);
        connection.cut();
      } else if (this.#ping) {
        connection.ping();
      }
    }
  }
}
