// What a payload is, and how to show it. Uses no DOM, so that it can be tested anywhere.
import { formatNumber } from './format.js';

/** @typedef {import('./store.js').Entry} Entry */
/** @typedef {{ kind: 'json' | 'text' | 'binary', text: string | undefined, value: unknown }} Reading */
/** @typedef {readonly string[]} Path */

const strict = new TextDecoder('utf-8', { fatal: true });
// Every control character but tab, line feed and carriage return: data that contains one is not text.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** @type {WeakMap<Uint8Array, Reading>} */
const readings = new WeakMap();

/** Reads a payload, once. @param {Entry} entry @returns {Reading} */
export function read(entry) {
  let reading = readings.get(entry.data);
  if (!reading) readings.set(entry.data, (reading = readBytes(entry.data, entry.length)));
  return reading;
}

/** @param {Uint8Array} data @param {number} length of the whole, of which `data` may be the beginning */
export function readBytes(data, length = data.length) {
  let text;
  try {
    // The cut may have split a character.
    text = data.length < length ? new TextDecoder('utf-8').decode(data) : strict.decode(data);
  } catch {
    return /** @type {Reading} */ ({ kind: 'binary', text: undefined, value: undefined });
  }
  if (CONTROL.test(text)) return /** @type {Reading} */ ({ kind: 'binary', text: undefined, value: undefined });
  if (data.length === length && /^\s*[[{"\d\-tfn]/.test(text)) {
    try {
      return /** @type {Reading} */ ({ kind: 'json', text, value: JSON.parse(text) });
    } catch {
      // not JSON: text
    }
  }
  return /** @type {Reading} */ ({ kind: 'text', text, value: undefined });
}

/** The payload in a few characters. @param {Entry} entry @param {number} [length] */
export function preview(entry, length = 80) {
  const { kind, text = '', value } = read(entry);
  if (kind === 'binary') return hex(entry.data.subarray(0, 12)) + (entry.length > 12 ? ' …' : '');
  const parts = kind === 'json' && isRecord(value) ? Object.entries(value) : [];
  const only = parts[0]?.[1];
  if (parts.length === 1 && typeof only !== 'object') return cut(typeof only === 'number' ? formatNumber(only) : String(only), length);
  // A row has no room for more, and a payload may be long.
  if (parts.length > 1) return cut(parts.slice(0, 8).map(([key, item]) => `${apart(key)} ${apart(brief(item))}`).join(' · '), length);
  return cut(text.slice(0, length * 2).replace(/\s+/g, ' ').trim() || (text ? '(blank)' : '(empty)'), length);
}

/** Characters that are read from right to left, and marks that change the direction of the text around them. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]/;
const MARKS = /[\u202a-\u202e\u2066-\u2069]/g;

/** Isolates such a text, so that the text beside it keeps its order. @param {string} text */
const apart = (text) => (TURNS.test(text) ? `\u2068${text.replace(MARKS, '')}\u2069` : text);

/** @param {unknown} value */
function brief(value) {
  if (typeof value === 'number') return formatNumber(value);
  if (Array.isArray(value)) return `[${value.length}]`;
  if (isRecord(value)) return '{…}';
  return cut(String(value), 24);
}

/** @param {string} text @param {number} length */
export const cut = (text, length) => (text.length > length ? `${beginning(text, length - 1)}…` : text);

/** Cuts a text, but not between the two halves of a character (a surrogate pair): one half would be shown as unreadable. @param {string} text @param {number} length */
export const beginning = (text, length) => text.slice(0, length).replace(/[\ud800-\udbff]$/, '');

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path of a JSON value; undefined if there is none. @param {unknown} value @param {Path} path */
export function valueAt(value, path) {
  let at = value;
  for (const key of path) {
    // Own properties only: a path may be called "constructor".
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = /** @type {Record<string, unknown>} */ (at)[key];
  }
  return at;
}

/** JSON in which marks that change the direction of text are visible and have no effect. @param {unknown} value */
export const quoted = (value) => visible(JSON.stringify(value) ?? 'undefined');

/** @param {string} text */
const visible = (text) => text.replace(MARKS, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);

/** A path as text for people. @param {Path} path */
export const nameOf = (path) => path.map((key) => visible(key) || '""').join('.');

/** @typedef {{ depth: number, key: string | undefined, value: unknown, open: '{' | '[' | '{…' | '[…' | '', close: '}' | ']' | '', path: Path, last: boolean }} Line */

/**
 * A JSON value line by line, as it would be printed.
 * @param {unknown} value @param {number} limit
 * @returns {{ lines: Line[], more: boolean }}
 */
export function jsonLines(value, limit) {
  /** @type {Line[]} */
  const lines = [];
  let more = false;
  /** @param {unknown} item @param {string | undefined} key @param {Path} path @param {boolean} last */
  const add = (item, key, path, last) => {
    if (lines.length >= limit) {
      more = true;
      return;
    }
    const depth = path.length;
    if (typeof item !== 'object' || item === null) {
      lines.push({ depth, key, value: item, open: '', close: '', path, last });
      return;
    }
    const isList = Array.isArray(item);
    const entries = Object.entries(item);
    const [open, close] = isList ? /** @type {const} */ (['[', ']']) : /** @type {const} */ (['{', '}']);
    if (entries.length === 0 || depth > 32) {
      const inside = entries.length > 0 ? /** @type {const} */ (`${open}…`) : open;
      lines.push({ depth, key, value: undefined, open: inside, close, path, last });
      return;
    }
    lines.push({ depth, key, value: undefined, open, close: '', path, last });
    for (const [index, [name, child]] of entries.entries()) {
      if (more) return;
      add(child, isList ? undefined : name, [...path, name], index === entries.length - 1);
    }
    if (!more) lines.push({ depth, key: undefined, value: undefined, open: '', close, path, last });
  };
  add(value, undefined, [], true);
  return { lines, more };
}

const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/** Whether JSON has whole numbers with more digits than JavaScript's numbers can hold, or numbers that are too large. @param {string} text */
export function isRounded(text) {
  for (const [digits] of text.replace(STRINGS, '""').matchAll(/-?\d[\d.eE+-]*/g)) {
    const number = Number(digits);
    if (!Number.isFinite(number)) return true;
    if (/^-?\d{16,}$/.test(digits) && String(BigInt(number)) !== digits) return true;
  }
  return false;
}

/** Bytes as pairs of digits. @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** A hex dump: the offset, the bytes, and the same as characters. @param {Uint8Array} bytes @param {number} limit @param {number} [width] */
export function hexDump(bytes, limit, width = 16) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, limit); at += width) {
    const row = bytes.subarray(at, Math.min(at + width, limit));
    const text = Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex(row).padEnd(width * 3 - 1)}  ${text}`);
  }
  return lines.join('\n');
}

/**
 * The bytes that a person wrote in hex: digits in pairs, however they are spaced, with or without 0x.
 * @param {string} text
 * @returns {Uint8Array | undefined}
 */
export function parseHex(text) {
  const digits = text.replace(/0x/gi, '').replace(/[\s,:]+/g, '');
  if (digits.length % 2 || /[^\da-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
