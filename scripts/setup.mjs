// Sets up what `npm start` and `npm test` need, on a clone that may be fresh.
// Node built-ins only: this runs before any dependency is installed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const installStamp = join(root, 'node_modules/.pubkeeper-lock');
// Beside the dependencies, not in dist: what lies in dist is published.
const buildStamp = join(root, 'node_modules/.pubkeeper-build');
const buildScripts = ['bindings', 'build', 'dashboard', 'gzip-names', 'gzip-order', 'gzip-properties', 'lean-noble'].map((name) => `scripts/${name}.mjs`);
const buildInputs = ['src', 'demo', ...buildScripts, 'scripts/gzip-order.json', 'rollup.config.mjs', 'tsconfig.json', 'package.json', 'package-lock.json'];

/** A failure whose message is a whole sentence for the person at the terminal. */
export class SetupError extends Error {}

export const step = (text) => console.log(`pubkeeper: ${text}`);

/** Runs a command in the repository; resolves to its exit code, and its output unless that is shown (the default). */
export function run(command, args, { quiet = false, env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code, signal) => resolve({ code: code ?? 1, signal, output }));
  });
}

/** Runs a script of an installed package with this Node: on every system, and without a shell between. */
export const runNode = (script, args, options) => run(process.execPath, [join(root, script), ...args], options);

async function runOrThrow(sentence, command, args, env) {
  const { code, output } = await run(command, args, { quiet: true, env });
  if (code === 0) return;
  console.error(output.trim().split('\n').slice(-15).join('\n'));
  throw new SetupError(sentence);
}

export function ensureNodeVersion() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`pubkeeper needs Node 20.19 or newer, and this is Node ${process.versions.node}.`);
  }
}

const hash = (...parts) => parts.reduce((digest, part) => digest.update(part), createHash('sha256')).digest('hex');
const readStamp = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/** Installs what package-lock.json names, unless exactly that is installed already. */
export async function ensureDependencies() {
  const expected = hash(readFileSync(join(root, 'package-lock.json')));
  if (readStamp(installStamp) === expected) return;
  step('installing dependencies (npm ci)');
  // npm tells its own script when it runs this one; `npm` alone is not an executable file on Windows.
  const npm = process.env.npm_execpath?.endsWith('npm-cli.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  // Installing a Playwright browser is a step of its own, and only where no other browser is found.
  await runOrThrow('The dependencies could not be installed: see the output of npm ci above.', npm[0], [...npm.slice(1), 'ci', '--no-audit', '--no-fund'], {
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1',
  });
  writeFileSync(installStamp, expected);
}

function* filesUnder(path) {
  const entry = statSync(path, { throwIfNoEntry: false });
  if (entry?.isDirectory()) for (const name of readdirSync(path).sort()) yield* filesUnder(join(path, name));
  else if (entry) yield path;
}

/** A hash of everything the build reads, by content: a checkout sets the modification times anew. */
export function buildFingerprint() {
  const parts = [];
  for (const input of buildInputs) {
    for (const file of filesUnder(join(root, input))) parts.push(relative(root, file).split(sep).join('/'), '\0', readFileSync(file), '\0');
  }
  return hash(...parts);
}

export const recordBuild = (fingerprint) => writeFileSync(buildStamp, fingerprint);

/** Builds dist, unless it was built from exactly this source. */
export async function ensureBuild() {
  if (existsSync(join(root, 'dist')) && readStamp(buildStamp) === buildFingerprint()) return;
  step('building dist (npm run build)');
  await runOrThrow('The build failed: see its output above.', process.execPath, [join(root, 'scripts/build.mjs')]);
}

const isOnPath = (name) => (process.env.PATH ?? '').split(delimiter).some((directory) => existsSync(join(directory, name)));

const isThere = (...paths) => paths.some((path) => path && existsSync(path));

// Browsers that the end-to-end tests drive: how to see that one is there, and the Debian packages that bring it.
// The tests look for them in the same places (e2e/browsers.ts and e2e/engines).
const browsers = [
  { name: 'Chromium', isThere: () => isThere(process.env.CHROMIUM_PATH || '/usr/bin/chromium'), packages: ['chromium'] },
  {
    name: 'Firefox',
    isThere: () => isThere(process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox'),
    packages: ['firefox-esr'],
  },
  {
    name: 'WebKitGTK with its driver',
    isThere: () => isThere('/usr/bin/WebKitWebDriver') && (isThere('/usr/bin/Xvfb') || Boolean(process.env.DISPLAY)),
    packages: ['webkit2gtk-driver', 'xvfb'],
  },
];

/** Installs Debian packages if that is possible; returns whether nothing is missing after that. */
async function aptInstall(missing) {
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) return false;
  step(`installing ${missing.map(({ name }) => name).join(', ')} (apt-get)`);
  // RUNLEVEL=1: services that come with a package do not start; tests start their own, with a configuration of their own.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (...args) => run('apt-get', args, { quiet: true, env });
  await apt('update');
  // One call for each: if one package is not available, as Firefox on Ubuntu, apt-get installs none of the packages of that call.
  for (const { packages } of missing) await apt('install', '-y', '--no-install-recommends', ...packages);
  return missing.every(({ isThere }) => isThere());
}

// Brokers that tests of brews start. Debian puts daemons into a directory that may not be on a user's PATH.
const isInstalled = (name) => isOnPath(name) || existsSync(join('/usr/sbin', name));
const brokers = ['mosquitto', 'nats-server'].map((name) => ({ name, isThere: () => isInstalled(name), packages: [name] }));

/** Installs missing brokers. Returns a sentence about what is still missing, or null. */
export async function ensureBrokers() {
  const missing = brokers.filter((broker) => !broker.isThere());
  if (missing.length === 0 || (await aptInstall(missing))) return null;
  const names = brokers.filter((broker) => !broker.isThere()).map(({ name }) => name);
  return `Tests that need ${names.join(' and ')} are skipped: install ${names.length > 1 ? 'them' : 'it'} to run them.`;
}

/** Installs missing browsers. Returns a sentence about what is still missing, or null. */
export async function ensureBrowsers() {
  const stillMissing = () => browsers.filter((browser) => !browser.isThere());
  let missing = stillMissing();
  if (missing.length === 0) return null;
  const names = () => missing.map((browser) => browser.name).join(', ');
  if (await aptInstall(missing)) return null;
  missing = stillMissing();
  const chromium = missing.find(({ name }) => name === 'Chromium');
  if (chromium) {
    step(`looking for Playwright's chromium (npx playwright install chromium)`);
    const { code } = await runNode('node_modules/playwright/cli.js', ['install', 'chromium'], { quiet: true });
    if (code === 0) missing = missing.filter((browser) => browser !== chromium);
  }
  if (missing.length === 0) return null;
  const packages = missing.flatMap((browser) => browser.packages).join(' ');
  return `THE TESTS IN e2e SKIP ${names()}, which could not be installed: on Debian, apt-get install ${packages}. CHROMIUM_PATH and FIREFOX_PATH may say where those two are.`;
}

/** Runs a script's main function; its failure is one sentence and exit code 1. */
export async function main(action) {
  try {
    ensureNodeVersion();
    await action();
  } catch (error) {
    console.error(error instanceof SetupError ? `pubkeeper: ${error.message}` : error);
    process.exitCode = 1;
  }
}
