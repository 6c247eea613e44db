import { once } from 'node:events';
import { type AddressInfo, connect, createServer as createTcp, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { dashboardHandler } from '../dist/dashboard/handler.js';
import { createServer, type PubkeeperServer } from '../src/server/index.js';
import { Dashboard, patient } from './dashboard-kit.js';
import { describeInChromium } from './engines.js';
import { byAddress } from './insecure-origin.js';

describeInChromium('the dashboard in trouble', () => {
  const dashboard = new Dashboard();
  const text = (id: string) => dashboard.page.locator(`#${id}`).textContent();
  const says = (id: string) => expect.poll(() => text(id), patient);
  const later: (() => unknown)[] = [];
  afterEach(async () => {
    for (const run of later.splice(0).reverse()) await run();
  });

  /** Starts a server with a dashboard; a test may close it. */
  async function serve(port = 0): Promise<PubkeeperServer> {
    const server: PubkeeperServer = await createServer({ port, http: dashboardHandler({ token: () => server.token }) });
    later.push(() => server.close());
    return server;
  }

  /** Starts a TCP server that is not a Pubkeeper server, and returns its port. */
  async function strange(connected: (socket: Socket) => void, port = 0): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createTcp((socket) => {
      sockets.add(socket.on('error', () => undefined));
      connected(socket);
    });
    await once(server.listen(port, '127.0.0.1'), 'listening');
    later.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    return (server.address() as AddressInfo).port;
  }

  const pageOf = ({ port }: PubkeeperServer) => `http://127.0.0.1:${port}/`;

  it('does not send a message that is longer than the server accepts, and reports one that the server refused', async () => {
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    const brew = async () => {
      await page.locator('#brew-payload').fill('x'.repeat(1_100_000));
      await page.locator('#brew-submit').click();
    };
    await brew();
    await says('brew-status').toBe('Not sent: this server accepts messages up to 1 MiB.');
    const { server, token } = dashboard.demo;
    await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server, token } }));
    await page.reload();
    await dashboard.expectState('Connected');
    await brew();
    await says('brew-status').toContain('Not delivered: the message is longer than this server accepts');
    expect(await page.locator('#brew-status').getAttribute('data-tone')).toBe('bad');
    await says('log').toContain('Relay connection closed (A message is longer than this server accepts (maxMessageBytes): send it in parts.)');
    await dashboard.expectState('Connected');
    expect(dashboard.complaints).toEqual([]);
  });

  it('keeps the selection, charts and log when it connects again, and only the log with another server', async () => {
    const page = await dashboard.open();
    await dashboard.select(dashboard.memory);
    await page.getByTitle('Chart percent').click();
    const before = await dashboard.messages();
    const toggle = page.locator('#toggle-connection');
    await toggle.click();
    await dashboard.expectState('Disconnected');
    // A disabled button does nothing. The button is disabled when both ends have closed the socket.
    await expect.poll(() => page.locator('#cut-relay').getAttribute('aria-disabled')).toBe('true');
    await page.locator('#cut-relay').click({ force: true });
    await toggle.click();
    await dashboard.expectState('Connected');
    await expect.poll(() => dashboard.messages(), patient).toBeGreaterThan(before);
    expect(await text('topic')).toBe(dashboard.memory);
    await page.getByRole('figure', { name: `Chart of ${dashboard.memory} › percent` }).waitFor();
    expect(await text('log')).toMatch(/Connected in .*Disconnected.*Connected in /);
    expect(await text('log')).not.toContain('cut for');

    const other = await serve();
    await page.locator('#other-server').click();
    await page.locator('#connect-server').fill(other.url);
    await page.locator('#connect-token').fill(other.token!);
    await page.locator('#connect-submit').click();
    await says('log').toMatch(new RegExp(`Now at 127\\.0\\.0\\.1:${other.port}.*Disconnected.*Connected in `));
    expect(await page.locator('canvas').count()).toBe(0);
    expect(dashboard.complaints).toEqual([]);
  });

  it('shows that it is connecting, and lets the user cancel', async () => {
    const server = await serve();
    const page = await dashboard.open({}, pageOf(server));
    await dashboard.expectState('Connected');
    const toggle = page.locator('#toggle-connection');
    await toggle.click();
    await dashboard.expectState('Disconnected');
    await server.close();
    await strange(() => undefined, server.port);
    await toggle.click();
    await dashboard.expectState('Connecting');
    await says('toggle-connection').toBe('Cancel');
    await toggle.click();
    await dashboard.expectState('Disconnected');
    await says('toggle-connection').toBe('Connect');
  });

  it('says that a server does not answer, and reconnects when it is back with a new token, also after the form was used', async () => {
    const first = await serve();
    const page = (dashboard.page = await dashboard.browser.newPage());
    await page.clock.install();
    await page.goto(pageOf(first));
    await dashboard.expectState('Connected');
    // Connect to the page's own server, by the form.
    await page.locator('#other-server').click();
    await page.locator('#connect-pattern').fill('*');
    await page.locator('#connect-submit').click();
    await expect.poll(() => page.locator('#connect').isVisible()).toBe(false);
    await first.close();
    await dashboard.expectState('Reconnecting');
    await page.clock.fastForward(31_000);
    await says('banner').toContain(`No server answers at 127.0.0.1:${first.port}.`);
    await expect.poll(() => page.locator('#banner').isVisible()).toBe(true);
    const second = await serve(first.port);
    expect(second.token).not.toBe(first.token);
    await dashboard.expectState('Connected');
    await expect.poll(() => page.locator('#banner').isVisible()).toBe(false);
    await page.locator('#other-server').click();
    expect(await page.locator('#connect-token').inputValue()).toBe(second.token);
  });

  it('says that a message waits for the relay', async () => {
    const client = await dashboard.connect();
    const heard: string[] = [];
    client.addPatron('demo.waits', (_data, message) => void heard.push(message.text()));
    const page = await dashboard.open();
    await dashboard.expectState('Connected');
    await page.locator('#brew-topic').fill('demo.waits');
    await page.locator('#brew-payload').fill('first');
    await page.locator('#brew-submit').click();
    await says('brew-status').toMatch(/^Brewed /);
    await expect.poll(() => heard, patient).toEqual(['first']);
    await page.locator('#cut-relay').click();
    await dashboard.expectState('Connected, relay lost');
    expect(await page.locator('#pill').getAttribute('data-tone')).toBe('warn');
    await page.locator('#brew-payload').fill('second');
    await page.locator('#brew-submit').click();
    await says('brew-status').toContain('will be sent when it is back.');
    await page.locator('#cut-relay').click();
    await dashboard.expectState('Connected');
    await says('brew-status').toBe('Brewed 6 B for 2 patrons.');
    await expect.poll(() => heard, patient).toEqual(['first', 'second']);
    expect(dashboard.complaints).toEqual([]);
  });

  it('works without a session, and says why it has none', async () => {
    const page = (dashboard.page = await dashboard.browser.newPage());
    const reason = 'The server shows its token only on its own machine.';
    await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server: dashboard.demo.server, reason } }));
    await page.goto(dashboard.demo.page);
    await page.locator('#connect').waitFor();
    await says('connect-error').toContain(reason);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('connect-token');
    await page.keyboard.press('Escape');
    for (const [id, label] of [['cut-control', 'Cut'], ['cut-relay', 'Cut'], ['toggle-connection', 'Connect']] as const) await says(id).toBe(label);
    expect(await page.locator('#matches-empty').isVisible()).toBe(true);
    expect(await page.locator('#matches').isVisible()).toBe(false);
    await page.locator('#toggle-connection').click();
    await page.locator('#connect').waitFor();
  });

  it('recognises WebSocket servers that are not Pubkeeper servers', async () => {
    const page = (dashboard.page = await dashboard.browser.newPage());
    await page.route('**/dashboard.json', (route) => route.fulfill({ json: { server: dashboard.demo.server } }));
    await page.goto(dashboard.demo.page);
    await page.locator('#connect').waitFor();
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    later.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const opened = new Promise((resolve) =>
      server.on('connection', (socket, { url }) => {
        if (url === '/room') return socket.close(1008, 'no such room');
        socket.send('welcome');
        resolve(socket);
      }),
    );
    await page.locator('#connect-token').fill('t');
    await page.locator('#connect-server').fill(`ws://127.0.0.1:${port}/room`);
    await page.locator('#connect-submit').click();
    await says('connect-error').toContain(`127.0.0.1:${port} is not a Pubkeeper server.`);
    expect(await text('connect-error')).toContain('“no such room”');
    await page.locator('#connect-server').fill(`ws://127.0.0.1:${port}/chat`);
    await page.locator('#connect-submit').click();
    await opened;
    await says('connect-error').toContain('it does not speak Pubkeeper');
  });

  it.runIf(byAddress)('on a plain http page of a LAN says why it needs a token, copies topics, and logs no warnings', async () => {
    const { address } = byAddress!;
    const tokens = { t: [{ topic: '**', read: true, write: true }] };
    const server = await createServer({ port: 0, host: address, tokens, http: dashboardHandler({ token: 't' }) });
    later.push(() => server.close());
    const page = await dashboard.open({}, `http://${address}:${server.port}/`);
    await page.locator('#connect').waitFor();
    await says('connect-error').toContain(`http://127.0.0.1:${server.port}/`);
    await page.locator('#connect-token').fill('t');
    await page.locator('#connect-submit').click();
    await dashboard.expectState('Connected');
    await page.locator('#brew-submit').click();
    await dashboard.select('demo.hello');
    await page.locator('#copy-topic').click();
    await says('copy-status').toBe('Copied');
    expect(dashboard.complaints).toEqual([]);
  });

  it('works under a path, behind a proxy', async () => {
    const { port } = new URL(dashboard.demo.page);
    const proxy = await strange((socket) => {
      const target = connect(Number(port), '127.0.0.1').on('error', () => socket.destroy());
      socket.on('data', (chunk) => target.write(Buffer.from(chunk.toString('latin1').replace(/^GET \/pubkeeper\//, 'GET /'), 'latin1')));
      socket.on('close', () => target.destroy());
      target.pipe(socket);
    });
    const page = await dashboard.open({}, `http://127.0.0.1:${proxy}/pubkeeper/`);
    await dashboard.expectState('Connected');
    await dashboard.select(dashboard.memory);
    await page.locator('#other-server').click();
    expect(await page.locator('#connect-server').inputValue()).toBe(`ws://127.0.0.1:${proxy}/pubkeeper/ws`);
    expect(dashboard.complaints).toEqual([]);
  });

  it('on a phone moves the focus to the selected topic or the tree, and shows charts and states in full', async () => {
    const page = await dashboard.open({ viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
    const focused = () => page.evaluate(() => document.activeElement?.id);
    await dashboard.select(dashboard.memory);
    await expect.poll(focused).toBe('topic');
    await page.getByTitle('Chart percent').tap();
    const isSeen = () =>
      page.locator('.chart').evaluate((chart) => {
        const { top, bottom } = chart.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
      });
    await expect.poll(isSeen).toBe(true);
    await page.locator('#skip').focus();
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('tree');
    await page.locator('#tabs').getByRole('button', { name: 'Network' }).tap();
    await page.getByRole('button', { name: 'Cut the control connection' }).tap();
    await dashboard.expectState('Reconnecting, messages go on');
    const [pill, totals] = await Promise.all(['#pill', '.totals'].map((selector) => page.locator(selector).boundingBox()));
    expect(pill!.x + pill!.width).toBeLessThanOrEqual(totals!.x);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    expect(dashboard.complaints).toEqual([]);
  });
});
