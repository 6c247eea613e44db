'use strict';
// Before uPlot, which asks Intl for the browser's language as it loads: WebKitGTK says "C" where a machine has no locale,
// and Intl knows no such language.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' });
}
