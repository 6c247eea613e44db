import { randomBytes } from 'node:crypto';
import { chmod, chown, open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { show } from '../core/id.js';
import type { TokenTable } from '../server/index.js';
import { readTokens, Tokens } from '../server/index.js';
import { ExitError, failure, systemCode } from './exit.js';
import { readText } from './serve-files.js';

/** How long to wait for another run that holds the lock, in ms. Adding a token takes some milliseconds. */
const PATIENCE = 5000;
/** How long to wait before the lock is tried again, in ms; up to as much is added at random, so that runs do not all try at once. */
const PAUSE = 20;

/**
 * Adds an entry to a token file. A process that reads the file meanwhile sees either the old or the new one, whole.
 * @param before called before the last step: if it fails, the file stays as it was
 */
export async function addTo(named: string, entry: TokenTable, before: () => Promise<void>): Promise<void> {
  // Replace the file that a link leads to, not the link.
  const path = await realpath(named).catch(() => named);
  const lock = `${path}.lock`;
  await take(lock, named);
  try {
    await replace(path, named, entry, before);
  } finally {
    await rm(lock, { force: true });
  }
}

/** Takes the lock: without one, two runs that read the same table would each write it without the other's token. */
async function take(lock: string, named: string): Promise<void> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await (await open(lock, 'wx', 0o600)).close();
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw unwritable(named, error);
      if (performance.now() > end) {
        throw failure(`The token file ${show(named)} is locked by another run: if there is none, remove ${show(lock)}.`, error);
      }
    }
    await wait(PAUSE * (1 + Math.random()));
  }
}

async function replace(path: string, named: string, entry: TokenTable, before: () => Promise<void>): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw failure(`The token file ${show(named)} cannot be read (${systemCode(error)}).`, error);
  });
  let table: TokenTable = {};
  if (found) {
    await readTokens(path);
    table = JSON.parse((await readText(path)).trim()) as TokenTable;
  }
  const all = { ...table, ...entry };
  new Tokens(all);
  const next = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    // Only the owner may read it, unless others could read the old one.
    await writeFile(next, `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    // When root adds to the file, the server's user must still be able to read it.
    const own = await stat(next);
    if (found && (own.uid !== found.uid || own.gid !== found.gid)) await chown(next, found.uid, found.gid);
    // Not when the file is made: the umask would take rights away, and the group may be another one then.
    if (found) await chmod(next, found.mode & 0o777);
    await before();
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error instanceof ExitError ? error : unwritable(named, error);
  }
}

function unwritable(path: string, error: unknown): ExitError {
  const code = systemCode(error);
  if (code === 'ENOENT') return failure(`The directory of the token file ${show(path)} does not exist: make it first.`, error);
  return failure(`The token file ${show(path)} cannot be written (${code || 'unknown reason'}).`, error);
}
