import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { bytesOf } from '../core/bytes.js';
import { PubkeeperError } from '../core/errors.js';
import { CLOCKS, type Clocks } from './clock-watch.js';

// Grants of the control server for the relay (design, "Relay tickets"). No sockets here; the expiry is an argument.
//
// A ticket is 88 bytes: u8 version = 1, u8 operation (0 join, 1 publish), u16 zero, u32 expiry in seconds, 16 bytes brewer id
// (zero for join), the 32 bytes of the topic's hash, and 32 bytes HMAC-SHA-256 over all of that. In JSON it is hex, which our clients can read anyway;
// a client that sends that text as it stands is understood too.

/** What a ticket is for. */
export type Grant =
  | { readonly operation: 'join'; readonly topicHash: Uint8Array }
  | { readonly operation: 'publish'; readonly topicHash: Uint8Array; readonly brewerId: Uint8Array };

const VERSION = 1;
const BODY = 56;
const HASH_BYTES = 32;
export const TICKET_BYTES = 8 + 16 + HASH_BYTES + 32;
const SIGNED = TICKET_BYTES - 32;

/** Signs and checks tickets by a ring of keys: the first signs, all of them (two at most) check, so that keys can change. */
export class Tickets {
  #keys: readonly Uint8Array[];
  readonly #clocks: Clocks;
  #isShared: boolean;
  /** By how many milliseconds the wall clock was ahead of the steady one when it was ahead most. */
  #ahead = -Infinity;

  /**
   * @param keys of 32 bytes or more; several relays that share them take each other's tickets. Default: one at random.
   * @throws {PubkeeperError} `OPTION_INVALID`
   */
  constructor(keys?: readonly Uint8Array[], clocks: Clocks = CLOCKS) {
    this.#keys = checkKeys(keys === undefined ? [randomBytes(32)] : keys);
    this.#isShared = keys !== undefined;
    this.#clocks = clocks;
    this.now();
  }

  /**
   * The time by which tickets are made and expire, in seconds since 1970. If nobody else has the key, it does not follow a clock that is set
   * back: tickets of before would hold for as much longer, also those of tokens that were revoked since. Servers that share keys need the same time.
   */
  now(): number {
    const { wall, steady } = this.#clocks;
    this.#ahead = Math.max(this.#ahead, wall() - steady());
    return (this.#isShared ? wall() : steady() + this.#ahead) / 1000;
  }

  /** Replaces the keys. The former first key should be the second one now, until its tickets have expired. */
  replace(keys: readonly Uint8Array[]): void {
    this.#keys = checkKeys(keys);
    this.#isShared = true;
  }

  /** A ticket that holds until `expires`, in seconds since 1970. */
  issue(grant: Grant, expires: number): Buffer {
    const bytes = body(grant, expires);
    return Buffer.concat([bytes, this.#sign(this.#keys[0]!, bytes)]);
  }

  /** Until when a ticket grants this, in seconds; undefined when it does not at `now`. */
  check(ticket: Uint8Array, grant: Grant, now: number): number | undefined {
    if (ticket.length !== TICKET_BYTES) return undefined;
    const bytes = Buffer.from(ticket.buffer, ticket.byteOffset, ticket.length);
    const expires = bytes.readUInt32LE(4);
    // The cheap check first, so that most wrong tickets cost no signature.
    if (expires <= now || !bytes.subarray(0, SIGNED).equals(body(grant, expires))) return undefined;
    const mac = bytes.subarray(SIGNED);
    // Every key is tried, even if the first one fits, so that the time does not tell which key it was.
    let good = false;
    for (const key of this.#keys) if (timingSafeEqual(this.#sign(key, bytes.subarray(0, SIGNED)), mac)) good = true;
    return good ? expires : undefined;
  }

  #sign(key: Uint8Array, bytes: Uint8Array): Buffer {
    return createHmac('sha256', key).update(bytes).digest();
  }
}

/** A ticket as a client has sent it: the bytes, or the text that it was given. */
export const readTicket = (sent: Uint8Array): Uint8Array =>
  // Decoding ends at the first character that is not hex, and then the ticket is too short.
  sent.length === 2 * TICKET_BYTES ? Buffer.from(Buffer.from(sent).toString('latin1'), 'hex') : sent;

function body(grant: Grant, expires: number): Buffer {
  const bytes = Buffer.alloc(BODY);
  bytes[0] = VERSION;
  bytes[1] = grant.operation === 'publish' ? 1 : 0;
  bytes.writeUInt32LE(expires, 4);
  if (grant.operation === 'publish') bytes.set(grant.brewerId, 8);
  bytes.set(grant.topicHash, 24);
  return bytes;
}

/**
 * Checks ticket keys; returns copies of them.
 * @throws {PubkeeperError} `OPTION_INVALID`
 */
export function checkKeys(keys: readonly Uint8Array[]): readonly Uint8Array[] {
  const good = Array.isArray(keys) ? keys.map(bytesOf).filter((key) => key && key.length >= 32) : [];
  if (good.length < 1 || keys.length > 2 || good.length < keys.length) {
    throw new PubkeeperError('OPTION_INVALID', 'The ticket keys must be a list of one or two Uint8Arrays, of 32 random bytes or more each: Buffer.from(key, "hex") makes one of hex digits.');
  }
  return good.map((key) => Uint8Array.from(key!));
}
