// What differs between two payloads. Uses no DOM, so that it can be tested anywhere.
import { formatExactly, formatNumber, plural } from './format.js';
import { cut, isRecord, nameOf, quoted, read } from './payload.js';

/** @typedef {{ kind: 'changed' | 'added' | 'removed', where: string, before: string, after: string, delta: string }} Change */
/** @typedef {{ changes: Change[], more: boolean, note: string }} Diff */

const LIMIT = 40;
const SAME = 'The same as the one before.';

/** @param {import('./store.js').Entry} before @param {import('./store.js').Entry} after @returns {Diff} */
export function diff(before, after) {
  if (before.length !== before.data.length || after.length !== after.data.length) {
    return { changes: [], more: false, note: 'Too long to be compared.' };
  }
  const [old, now] = [read(before), read(after)];
  if (old.text !== undefined && old.text === now.text) return { changes: [], more: false, note: SAME };
  /** @type {Change[]} */
  const changes = [];
  if (old.kind === 'json' && now.kind === 'json') diffJson(old.value, now.value, '', changes);
  else if (old.text !== undefined && now.text !== undefined) diffLines(old.text, now.text, changes);
  else return { changes: [], more: false, note: describeBytes(before.data, after.data) };
  const more = changes.length > LIMIT;
  // Whitespace, or the last digits of a number that has more digits than JavaScript can hold.
  const note = 'The same values, as far as numbers here can tell, in another text.';
  return { changes: changes.slice(0, LIMIT), more, note: changes.length === 0 ? note : '' };
}

/** @param {unknown} before @param {unknown} after @param {string} where @param {Change[]} changes */
function diffJson(before, after, where, changes) {
  if (changes.length > LIMIT || Object.is(before, after)) return;
  const both = (isRecord(before) && isRecord(after)) || (Array.isArray(before) && Array.isArray(after));
  if (!both || where.length > 400) {
    const [old, now] = [written(before), written(after)];
    if (old === now && old !== TOO_DEEP) return;
    const [was, is] = shortBoth(old, now);
    const delta = typeof before === 'number' && typeof after === 'number' ? deltaOf(before, after) : '';
    changes.push({ kind: 'changed', where: where || 'value', before: was, after: is, delta });
    return;
  }
  const [old, now] = [/** @type {Record<string, unknown>} */ (before), /** @type {Record<string, unknown>} */ (after)];
  const name = (/** @type {string} */ key) => (Array.isArray(before) ? `${where}[${key}]` : where ? `${where}.${nameOf([key])}` : nameOf([key]));
  for (const key of Object.keys(old)) {
    if (Object.hasOwn(now, key)) diffJson(old[key], now[key], name(key), changes);
    else changes.push({ kind: 'removed', where: name(key), before: short(written(old[key])), after: '', delta: '' });
  }
  for (const key of Object.keys(now)) {
    if (!Object.hasOwn(old, key)) changes.push({ kind: 'added', where: name(key), before: '', after: short(written(now[key])), delta: '' });
  }
}

/** @param {number} before @param {number} after */
function deltaOf(before, after) {
  const difference = after - before;
  // No difference can be shown between numbers that are too large for this, nor from 0 to -0.
  if (difference === 0 || !Number.isFinite(difference)) return '';
  const isExact = [before, after, difference].every(Number.isSafeInteger);
  // The last digits of other differences only come from how numbers are stored.
  const size = isExact ? formatExactly(Math.abs(difference)) : formatNumber(Math.abs(Number(difference.toPrecision(6))));
  return `${difference > 0 ? '+' : '−'}${size}`;
}

/**
 * Compares line by line, between the common beginning and the common end: good enough for messages, and in linear time.
 * @param {string} before @param {string} after @param {Change[]} changes
 */
function diffLines(before, after, changes) {
  const [old, now] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const [gone, come] = [old.slice(start, old.length - end), now.slice(start, now.length - end)];
  for (let line = 0; line < Math.max(gone.length, come.length) && changes.length <= LIMIT; line++) {
    const [was, is] = [gone[line], come[line]];
    if (was === is) continue;
    const kind = was === undefined ? 'added' : is === undefined ? 'removed' : 'changed';
    const [old, now] = shortBoth(was ?? '', is ?? '');
    changes.push({ kind, where: `line ${start + line + 1}`, before: old, after: now, delta: '' });
  }
}

/** @param {Uint8Array} before @param {Uint8Array} after */
function describeBytes(before, after) {
  const shared = Math.min(before.length, after.length);
  let changed = 0;
  let first = -1;
  for (let at = 0; at < shared; at++) {
    if (before[at] === after[at]) continue;
    changed++;
    if (first < 0) first = at;
  }
  const longer = after.length - before.length;
  if (!changed && !longer) return SAME;
  const parts = [];
  if (changed) parts.push(`${formatExactly(changed)} of ${plural(shared, 'byte')} ${changed === 1 ? 'differs' : 'differ'}, the first at offset ${first}`);
  if (longer) parts.push(`${plural(Math.abs(longer), 'byte')} ${longer > 0 ? 'longer' : 'shorter'}`);
  return `${parts.join('; ')}.`;
}

const TOO_DEEP = '(too deep to be shown)';

/** A value as text, in full: two values may differ only at the end. @param {unknown} value */
function written(value) {
  if (typeof value === 'number') return formatExactly(value);
  try {
    return quoted(value);
  } catch {
    // Some engines cannot write values that are nested deeper than their stack.
    return TOO_DEEP;
  }
}

const ROOM = 120;

/** @param {string} text */
const short = (text) => cut(text, ROOM);

/** Shortens two texts to the parts that begin a little before their first difference. @param {string} before @param {string} after @returns {[string, string]} */
function shortBoth(before, after) {
  let same = 0;
  while (same < before.length && before[same] === after[same]) same++;
  if (same < ROOM - 20) return [short(before), short(after)];
  // Do not cut between the two halves of a character (a surrogate pair).
  const from = same - 20 - Number(/[\udc00-\udfff]/.test(before.charAt(same - 20)));
  return [`…${short(before.slice(from))}`, `…${short(after.slice(from))}`];
}
