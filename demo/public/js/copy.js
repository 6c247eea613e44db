import { icon, setText } from './dom.js';

/**
 * Makes a button copy the text of an element and show whether that worked.
 * @param {HTMLElement} button @param {HTMLElement} source @param {HTMLElement} status
 * @param {() => string} [textOf] what to copy, if it is not just what the element shows
 */
export function copyButton(button, source, status, textOf = () => source.textContent ?? '') {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const show = (/** @type {string} */ name, /** @type {string} */ text) => {
    clearTimeout(timer);
    button.replaceChildren(icon(name));
    setText(status, text);
    timer = setTimeout(() => show('copy', ''), 4000);
  };
  button.append(icon('copy'));
  button.addEventListener('click', async () => {
    if (await copy(source, textOf())) show('check', 'Copied');
    else show('close', 'Selected: copy it with the keyboard or the menu');
  });
}

/** @param {HTMLElement} source @param {string} text @returns {Promise<boolean>} false: it is only selected */
async function copy(source, text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // navigator.clipboard is missing on http: pages of other machines: there, the old way is the only one. It copies what is selected.
    getSelection()?.selectAllChildren(source);
    const replace = (/** @type {ClipboardEvent} */ event) => {
      event.clipboardData?.setData('text/plain', text);
      event.preventDefault();
    };
    document.addEventListener('copy', replace);
    try {
      return document.execCommand('copy');
    } finally {
      document.removeEventListener('copy', replace);
    }
  }
}
