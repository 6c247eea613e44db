import { byId, setHidden, setText } from './dom.js';

/** @typedef {'ended' | 'gone' | 'full'} Subject */

/** A line above everything else: one thing that a person should know, and a button that does something about it. */
export class Banner {
  #element = byId('banner');
  /** @type {Subject | undefined} */
  #subject;
  #run = () => {};
  #focus;

  /** @param {HTMLElement} focus gets the focus when the banner's button is hidden */
  constructor(focus) {
    this.#focus = focus;
    byId('banner-action').addEventListener('click', () => this.#run());
  }

  /** @param {Subject} subject @param {'warn' | 'bad'} tone @param {string} title @param {string} text @param {string} label @param {() => void} run */
  say(subject, tone, title, text, label, run) {
    this.#subject = subject;
    this.#run = run;
    this.#element.dataset.tone = tone;
    setText(byId('banner-title'), title);
    setText(byId('banner-text'), text);
    setText(byId('banner-action'), label);
    setHidden(this.#element, false);
  }

  /** Hides the banner, if it shows one of these subjects. @param {...Subject} subjects */
  hide(...subjects) {
    if (!this.#subject || !subjects.includes(this.#subject)) return;
    this.#subject = undefined;
    // Otherwise the focus would be lost with the hidden button.
    if (this.#element.contains(document.activeElement)) this.#focus.focus();
    setHidden(this.#element, true);
  }
}
