import { PubkeeperError } from './errors.js';
import { randomBytes } from './host.js';

/** Lower-case hex of `bytes`. */
export const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The bytes that `hex` spells; undefined when it is not an even number of hex digits. */
export const fromHex = (hex: unknown): Uint8Array<ArrayBuffer> | undefined =>
  typeof hex === 'string' && /^([\da-f]{2})*$/i.test(hex) ? Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16)) : undefined;

/** A new UUID v4 as the wire wants it: 32 lower-case hex digits without dashes (protocol, introduction). */
export function newId(): string {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return toHex(bytes);
}

/** `id` as 32 lower-case hex digits, or undefined when it is no UUID. The dashed form is read too. */
export const readId = (id: unknown): string | undefined =>
  typeof id === 'string' && /^[\da-f]{8}-?([\da-f]{4}-?){3}[\da-f]{12}$/i.test(id) ? id.replace(/-/g, '').toLowerCase() : undefined;

/**
 * `id` as 32 lower-case hex digits.
 * @throws {PubkeeperError} `ID_INVALID` when it is no UUID, with or without dashes.
 */
export function parseId(id: unknown): string {
  const known = readId(id);
  if (!known) throw new PubkeeperError('ID_INVALID', `An id must be a UUID, not ${show(id)}.`, { id });
  return known;
}

/** A value for an error message: one short line. */
export function show(value: unknown): string {
  let text: string = typeof value;
  try {
    text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  } catch {
    // An object whose toString is unusable, as parsed JSON may be: show its type instead.
  }
  return text.length > 80 ? text.slice(0, 77) + '...' : text;
}
