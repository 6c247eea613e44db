import { PubkeeperError } from '../../core/index.js';

// The messages of a connection to a broker until the broker has them.

/** If this many connections in a row end while the same message is the first unconfirmed one, that message is given up as the cause. */
export const MAX_REFUSED = 3;

export interface Item {
  /** Numbers the messages in the order in which they were published. */
  readonly serial: number;
  readonly address: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** How many connections have ended while this was the first message that the broker had not confirmed. */
  refused: number;
}

export interface Queued extends Item {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export const refused = (name: string, length: number): PubkeeperError =>
  new PubkeeperError(
    'BREW_FAILED',
    `${name} ended the connection ${MAX_REFUSED} times over a message of ${length} bytes, which is given up: brew shorter ones, or raise the broker's limit.`,
    { length },
  );
