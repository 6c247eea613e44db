// Numbers, times and ids as people read them.

const whole = new Intl.NumberFormat('en');
const one = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const few = new Intl.NumberFormat('en', { maximumSignificantDigits: 6 });
const exponential = new Intl.NumberFormat('en', { notation: 'scientific', maximumSignificantDigits: 6 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** @param {number} value */
export const formatCount = (value) => whole.format(value);

/** Short enough for a column. @param {number} value */
export const formatCompact = (value) => (value < 10_000 ? whole.format(value) : compact.format(value));

/** Messages a second; a rate of nearly zero is shown as zero. @param {number} perSecond */
export function formatRate(perSecond) {
  if (perSecond < 0.05) return '–';
  return perSecond < 100 ? one.format(perSecond) : formatCompact(Math.round(perSecond));
}

/** @param {number} value */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return whole.format(value);
  // Intl would write out every zero, and there may be three hundred.
  return size < 1e15 && size >= 1e-9 ? few.format(value) : exponential.format(value).replace('E', 'e');
}

/** With all digits, so that two different numbers never look the same. @param {number} value */
export const formatExactly = (value) => (Number.isInteger(value) && Math.abs(value) < 1e15 ? whole.format(value) : String(value));

/** Formats of axes: making one takes longer than using it. @type {Map<string, Intl.NumberFormat>} */
const ofTicks = new Map();

/**
 * The labels of an axis: short, and as different from each other as the ticks are.
 * @param {readonly number[]} values with equal steps between them
 */
export function formatTicks(values) {
  const step = Math.abs((values[1] ?? 0) - (values[0] ?? 0));
  const largest = Math.max(...values.map(Math.abs));
  return values.map((value) => {
    const size = Math.abs(value);
    // Zero, reached in fractional steps, which leave a rounding error.
    if (size <= step / 1e6) return '0';
    const digits = step > 0 ? Math.floor(Math.log10(size)) - Math.floor(Math.log10(step)) + 2 : 6;
    const notation = size >= 1e15 || size < 1e-3 ? 'scientific' : size >= 1e4 && (digits < 5 || largest >= 1e6) ? 'compact' : 'standard';
    const maximumSignificantDigits = Math.min(15, Math.max(1, digits));
    const key = `${notation} ${maximumSignificantDigits}`;
    const format = ofTicks.get(key) ?? new Intl.NumberFormat('en', { notation, maximumSignificantDigits });
    ofTicks.set(key, format);
    return format.format(value).replace('E', 'e');
  });
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${one.format(bytes / 1024)} KiB`;
  return `${one.format(bytes / 1024 / 1024)} MiB`;
}

/** A configured size, which is usually a round number. @param {number} bytes */
export function formatLimit(bytes) {
  const [size, unit] = bytes % 2 ** 20 === 0 ? [bytes / 2 ** 20, 'MiB'] : bytes % 1024 === 0 ? [bytes / 1024, 'KiB'] : [bytes, 'bytes'];
  return `${formatCount(size)} ${unit}`;
}

/** @param {number} ms since 1970 */
export function formatTime(ms) {
  const date = new Date(ms);
  const two = (/** @type {number} */ part) => String(part).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** @param {number} ms since 1970 */
export const formatExactTime = (ms) => `${formatTime(ms)}.${String(ms % 1000).padStart(3, '0')}`;

const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

/** The day and a space, to stand before a time that is not of today; else nothing. @param {number} ms since 1970 @param {number} [now] */
export const formatDay = (ms, now = Date.now()) => (new Date(ms).toDateString() === new Date(now).toDateString() ? '' : `${day.format(ms)} `);

/** How long ago that was, if a person should know: ", 12 s ago". @param {number} ms since 1970 @param {number} [now] */
export const formatAge = (ms, now = Date.now()) => (now - ms < 10_000 ? '' : `, ${formatDuration(now - ms)} ago`);

/** @param {number} ms */
export function formatDuration(ms) {
  if (ms < 95) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${one.format(seconds)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** As much of an id as tells it from others on one screen. @param {string} id */
export const shortId = (id) => id.slice(0, 8);

/** @param {number} count @param {string} singular @param {string} [plural] */
export const plural = (count, singular, plural = `${singular}s`) => `${formatCount(count)} ${count === 1 ? singular : plural}`;
