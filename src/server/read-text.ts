import { constants } from 'node:fs';
import { open, readFile, realpath, stat, type FileHandle } from 'node:fs/promises';
import { PubkeeperError } from '../core/errors.js';
import { show } from '../core/id.js';
import { wait } from '../core/host.js';

/** How long a named pipe that was read before may be without a writer, in milliseconds. */
const PATIENCE_MS = 10_000;
/** How long to wait before a pipe is looked at again, in milliseconds. */
const PAUSE_MS = 20;

/** The pipes that were read, by their paths: at first they wait for their writer for as long as it takes. */
const known = new Set<string>();

/**
 * The text of a file. On Linux, no thread waits for the writer of a named pipe: such a thread cannot be stopped, and the process could
 * not end.
 * @throws {PubkeeperError} `OPTION_INVALID` when nobody writes into a pipe that is read again; otherwise what `readFile` throws
 */
export async function readText(path: string): Promise<string> {
  // Not without blocking, unless it is a pipe: a terminal would fail with EAGAIN until somebody types.
  if (process.platform !== 'linux' || !(await stat(path)).isFIFO()) return await readFile(path, 'utf8');
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await readPipe(file, path);
  } finally {
    await file.close();
  }
}

/** Looks again and again: `net` would need a descriptor of its own, and one that is opened when the writer has gone reports no end. */
async function readPipe(file: FileHandle, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  const buffer = Buffer.alloc(65_536);
  // A pipe without a name, such as that of `<(command)`, has its writer from the start, or it never comes.
  let hasWriter = !(await realpath(path).then(Boolean, () => false));
  const end = known.has(path) ? performance.now() + PATIENCE_MS : Infinity;
  for (;;) {
    const read = await file.read(buffer, 0, buffer.length, null).catch((error: unknown) => {
      if (errorCode(error) === 'EAGAIN') return undefined;
      throw error;
    });
    if (read?.bytesRead) {
      chunks.push(Buffer.from(buffer.subarray(0, read.bytesRead)));
      continue;
    }
    if (!read) hasWriter = true;
    else if (hasWriter || chunks.length) break;
    else if (performance.now() >= end) throw deserted(path);
    await new Promise<void>((resolve) => void wait(PAUSE_MS, resolve));
  }
  if (!chunks.length && known.has(path)) throw deserted(path);
  known.add(path);
  return Buffer.concat(chunks).toString('utf8');
}

const deserted = (path: string): PubkeeperError =>
  new PubkeeperError('OPTION_INVALID', `The file ${show(path)} is a pipe that was read before, and nobody writes into it now: name a regular file if it is to be read again.`, { path });

/** The `code` of an error of Node, for a message. */
export const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown reason';
