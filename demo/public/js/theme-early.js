// Before anything is painted, so that a dark page does not flash white. A classic script: modules run later.
try {
  const theme = localStorage.getItem('pubkeeper-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // storage may be forbidden; the system's theme is fine
}
