import { byId, setHidden, setText } from './dom.js';
import { checkInput, completeServer } from './explain.js';

/** @typedef {import('./explain.js').Explanation} Explanation */
/** @typedef {import('./session.js').Target} Target */

/** The dialog for connecting to a server. */
export class ConnectDialog {
  #dialog = byId('connect', HTMLDialogElement);
  #server = byId('connect-server', HTMLInputElement);
  #token = byId('connect-token', HTMLInputElement);
  #pattern = byId('connect-pattern', HTMLInputElement);
  #submit = byId('connect-submit', HTMLButtonElement);
  #connect;
  /** The token that was filled in for the server that was filled in with it. */
  #filled = '';
  /** Counts submitted and cancelled attempts, so that the result of an earlier attempt is ignored. */
  #attempt = 0;

  /**
   * @param {(target: Target) => Promise<Explanation | undefined>} connect resolves to what went wrong, if anything
   * @param {() => void} abort ends that attempt
   */
  constructor(connect, abort) {
    this.#connect = connect;
    // Closed by the button, by Escape, or after a successful attempt, when the form is not busy any more.
    this.#dialog.addEventListener('close', () => {
      if (this.#submit.getAttribute('aria-disabled') !== 'true') return;
      this.#attempt += 1;
      this.#busy(false);
      abort();
    });
    // It is a secret of that server: another one must not get it by mistake.
    this.#server.addEventListener('input', () => {
      if (this.#token.value === this.#filled) this.#token.value = '';
    });
    byId('connect-cancel').addEventListener('click', () => this.#dialog.close());
    byId('connect-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#try();
    });
  }

  /** @param {Partial<Target>} target @param {Explanation} [problem] */
  open(target, problem) {
    if (target.server !== undefined) this.#server.value = target.server;
    if (target.token !== undefined) this.#token.value = this.#filled = target.token;
    if (target.pattern !== undefined) this.#pattern.value = target.pattern;
    if (!this.#dialog.open) this.#dialog.showModal();
    (this.#server.value ? this.#token : this.#server).focus();
    this.#show(problem);
  }

  async #try() {
    if (this.#submit.getAttribute('aria-disabled') === 'true') return;
    const target = /** @type {Target} */ ({ server: completeServer(this.#server.value), token: this.#token.value.trim(), pattern: this.#pattern.value.trim() });
    if (target.server) this.#server.value = target.server;
    const problem = checkInput(target, { pageProtocol: location.protocol, isPattern: Pubkeeper.isTopicPattern });
    if (problem) return this.#show(problem);
    this.#busy(true);
    const attempt = ++this.#attempt;
    const failure = await this.#connect(target);
    if (attempt !== this.#attempt) return;
    this.#busy(false);
    if (failure) this.#show(failure);
    else this.#dialog.close();
  }

  /** @param {boolean} busy */
  #busy(busy) {
    // Not by `disabled`, with which the button would lose the focus.
    this.#submit.setAttribute('aria-disabled', String(busy));
    setText(this.#submit, busy ? 'Connecting…' : 'Connect');
    if (busy) this.#show(undefined);
  }

  /** @param {Explanation | undefined} problem */
  #show(problem) {
    setHidden(byId('connect-error'), !problem);
    const fields = { server: this.#server, token: this.#token, pattern: this.#pattern };
    for (const field of Object.values(fields)) {
      field.removeAttribute('aria-invalid');
      field.removeAttribute('aria-describedby');
    }
    if (!problem) return;
    setText(byId('connect-error-title'), problem.title);
    setText(byId('connect-error-text'), ` ${problem.text}`);
    if (problem.field) {
      const field = fields[problem.field];
      field.setAttribute('aria-invalid', 'true');
      field.setAttribute('aria-describedby', 'connect-error');
      field.focus();
    }
    // In a low window the focus, or the button at the end, has scrolled it away.
    byId('connect-error').scrollIntoView({ block: 'nearest' });
  }
}
