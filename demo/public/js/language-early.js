'use strict';
// Loaded before uPlot, which passes the browser's language to Intl as it loads: WebKitGTK says "C" on a machine without a locale, and
// Intl does not know that language.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' });
}
