// The page: counts messages, shows the counts, and reports them to the terminal.
import { read } from './reader.mjs';

/** @type {{ servers: string[], token: string }} */
const { servers, token } = await (await fetch('/setup')).json();
const log = /** @type {HTMLElement} */ (document.querySelector('#log'));
const body = /** @type {HTMLElement} */ (document.querySelector('tbody'));

/** @param {string} line */
const told = (line) => {
  log.textContent = `${new Date().toLocaleTimeString()}  ${line}\n${log.textContent ?? ''}`.slice(0, 5000);
};

const { tally } = await read(servers, token, told);
setInterval(() => {
  const rows = tally.toJSON();
  body.replaceChildren(
    ...Object.entries(rows).map(([topic, { delivered, missing, reported, twice }]) => {
      const row = document.createElement('tr');
      for (const text of [topic, delivered, missing, reported, twice]) row.insertCell().textContent = String(text);
      return row;
    }),
  );
  void fetch('/tally', { method: 'POST', body: JSON.stringify(rows) }).catch(() => undefined);
}, 250);
