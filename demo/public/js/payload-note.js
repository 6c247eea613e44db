// The note under a payload. Uses no DOM, so that it can be tested anywhere.
import { formatBytes, formatCount, plural } from './format.js';
import { isRounded } from './payload.js';

/** How many characters of a text are shown, and how many bytes in a hex dump. */
export const TEXT_LIMIT = 16 * 1024;
export const HEX_LIMIT = 2048;

/**
 * @param {import('./store.js').Entry} entry
 * @param {import('./payload.js').Reading} reading
 * @param {'json' | 'text' | 'hex'} format what was asked for
 * @param {{ hasNumbers: boolean, isCompared: boolean }} json what the view of it has
 * @returns {string}
 */
export function noteOn(entry, reading, format, json) {
  // Else an old value looks as new as the time at which it came.
  const old = entry.retained ? 'A last value: it was brewed before this page subscribed, perhaps long before.' : '';
  return [old, noteOnText(entry, reading, format, json)].filter(Boolean).join(' ');
}

/** @type {typeof noteOn} */
function noteOnText({ data, length }, { kind, text = '' }, format, { hasNumbers, isCompared }) {
  const isPart = length > data.length;
  if (kind === 'json' && format === 'json') {
    return [
      hasNumbers && 'Click a number to chart it.',
      isCompared && 'Changes are bold.',
      isRounded(text) && 'Long numbers are rounded here, and those that are too large are Infinity: the Text view shows them as they came.',
    ].filter(Boolean).join(' ');
  }
  if (format === 'hex' || kind === 'binary') {
    const part = length > HEX_LIMIT ? `The first ${formatBytes(HEX_LIMIT)} of ${formatBytes(length)}.` : '';
    return [format !== 'hex' && 'This is not text: shown as hex.', part].filter(Boolean).join(' ');
  }
  const shown = `The first ${formatCount(Math.min(TEXT_LIMIT, text.length))} characters of `;
  const part = isPart ? `${shown}${formatBytes(length)}.` : text.length > TEXT_LIMIT ? `${shown}${plural(text.length, 'character')}.` : '';
  if (format === 'json' && isPart && /^\s*[[{"]/.test(text)) return `Too long to be shown as JSON here. ${part}`;
  if (format === 'json') return ['This is not JSON: shown as text.', part].filter(Boolean).join(' ');
  if (!text) return 'The message is empty.';
  return text.trim() ? part : 'The message is only whitespace.';
}
