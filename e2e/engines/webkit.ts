import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { type Engine, type EngineKind, type EnginePage, guarded, SCRIPT_TIMEOUT, unguard } from './engine.js';

const DRIVER = '/usr/bin/WebKitWebDriver';
const XVFB = '/usr/bin/Xvfb';

/** Debian's path contains the machine's architecture and WebKitGTK's version. */
function findMiniBrowser(): string | undefined {
  const directories = (path: string) =>
    existsSync(path) ? readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? `${path}/${entry.name}` : [])) : [];
  return directories('/usr/lib')
    .filter((path) => /-linux-gnu\w*$/.test(path))
    .flatMap(directories)
    .filter((path) => /\/webkit2?gtk-[\d.]+$/.test(path))
    .map((path) => `${path}/MiniBrowser`)
    .find((path) => existsSync(path));
}

/** WebKitGTK's MiniBrowser on a display of its own, driven by W3C WebDriver. */
export const webkitKind: EngineKind = {
  name: 'WebKit',
  missing() {
    const needed = { 'webkit2gtk-driver': existsSync(DRIVER) && findMiniBrowser(), xvfb: process.env['DISPLAY'] || existsSync(XVFB) };
    const packages = Object.entries(needed).flatMap(([name, isThere]) => (isThere ? [] : name));
    return packages.length ? `install WebKitGTK's driver (Debian: apt-get install ${packages.join(' ')})` : null;
  },
  async launch(): Promise<Engine> {
    const processes: ChildProcess[] = [];
    const stop = async (): Promise<void> => {
      for (const child of processes.splice(0).reverse()) await end(child);
    };
    try {
      const display = process.env['DISPLAY'] ?? (await startDisplay(processes));
      const driver = await startDriver(processes, display);
      const { sessionId, capabilities } = await driver<Session>('POST', '/session', {
        capabilities: {
          alwaysMatch: {
            acceptInsecureCerts: true,
            'webkitgtk:browserOptions': { binary: findMiniBrowser(), args: ['--automation'] },
          },
        },
      });
      const command = <T>(method: string, path: string, body?: object): Promise<T> => driver<T>(method, `/session/${sessionId}${path}`, body);
      await command('POST', '/timeouts', { script: SCRIPT_TIMEOUT });
      return {
        version: `${capabilities.browserName === 'MiniBrowser' ? 'WebKitGTK' : capabilities.browserName} ${capabilities.browserVersion}`,
        async open(url): Promise<EnginePage> {
          const { handle } = await command<{ handle: string }>('POST', '/window/new', { type: 'tab' });
          // Commands for a window go to the one that was switched to last.
          const here = () => command('POST', '/window', { handle });
          await here();
          await command('POST', '/url', { url });
          return {
            async evaluate(expression) {
              await here();
              const script = `const done = arguments[0]; ${guarded(expression)}.then(done);`;
              return unguard(await command('POST', '/execute/async', { script, args: [] }), expression);
            },
            async go(next) {
              await here();
              await command('POST', '/url', { url: next });
            },
            problems: () => undefined, // W3C WebDriver has no command for the console
            async close() {
              await here();
              const [left] = await command<string[]>('DELETE', '/window');
              if (left) await command('POST', '/window', { handle: left });
            },
          };
        },
        async close() {
          await command('DELETE', '').catch(() => undefined); // the session ends with the driver at the latest
          await stop();
        },
      };
    } catch (error) {
      await stop();
      throw error;
    }
  },
};

interface Session {
  readonly sessionId: string;
  readonly capabilities: { readonly browserName: string; readonly browserVersion: string };
}

async function startDisplay(processes: ChildProcess[]): Promise<string> {
  // Xvfb chooses a free display number, and prints it when it is ready.
  const server = spawn(XVFB, ['-displayfd', '1', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'pipe', 'ignore'] });
  processes.push(server);
  const died = once(server, 'exit').then(() => Promise.reject(new Error('Xvfb ended before it was ready.')));
  died.catch(() => undefined);
  const [number] = (await Promise.race([once(server.stdout, 'data'), died])) as [Buffer];
  return `:${number.toString().trim()}`;
}

type Driver = <T>(method: string, path: string, body?: object) => Promise<T>;

async function startDriver(processes: ChildProcess[], display: string): Promise<Driver> {
  const port = await freePort();
  const child = spawn(DRIVER, [`--port=${port}`], {
    env: { ...process.env, DISPLAY: display, NO_AT_BRIDGE: '1', LIBGL_ALWAYS_SOFTWARE: '1' },
    stdio: 'ignore',
  });
  processes.push(child);
  const driver: Driver = async <T>(method: string, path: string, body?: object) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const { value } = (await response.json()) as { value: T & { error?: string; message?: string } };
    if (!response.ok) throw new Error(`WebKitWebDriver, ${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  // WebKitWebDriver does not report that it is ready: ask until it answers or ends. No result depends on the
  // pause, which only leaves the processor to the driver.
  while (child.exitCode === null) {
    const ready = await driver<{ ready: boolean }>('GET', '/status').catch(() => undefined);
    if (ready?.ready) return driver;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`WebKitWebDriver ended with code ${child.exitCode}.`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}
