import { PubkeeperError } from './errors.js';
import { randomBytes } from './host.js';

const HEX = '0123456789abcdef';

/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX.charAt(byte >> 4) + HEX.charAt(byte & 15);
  return text;
}

/**
 * The bytes that `hex` spells.
 * @throws {PubkeeperError} `KEY_INVALID` when it is not an even number of hex digits.
 */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  if (typeof hex !== 'string' || hex.length % 2 || /[^\da-f]/i.test(hex)) {
    // The text itself is not shown: it may be a key.
    throw new PubkeeperError('KEY_INVALID', 'Give an even number of hex digits (0-9, a-f).');
  }
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** A new UUID v4 as the wire wants it: 32 lower-case hex digits without dashes (protocol, introduction). */
export function newId(): string {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return toHex(bytes);
}

/** `id` as 32 lower-case hex digits, or undefined when it is no UUID. The dashed form is read too. */
export function readId(id: unknown): string | undefined {
  if (typeof id !== 'string') return;
  if (/^[\da-f]{32}$/.test(id)) return id;
  if (/^[\da-f]{8}-?([\da-f]{4}-?){3}[\da-f]{12}$/i.test(id)) return id.replace(/-/g, '').toLowerCase();
  return;
}

/**
 * `id` as 32 lower-case hex digits.
 * @throws {PubkeeperError} `ID_INVALID` when it is no UUID, with or without dashes.
 */
export function parseId(id: unknown): string {
  const known = readId(id);
  if (!known) throw new PubkeeperError('ID_INVALID', `An id must be a UUID of 32 hex digits, not ${show(id)}.`, { id });
  return known;
}

/** A value as an error message can show it: one line, not long. */
export function show(value: unknown): string {
  let text: string = typeof value;
  try {
    text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  } catch {
    // An object without a usable toString: whatever came by JSON may be one. Its type must do.
  }
  return text.length > 80 ? text.slice(0, 77) + '...' : text;
}
