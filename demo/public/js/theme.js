import { icon } from './dom.js';

/** @typedef {'system' | 'light' | 'dark'} Theme */

const KEY = 'pubkeeper-theme';
/** @type {readonly Theme[]} */
const THEMES = ['system', 'light', 'dark'];

/** Makes a button switch through the themes. @param {HTMLElement} button @param {() => void} changed */
export function themeButton(button, changed) {
  const { dataset } = document.documentElement;
  let theme = THEMES.find((name) => name === dataset.theme) ?? 'system';
  const show = () => {
    button.replaceChildren(icon(theme));
    button.setAttribute('aria-label', `Theme: ${theme}`);
    button.title = `Theme: ${theme}`;
  };
  show();
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
    if (theme === 'system') delete dataset.theme;
    else dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // storage may be forbidden: then the choice is forgotten with the page
    }
    show();
    changed();
  });
  for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)', '(prefers-contrast: more)']) matchMedia(query).addEventListener('change', changed);
}
