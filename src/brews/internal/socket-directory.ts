import { unlinkSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { PubkeeperError } from '../../core/index.js';
import { show } from '../../core/id.js';

/** The longest path in `sun_path`, without the zero at the end, in bytes: 107 on Linux, 103 on macOS and the BSDs. */
const MAX_PATH = process.platform === 'linux' ? 107 : 103;
/** A socket file without a listener is removed when it is older than this, in ms: the owner of a younger one may be about to listen. */
const STALE = 10_000;
/** The mode bit of a directory that everybody may write to. */
const STICKY = 0o1000;

/** Whether no file descriptor is left, and what to say then. */
export const isOutOfFiles = ({ code }: NodeJS.ErrnoException): boolean => code === 'EMFILE' || code === 'ENFILE';
export const MORE_FILES = 'no file descriptor is left: let this process open more files';

/** `$XDG_RUNTIME_DIR/pubkeeper`, or `pubkeeper-<uid>` in the directory for temporary files. */
export function defaultDirectory(): string {
  const { XDG_RUNTIME_DIR: runtime = '' } = process.env;
  // The XDG standard says to ignore a relative path: patrons with another working directory would not find it.
  return isAbsolute(runtime) ? join(runtime, 'pubkeeper') : join(resolve(tmpdir()), `pubkeeper-${uid()}`);
}

const uid = (): number => process.getuid?.() ?? 0;

/**
 * Makes the directory, for this user alone, and removes socket files in it that nobody listens at any more.
 * @throws {PubkeeperError} `BREW_FAILED` when it is somebody else's, or cannot be made
 */
export async function prepareDirectory(directory: string): Promise<void> {
  try {
    await make(directory);
    // lstat, which does not follow a link that somebody else may have put there.
    const entry = await lstat(directory);
    if (!entry.isDirectory() || entry.uid !== uid()) throw new Error('it is not a directory of this user');
    if (entry.mode & STICKY) throw new Error('it is for all users, as /tmp is, and closing it to the others would be their loss');
    if (entry.mode & 0o077) await chmod(directory, 0o700);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PubkeeperError(
      'BREW_FAILED',
      `The directory ${show(directory)} cannot hold the sockets of a LocalBrew: ${why}. Give it another one as the option directory, or, where that is left out, by XDG_RUNTIME_DIR.`,
      { directory },
      cause,
    );
  }
  await removeStale(directory);
}

/**
 * Makes a directory and those above it. Not by the option `recursive` of `mkdir`: with a file system such as /proc, which reports a
 * directory that cannot be made as ENOENT, Node would retry for ever at full load.
 */
async function make(directory: string): Promise<void> {
  if (await isThere(directory)) return;
  const above = dirname(directory);
  if (above !== directory) await make(above);
  await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error; // another process was faster
  });
}

export const isThere = (path: string): Promise<boolean> => lstat(path).then(() => true, () => false);

/** The path of a brewer's socket. @throws {PubkeeperError} `BREW_FAILED` when it is too long for the system */
export function socketPath(directory: string, brewerId: string): string {
  const path = join(directory, `${brewerId}.sock`);
  if (Buffer.byteLength(path) <= MAX_PATH) return path;
  throw new PubkeeperError(
    'BREW_FAILED',
    `${show(path)} is too long for a Unix socket: give the LocalBrew a directory with a shorter path.`,
    { path, limit: MAX_PATH },
  );
}

/**
 * Makes room for a socket: removes a file that a process left behind when it ended.
 * @throws {PubkeeperError} `BREW_FAILED` when another process listens there
 */
export async function makeRoom(path: string): Promise<void> {
  const state = await probe(path);
  if (state === 'stale') await unlink(path).catch(() => undefined);
  if (state !== 'alive') return;
  throw new PubkeeperError('BREW_FAILED', `Another process brews at ${show(path)}: give each brewer an id of its own.`, { path });
}

async function removeStale(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  // Linux lists the sockets that have a listener. Do not probe those: a brewer would take the probe for an expected patron, which would
  // then miss the frames that wait for it.
  const listed = await readFile('/proc/net/unix', 'utf8').catch(() => '');
  for (const name of names.filter((each) => each.endsWith('.sock'))) {
    const path = join(directory, name);
    const entry = await lstat(path).catch(() => undefined);
    if (!entry?.isSocket() || Date.now() - entry.mtimeMs < STALE || listed.includes(` ${path}\n`)) continue;
    if ((await probe(path)) === 'stale') await unlink(path).catch(() => undefined);
  }
}

function probe(path: string): Promise<'alive' | 'stale' | 'absent'> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve('alive');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Without descriptors this process cannot listen either, and the attempt to do so says why.
      if (isOutOfFiles(error) || error.code === 'ENOENT') resolve('absent');
      // Refused, or not a socket: nobody listens. After any other error somebody may, so the file stays.
      else resolve(error.code === 'ECONNREFUSED' || error.code === 'ENOTSOCK' ? 'stale' : 'alive');
    });
  });
}

const atExit = new Set<{ readonly path: string }>();
let watching = false;

/** Removes this file when the process ends by itself; a killed one leaves it for the next to remove. */
export function removeAtExit(path: string): () => void {
  if (!watching) {
    watching = true;
    process.on('exit', () => {
      for (const each of atExit) {
        try {
          unlinkSync(each.path);
        } catch {
          // It is gone already.
        }
      }
    });
  }
  // An object, since paths may repeat: a brewer that is added again listens at the same path before the former one has quite ended.
  const file = { path };
  atExit.add(file);
  return () => void atExit.delete(file);
}
