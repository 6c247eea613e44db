// Runs before anything is painted, so that a dark page does not flash white. A classic script, because modules run later.
try {
  const theme = localStorage.getItem('pubkeeper-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // storage may be forbidden: then the system's theme is used
}
