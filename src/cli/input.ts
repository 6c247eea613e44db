import { constants, createReadStream, fstatSync, openSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { show } from '../core/id.js';
import { failure, systemCode } from './exit.js';

/** The longest message that is held in memory, in bytes. The default limit of servers is lower: 1 MiB. */
export const MAX_MESSAGE = 16 * 1024 * 1024;

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** The bytes of a file, or of stdin for `undefined` and `-`. Throws now if there is nothing to read: the first read may be much later. */
export function openInput(path: string | undefined): Readable {
  const isStdin = path === undefined || path === '-';
  const stat = isStdin ? fstatSync(0) : statSync(path);
  // A directory can be opened: only its first read fails, and Node takes a directory on stdin for empty input.
  if (stat.isDirectory()) throw isDirectory(path);
  if (isStdin) return process.stdin;
  // Open a named pipe without waiting: a thread that waits for its writer would keep the process from ending, even at Ctrl-C. On other
  // systems than Linux, a pipe without a writer would then count as ended.
  const isPipe = stat.isFIFO() && process.platform === 'linux';
  if (isPipe) return new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
  return createReadStream(path, { fd: openSync(path, 'r') });
}

/**
 * Reads all of the input, as one message.
 * @param tooLong the sentence for more than `limit` bytes
 */
export async function readAll(
  chunks: AsyncIterable<Uint8Array>,
  limit = MAX_MESSAGE,
  tooLong = `The input is longer than ${limit} bytes: brew it in parts, for instance with --lines.`,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > limit) throw failure(tooLong);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Reads lines as they come, each without its line break (LF or CRLF); also a last one that has none. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, limit = MAX_MESSAGE): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const take = (tail: Uint8Array): Uint8Array => {
    const line = parts.length ? Buffer.concat([...parts, tail]) : tail;
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = take(chunk.subarray(start, end));
      yield line.at(-1) === RETURN ? line.subarray(0, -1) : line;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > limit) throw failure(`A line of the input is longer than ${limit} bytes.`);
  }
  if (length) yield take(new Uint8Array(0));
}

const nameOf = (path: string | undefined): string => (path === undefined || path === '-' ? 'Standard input' : `The file ${show(path)}`);
const isDirectory = (path: string | undefined, cause?: unknown): Error => failure(`${nameOf(path)} is a directory: name a file.`, cause);

/** Turns an error from reading `path` into a sentence for the person who named it. */
export function inputError(error: unknown, path: string | undefined): unknown {
  const code = systemCode(error);
  if (!code) return error;
  const name = nameOf(path);
  if (code === 'ENOENT') return failure(`${name} does not exist.`, error);
  if (code === 'EISDIR') return isDirectory(path, error);
  return failure(`${name} cannot be read (${code}).`, error);
}

/**
 * JSON text without the blanks between its tokens. Otherwise it stays as it was written: numbers keep their digits, objects the
 * order of their keys.
 * @param refuse makes the error for text that is "not JSON (…)"
 */
export function compactJson(bytes: Uint8Array, refuse: (why: string) => Error): Uint8Array {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    JSON.parse(text);
  } catch (error) {
    throw refuse(`not JSON (${error instanceof SyntaxError ? error.message : 'it is not UTF-8'})`);
  }
  // No regular expression: one that reads strings whole runs out of stack at some million escapes.
  const json = Buffer.from(text);
  let length = 0;
  let isString = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (!isString && BLANKS.includes(byte)) continue;
    json[length++] = byte;
    if (byte === QUOTE) isString = !isString;
    // An escaped character does not end a string.
    else if (byte === BACKSLASH) json[length++] = json[++at]!;
  }
  return json.subarray(0, length);
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** The only bytes that JSON may have between its tokens: blank, tab and line breaks. */
const BLANKS: readonly number[] = [0x20, 0x09, NEWLINE, RETURN];
