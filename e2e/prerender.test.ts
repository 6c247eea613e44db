import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findChromium, quietArgs } from './browsers.js';
import { describeInChromium } from './engines.js';
import { serve, TOKEN } from './peer.js';
import { html } from './site.js';

// A page that Chromium loads before it is visited. The browser has no driver here, as Chromium does not prerender with one: the pages
// report by requests what happens to them.

const RULES = JSON.stringify({ prerender: [{ urls: ['/second'], eagerness: 'immediate' }] });
const FIRST = html(
  `<script type="speculationrules">${RULES}</script>`,
  `<script>fetch('/visit').then(() => (location = '/second'));</script>`,
);
/** The page's connect timeout is shorter than the time until the visit. */
const secondPage = (server: string): string =>
  html(
    '<script src="/pubkeeper.umd.min.js"></script>',
    `<script>
      const say = (text) => fetch('/say?' + text + (document.prerendering ? ' ahead' : ''), { keepalive: true });
      say('begun');
      const client = new Pubkeeper.PubkeeperClient({ server: '${server}', token: '${TOKEN}', connectTimeoutMs: 2000 });
      client.connect().then(() => say('connected'), ({ code }) => say(code));
      setTimeout(() => say('waited'), 4000);
    </script>`,
  );

describeInChromium('a prerendered page in Chromium', () => {
  it('connects when it is visited, and its connect timeout does not run before that', async () => {
    const server = await serve();
    const said: string[] = [];
    let visit: ServerResponse | undefined;
    const pages: Record<string, string | Buffer> = {
      '/': FIRST,
      '/second': secondPage(server.url),
      '/pubkeeper.umd.min.js': readFileSync(new URL('../dist/pubkeeper.umd.min.js', import.meta.url)),
    };
    const site = createServer((request, response) => {
      const [path = '', text = ''] = decodeURIComponent(request.url ?? '').split('?');
      if (path === '/visit') return void (visit = response);
      if (path === '/say') said.push(text);
      response.setHeader('Content-Type', path.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8');
      response.end(pages[path] ?? '');
    }).listen(0, '127.0.0.1');
    await once(site, 'listening');
    const profile = mkdtempSync(join(tmpdir(), 'pubkeeper-prerender-'));
    const address = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
    const browser = spawn(findChromium()!, ['--headless=new', ...quietArgs, '--disable-features=Prerender2MemoryControls', `--user-data-dir=${profile}`, address], {
      stdio: 'ignore',
      // A process group of its own: processes of the browser that outlive the first one would go on writing into the profile.
      detached: true,
    });
    try {
      await expect.poll(() => said, { timeout: 30_000 }).toEqual(['begun ahead', 'waited ahead']);
      visit!.end();
      await expect.poll(() => said.at(-1), { timeout: 10_000 }).toBe('connected');
      expect(server.stats().clients).toBe(1);
    } finally {
      const ended = once(browser, 'exit');
      process.kill(-browser.pid!, 'SIGKILL');
      await ended;
      site.close();
      site.closeAllConnections();
      await server.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 10 });
    }
  }, 60_000);
});
