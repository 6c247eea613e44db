import fc from './fast-check.js';

/** Text with UTF-8 characters of every length. (The unit 'binary' of fast-check takes seconds to get ready.) */
export const unicodeText = fc.string({
  unit: fc.oneof(fc.constantFrom('a', 'Z', '.', '"', '\\', '\0', '\n', ' ', 'µ', 'ß', '\u2028', '温', '\ud7ff', '\ue000', '\ufffd', '🌡', '\u{10ffff}', '__proto__'), fc.nat(0xd7ff).map((code) => String.fromCodePoint(code))),
});
