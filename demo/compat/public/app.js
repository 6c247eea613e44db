// Written as pages were for the old client: a script tag, two globals, `matched` callbacks with teardowns.
'use strict';

(async () => {
  const POINTS = 240;
  const SVG = 'http://www.w3.org/2000/svg';

  /**
   * @template {HTMLElement} T
   * @param {string} id
   * @param {new () => T} Type
   */
  function find(id, Type) {
    const element = document.getElementById(id);
    if (element instanceof Type) return element;
    throw new Error(`The page has no ${id}.`);
  }
  const statusLine = find('status', HTMLElement);
  const nothing = find('nothing', HTMLElement);
  const sent = find('sent', HTMLElement);
  const problem = find('problem', HTMLElement);
  const table = find('topics', HTMLTableSectionElement);
  const form = find('form', HTMLFormElement);
  const note = find('note', HTMLInputElement);
  const send = find('send', HTMLButtonElement);
  const toggle = find('toggle', HTMLButtonElement);

  /** @typedef {{ element: HTMLTableRowElement, value: HTMLElement, line: Element, values: number[] }} Row */
  /** @type {Map<string, Row>} */
  const rows = new Map();

  /** @param {string} topic */
  function rowOf(topic) {
    const known = rows.get(topic);
    if (known) return known;
    const element = document.createElement('tr');
    const name = element.insertCell();
    const value = element.insertCell().appendChild(document.createElement('div'));
    element.dataset.topic = topic;
    name.textContent = topic;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 100`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    const line = svg.appendChild(document.createElementNS(SVG, 'polyline'));
    element.insertCell().append(svg);
    /** @type {Row} */
    const row = { element, value, line, values: [] };
    rows.set(topic, row);
    // Sorted by topic, not by arrival.
    const next = [...rows.keys()].sort().find((other) => other > topic);
    table.insertBefore(element, (next && rows.get(next)?.element) || null);
    nothing.hidden = true;
    return row;
  }

  /** @param {Row} row */
  function draw({ line, values }) {
    const low = Math.min(...values);
    const range = Math.max(...values) - low || 1;
    const at = POINTS - values.length;
    line.setAttribute('points', values.map((value, index) => `${at + index},${95 - (90 * (value - low)) / range}`).join(' '));
  }

  /** @param {string} topic @param {string} text */
  function show(topic, text) {
    const row = rowOf(topic);
    row.value.textContent = text;
    const number = Number(text);
    if (text.trim() === '' || !Number.isFinite(number)) return;
    row.values.push(number);
    if (row.values.length > POINTS) row.values.shift();
    draw(row);
  }

  function clear() {
    for (const { element } of rows.values()) element.remove();
    rows.clear();
    nothing.hidden = false;
  }

  /** @returns {Promise<{ server: string, token?: string, reason?: string }>} */
  const ask = async () => (await fetch('dashboard.json', { cache: 'no-store' })).json();
  // Called for each connection: a server that was restarted has generated a new token.
  const jwt = async () => {
    const { token = '', reason } = await ask();
    if (reason) throw new Error(reason);
    return token;
  };
  const { server, reason: why } = await ask();
  if (why) return void (problem.textContent = why);
  const { hostname, port, protocol } = location;
  const secure = protocol === 'https:';
  const brewerConfig = { hostname, port: Number(port) || (secure ? 443 : 80), secure };
  const client = new PubkeeperClient({ server, jwt, brews: [new WebSocketBrew({ brewerConfig })] });
  const isIdle = () => client.status === PubkeeperClient.DISCONNECTED || client.status === PubkeeperClient.DEAD;

  client.on('statuschange', ({ status }) => {
    statusLine.textContent = status;
    statusLine.dataset.status = status;
    nothing.textContent = status === PubkeeperClient.CONNECTED ? 'Nobody brews on demo.** yet.' : 'Not connected.';
    toggle.textContent = isIdle() ? 'Connect' : 'Disconnect';
  });
  client.on('connected', () => (problem.textContent = ''));
  client.on('error', (error) => (problem.textContent = error.message));

  client.addPatron('demo.**', (patron) => {
    /** @type {Map<string, string>} */
    const topics = new Map();
    patron.on('added', ({ topic, id }) => {
      topics.set(id, topic);
      rowOf(topic);
    });
    patron.on('removed', ({ id }) => {
      const topic = topics.get(id) ?? '';
      topics.delete(id);
      if ([...topics.values()].includes(topic)) return;
      rows.get(topic)?.element.remove();
      rows.delete(topic);
    });
    patron.on('message', (data, { topic }) => show(topic, new TextDecoder().decode(data)));
    return clear;
  });

  client.addBrewer('demo.note', { waitForBrews: 1000 }, (brewer) => {
    /** @param {SubmitEvent} event */
    const submit = async (event) => {
      event.preventDefault();
      try {
        await brewer.brewText(note.value);
        sent.textContent = `sent to ${brewer.size}`;
      } catch (error) {
        sent.textContent = String(error);
      }
    };
    form.addEventListener('submit', submit);
    send.disabled = false;
    return () => {
      form.removeEventListener('submit', submit);
      send.disabled = true;
    };
  });

  // The status and the errors tell how it goes.
  toggle.addEventListener('click', () => void (isIdle() ? client.connect() : client.disconnect()));
  await client.connect().catch(() => undefined);
})();
